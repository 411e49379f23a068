// checkFile(): exit codes, what goes to which stream, --json and --dry-run. denoFiles: real files.

import assert from "node:assert/strict";
import { checkFile } from "../../../src/cli/check.ts";
import { denoFiles } from "../../../src/client/files.ts";
import { EXIT } from "../../../src/cli/exit.ts";
import { EXAMPLE_FILES, exampleText } from "../config/example.ts";
import { filesOf, FOLDER } from "../config/config_yaml.ts";

const FILE = `${FOLDER}/pk.yaml`;

Deno.test("a right file gives one line, and warnings apart", async () => {
  const { code, output, diagnostics } = await check(`doors:
  ssh: { opens: [tcp/22], knock: [tcp/7000, tcp/8000, tcp/9000] }
  web: { opens: [tcp/8080-8082], knock: [tcp/7000, tcp/8000, tcp/9000], weak: accepted }
  once: { opens: [tcp/22], knock: { one-time: { file: used } } }
ban: 1m
`);
  assert.equal(code, EXIT.ok);
  assert.equal(output, `${FILE}: 3 doors (2 plain, 1 one-time), 4 guarded ports\n`);
  assert.match(
    diagnostics[0] ?? "",
    /^pk: warning: The sequence of door "ssh" is in tutorials, has only 3 knocks, /,
  );
  assert.deepEqual(diagnostics.slice(1), [
    `pk: warning: Door "once" does not open: all sequences of ${FOLDER}/used are used up. ` +
    "Add lines to it",
    "pk: warning: A ban does nothing without decoys. Add decoys, or take ban away",
  ]);
});

Deno.test("a wrong file gives all problems on standard error, and an exit code of its own", async () => {
  const { code, output, diagnostics } = await check("doors: { ssh: { opens: 22 } }\nrefuse: no\n");
  assert.equal(code, 3);
  assert.equal(output, "");
  assert.deepEqual(diagnostics, [
    `${FILE}:1:10: Missing key "knock"`,
    "     1 | doors: { ssh: { opens: 22 } }",
    "       |          ^^^",
    "     A door has: opens, knock, within, for, then, from, weak.",
    `${FILE}:1:24: Expected a list of ports such as [tcp/22], not 22`,
    "     1 | doors: { ssh: { opens: 22 } }",
    "       |                        ^^",
    `${FILE}:2:9: Expected drop or reset, not "no"`,
    "     2 | refuse: no",
    "       |         ^^",
    "pk: error: 3 problems in the configuration",
  ]);
});

Deno.test("--json says the same to programs, right or wrong", async () => {
  const wrong = await check("doors: { ssh: { opens: [tcp/22] } }", { json: true });
  assert.equal(wrong.code, EXIT.configuration);
  assert.deepEqual(wrong.diagnostics, []);
  assert.deepEqual(JSON.parse(wrong.output), {
    file: FILE,
    ok: false,
    problems: [{
      file: FILE,
      line: 1,
      column: 10,
      message: 'Missing key "knock"',
      hint: "A door has: opens, knock, within, for, then, from, weak.",
    }],
    warnings: [],
  });
  const right = await check("doors: { a: { opens: [tcp/22], knock: [tcp/80, udp/81] } }\nban: 1s", {
    json: true,
  });
  assert.equal(right.code, EXIT.ok);
  const { ok, problems, warnings } = JSON.parse(right.output);
  assert.deepEqual({ ok, problems }, { ok: true, problems: [] });
  assert.deepEqual(warnings.map(({ door }: { door: string | null }) => door), ["a", null]);
});

Deno.test("--dry-run prints the ruleset, without secrets and sequences that are in files", async () => {
  const { code, output } = await checkFile(FILE, { dryRun: true, json: false }, {
    read: (path) => path === FILE ? bytesOf(exampleText()) : EXAMPLE_FILES.read(path),
  }, {});
  assert.equal(code, EXIT.ok);
  assert.match(
    output,
    /^# Without the knocks of one-time sequences, which are secret\ntable inet pk \{\n/,
  );
  assert.match(output, /tcp \. 7153\b/);
  assert.doesNotMatch(output, /correct horse|tcp \. 7311\b|udp \. 8123\b/);
});

Deno.test("a file that is not there is a problem with the file", async () => {
  const { code, diagnostics } = await checkFile(
    "/none",
    { dryRun: false, json: false },
    filesOf({}),
    {},
  );
  assert.equal(code, EXIT.configuration);
  assert.equal(diagnostics[0], "/none:1:1: Cannot read it: there is no such file (ENOENT)");
});

Deno.test("denoFiles reads regular files with mode and owner, and says why it reads no others", () => {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/a`, "secret", { mode: 0o600 });
    const found = denoFiles.read(`${folder}/a`);
    const bytes = new TextEncoder().encode("secret");
    assert.deepEqual(found, { bytes, mode: 0o600, owner: Deno.uid() ?? undefined });
    Deno.truncateSync(`${folder}/a`, 1024 * 1024 + 1);
    assert.deepEqual(denoFiles.read(`${folder}/a`), { reason: "EFBIG" });
    assert.deepEqual(denoFiles.read(folder), { reason: "EISDIR" });
    assert.deepEqual(denoFiles.read(`${folder}/none`), { reason: "ENOENT" });
    assert.deepEqual(denoFiles.read(`${folder}/a/b`), { reason: "ENOTDIR" });
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

function check(text: string, { json = false } = {}) {
  const files = filesOf({ [FILE]: text, [`${FOLDER}/used`]: "# used tcp/1, tcp/2\n" });
  return checkFile(FILE, { dryRun: false, json }, files, {});
}

function bytesOf(text: string) {
  return { bytes: new TextEncoder().encode(text), mode: 0o644 };
}
