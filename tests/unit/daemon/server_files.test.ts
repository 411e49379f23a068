// Files that the server reads for its configuration: whole, with their mode, or why not.

import assert from "node:assert/strict";
import { FILE_BYTES_MAX, serverFiles } from "../../../src/daemon/server_files.ts";
import { folderTest, hasProgram } from "../../support/host_files.ts";

folderTest("read() gives the bytes and the mode", (folder) => {
  const path = `${folder}/a.secret`;
  for (const length of [0, 1, 4095, 4096, 4097, FILE_BYTES_MAX]) {
    const bytes = new Uint8Array(length).map((_, index) => index * 7);
    Deno.writeFileSync(path, bytes);
    Deno.chmodSync(path, 0o640);
    const found = serverFiles.read(path);
    assert.ok("bytes" in found && found.mode === 0o640);
    assert.ok(found.bytes.length === length && bytes.every((byte, at) => byte === found.bytes[at]));
  }
});

folderTest("read() follows symbolic links, and says the mode of what they lead to", (folder) => {
  Deno.writeTextFileSync(`${folder}/real`, "x");
  Deno.chmodSync(`${folder}/real`, 0o400);
  Deno.symlinkSync("real", `${folder}/link`);
  assert.deepEqual(serverFiles.read(`${folder}/link`), {
    bytes: new TextEncoder().encode("x"),
    mode: 0o400,
    owner: Deno.uid() ?? undefined,
  });
});

folderTest("read() says why not, and never waits", (folder) => {
  Deno.writeFileSync(`${folder}/large`, new Uint8Array(FILE_BYTES_MAX + 1));
  Deno.symlinkSync("loop", `${folder}/loop`);
  assert.ok(new Deno.Command("mkfifo", { args: [`${folder}/pipe`] }).outputSync().success);
  const reasons = {
    [`${folder}/missing`]: "ENOENT",
    [`${folder}/large/below`]: "ENOTDIR",
    [`${folder}/large`]: "EFBIG",
    [`${folder}/loop`]: "ELOOP",
    [`${folder}/pipe`]: "EINVAL",
    [folder]: "EISDIR",
    "/dev/zero": "EINVAL",
    "": "ENOENT",
  };
  for (const [path, reason] of Object.entries(reasons)) {
    assert.deepEqual(serverFiles.read(path), { reason }, path);
  }
}, { ignore: !hasProgram("mkfifo") });
