// What is allowed and told: settings that are hardly meant, in a file and as flags, and files that belong
// to others or that others may read or change.

import assert from "node:assert/strict";
import { checkFile } from "../../../src/cli/check.ts";
import { warningsOf, warningsOfSettings } from "../../../src/cli/config_warnings.ts";
import { environmentOf, ownUid } from "../../../src/cli/environment.ts";
import { EXIT } from "../../../src/cli/exit.ts";
import { fileWarningsOf } from "../../../src/cli/file_warnings.ts";
import { denoFiles } from "../../../src/client/files.ts";
import { parseFlags, type RawFlags } from "../../../src/config/flags.ts";
import { parseConfig } from "../../../src/config/yaml.ts";
import { folderTest, isRoot } from "../../support/host_files.ts";
import { type FileOf, filesOf, FOLDER } from "../config/config_yaml.ts";

const FILE = `${FOLDER}/pk.yaml`;
const STRONG = "[tcp/7153, udp/2918, icmp/213, tcp/8461, tcp/5307]";
const ALICE = 1000;
/** Where the system does not tell who runs pk. */
const NOBODY = null;

Deno.test("times of less than anybody needs are told, in a file and as flags", () => {
  const file = (times: string) => {
    const text = `doors: { ssh: { opens: [tcp/22], knock: ${STRONG}, ${times} } }`;
    return lines(warningsOf(parseConfig(text, FILE, filesOf({}))));
  };
  assert.deepEqual(file("for: 1s, within: 100ms"), []);
  assert.deepEqual(file("for: 999ms, within: 99ms"), [
    '"for" of door "ssh" is 999 milliseconds, and few connect so fast. 20s is 20 seconds',
    '"within" of door "ssh" is 99 milliseconds, and few knock so fast. 10s is 10 seconds',
  ]);
  assert.deepEqual(flags({ ruleTimer: "1000", within: "100" }), []);
  assert.deepEqual(flags({ ruleTimer: "soon" }), [], "the default is long enough");
  assert.deepEqual(flags({ ruleTimer: "20", within: "1" }), [
    "--rule-timer is 20 milliseconds, and few connect so fast. " +
    "A number alone is milliseconds: 20s is 20 seconds",
    "--within is 1 millisecond, and few knock so fast. " +
    "A number alone is milliseconds: 10s is 10 seconds",
  ]);
});

Deno.test("a ban without decoys is told as flags, too", () => {
  assert.deepEqual(flags({ ban: "1m" }), [
    "A ban does nothing without decoys. Add --decoys, or take --ban away",
  ]);
  assert.deepEqual(flags({ ban: "1m", decoys: "4000" }), []);
});

Deno.test("files that others own, may read or may change are told with the command that helps", () => {
  const plain = `doors: { a: { opens: [tcp/22], knock: ${STRONG} } }`;
  const once = "doors: { a: { opens: [tcp/22], knock: { one-time: { file: once } } } }";
  const said = (
    text: string,
    file: Partial<FileOf>,
    onceOwner = 0,
    uid: number | null = 0,
  ) => {
    const files = filesOf({
      [FILE]: { text, mode: 0o600, owner: 0, ...file },
      [`${FOLDER}/once`]: { text: "tcp/7000, udp/8000\n", mode: 0o600, owner: onceOwner },
    });
    return lines(fileWarningsOf(FILE, parseConfig(text, FILE, files), files, uid ?? undefined));
  };
  const help = `chown root ${FILE} && chmod 600 ${FILE}`;
  assert.deepEqual(said(plain, {}), []);
  assert.deepEqual(said(plain, { mode: 0o400 }), []);
  assert.deepEqual(said(once, { mode: 0o644 }), [], "no knocks in it");
  assert.deepEqual(said(plain, { owner: ALICE }, 0, ALICE), []);
  assert.deepEqual(said(plain, { owner: ALICE }, 0, NOBODY), []);
  assert.deepEqual(said(plain, { owner: ALICE }), [
    `${FILE} belongs to another user (uid 1000). ${help}`,
  ]);
  assert.deepEqual(said(plain, { mode: 0o640 }), [
    `${FILE} has knocks in it that others may read (mode 0640). ${help}`,
  ]);
  assert.deepEqual(said(once, { mode: 0o664, owner: ALICE }), [
    `${FILE} belongs to another user (uid 1000), and can be changed by others (mode 0664). ${help}`,
  ]);
  assert.deepEqual(said(once, {}, ALICE), [
    `${FOLDER}/once belongs to another user (uid 1000). ` +
    `chown root ${FOLDER}/once && chmod 600 ${FOLDER}/once`,
  ]);
});

folderTest("who runs pk is known without asking Deno", () => {
  assert.equal(ownUid(), Deno.build.os === "linux" ? Deno.uid() : undefined);
});

folderTest("pk check as root says what the service could not read", async (folder) => {
  const file = `${folder}/pk.yaml`;
  const write = (name: string, text: string, owner = ALICE) => {
    Deno.writeTextFileSync(`${folder}/${name}`, text, { mode: 0o600 });
    Deno.chownSync(`${folder}/${name}`, owner, owner);
  };
  const check = () =>
    checkFile(file, { dryRun: false, json: false }, denoFiles, environmentOf(file));
  write(
    "pk.yaml",
    `doors:
  once: { opens: [tcp/22], knock: { one-time: { file: once } } }
  vault: { opens: [tcp/22], knock: { encrypted: { users: { u: { id: 1, secret-file: s } } } } }
`,
  );
  write("once", "tcp/7000, udp/8000\n");
  write("s", "correct horse battery staple\n");
  const refused = await check();
  assert.equal(refused.code, EXIT.configuration);
  assert.match(refused.diagnostics.join("\n"), /\/s belongs to another user \(uid 1000\)/);
  assert.match(refused.diagnostics.join("\n"), /chown root .*\/s && chmod 600 .*\/s/);
  write("s", "correct horse battery staple\n", 0);
  const taken = await check();
  assert.equal(taken.code, EXIT.ok);
  assert.deepEqual(
    taken.diagnostics,
    [file, `${folder}/once`].map((path) =>
      `pk: warning: ${path} belongs to another user (uid 1000). ` +
      `chown root ${path} && chmod 600 ${path}`
    ),
  );
  for (const name of ["pk.yaml", "once"]) Deno.chownSync(`${folder}/${name}`, 0, 0);
  assert.deepEqual((await check()).diagnostics, []);
}, { ignore: !isRoot });

function flags(given: Partial<RawFlags>): string[] {
  return lines(warningsOfSettings(parseFlags({ tableOwner: true, ...given }).config, "flags"));
}

function lines(warnings: readonly { readonly message: string; readonly hint: string }[]): string[] {
  return warnings.map(({ message, hint }) => `${message}. ${hint}`);
}
