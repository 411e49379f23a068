// Which files were changed, by every way in which editors write.

import assert from "node:assert/strict";
import { openFileWatch } from "../../../ffi/file_watch.ts";
import { wayTo } from "../../../src/daemon/files_watch.ts";
import { openWaiter } from "../../../ffi/wait.ts";
import { codeOf, folderTest } from "../../support/host_files.ts";

folderTest("takeChanged() tells every way in which a file changes, once", (folder) => {
  const path = `${folder}/a`;
  Deno.mkdirSync(`${folder}/other`);
  using watch = openFileWatch([path, `${folder}/b`, `${folder}/other/a`]);
  assert.deepEqual(watch.takeChanged(), []);
  const changes: Record<string, () => void> = {
    "made": () => Deno.writeTextFileSync(path, "1"),
    "overwritten": () => Deno.writeTextFileSync(path, "2"),
    "appended to": () => Deno.writeTextFileSync(path, "3", { append: true }),
    "replaced": () => {
      Deno.writeTextFileSync(`${path}~`, "4");
      Deno.renameSync(`${path}~`, path);
    },
    "with another mode": () => Deno.chmodSync(path, 0o600),
    "moved away": () => Deno.renameSync(path, `${folder}/c`),
    "linked": () => Deno.linkSync(`${folder}/c`, path),
    "removed": () => Deno.removeSync(path),
  };
  for (const [how, change] of Object.entries(changes)) {
    change();
    assert.deepEqual(watch.takeChanged(), [path], how);
    assert.deepEqual(watch.takeChanged(), [], `${how}, once`);
  }
  Deno.writeTextFileSync(`${folder}/unwatched`, "");
  assert.deepEqual(watch.takeChanged(), []);
  Deno.writeTextFileSync(`${folder}/other/a`, "");
  Deno.writeTextFileSync(`${folder}/b`, "");
  assert.deepEqual(watch.takeChanged().sort(), [`${folder}/b`, `${folder}/other/a`]);
});

folderTest("takeChanged() tells all files of a folder that is removed", (folder) => {
  const below = `${folder}/below`;
  Deno.mkdirSync(below);
  using watch = openFileWatch([`${below}/a`, `${below}//a`, `${folder}/b`]);
  Deno.removeSync(below);
  assert.deepEqual(watch.takeChanged(), [`${below}/a`, `${below}//a`]);
});

folderTest("a watch is stale when a folder of its files is no longer where it was", (folder) => {
  const changes: Record<string, (above: string) => void> = {
    "renamed": (above) => Deno.renameSync(`${above}/below`, `${above}/old`),
    "removed": (above) => Deno.removeSync(`${above}/below`),
    "with the one above it": (above) => Deno.renameSync(above, `${above}, old`),
  };
  for (const [how, change] of Object.entries(changes)) {
    const above = `${folder}/${how}`;
    const [a, b, c] = [`${above}/below/a`, `${above}/b`, `${folder}/c`];
    Deno.mkdirSync(`${above}/below`, { recursive: true });
    using watch = openFileWatch([a, b, c]);
    for (const path of [a, b, c]) Deno.writeTextFileSync(path, "");
    for (const path of [a, b, c]) Deno.removeSync(path);
    assert.deepEqual(watch.takeChanged(), [a, b, c]);
    assert.equal(watch.isStale, false, `not yet ${how}`);
    change(above);
    assert.equal(watch.isStale, false, "not taken yet");
    assert.deepEqual(watch.takeChanged(), how.startsWith("with") ? [a, b] : [a], how);
    assert.equal(watch.isStale, true, how);
  }
});

folderTest("links on the way are told one after the other, whatever they lead to", (folder) => {
  const path = `${folder}/once`;
  for (const version of ["v1", "v2", "v3"]) {
    Deno.mkdirSync(`${folder}/${version}`);
    Deno.writeTextFileSync(`${folder}/${version}/once`, version);
  }
  Deno.symlinkSync("data/once", path);
  Deno.symlinkSync("v1", `${folder}/data`);
  for (const [now, next] of [["v1", "v2"], ["v2", "v3"]] as const) {
    using watch = openFileWatch(wayTo(path));
    Deno.writeTextFileSync(`${folder}/${now}/once`, "edited");
    assert.deepEqual(watch.takeChanged(), [`${folder}/${now}/once`]);
    exchangeLink(`${folder}/data`, next);
    assert.deepEqual(watch.takeChanged(), [`${folder}/data`]);
    assert.equal(watch.isStale, false, "the names are those of before");
    assert.deepEqual(wayTo(path), [path, `${folder}/data`, `${folder}/${next}/once`]);
  }
});

folderTest("takeChanged() tells all when the kernel lost count, and is bounded", (folder) => {
  const max = Number(Deno.readTextFileSync("/proc/sys/fs/inotify/max_queued_events"));
  using watch = openFileWatch([`${folder}/a`, `${folder}/b`]);
  const others = [`${folder}/x`, `${folder}/y`];
  for (let count = 0; count <= max; count++) {
    Deno.writeTextFileSync(others[count % 2] ?? "", "");
  }
  const changed = new Set<string>();
  for (let calls = 0; calls < 20; calls++) watch.takeChanged().forEach((path) => changed.add(path));
  assert.deepEqual([...changed], [`${folder}/a`, `${folder}/b`]);
  assert.equal(watch.isStale, true, "what was lost may have been a folder's end");
});

folderTest("the descriptor can be waited for", async (folder) => {
  using watch = openFileWatch([`${folder}/a`]);
  using waiter = openWaiter();
  waiter.attend([watch.fd]);
  assert.equal(waiter.linger(0), false);
  const waiting = waiter.wait(5_000);
  const startMs = performance.now();
  Deno.writeTextFileSync(`${folder}/a`, "");
  await waiting;
  assert.ok(performance.now() - startMs < 4_000);
  assert.deepEqual(watch.takeChanged(), [`${folder}/a`]);
  assert.equal(waiter.linger(0), false, "everything was read");
});

folderTest(
  "openFileWatch() says which folder it cannot watch, and ends twice without harm",
  (folder) => {
    assert.equal(codeOf(() => openFileWatch([`${folder}/none/a`])), "ENOENT");
    Deno.writeTextFileSync(`${folder}/file`, "");
    assert.equal(codeOf(() => openFileWatch([`${folder}/file/a`])), "ENOTDIR");
    const watch = openFileWatch([]);
    watch[Symbol.dispose]();
    watch[Symbol.dispose]();
    assert.deepEqual(watch.takeChanged(), []);
  },
);

/** As Kubernetes does: the link is never missing. */
function exchangeLink(path: string, target: string): void {
  Deno.symlinkSync(target, `${path}~`);
  Deno.renameSync(`${path}~`, path);
}
