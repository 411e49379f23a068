// rotatingSequence() against tests/vectors/rotating.json, which a Python program of its own made
// (rotating.py beside it), and against the words of PROTOCOL.md written once more.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { unhex } from "../../../src/bytes/hex.ts";
import type { Port } from "../../../src/config/config.ts";
import { Secret } from "../../../src/config/secret.ts";
import { nodeCrypto } from "../../../src/crypto/node_crypto.ts";
import {
  RotatingDerivation,
  rotatingSequence,
  timeStepAt,
} from "../../../src/knock/rotating_sequence.ts";
import { parseAddress } from "../../../src/packet/address.ts";
import { naiveSequence } from "../../support/naive_rotating.ts";
import vectors from "../../vectors/rotating.json" with { type: "json" };

const range = (first: number, last: number) =>
  ({ protocol: "tcp", first: first as Port, last: last as Port }) as const;

for (const vector of vectors) {
  Deno.test(`rotatingSequence() vector: ${vector.case}`, () => {
    const source = vector.source === null ? undefined : parseAddress(vector.source);
    assert.equal(source === undefined, vector.source === null);
    const sequence = rotatingSequence({
      crypto: nodeCrypto,
      secret: new Secret(unhex(vector.key)),
      door: vector.door,
      ports: range(vector.first, vector.last),
      knocks: vector.knocks,
      source,
      timeStep: vector.timeStep,
    });
    assert.deepEqual(sequence, vector.sequence);
  });
}

Deno.test("the vectors are the HMACs of their first messages", () => {
  for (const { key, firstMessage, first, last, sequence } of vectors) {
    const digest = createHmac("sha256", unhex(key)).update(unhex(firstMessage)).digest();
    const value = digest.readUInt32BE((digest[31] as number) & 15) & 0x7fff_ffff;
    assert.equal(sequence[0], first + value % (last - first + 1));
  }
});

Deno.test("PROTOCOL.md shows the first vectors", async () => {
  const protocol = await Deno.readTextFile("PROTOCOL.md");
  for (const { sequence, firstMessage } of vectors.slice(0, 6)) {
    assert(protocol.includes(sequence.join(", ")), sequence.join(", "));
    assert(protocol.replace(/\s+/g, "").includes(firstMessage), firstMessage);
  }
});

const word = fc.oneof(fc.nat({ max: 0xffff_ffff }), fc.constantFrom(0, 0xffff, 0x8000_0000));
const source = fc.option(
  fc.record({
    family: fc.constantFrom(4 as const, 6 as const),
    word0: word,
    word1: word,
    word2: word,
    word3: word,
  }),
  { nil: undefined },
);
const question = fc.record({
  key: fc.uint8Array({ minLength: 1, maxLength: 70 }),
  door: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
  first: fc.integer({ min: 1, max: 65_000 }),
  size: fc.integer({ min: 10, max: 500 }),
  knocks: fc.integer({ min: 1, max: 10 }),
  timeStep: fc.oneof(fc.nat(), fc.nat({ max: 2 ** 40 })),
  source,
});

Deno.test("rotatingSequence() is the naive one, in the range and without repeats", () => {
  fc.assert(fc.property(question, ({ key, first, size, ...rest }) => {
    const ports = range(first, first + size - 1);
    const sequence = rotatingSequence({
      crypto: nodeCrypto,
      secret: new Secret(key),
      ports,
      ...rest,
    });
    assert.deepEqual(sequence, naiveSequence({ key, ports, ...rest }));
    assert.equal(new Set(sequence).size, rest.knocks);
    assert(sequence.every((port) => port >= ports.first && port <= ports.last));
  }));
});

Deno.test("rotatingSequence() spreads evenly over its ports", () => {
  const count = new Array<number>(8).fill(0);
  const derivation = new RotatingDerivation({
    crypto: nodeCrypto,
    secret: new Secret(new Uint8Array(20)),
    door: "admin",
    ports: range(1000, 1007),
    knocks: 4,
  });
  const steps = 2000;
  const ports: number[] = [];
  for (let timeStep = 0; timeStep < steps; timeStep++) {
    for (let index = 0; index < 4; index++) {
      ports[index] = derivation.port(timeStep, undefined, ports, 0, index);
    }
    for (const port of ports) count[port - 1000] = (count[port - 1000] ?? 0) + 1;
  }
  // Half of all, give or take six standard deviations; the same at every run.
  for (const times of count) assert(Math.abs(times - steps / 2) < 6 * Math.sqrt(steps / 4));
});

Deno.test("RotatingDerivation refuses what allows no sequence", () => {
  const parameters = { crypto: nodeCrypto, secret: new Secret(new Uint8Array(20)), knocks: 3 };
  const make = (door: string, last: number) =>
    new RotatingDerivation({ ...parameters, door, ports: range(1, last) });
  make("x".repeat(255), 3);
  assert.throws(() => make("x".repeat(256), 3), RangeError);
  assert.throws(() => make("x", 2), RangeError);
});

const moments: readonly [unixMs: number, stepMs: number, timeStep: number][] = [
  [0, 30_000, 0],
  [29_999, 30_000, 0],
  [30_000, 30_000, 1],
  [1_700_000_000_000, 30_000, 56_666_666],
  [1_700_000_000_000, 60_000, 28_333_333],
  [-1, 30_000, -1],
];
for (const [unixMs, stepMs, timeStep] of moments) {
  Deno.test(`timeStepAt() ${unixMs} ms in steps of ${stepMs} ms`, () => {
    assert.equal(timeStepAt(unixMs, stepMs), timeStep);
  });
}
