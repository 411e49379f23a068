// wayTo(): what decides which file is at a path. The watch itself is tested with what it is for, in
// reloader.test.ts.

import assert from "node:assert/strict";
import { wayTo } from "../../../src/daemon/files_watch.ts";
import { codeOf, folderTest } from "../../support/host_files.ts";

folderTest("wayTo() tells each link that a path leads through, and the file", (folder) => {
  Deno.mkdirSync(`${folder}/v1/sub`, { recursive: true });
  Deno.writeTextFileSync(`${folder}/v1/once`, "");
  const links = {
    data: "v1",
    once: "data/once",
    absolute: `${folder}//./data/`,
    up: "data/sub/../once",
    none: "missing/once",
    loop: "loop",
    root: "/",
  };
  for (const [name, target] of Object.entries(links)) Deno.symlinkSync(target, `${folder}/${name}`);
  const way = (path: string) =>
    wayTo(`${folder}/${path}`).map((one) => one.replace(`${folder}/`, ""));
  assert.deepEqual(way("v1/once"), ["v1/once"]);
  assert.deepEqual(way("v1//once"), ["v1/once"]);
  assert.deepEqual(way("data/once"), ["data", "v1/once"]);
  assert.deepEqual(way("once"), ["once", "data", "v1/once"]);
  assert.deepEqual(way("absolute/once"), ["absolute", "data", "v1/once"]);
  assert.deepEqual(way("up"), ["up", "data", "v1/sub/../once"]);
  assert.deepEqual(way("none"), ["none", "missing"]);
  assert.deepEqual(way("data/none/once"), ["data", "v1/none"]);
  assert.deepEqual(way("root"), ["root", "/"]);
  assert.deepEqual([...new Set(way("loop"))], ["loop"]);
  assert.equal(codeOf(() => way("once/below")), "ENOTDIR");
});
