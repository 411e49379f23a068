// What configurations of the kinds found in tutorials become: tests/golden/knockd/NAME.conf and the
// YAML beside it. UPDATE_GOLDEN=1 with --allow-write writes them anew, to be read before they are kept.

import assert from "node:assert/strict";
import { parseConfig } from "../../../src/config/yaml.ts";
import type { FoundFile } from "../../../src/config/files.ts";
import { importKnockd } from "../../../src/import/knockd_to_yaml.ts";

const FOLDER = new URL("../../golden/knockd/", import.meta.url);
const NAMES = [...Deno.readDirSync(FOLDER)].map(({ name }) => name)
  .filter((name) => name.endsWith(".conf")).map((name) => name.slice(0, -5)).sort();

/** Those of which everything is understood: exit code 0. */
const UNDERSTOOD = [
  "dual_stack",
  "firewalld",
  "flags",
  "multiport",
  "names",
  "one_family",
  "open_close",
  "option_order",
  "ufw",
  "without_protocol",
];

function oneTimeFile(): FoundFile {
  return { bytes: new TextEncoder().encode("tcp/1234, udp/5678\n"), mode: 0o600 };
}

for (const name of NAMES) {
  Deno.test(`importKnockd() on ${name}.conf gives ${name}.yaml`, () => {
    const imported = importKnockd(Deno.readTextFileSync(new URL(`${name}.conf`, FOLDER)), {
      file: "/etc/knockd.conf",
    });
    assert.ok("yaml" in imported);
    const golden = new URL(`${name}.yaml`, FOLDER);
    if (Deno.env.has("UPDATE_GOLDEN")) Deno.writeTextFileSync(golden, imported.yaml);
    assert.equal(imported.yaml, Deno.readTextFileSync(golden));
    assert.equal(imported.toDos, (imported.yaml.match(/# To do:/g) ?? []).length);
    assert.equal(imported.toDos === 0, UNDERSTOOD.includes(name), "exit code");
    // A file in which no door is left in use is for a person to finish.
    if (!/^ {2}[^ #]/m.test(imported.yaml)) return assert.ok(imported.toDos > 0);
    const { doors } = parseConfig(imported.yaml, "/etc/pk/pk.yaml", { read: oneTimeFile });
    assert.ok(doors.length > 0);
  });
}

Deno.test("there are twenty configurations at least", () => {
  assert.ok(NAMES.length >= 20);
});
