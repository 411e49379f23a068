// The parsers of values: parseStep(), parseRange(), parseTime(), parsePrefix(), parseFlagWords(), and
// what writes them again.

import fc from "fast-check";
import assert from "node:assert/strict";
import { rangeText } from "../../../src/config/config.ts";
import { parseOneTimeLines } from "../../../src/config/one_time.ts";
import type { Parsed } from "../../../src/config/parsed.ts";
import { parseRange } from "../../../src/config/ports.ts";
import { maskedTo, parsePrefix, prefixText } from "../../../src/config/prefix.ts";
import { folderOf, pathFrom } from "../../../src/config/secret_file.ts";
import { parseStep, stepText } from "../../../src/config/step.ts";
import { flagWords, parseFlagWords } from "../../../src/config/tcp_flags.ts";
import { parseTime, timeText } from "../../../src/config/time.ts";
import { stepOf } from "../../support/configs.ts";

Deno.test("parseStep() takes what stepText() writes, and nothing that is near it", () => {
  for (
    const text of ["tcp/1", "tcp/65535", "udp/53", "icmp/0", "icmp/65507", "icmp6/65527"] as const
  ) {
    assert.deepEqual(parseStep(text), { value: stepOf(text) });
    assert.equal(stepText(valueOf(parseStep(text))), text);
  }
  const wrong = [
    "",
    "/",
    "tcp",
    "tcp/",
    "tcp/0",
    "tcp/65536",
    "tcp/+1",
    "tcp/1.0",
    "tcp/0x1",
    "tcp/1e2",
    "tcp/ 1",
  ]
    .concat([
      "TCP/1",
      " tcp/1",
      "tcp/1 ",
      "tcp/1/2",
      "tcp/1-2",
      "icmp/-1",
      "icmp/65508",
      "icmp6/65528",
    ])
    .concat(["tcp/١", "sctp/1", "7000", "tcp/1\n", "__proto__/1"]);
  for (const text of wrong) assert.ok("reason" in parseStep(text), JSON.stringify(text));
});

Deno.test("parseRange() takes what rangeText() writes", () => {
  for (const text of ["tcp/22", "udp/1-65535", "tcp/9090-9099"]) {
    assert.equal(rangeText(valueOf(parseRange(text))), text);
  }
  assert.equal(rangeText(valueOf(parseRange("tcp/7-7"))), "tcp/7");
  const wrong = [
    "tcp/2-1",
    "tcp/1-",
    "tcp/-1",
    "tcp/1-2-3",
    "tcp/1--2",
    "icmp/1",
    "tcp/0-5",
    "tcp/1 - 2",
  ];
  for (const text of wrong) assert.ok("reason" in parseRange(text), text);
});

Deno.test("parseTime() takes what timeText() writes, in the largest unit that is whole", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 2_147_483_647 }), (ms) => {
    assert.deepEqual(parseTime(timeText(ms)), { value: ms });
  }));
  const texts: readonly [number, string][] = [[1, "1ms"], [1_500, "1500ms"], [90_000, "90s"], [
    7_200_000,
    "2h",
  ]];
  for (const [ms, text] of texts) assert.equal(timeText(ms), text);
  const wrong = ["", "20", "20 s", "-1s", "1.5s", "1d", "0s", "2147483648ms", "99999999999ms", "s"];
  for (const text of wrong) assert.ok("reason" in parseTime(text), text);
});

Deno.test("parsePrefix() takes what prefixText() writes, and refuses bits behind the prefix", () => {
  const word = fc.nat(0xffff_ffff);
  fc.assert(
    fc.property(word, word, word, word, fc.nat(128), (word0, word1, word2, word3, length) => {
      const address = { family: 6, word0, word1, word2, word3 } as const;
      const masked = maskedTo(address, length);
      const parsed = parsePrefix(prefixText({ address, length }));
      const same = masked.word0 === word0 && masked.word1 === word1 && masked.word2 === word2 &&
        masked.word3 === word3;
      if (same) assert.deepEqual(parsed, { value: { address, length } });
      else {assert.ok(
          "reason" in parsed && parsed.reason.includes(prefixText({ address: masked, length })),
        );}
    }),
  );
  assert.equal(prefixText(valueOf(parsePrefix("0.0.0.0/0"))), "0.0.0.0/0");
  assert.equal(prefixText(valueOf(parsePrefix("192.0.2.7"))), "192.0.2.7/32");
  const wrong = ["", "/", "192.0.2.0/", "192.0.2.0/24/8", "192.0.2.0/-1", "192.0.2.0/33", "::/129"]
    .concat(["192.0.2.0/2 4", "192.0.2.256/32", "fe80::1%eth0/64", "::ffff:192.0.2.0/120"]);
  for (const text of wrong) assert.ok("reason" in parsePrefix(text), text);
});

Deno.test("parseFlagWords() takes what flagWords() writes", () => {
  fc.assert(fc.property(fc.nat(255), fc.nat(255), (mask, bits) => {
    const test = { mask, value: bits & mask };
    assert.deepEqual(parseFlagWords(flagWords(test)), { value: test });
  }));
  assert.ok("reason" in parseFlagWords(["syn", "fin", "!syn"]));
});

Deno.test("parseOneTimeLines() never throws and repeats no line in its words", () => {
  const text = fc.string({ unit: fc.constantFrom(..."tcp/udpicm/6790,# \n\rQ") });
  fc.assert(fc.property(text, (text) => {
    const { sequences, wrong } = parseOneTimeLines(text);
    const lines = text.split("\n");
    for (const { line, lineNumber } of sequences) {
      assert.equal(line, lines[lineNumber - 1]?.replace(/\r$/, ""));
    }
    for (const { reason, lineNumber } of wrong) {
      assert.doesNotMatch(reason, /Q/);
      assert.ok(lineNumber >= 1 && lineNumber <= lines.length);
    }
  }));
});

Deno.test("pathFrom() and folderOf() know the paths of Unix and Windows", () => {
  const cases: readonly [folder: string, path: string, expected: string][] = [
    ["/etc/pk", "a", "/etc/pk/a"],
    ["/etc/pk/", "a", "/etc/pk/a"],
    ["/", "a", "/a"],
    ["", "a", "a"],
    ["/etc/pk", "/a", "/a"],
    ["C:\\pk", "D:\\a", "D:\\a"],
    ["C:\\pk", "a", "C:\\pk/a"],
  ];
  for (const [folder, path, expected] of cases) assert.equal(pathFrom(folder, path), expected);
  assert.deepEqual(["/etc/pk/a", "/a", "a", "b/a", "C:\\pk\\a"].map(folderOf), [
    "/etc/pk",
    "/",
    "",
    "b",
    "C:\\pk",
  ]);
});

function valueOf<T>(parsed: Parsed<T>): T {
  if ("value" in parsed) return parsed.value;
  throw new assert.AssertionError({ message: parsed.reason });
}
