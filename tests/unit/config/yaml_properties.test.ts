// parseConfig() on arbitrary configurations, which it gives back, and on damaged ones, of which it says
// what is wrong and where, and nothing of secrets.

import fc from "fast-check";
import assert from "node:assert/strict";
import type { Config, Knock } from "../../../src/config/config.ts";
import { parseConfig } from "../../../src/config/yaml.ts";
import { ConfigError } from "../../../src/errors.ts";
import { arbitraryConfig } from "./arbitrary_config.ts";
import { FOLDER, written } from "./config_yaml.ts";
import { EXAMPLE_FILES, exampleText } from "./example.ts";

const FILE = `${FOLDER}/pk.yaml`;

Deno.test("parseConfig() gives back what was written", () => {
  fc.assert(
    fc.property(arbitraryConfig, (config) => {
      const { text, files } = written(config);
      assert.deepEqual(revealed(parseConfig(text, FILE, files)), revealed(config));
    }),
    { numRuns: 200 },
  );
});

Deno.test("a damaged file is refused with places in it, or still has a meaning", () => {
  const text = exampleText();
  const damage = fc.record({
    at: fc.nat(text.length),
    remove: fc.nat(12),
    insert: fc.constantFrom(
      ..." |\n|\t|:|- |[|]|{|}|,|#|'|\"|&a |*a|!|tcp/22|tcp/7001|-1|65536|icmp6/56|0|é|\0|\x1b"
        .split("|"),
    ),
  });
  let refused = 0;
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (all) => {
      let damaged = text;
      for (const { at, remove, insert } of all) {
        damaged = damaged.slice(0, at) + insert + damaged.slice(at + remove);
      }
      try {
        parseConfig(damaged, FILE, EXAMPLE_FILES);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        refused++;
        assertPlaces(error, damaged);
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(refused > 100, `only ${refused} were refused`);
});

Deno.test("whatever bytes the files have, errors say nothing of them", () => {
  const content = fc.string({ minLength: 12, unit: fc.constantFrom(..."QZ7/,-\n é\0") });
  fc.assert(
    fc.property(content, (secret) => {
      const read = () => ({ bytes: new TextEncoder().encode(secret), mode: 0o600 });
      try {
        parseConfig(exampleText(), FILE, { read });
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        for (const { excerpt: _excerpt, ...problem } of error.problems) {
          assert.doesNotMatch(JSON.stringify(problem), /[QZ]/);
        }
      }
    }),
    { numRuns: 200 },
  );
});

function assertPlaces({ problems }: ConfigError, text: string): void {
  assert.ok(problems.length > 0);
  const lines = text.split("\n");
  for (const { file, line, column, excerpt } of problems) {
    if (file !== FILE) continue;
    const length = [...lines[line - 1] ?? ""].length;
    assert.ok(line >= 1 && line <= lines.length, `line ${line} of ${lines.length}`);
    assert.ok(column >= 1 && column <= length + 1, `column ${column} of ${length}`);
    assert.ok(excerpt?.startsWith(`${String(line).padStart(6)} | `));
  }
}

/** With what secrets hide, for comparison; in one order, since that of doors and users says nothing. */
function revealed(config: Config) {
  const doors = config.doors.map((door) => ({ ...door, knock: knock(door.knock) }))
    .sort((one, other) => one.name < other.name ? -1 : 1);
  return structuredClone({ ...config, doors });

  function knock(knock: Knock) {
    switch (knock.kind) {
      case "plain":
      case "one-time":
        return knock;
      case "rotating":
        return { ...knock, secret: knock.secret.reveal() };
      case "encrypted":
        return {
          ...knock,
          users: knock.users.map((user) => ({ ...user, secret: user.secret.reveal() }))
            .sort((one, other) => one.id - other.id),
        };
    }
  }
}
