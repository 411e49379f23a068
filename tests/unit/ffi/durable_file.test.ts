// Writing files so that they are old or new and never in between.

import assert from "node:assert/strict";
import { openAppendFile, writeFileDurably } from "../../../ffi/durable_file.ts";
import { codeOf, folderTest, isRoot } from "../../support/host_files.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

folderTest("writeFileDurably() makes a file with its mode, and replaces it", (folder) => {
  const path = `${folder}/file`;
  for (const text of ["one", "", "x".repeat(100_000)]) {
    assert.equal(writeFileDurably(path, bytes(text), 0o604), true);
    assert.equal(Deno.readTextFileSync(path), text);
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o7777, 0o604);
  }
  Deno.chmodSync(path, 0o444);
  writeFileDurably(path, bytes("kept"), 0o600);
  assert.equal((Deno.statSync(path).mode ?? 0) & 0o7777, 0o444);
  assert.deepEqual(names(folder), ["file"]);
});

folderTest(
  "writeFileDurably() leaves everything as it was when it is not wanted or fails",
  (folder) => {
    const path = `${folder}/file`;
    writeFileDurably(path, bytes("old"), 0o600);
    const write = (isAsExpected: (path: string) => boolean) =>
      writeFileDurably(path, bytes("new"), 0o600, isAsExpected);
    assert.equal(write(() => false), false);
    assert.equal(write((at) => at === path), false, "replaced at the last moment");
    const fail = () => {
      throw new RangeError("of the test");
    };
    assert.throws(() => write(fail), RangeError);
    assert.equal(Deno.readTextFileSync(path), "old");
    Deno.symlinkSync("file", `${folder}/link`);
    assert.equal(codeOf(() => writeFileDurably(`${folder}/link`, bytes("new"), 0o600)), "ELOOP");
    assert.equal(
      codeOf(() => writeFileDurably(`${folder}/none/file`, bytes("new"), 0o600)),
      "ENOENT",
    );
    assert.deepEqual(names(folder), ["file", "link"]);
  },
);

folderTest("without CAP_CHOWN nobody else's file is taken over", async (folder) => {
  const path = `${folder}/file`;
  Deno.writeTextFileSync(path, "theirs");
  Deno.chownSync(path, 65534, 65534);
  const script = `
    import { writeFileDurably } from "${new URL("../../../ffi/durable_file.ts", import.meta.url)}";
    try { writeFileDurably("${path}", new Uint8Array(1), 0o600); } catch (error) { console.log(error.message); }`;
  Deno.writeTextFileSync(`${folder}/script.ts`, script);
  const { stdout } = await new Deno.Command("setpriv", {
    args: ["--bounding-set", "-chown", "--inh-caps", "-chown", Deno.execPath(), "run"]
      .concat("--allow-all", "--no-check", `${folder}/script.ts`),
  }).output();
  assert.equal(new TextDecoder().decode(stdout), `Cannot keep the owner of ${path}: EPERM\n`);
  assert.equal(Deno.readTextFileSync(path), "theirs");
  assert.deepEqual(names(folder), ["file", "script.ts"]);
}, { ignore: !isRoot });

folderTest("openAppendFile() cuts off what does not belong, and appends", (folder) => {
  const path = `${folder}/file`;
  Deno.writeTextFileSync(path, "whole torn");
  const file = openAppendFile(path, 6);
  assert.ok(file.isIntact());
  file.append(bytes("more"));
  assert.ok(file.isIntact());
  assert.equal(Deno.readTextFileSync(path), "whole more");
  Deno.writeTextFileSync(path, "!", { append: true });
  assert.ok(!file.isIntact());
  file[Symbol.dispose]();
  file[Symbol.dispose]();
  assert.ok(!file.isIntact());
  assert.equal(codeOf(() => file.append(bytes("x"))), "EBADF");
});

folderTest("a write that ends in the middle of a record is taken back", async (folder) => {
  // A process may not make files longer than 1024 bytes (ulimit -f), and is not killed for trying.
  const path = `${folder}/file`;
  Deno.writeTextFileSync(path, "x".repeat(1000));
  const module = new URL("../../../ffi/durable_file.ts", import.meta.url);
  Deno.writeTextFileSync(
    `${folder}/script.ts`,
    `import { openAppendFile } from "${module}";
     using file = openAppendFile("${path}", 1000);
     try { file.append(new Uint8Array(30)); } catch (error) { console.log(error.code, file.isIntact()); }
     file.append(new Uint8Array(20));
     console.log(file.isIntact());`,
  );
  const script = `trap "" XFSZ; ulimit -f 2; exec "$1" run --allow-all --no-check "$2"`;
  const { stdout, stderr } = await new Deno.Command("dash", {
    args: ["-c", script, "sh", Deno.execPath(), `${folder}/script.ts`],
    env: { DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  assert.equal(text.decode(stdout), "EFBIG true\ntrue\n", text.decode(stderr));
  assert.equal(Deno.statSync(path).size, 1020);
});
