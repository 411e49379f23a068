// parseKnocks(): the spellings of the `knock` client and of pk's files.

import assert from "node:assert/strict";
import fc from "fast-check";
import { stepText } from "../../../src/config/step.ts";
import { parseKnocks } from "../../../src/client/typed_knocks.ts";

Deno.test("parseKnocks() reads both spellings", () => {
  const cases: readonly [typed: string, plain: string, withU: string][] = [
    ["7000", "tcp/7000", "udp/7000"],
    ["7000:tcp", "tcp/7000", "tcp/7000"],
    ["7000:udp", "udp/7000", "udp/7000"],
    ["7000:UDP", "udp/7000", "udp/7000"],
    ["56:icmp", "icmp/56", "icmp/56"],
    ["0:icmp6", "icmp6/0", "icmp6/0"],
    ["tcp/7000", "tcp/7000", "tcp/7000"],
    ["udp/7000", "udp/7000", "udp/7000"],
    ["icmp/65507", "icmp/65507", "icmp/65507"],
  ];
  for (const [typed, plain, withU] of cases) {
    assert.deepEqual(textsOf([typed]), [plain]);
    assert.deepEqual(textsOf([typed], "udp"), [withU]);
  }
});

Deno.test("parseKnocks() refuses everything else, and says which one it was", () => {
  const wrong = [
    "",
    "0",
    "65536",
    "-1",
    "7000:",
    "7000:sctp",
    "x",
    "7000:udp:tcp",
    "tcp/",
    "7000/tcp",
  ]
    .concat("tcp/7000:udp", "icmp/65508", "70 00", "7000.5", "0x50");
  for (const typed of wrong) {
    const parsed = parseKnocks(["80", typed]);
    assert.ok("reason" in parsed, typed);
    assert.ok(parsed.reason.startsWith(JSON.stringify(typed)), parsed.reason);
  }
});

Deno.test("parseKnocks() takes up to 32 knocks", () => {
  assert.equal(textsOf(new Array(32).fill("7000")).length, 32);
  const parsed = parseKnocks(new Array(33).fill("7000"));
  assert.ok("reason" in parsed);
  assert.match(parsed.reason, /32.*33/);
});

Deno.test("parseKnocks() never throws, and keeps order and number", () => {
  fc.assert(fc.property(fc.array(fc.string(), { maxLength: 5 }), (texts) => {
    const parsed = parseKnocks(texts);
    if ("value" in parsed) assert.equal(parsed.value.length, texts.length);
  }));
  const port = fc.integer({ min: 1, max: 65_535 });
  fc.assert(fc.property(fc.array(port, { maxLength: 32 }), (ports) => {
    assert.deepEqual(textsOf(ports.map(String)), ports.map((port) => `tcp/${port}`));
  }));
});

function textsOf(texts: readonly string[], otherwise?: "udp"): string[] {
  const parsed = parseKnocks(texts, otherwise);
  assert.ok("value" in parsed, JSON.stringify(parsed));
  return parsed.value.map(stepText);
}
