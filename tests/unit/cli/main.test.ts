// Which command a command line asks for, and what each says of itself.

import assert from "node:assert/strict";
import { parseArguments, parseWith } from "../../../src/cli/arguments.ts";
import { isCommand, loadCommand } from "../../../src/cli/commands.ts";
import { isFlagsRun } from "../../../src/cli/main.ts";
import { UsageError } from "../../../src/errors.ts";

const COMMANDS = ["run", "check", "down", "knock", "connect", "page", "secret", "import"];

Deno.test("isCommand() knows the commands and nothing that objects have by themselves", () => {
  for (const name of COMMANDS) assert.equal(isCommand(name), true, name);
  for (const name of [undefined, "", "dwon", "RUN", "--port-seq", "constructor", "__proto__"]) {
    assert.equal(isCommand(name), false, name);
  }
});

Deno.test("isFlagsRun() tells run with the flags of one door from run with a file", () => {
  const cases: readonly [args: string, flags: boolean][] = [
    ["run --port-seq 7000,8000", true],
    ["run --port_seq=7000,8000 --dry-run", true],
    ["run --dry-run --port-dest 22", true],
    ["run", false],
    ["run --dry-run", false],
    ["run --config /etc/pk/pk.yaml", false],
    ["run -c pk.yaml", false],
    ["run --port-sequence 1,2", false],
    ["--port-seq 7000,8000", false],
    ["check --port-seq 7000,8000", false],
  ];
  for (const [args, flags] of cases) assert.equal(isFlagsRun(args.split(" ")), flags, args);
});

Deno.test("isFlagsRun() refuses a file and the flags of a door together, and says which", () => {
  const cases = [
    ["run --config X --port-seq 1,2", "--config", "--port-seq"],
    ["run --port_seq=1,2 --config=X", "--config", "--port_seq"],
    ["run -c X --port-dest 22", "-c", "--port-dest"],
  ] as const;
  for (const [args, file, flag] of cases) {
    assert.throws(() => isFlagsRun(args.split(" ")), (error) => {
      assert.ok(error instanceof UsageError);
      assert.equal(error.message, `${file} and ${flag} cannot be used together`);
      assert.match(error.hint ?? "", /leave one/);
      return true;
    }, args);
  }
});

Deno.test("run with flags is read as the flags alone are", () => {
  const flags = "--port_seq 7000,8000 --port-dest=22 --strict --decoys 23".split(" ");
  const args = ["run", ...flags];
  assert.equal(isFlagsRun(args), true);
  assert.deepEqual(parseArguments(args.slice(1), "1"), parseArguments(flags, "1"));
});

for (const name of COMMANDS) {
  Deno.test(`pk ${name} has a help that names it, and refuses what it does not know`, async () => {
    assert.ok(isCommand(name));
    const { parser } = await loadCommand(name);
    const request = parseWith(parser, [name, "--help"], "1");
    assert.ok("output" in request);
    assert.match(request.output, new RegExp(`^Usage: pk ${name}\\b`, "m"));
    const lines = request.output.split("\n");
    assert.ok(lines.every((line) => line.length <= 100), "no line is too long");
    assert.throws(() => parseWith(parser, [name, "--no-such-flag"], "1"), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /--no-such-flag/);
      return true;
    });
  });
}

Deno.test("a flag of a file is suggested by its nearest name", async () => {
  const { parser } = await loadCommand("run");
  assert.throws(() => parseWith(parser, ["run", "--confg", "x"], "1"), /Did you mean --config\?/);
});

Deno.test("pk run reads its flags, and takes no flag of the doors", async () => {
  const { parser } = await loadCommand("run");
  assert.deepEqual(parseWith(parser, ["run", "-c", "pk.yaml", "--dry-run"], "1"), {
    arguments: { config: "pk.yaml", dryRun: true, noTableOwner: false },
  });
  assert.deepEqual(parseWith(parser, ["run"], "1"), {
    arguments: { config: undefined, dryRun: false, noTableOwner: false },
  });
  assert.throws(() => parseWith(parser, ["run", "--rule-timer", "5s"], "1"), /--rule-timer/);
});
