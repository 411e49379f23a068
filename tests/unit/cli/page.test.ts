// The parser of pk page. What it makes: tests/unit/page; what it does with files: tests/netns/page.test.ts.

import assert from "node:assert/strict";
import { parseWith } from "../../../src/cli/arguments.ts";
import { page } from "../../../src/cli/page.ts";
import { UsageError } from "../../../src/errors.ts";

Deno.test("the parser of pk page", () => {
  const read = (text: string) => parseWith(page, ["page", ...text.split(" ")], "0");
  assert.deepEqual(read("server"), {
    arguments: { embedSecret: false, profiles: undefined, profile: "server" },
  });
  assert.deepEqual(read("--embed-secret --profiles hosts.yaml server"), {
    arguments: { embedSecret: true, profiles: "hosts.yaml", profile: "server" },
  });
  assert.throws(() => read("--embed-secret"), UsageError);
});
