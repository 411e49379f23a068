// isAdmitted() against addresses and prefixes as strings of bits.

import fc from "fast-check";
import assert from "node:assert/strict";
import { isAdmitted } from "../../../src/knock/prefix.ts";
import { addressBytes } from "../../../src/packet/address.ts";
import type { Source } from "../../../src/packet/header.ts";
import { ipv4, ipv6 } from "../../support/naive_machine.ts";

const HOME = ipv4(0xc0000205);

Deno.test("isAdmitted() takes everybody where there is no prefix", () => {
  assert.equal(isAdmitted(HOME, []), true);
  assert.equal(isAdmitted(ipv6(1, 2, 3, 4), []), true);
});

Deno.test("isAdmitted() knows the edges of a prefix", () => {
  const in24 = (word3: number) => isAdmitted(ipv4(word3), [{ address: HOME, length: 24 }]);
  assert.deepEqual(
    [0xc00001ff, 0xc0000200, 0xc00002ff, 0xc0000300].map(in24),
    [false, true, true, false],
  );
  const whole = (source: Source, length: number) => isAdmitted(source, [{ address: HOME, length }]);
  assert.deepEqual([whole(HOME, 32), whole(ipv4(0xc0000204), 32)], [true, false]);
  assert.deepEqual([whole(ipv4(0), 0), whole(ipv4(0xffffffff), 0)], [true, true]);
  assert.equal(whole(ipv4(0x40000205), 1), false, "the highest bit counts");
});

Deno.test("isAdmitted() keeps families apart, also where all their bits are the same", () => {
  const mapped = ipv6(0, 0, 0xffff, HOME.word3);
  const sameWords = ipv6(0, 0, 0, HOME.word3);
  for (const source of [mapped, sameWords]) {
    assert.equal(isAdmitted(source, [{ address: HOME, length: 0 }]), false);
    assert.equal(isAdmitted(HOME, [{ address: source, length: 0 }]), false);
  }
});

Deno.test("isAdmitted() takes who is in any of several prefixes", () => {
  const prefixes = [
    { address: ipv6(0x20010db8, 0, 0, 0), length: 32 },
    { address: HOME, length: 24 },
  ];
  assert.equal(isAdmitted(ipv6(0x20010db8, 7, 8, 9), prefixes), true);
  assert.equal(isAdmitted(HOME, prefixes), true);
  assert.equal(isAdmitted(ipv6(0x20010db9, 7, 8, 9), prefixes), false);
});

const word = fc.oneof(
  fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff),
  fc.integer({ min: 0, max: 0xffffffff }),
);
const source = fc.oneof(word.map(ipv4), fc.tuple(word, word, word, word).map((w) => ipv6(...w)));

/** The same bits but for one. */
function neighbour(source: Source, bit: number): Source {
  const bits = [...bitsOf(source)];
  if (bit < 0 || bit >= bits.length) return source;
  bits[bit] = bits[bit] === "0" ? "1" : "0";
  const words = bits.join("").match(/.{32}/g)?.map((one) => Number.parseInt(one, 2)) ?? [];
  const [word0 = 0, word1 = 0, word2 = 0, word3 = 0] = words;
  return source.family === 4 ? ipv4(word0) : ipv6(word0, word1, word2, word3);
}

Deno.test("isAdmitted() says what comparing strings of bits says", () => {
  const prefix = source.chain((address) =>
    fc.record({
      address: fc.constant(address),
      length: fc.integer({ min: 0, max: address.family === 4 ? 32 : 128 }),
    })
  );
  let admitted = 0;
  fc.assert(
    fc.property(fc.array(prefix, { minLength: 1, maxLength: 3 }), source, (prefixes, stranger) => {
      // Others in the last bit that counts, and in the first that does not.
      const near = prefixes.flatMap(({ address, length }) => [
        address,
        neighbour(address, length - 1),
        neighbour(address, length),
      ]);
      for (const source of [stranger, ...near]) {
        const expected = prefixes.some(({ address, length }) =>
          address.family === source.family &&
          bitsOf(source).startsWith(bitsOf(address).slice(0, length))
        );
        assert.equal(isAdmitted(source, prefixes), expected, JSON.stringify({ source, prefixes }));
        admitted += Number(expected);
      }
    }),
    { numRuns: 2_000 },
  );
  assert.ok(admitted > 2_000);
});

function bitsOf(source: Source): string {
  return [...addressBytes(source)].map((byte) => byte.toString(2).padStart(8, "0")).join("");
}
