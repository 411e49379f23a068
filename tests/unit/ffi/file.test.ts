// Files by way of libc.

import assert from "node:assert/strict";
import { readLink } from "../../../ffi/file.ts";
import { folderTest } from "../../support/host_files.ts";

folderTest("readLink() reads long ones to their end", (folder) => {
  const target = "/x".repeat(2_000);
  Deno.symlinkSync(target, `${folder}/link`);
  assert.equal(readLink(`${folder}/link`), target);
});
