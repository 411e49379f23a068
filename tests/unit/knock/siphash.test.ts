// halfSipHash() against a second implementation, which follows the paper byte by byte for input of
// any length and is itself held against all published vectors of HalfSipHash-1-3 (lib/test_siphash.c
// of Linux, 32-bit: input 00 01 02 … of 0 to 63 bytes, key 00 01 … 07); and how evenly it spreads.

import fc from "fast-check";
import assert from "node:assert/strict";
import { halfSipHash, type HashKey } from "../../../src/knock/siphash.ts";

const KEY: HashKey = [0x03020100, 0x07060504];

const vectors = `
  5814c896 e7e864ca bc4b0e30 01539939 7e059ea6 88e3d89b a0080b65 9d38d9d6
  577999b1 c839caed e4fa32cf 959246ee 6b28096c 66dd9cd6 16658a7c d0257b04
  8b31d501 2b1cd04b 06712339 522aca67 911bb605 90a65f0e f826ef7b 62512deb
  57150ad7 5d473507 1ec47442 ab64afd3 0a4100d0 6d2ce652 2331b6a3 08d8791a
  bc6dda8d e0f6c934 b0652033 9b9851cc 7c46fb7f 732ba8cb f142997a fcc9aa1b
  05327eb2 e110131c f9e5e7c0 a7d708a6 11795ab1 65671619 9f5fff91 d89c5267
  007783eb 95766243 ab639262 9c7e1390 c368dda6 38ddc455 fa13d379 979ea4e8
  53ecd77e 2ee80657 33dbb66a ae3f0577 88b4c4cc 3e7f480b 74c1ebf8 87178304
`.trim().split(/\s+/);

Deno.test("halfSipHash() gives the published hash of eight bytes", () => {
  assert.equal(hex(halfSipHash(KEY, 0x03020100, 0x07060504)), vectors[8]);
});

Deno.test("the second implementation gives every published hash", () => {
  const inputs = vectors.map((_, length) => Array.from({ length }, (_, index) => index));
  assert.deepEqual(inputs.map((bytes) => hex(byTheBytes(KEY, bytes))), vectors);
});

Deno.test("halfSipHash() equals the second implementation for any key and words", () => {
  const word = fc.oneof(
    fc.integer({ min: 0, max: 0xffffffff }),
    fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff),
  );
  fc.assert(
    fc.property(word, word, word, word, (key0, key1, first, second) => {
      const bytes = [first, second].flatMap((word) =>
        [0, 8, 16, 24].map((bit) => word >>> bit & 255)
      );
      const hash = halfSipHash([key0, key1], first, second);
      assert.equal(hex(hash), hex(byTheBytes([key0, key1], bytes)));
    }),
    { numRuns: 5000 },
  );
});

Deno.test("halfSipHash() takes signed and unsigned words for the same", () => {
  const key: HashKey = [0x89abcdef, 0xfedcba98];
  assert.equal(
    halfSipHash(key, 0xfffffffe, 0x80000000),
    halfSipHash([key[0] | 0, key[1] | 0], -2, -0x80000000),
  );
});

// 16,384 inputs into 1,024 buckets: chi-square has 1,023 degrees of freedom, so 1,023 on average
// and a standard deviation of 45. Five of them are far from chance and far from any real pattern.
const BUCKETS = 1024;
const INPUTS = 16_384;

for (
  const [name, words] of [
    ["neighbouring IPv4 addresses", (index) => [0, 0x0a000000 + index]],
    ["IPv4 addresses that differ in their high bits", (index) => [0, (index << 16) >>> 0]],
    ["neighbouring /64 of IPv6", (index) => [0x20010db8, index]],
    ["IPv6 prefixes that differ in both words", (index) => [index & 0xff, index >>> 8]],
    ["packets with counting ports", (index) => [(index << 16 | 80) >>> 0, 0]],
  ] as readonly (readonly [string, (index: number) => readonly [number, number]])[]
) {
  Deno.test(`halfSipHash() spreads ${name} evenly, by its low and its high bits`, () => {
    for (const key of [KEY, [0, 0], [0xdeadbeef, 0x01234567]] as const) {
      for (const shift of [0, 22]) {
        const counts = new Array<number>(BUCKETS).fill(0);
        for (let index = 0; index < INPUTS; index++) {
          const [first, second] = words(index);
          const bucket = halfSipHash(key, first, second) >>> shift & BUCKETS - 1;
          counts[bucket] = (counts[bucket] ?? 0) + 1;
        }
        const mean = INPUTS / BUCKETS;
        const chiSquare = counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0);
        assert.ok(Math.abs(chiSquare - (BUCKETS - 1)) < 5 * 45, `key ${key}: ${chiSquare}`);
      }
    }
  });
}

Deno.test("halfSipHash() changes about half of the bits with each bit of input and key", () => {
  for (let bit = 0; bit < 128; bit++) {
    let changed = 0;
    for (let index = 0; index < 200; index++) {
      const words = [index, index * 77, index * 7919, index * 104729].map((word) => word >>> 0);
      const flipped = words.map((word, at) =>
        at === bit >> 5 ? (word ^ 1 << (bit & 31)) >>> 0 : word
      );
      changed += ones(ofWords(words) ^ ofWords(flipped));
    }
    // 6,400 bits: 3,200 on average, standard deviation 40.
    assert.ok(Math.abs(changed - 3200) < 6 * 40, `bit ${bit}: ${changed} of 6,400`);
  }
});

function ofWords([key0 = 0, key1 = 0, first = 0, second = 0]: readonly number[]): number {
  return halfSipHash([key0, key1], first, second);
}

function ones(word: number): number {
  return (word >>> 0).toString(2).replaceAll("0", "").length;
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}

/** HalfSipHash-1-3 in big integers: compression a word of four bytes, padding with the length. */
function byTheBytes(key: HashKey, bytes: readonly number[]): number {
  const [k0, k1] = key.map((word) => BigInt.asUintN(32, BigInt(word))) as [bigint, bigint];
  let v = { v0: k0, v1: k1, v2: k0 ^ 0x6c796765n, v3: k1 ^ 0x74656462n };
  const padded = [...bytes];
  while (padded.length % 4 !== 3) padded.push(0);
  padded.push(bytes.length & 0xff);
  for (let index = 0; index < padded.length; index += 4) {
    const word = padded.slice(index, index + 4)
      .reduce((sum, byte, place) => sum + (BigInt(byte) << BigInt(8 * place)), 0n);
    v = sipRound({ ...v, v3: v.v3 ^ word });
    v = { ...v, v0: v.v0 ^ word };
  }
  v = sipRound(sipRound(sipRound({ ...v, v2: v.v2 ^ 0xffn })));
  return Number(v.v1 ^ v.v3);
}

type State = Readonly<Record<"v0" | "v1" | "v2" | "v3", bigint>>;

function sipRound({ v0, v1, v2, v3 }: State): State {
  const sum = (a: bigint, b: bigint) => BigInt.asUintN(32, a + b);
  const left = (word: bigint, bits: bigint) =>
    BigInt.asUintN(32, word << bits) | word >> 32n - bits;
  const a0 = sum(v0, v1);
  const a1 = left(v1, 5n) ^ a0;
  const a2 = sum(v2, v3);
  const a3 = left(v3, 8n) ^ a2;
  const b0 = sum(left(a0, 16n), a3);
  const b3 = left(a3, 7n) ^ b0;
  const b2 = sum(a2, a1);
  const b1 = left(a1, 13n) ^ b2;
  return { v0: b0, v1: b1, v2: left(b2, 16n), v3: b3 };
}
