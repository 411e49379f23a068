// config/: the example is right and has every kind of door, and the JSON schema is the code's.

import assert from "node:assert/strict";
import { schemaText } from "../../../scripts/schema.ts";
import { parseConfig } from "../../../src/config/yaml.ts";
import { FOLDER } from "./config_yaml.ts";
import { EXAMPLE_FILES, exampleText } from "./example.ts";

Deno.test("config/pk.example.yaml is a configuration with every kind of door", () => {
  const config = parseConfig(exampleText(), `${FOLDER}/pk.yaml`, EXAMPLE_FILES);
  const kinds = config.doors.map(({ name, knock }) => `${name}: ${knock.kind}`);
  assert.deepEqual(kinds, [
    "ssh: plain",
    "backup: plain",
    "admin: rotating",
    "once: one-time",
    "vault: encrypted",
  ]);
});

Deno.test("config/pk.example.yaml stays right when what is commented out is taken in", () => {
  const text = exampleText().replace(/^# (ban|table-owner|queue-num|limits):/gm, "$1:");
  const config = parseConfig(text, `${FOLDER}/pk.yaml`, EXAMPLE_FILES);
  assert.equal(config.banMs, 600_000);
  const { banMs: _banMs, ...others } = config;
  const { banMs: _none, ...plain } = parseConfig(
    exampleText(),
    `${FOLDER}/pk.yaml`,
    EXAMPLE_FILES,
  );
  // Besides the ban these are the defaults, as the example says.
  assert.deepEqual(JSON.stringify(others), JSON.stringify(plain));
});

Deno.test("config/pk.example.yaml names its schema for editors", () => {
  assert.match(exampleText(), /^# yaml-language-server: \$schema=\.\/pk\.schema\.json\n/);
});

Deno.test("config/pk.schema.json is up to date (deno run -A scripts/schema.ts)", () => {
  const file = new URL("../../../config/pk.schema.json", import.meta.url);
  assert.equal(Deno.readTextFileSync(file), schemaText());
});

Deno.test("config/pk.schema.json explains every key", () => {
  const undescribed: string[] = [];
  const walk = (node: unknown, path: string) => {
    if (typeof node !== "object" || node === null) return;
    for (const [key, value] of Object.entries(node)) {
      if (key !== "properties") walk(value, path);
      else {for (const [name, property] of Object.entries(value)) {
          if (!("description" in (property as object))) undescribed.push(`${path}.${name}`);
          walk(property, `${path}.${name}`);
        }}
    }
  };
  walk(JSON.parse(schemaText()), "");
  assert.deepEqual(undescribed, []);
});
