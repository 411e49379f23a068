// Which files were changed, by every way in which editors write.

import assert from "node:assert/strict";
import { openFileWatch } from "../../../ffi/file_watch.ts";
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
