// The fuzzer in short: some inputs for each target, every past finding, and bugs planted to be found.

import assert from "node:assert/strict";
import { DecodeError } from "../../../src/errors.ts";
import { parsePacket } from "../../../src/packet/parse.ts";
import { type Bytes, readCorpus, readEntries } from "../../fuzz/corpus.ts";
import { type Finding, replay, runTarget, type Target } from "../../fuzz/harness.ts";
import { byteMutators } from "../../fuzz/mutate_bytes.ts";
import { VALUE_OUTCOMES, valueJudge } from "../../fuzz/oracle.ts";
import { targets } from "../../fuzz/targets/all.ts";
import { packetTarget, type Parse } from "../../fuzz/targets/packet.ts";

const SEED = 1;
/** For a share of 1; slow targets have less, so that all take some three seconds. */
const INPUTS = 1_250;
const INPUTS_MAX = 20_000;
const INPUTS_MIN = 200;
const FINDINGS = new URL("../../fuzz/findings/", import.meta.url);

/** A test with ciphers of node:crypto, which are resources that live as long as the process. */
const test = (name: string, fn: () => void) => Deno.test({ name, fn, sanitizeResources: false });

for (const target of targets) {
  test(`fuzz: ${target.name} stands some inputs`, () => {
    const inputs = Math.max(INPUTS_MIN, Math.min(INPUTS_MAX, INPUTS * target.share));
    const { findings, outcomes } = runTarget(target, { seed: SEED, inputs });
    assert.deepEqual(findings.map(({ problem }) => problem), []);
    assert.ok(outcomes.size > 1, "all inputs came to one outcome");
  });
}

for (const name of findingNames()) {
  test(`fuzz: findings/${name} stays mended`, () => {
    const target = targets.find((one) => name.startsWith(`${one.name}-`));
    assert.ok(target, "no target of that name");
    assert.equal(replay(target, readEntries(new URL(name, FINDINGS))), undefined);
  });
}

Deno.test("fuzz: the same seed makes the same run", () => {
  const target = packetTarget(6);
  const run = () => {
    const { outcomes, ways } = runTarget(target, { seed: 7, inputs: 2_000 });
    return { outcomes, ways };
  };
  assert.deepEqual(run(), run());
  assert.notDeepEqual(run(), runTarget(target, { seed: 8, inputs: 2_000 }).outcomes);
});

const planted: readonly [bug: string, told: RegExp, parse: Parse][] = [
  ["a read behind the input", /RangeError/, (view, offset, length, header) => {
    if (length > 60) view.getUint8(offset + length);
    return parsePacket(view, offset, length, header);
  }],
  ["a read before the input", /RangeError/, (view, offset, length, header) => {
    if (length > 60) view.getUint8(offset - 1);
    return parsePacket(view, offset, length, header);
  }],
  [
    "the view's end for the input's",
    /reads outside/,
    (view, offset, _, header) => parsePacket(view, offset, view.byteLength - offset, header),
  ],
  ["a bit of a field", /flags .*slow parser/, (view, offset, length, header) => {
    const outcome = parsePacket(view, offset, length, header);
    header.flags &= 0x7f;
    return outcome;
  }],
  ["too much work", /reads for one packet/, (view, offset, length, header) => {
    for (let left = 64; left > 0 && length > 0; left--) view.getUint8(offset);
    return parsePacket(view, offset, length, header);
  }],
];

for (const [bug, told, parse] of planted) {
  Deno.test(`fuzz: finds ${bug}`, () => {
    const target = packetTarget(6, parse);
    const finding = firstFinding(target, 5_000);
    assert.match(finding.problem, told);
    // The inputs that are told show it again, and nothing without the bug.
    assert.match(replay(target, finding.inputs) ?? "", told);
    assert.equal(replay(packetTarget(6), finding.inputs), undefined);
  });
}

const decoders: readonly [bug: string, told: RegExp, decode: (bytes: Bytes) => unknown][] = [
  ["an error that is no DecodeError", /TypeError/, (bytes) => {
    if ((bytes[4] ?? 0) > 128) throw new TypeError("planted");
    return bytes.length;
  }],
  [
    "bytes of the whole buffer",
    /reads outside/,
    (bytes) => new Uint8Array(bytes.buffer).at(bytes.byteOffset + bytes.length) ?? 0,
  ],
  ["an error that tells other bytes", /reads outside/, (bytes) => {
    throw new DecodeError("planted", 0, 1, bytes.buffer.byteLength - bytes.byteOffset);
  }],
];

for (const [bug, told, decode] of decoders) {
  Deno.test(`fuzz: finds ${bug}`, () => {
    const target: Target = {
      name: "planted",
      capacity: 256,
      share: 1,
      seeds: () => readCorpus("sock_diag").map((bytes) => bytes.slice(0, 128)),
      mutators: byteMutators,
      outcomes: VALUE_OUTCOMES,
      newJudge: () => valueJudge(decode, () => 0),
    };
    assert.match(firstFinding(target, 5_000).problem, told);
  });
}

function firstFinding(target: Target, inputs: number): Finding {
  const [finding] = runTarget(target, { seed: SEED, inputs }).findings;
  assert.ok(finding, "nothing was found");
  return finding;
}

function findingNames(): string[] {
  try {
    return [...Deno.readDirSync(FINDINGS)].map(({ name }) => name).filter((name) =>
      name.endsWith(".hex")
    ).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
