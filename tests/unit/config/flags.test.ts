// parseFlags(): each value with its outcome, the default that stands in for a wrong one, the
// conflict that no default can mend, and the public sequence.

import fc from "fast-check";
import assert from "node:assert/strict";
import { PUBLIC_SEQUENCE, QUEUE_NUMBER, SYN_ONLY } from "../../../src/config/config.ts";
import { type ParsedFlags, parseFlags, type RawFlags } from "../../../src/config/flags.ts";

const WRONG = Symbol("falls back to the default");
type Outcome<T> = readonly [text: string, expected: T | typeof WRONG];

const ELEVEN = "1,2,3,4,5,6,7,8,9,10,11";

Deno.test("--port-seq", () => {
  const cases: readonly Outcome<number[]>[] = [
    ["7000,8000", [7000, 8000]],
    ["1,2,3,4,5,6,7,8,9,10", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
    [" 80 , 81", [80, 81]],
    ["7000,7000,7000", [7000, 7000, 7000]],
    ["1,65535", [1, 65535]],
    ["080,0081", [80, 81]],
    ["7000", WRONG],
    [ELEVEN, WRONG],
    ["", WRONG],
    [",", WRONG],
    ["7000,", WRONG],
    ["7000,,8000", WRONG],
    ["0,7000", WRONG],
    ["7000,70000", WRONG],
    ["7000,-1", WRONG],
    ["7000 8000", WRONG],
    ["7000;8000", WRONG],
    ["a,b", WRONG],
    ["0x50,81", WRONG],
    ["80.0,81", WRONG],
    ["8e1,81", WRONG],
    ["8 0,81", WRONG],
    ["٨٠,٨١", WRONG],
  ];
  table("portSeq", "--port-seq", cases, (parsed) => sequenceOf(parsed), [
    ...PUBLIC_SEQUENCE,
  ]);
});

Deno.test("--port-dest", () => {
  const cases: readonly Outcome<number>[] = [
    ["22", 22],
    [" 22 ", 22],
    ["1", 1],
    ["65535", 65535],
    ["0", WRONG],
    ["65536", WRONG],
    ["70000", WRONG],
    ["1000000000000", WRONG],
    ["-22", WRONG],
    ["+22", WRONG],
    ["22.5", WRONG],
    ["", WRONG],
    [" ", WRONG],
    ["ssh", WRONG],
    ["22,23", WRONG],
    ["Infinity", WRONG],
  ];
  table("portDest", "--port-dest", cases, (parsed) => portOf(parsed), 10_090);
});

Deno.test("--rule-timer", () => {
  const cases: readonly Outcome<number>[] = [
    ["20000", 20_000],
    ["1", 1],
    ["1ms", 1],
    ["20s", 20_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
    [" 20s ", 20_000],
    ["2147483647", 2_147_483_647],
    ["2147483648", WRONG],
    ["99999999999", WRONG],
    ["597h", WRONG],
    ["0", WRONG],
    ["0s", WRONG],
    ["-5", WRONG],
    ["1.5s", WRONG],
    ["20 s", WRONG],
    ["20S", WRONG],
    ["1d", WRONG],
    ["s", WRONG],
    ["1m30s", WRONG],
    ["soon", WRONG],
    ["", WRONG],
  ];
  table("ruleTimer", "--rule-timer", cases, ({ config }) => config.doors[0]?.timeoutMs, 20_000);
});

Deno.test("--within", () => {
  const cases: readonly Outcome<number>[] = [["10s", 10_000], ["500", 500], ["0", WRONG]];
  table("within", "--within", cases, ({ config }) => config.doors[0]?.withinMs, 10_000);
});

Deno.test("--refuse and --on-expire", () => {
  const refusals: readonly Outcome<string>[] = [
    ["drop", "drop"],
    ["reset", "reset"],
    ["reject", WRONG],
    ["", WRONG],
  ];
  table("refuse", "--refuse", refusals, ({ config }) => config.refuse, "drop");
  const ends: readonly Outcome<string>[] = [["keep", "keep"], ["cut", "cut"], ["kill", WRONG]];
  table("onExpire", "--on-expire", ends, ({ config }) => config.doors[0]?.onExpire, "keep");
});

Deno.test("--filter, which alone can cut nothing", () => {
  const filters: readonly Outcome<string>[] = [
    ["stateful", "stateful"],
    ["stateless", "stateless"],
    ["none", WRONG],
    ["", WRONG],
  ];
  table("filter", "--filter", filters, ({ config }) => config.filter, "stateful");
  const conflict = (flags: Partial<RawFlags>) =>
    parseFlags({ tableOwner: true, ...flags }).conflict?.message;
  assert.equal(conflict({ filter: "stateless", onExpire: "keep" }), undefined);
  assert.equal(conflict({ filter: "stateful", onExpire: "cut" }), undefined);
  assert.equal(
    conflict({ filter: "stateless", onExpire: "cut" }),
    "Cannot cut connections that are not tracked",
  );
});

Deno.test("--decoys and --ban", () => {
  const decoys: readonly Outcome<number[]>[] = [
    ["7001", [7001]],
    ["7001, 9320", [7001, 9320]],
    ["none", []],
    ["", WRONG],
    ["7001,", WRONG],
    ["7001-7010", WRONG],
    [range(100, 64).join(), range(100, 64)],
    [range(100, 65).join(), WRONG],
  ];
  table<number[]>("decoys", "--decoys", decoys, ({ config }) => {
    assert.ok(config.decoys.every(({ protocol }) => protocol === "tcp"));
    return config.decoys.map(({ port }) => port);
  }, []);
  const bans: readonly Outcome<number | undefined>[] = [
    ["10m", 600_000],
    ["1", 1_000],
    ["1001ms", 2_000],
    ["none", undefined],
    ["0", WRONG],
    ["for ever", WRONG],
  ];
  table("ban", "--ban", bans, ({ config }) => config.banMs, undefined);
});

Deno.test("--sources-max and --grants-max", () => {
  const sources: readonly Outcome<number>[] = [
    ["256", 256],
    ["1000000", 1_000_000],
    ["255", WRONG],
    ["4194305", WRONG],
    ["99999999", WRONG],
    ["many", WRONG],
  ];
  table("sourcesMax", "--sources-max", sources, ({ config }) => config.sourcesMax, 65_536);
  const grants: readonly Outcome<number>[] = [
    ["1", 1],
    ["1000000", 1_000_000],
    ["0", WRONG],
    ["1000001", WRONG],
  ];
  table("grantsMax", "--grants-max", grants, ({ config }) => config.grantsMax, 65_536);
});

Deno.test("--queue-num", () => {
  const cases: readonly Outcome<number>[] = [
    ["0", 0],
    ["65535", 65_535],
    ["65536", WRONG],
    ["-1", WRONG],
    ["one", WRONG],
    ["", WRONG],
  ];
  table("queueNum", "--queue-num", cases, ({ config }) => config.queueNumber, QUEUE_NUMBER);
});

Deno.test("--log-format and --log-level", () => {
  const formats: readonly Outcome<string>[] = [["text", "text"], ["json", "json"], ["xml", WRONG]];
  table("logFormat", "--log-format", formats, ({ config }) => config.log.format, "text");
  const levels: readonly Outcome<string>[] = [
    ["debug", "debug"],
    ["warn", "warning"],
    ["warning", "warning"],
    ["error", "error"],
    ["INFO", WRONG],
    ["", WRONG],
  ];
  table("logLevel", "--log-level", levels, ({ config }) => config.log.level, "info");
});

Deno.test("without flags the defaults hold, and nothing is to be told but the public sequence", () => {
  const { config, findings, publicSequence } = parse({});
  assert.deepEqual(config.doors, [{
    name: "main",
    opens: [{ protocol: "tcp", first: 10_090, last: 10_090 }],
    knock: {
      kind: "plain",
      steps: PUBLIC_SEQUENCE.map((port) => (
        { protocol: "tcp", port, flags: SYN_ONLY, afterMs: 0, beforeMs: Infinity }
      )),
    },
    withinMs: 10_000,
    timeoutMs: 20_000,
    onExpire: "keep",
    from: [],
    weakAccepted: false,
  }]);
  assert.deepEqual(findings, []);
  assert.equal(publicSequence, true);
  assert.ok(config.queueNumber > 1, "0 and 1 are what others use");
});

Deno.test("every wrong value is told on its own", () => {
  const { findings } = parse({ portSeq: "7000", portDest: "0", ruleTimer: "soon", queueNum: "x" });
  assert.deepEqual(findings.map(({ flag, value, used }) => [flag, value, used]), [
    ["--port-seq", "7000", "80,81,82,83,84,85,86,87"],
    ["--port-dest", "0", "10090"],
    ["--rule-timer", "soon", "20000"],
    ["--queue-num", "x", String(QUEUE_NUMBER)],
  ]);
});

Deno.test("the reason says what would be right", () => {
  const reason = (flags: Partial<RawFlags>) => parse(flags).findings[0]?.reason ?? "";
  assert.match(reason({ portSeq: ELEVEN }), /2 to 10 ports.*11/);
  assert.match(reason({ portSeq: "7000" }), /2 to 10 ports.*1$/);
  assert.match(reason({ portSeq: "7000,x" }), /1 to 65535/);
  assert.match(reason({ portDest: "70000" }), /1 to 65535/);
  assert.match(reason({ ruleTimer: "0" }), /20s/);
  assert.match(reason({ ruleTimer: "24d" }), /596h.*h is the largest unit/);
  assert.deepEqual(parse({ ruleTimer: "596h" }).findings, []);
  assert.match(reason({ queueNum: "x" }), /0 to 65535/);
});

Deno.test("the public sequence is known however it came about", () => {
  const cases: readonly [portSeq: string | undefined, publicSequence: boolean][] = [
    [undefined, true],
    ["80,81,82,83,84,85,86,87", true],
    [" 80,81, 82,83,84,85,86,087", true],
    ["7000", true],
    ["80,81,82,83,84,85,86", false],
    ["87,86,85,84,83,82,81,80", false],
    ["7000,8000", false],
  ];
  for (const [portSeq, expected] of cases) {
    assert.equal(parse({ portSeq }).publicSequence, expected, portSeq);
  }
});

Deno.test("a guarded port that is also knocked is refused, by default values, too", () => {
  const cases: readonly Partial<RawFlags>[] = [
    { portSeq: "7000,8000", portDest: "8000" },
    { portSeq: "22,22", portDest: " 022" },
    { portDest: "80" },
    { portSeq: "7000", portDest: "80" },
    { portSeq: "7000,10090" },
    { portSeq: "7000,10090", portDest: "x" },
  ];
  for (const flags of cases) {
    const { conflict, findings } = parse(flags);
    assert.match(conflict?.message ?? "", /port \d+ .*--port-dest.*--port-seq/);
    // What fell back to its default is told, too: the conflict may be with that.
    assert.equal(findings.length, flags.portSeq === "7000" || flags.portDest === "x" ? 1 : 0);
  }
  assert.equal(parse({ portSeq: "7000,8000", portDest: "22" }).conflict, undefined);
});

Deno.test("a decoy that is also knocked or guarded is refused", () => {
  const flags = { portSeq: "7000,8000", portDest: "22" };
  assert.match(
    parse({ ...flags, decoys: "7001,8000" }).conflict?.message ?? "",
    /port 8000 .*--port-seq/,
  );
  assert.match(parse({ ...flags, decoys: "22" }).conflict?.message ?? "", /port 22 .*--port-dest/);
  assert.equal(parse({ ...flags, decoys: "7001,7001" }).conflict, undefined);
});

Deno.test("any text gives a configuration, and a conflict only where there is one", () => {
  const text = fc.option(
    fc.oneof(fc.string(), fc.stringMatching(/^[0-9,smh. -]{0,14}$/)),
    { nil: undefined },
  );
  const flags = fc.record({ portSeq: text, portDest: text, ruleTimer: text, queueNum: text });
  fc.assert(
    fc.property(flags, (flags) => {
      const parsed = parse(flags);
      const { config, findings, conflict } = parsed;
      const [door] = config.doors;
      const [sequence, guarded] = [sequenceOf(parsed), portOf(parsed)];
      assert.ok(door && sequence.length >= 2 && sequence.length <= 10);
      for (const port of [...sequence, guarded]) {
        assert.ok(Number.isInteger(port) && port >= 1 && port <= 65_535);
      }
      assert.equal(conflict !== undefined, sequence.includes(guarded));
      assert.ok(Number.isInteger(door.timeoutMs) && door.timeoutMs >= 1);
      assert.ok(config.queueNumber >= 0 && config.queueNumber <= 65_535);
      assert.ok(findings.length <= 4);
    }),
    { numRuns: 1_000 },
  );
});

/** Ports of the one door's sequence, which are all of TCP. */
function sequenceOf({ config: { doors } }: ParsedFlags): number[] {
  const [door, ...others] = doors;
  assert.ok(door?.knock.kind === "plain" && others.length === 0);
  return door.knock.steps.map(({ protocol, port }) => protocol === "tcp" ? port : assert.fail());
}

/** The one port that is guarded. */
function portOf({ config: { doors } }: ParsedFlags): number {
  const [range, ...others] = doors[0]?.opens ?? [];
  assert.ok(range?.protocol === "tcp" && range.first === range.last && others.length === 0);
  return range.first;
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** Each text gives its value without a finding, or the default with one. */
function table<T>(
  name: keyof RawFlags,
  flag: string,
  cases: readonly Outcome<T>[],
  pick: (parsed: ParsedFlags) => unknown,
  fallback: T,
): void {
  for (const [text, expected] of cases) {
    const parsed = parse({ [name]: text });
    const wrong = expected === WRONG;
    assert.deepEqual(pick(parsed), wrong ? fallback : expected, `${flag} "${text}"`);
    const told = parsed.findings.map((finding) => [finding.flag, finding.value]);
    assert.deepEqual(told, wrong ? [[flag, text]] : [], `${flag} "${text}"`);
  }
}

function parse(flags: Partial<RawFlags>): ParsedFlags {
  return parseFlags({ tableOwner: true, ...flags });
}
