// One-time sequences are crossed out in a file that is somebody else's to edit.

import assert from "node:assert/strict";
import fc from "fast-check";
import { KernelError } from "../../../src/errors.ts";
import { useOneTimeSequence } from "../../../src/daemon/one_time_file.ts";
import { folderTest, isRoot } from "../../support/host_files.ts";

const USED = /^# used \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z /gm;

folderTest("useOneTimeSequence() marks the first line that is left, and nothing else", (folder) => {
  const path = `${folder}/once`;
  const line = "tcp/7000, udp/8123";
  const text = `# codes\r\n\n tcp/1, tcp/2\t\n${line}\r\n#${line}\n  ${line}  \n${line} x\n\xff`;
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0)); // no UTF-8
  Deno.writeFileSync(path, bytes);
  const read = () => String.fromCharCode(...Deno.readFileSync(path));
  assert.equal(useOneTimeSequence(path, line), "used");
  assert.match(read(), /^# used [^ ]+ tcp\/7000, udp\/8123\r$/m);
  assert.equal(read().replace(USED, ""), text);
  assert.equal(useOneTimeSequence(path, ` ${line}\r`), "used", "the second one");
  assert.match(read(), /^# used [^ ]+ {3}tcp\/7000, udp\/8123 {2}$/m);
  assert.equal(useOneTimeSequence(path, line), "gone");
  assert.equal(read().replace(USED, ""), text);
  assert.equal(read().match(USED)?.length, 2);
});

folderTest("a line without an end, the only one, an empty file, no file, a comment", (folder) => {
  const path = `${folder}/once`;
  Deno.writeTextFileSync(path, "tcp/1, tcp/2");
  assert.equal(useOneTimeSequence(path, "tcp/1"), "gone");
  assert.equal(useOneTimeSequence(path, "tcp/1, tcp/2"), "used");
  const marked = Deno.readTextFileSync(path);
  assert.equal(useOneTimeSequence(path, marked), "gone");
  assert.equal(useOneTimeSequence(path, ""), "gone");
  assert.equal(Deno.readTextFileSync(path), marked);
  Deno.writeTextFileSync(path, "");
  assert.equal(useOneTimeSequence(path, "tcp/1, tcp/2"), "gone");
  Deno.removeSync(path);
  assert.equal(useOneTimeSequence(path, "tcp/1, tcp/2"), "gone");
});

folderTest("each line can be used as often as it is there", (folder) => {
  const path = `${folder}/once`;
  const line = fc.constantFrom("tcp/1, tcp/2", "tcp/3, udp/4", "#tcp/1, tcp/2", "", "  ");
  fc.assert(
    fc.property(fc.array(line), fc.array(line), (lines, uses) => {
      Deno.writeTextFileSync(path, lines.join("\n"));
      const left = lines.filter((text) => text.startsWith("tcp"));
      for (const use of uses) {
        const index = left.indexOf(use);
        assert.equal(useOneTimeSequence(path, use), index === -1 ? "gone" : "used");
        if (index !== -1) left.splice(index, 1);
      }
      assert.equal(Deno.readTextFileSync(path).replace(USED, ""), lines.join("\n"));
    }),
    { numRuns: 40 },
  );
});

folderTest("mode, owner and a symbolic link stay, and no other file is left", (folder) => {
  const path = `${folder}/real`;
  Deno.writeTextFileSync(path, "tcp/1, tcp/2\n");
  Deno.chmodSync(path, 0o640);
  if (isRoot) Deno.chownSync(path, 65534, 65534);
  Deno.symlinkSync("real", `${folder}/link`);
  Deno.writeTextFileSync(`${path}.pk-new`, "left behind by a kill");
  const before = Deno.statSync(path);
  assert.equal(useOneTimeSequence(`${folder}/link`, "tcp/1, tcp/2"), "used");
  const { mode, uid, gid } = Deno.statSync(path);
  assert.deepEqual({ mode, uid, gid }, { mode: before.mode, uid: before.uid, gid: before.gid });
  assert.ok(Deno.lstatSync(`${folder}/link`).isSymlink);
  assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), ["link", "real"]);
});

folderTest("what cannot be written is an error, and the line is still there", (folder) => {
  const path = `${folder}/once`;
  Deno.writeTextFileSync(path, "tcp/1, tcp/2\n");
  Deno.mkdirSync(`${path}.pk-new`); // in the way of the new file
  assert.throws(() => useOneTimeSequence(path, "tcp/1, tcp/2"), KernelError);
  assert.equal(Deno.readTextFileSync(path), "tcp/1, tcp/2\n");
});

folderTest("somebody who edits the file meanwhile loses nothing", async (folder) => {
  // Another process adds lines, each by a new file that it puts in place, and pk uses them.
  const path = `${folder}/once`;
  Deno.writeTextFileSync(path, "");
  const count = 150;
  const script = `for n in $(seq ${count}); do
    while ! { cp "$1" "$1.edit" && echo "tcp/$n, tcp/1" >> "$1.edit" && mv "$1.edit" "$1" &&
      grep -q "tcp/$n, tcp/1" "$1"; }; do :; done; done`;
  const editor = new Deno.Command("sh", { args: ["-c", script, "sh", path] }).spawn();
  const ended = editor.status;
  let over = false;
  ended.then(() => over = true);
  let busy = 0;
  const used = new Set<number>();
  const take = (n: number) => {
    try {
      if (useOneTimeSequence(path, `tcp/${n}, tcp/1`) === "used") used.add(n);
    } catch (error) {
      // It is edited all the time, so that sometimes no moment is left.
      if (!(error instanceof KernelError && error.code === "EAGAIN")) throw error;
      busy++;
    }
  };
  for (let n = 1; !over; n = n % count + 1) {
    if (!used.has(n)) take(n);
    if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const text = Deno.readTextFileSync(path);
  for (let n = 1; n <= count; n++) assert.ok(text.includes(`tcp/${n}, tcp/1\n`), `line ${n}`);
  assert.ok(used.size > 0, `${used.size} used, ${busy} busy`);
});
