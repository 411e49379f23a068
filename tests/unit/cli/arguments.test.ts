// parseArguments(): what may be typed, what it comes to, and what is said to what may not.

import assert from "node:assert/strict";
import { parseArguments } from "../../../src/cli/arguments.ts";
import { UsageError } from "../../../src/errors.ts";

const COMMANDS = ["run", "check", "down", "knock", "connect", "page", "secret", "import"] as const;

/** What is read from an empty command line. */
const NOTHING = {
  command: "run",
  portSeq: undefined,
  portDest: undefined,
  ruleTimer: undefined,
  within: undefined,
  refuse: undefined,
  filter: undefined,
  onExpire: undefined,
  decoys: undefined,
  ban: undefined,
  sourcesMax: undefined,
  grantsMax: undefined,
  strict: false,
  dryRun: false,
  logFormat: undefined,
  logLevel: undefined,
  queueNum: undefined,
  noTableOwner: false,
} as const;

Deno.test("parseArguments() reads flags in either spelling, parted by a blank or by =", () => {
  const cases: readonly [args: string, expected: Readonly<Record<string, unknown>>][] = [
    ["", {}],
    ["--port-seq 7000,8000", { portSeq: "7000,8000" }],
    ["--port_seq 7000,8000", { portSeq: "7000,8000" }],
    ["--port-seq=7000,8000", { portSeq: "7000,8000" }],
    ["--port_seq=7000,8000", { portSeq: "7000,8000" }],
    ["--port_dest 22 --rule_timer 5s", { portDest: "22", ruleTimer: "5s" }],
    ["--port-dest=22 --rule-timer=5s", { portDest: "22", ruleTimer: "5s" }],
    ["--rule-timer -5", { ruleTimer: "-5" }],
    ["--rule_timer=-5", { ruleTimer: "-5" }],
    ["--port-seq=", { portSeq: "" }],
    ["--strict --dry-run", { strict: true, dryRun: true }],
    ["--log-format json --log-level debug", { logFormat: "json", logLevel: "debug" }],
    ["--within 5s --refuse reset", { within: "5s", refuse: "reset" }],
    ["--filter=stateless", { filter: "stateless" }],
    ["--on-expire cut --decoys 23,25", { onExpire: "cut", decoys: "23,25" }],
    ["--ban 1h", { ban: "1h" }],
    ["--sources-max 9 --grants-max 8", { sourcesMax: "9", grantsMax: "8" }],
    ["--queue-num 3", { queueNum: "3" }],
    ["--no-table-owner", { noTableOwner: true }],
  ];
  for (const [args, expected] of cases) {
    assert.deepEqual(parse(args), { arguments: { ...NOTHING, ...expected } }, args);
  }
});

Deno.test("parseArguments() keeps values as they were typed", () => {
  for (const value of ["", " 80 , 81", "port_seq", "7000;8000", "ü"]) {
    const request = parseArguments(["--port_seq", value], "1");
    assert.deepEqual(request, { arguments: { ...NOTHING, portSeq: value } });
  }
});

Deno.test("parseArguments() gives help and version as text, whatever else was typed", () => {
  for (const args of ["--version", "-V"]) {
    assert.deepEqual(parseArguments([args], "1.2.3"), { output: "pk 1.2.3" });
  }
  for (const args of ["--help", "-h", "--dry-run --help"]) {
    const text = outputOf(args);
    for (const word of ["--port-seq", "--port-dest", "--rule-timer", "--strict", "--dry-run"]) {
      assert.ok(text.includes(word), `${args}: ${word}`);
    }
    assert.match(text, /--log-format[^]*--log-level[^]*--queue-num/);
    assert.match(text, /80,81,82,83,84,85,86,87[^]*10090[^]*20000[^]*27085/, "the defaults");
    assert.match(
      text,
      /^\s*pk --port-seq [\d,]+ --decoys .*\n\s*pk .*--dry-run\n\s*pk run --config/m,
    );
    for (const name of COMMANDS) assert.match(text, new RegExp(`^ +${name} +[A-Z]`, "m"), name);
    assert.doesNotMatch(text, /table-owner/, "the switch for tests is hidden");
    assert.ok(text.split("\n").every((line) => line.length <= 100), "no line is too long");
  }
});

Deno.test("parseArguments() refuses the rest with what is wrong, what is near, and a hint", () => {
  const cases: readonly [args: string, says: RegExp][] = [
    ["--portdest 22", /--portdest.*--port-dest/],
    ["--portseq 7000,8000", /--portseq.*--port-seq/],
    ["--rule-time 20s", /--rule-time.*--rule-timer/],
    ["--queue_num 3", /--queue_num.*--queue-num/],
    ["--port_seqs 7000,8000", /--port_seqs.*--port-seq/],
    ["--dry-run dwon", /dwon/],
    ["dwon", /dwon.*Did you mean down\?/],
    ["knok", /knok.*Did you mean knock\?/],
    ["Run", /Run.*Did you mean run\?/],
    ["imprt", /imprt.*Did you mean import\?/],
    ["-x", /-x/],
    ["--port-dest 22 extra", /extra/],
    ["--rule-timer", /--rule-timer.*TIME/],
    ["--port-dest 1 --port-dest 2", /--port-dest.*multiple/],
    ["--port-dest 1 --port_dest 2", /--port-dest.*multiple/],
    ["--strict --strict", /--strict.*multiple/],
    ["--dry-run=yes", /--dry-run.*yes/],
    ["down --strict", /down.*--strict/],
    ["--strict down", /--strict.*down/],
  ];
  for (const [args, says] of cases) refuses(args.split(" "), says);
});

Deno.test("parseArguments() takes no flag for the value of another", () => {
  refuses(["--port-seq", "--strict"], /--port-seq/);
  refuses(["--rule-timer", "--dry-run"], /--rule-timer/);
});

function parse(args: string) {
  return parseArguments(args.split(" ").filter(Boolean), "1.2.3");
}

function outputOf(args: string): string {
  const request = parse(args);
  assert.ok("output" in request, args);
  return request.output;
}

function refuses(args: readonly string[], says: RegExp): void {
  assert.throws(() => parseArguments(args, "1"), (error) => {
    assert.ok(error instanceof UsageError, String(error));
    assert.match(error.message, says);
    assert.doesNotMatch(error.message, /\n/, "one line");
    assert.match(error.hint ?? "", /--help/);
    return true;
  }, args.join(" "));
}
