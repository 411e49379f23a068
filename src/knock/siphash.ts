// HalfSipHash-1-3 (Aumasson, Bernstein; the variant of Linux' lib/siphash.c): a keyed hash of two
// words, so that nobody who does not know the key can choose addresses that fall into one bucket.

/** Two secret 32-bit words. */
export type HashKey = readonly [number, number];

/** Hash of two 32-bit words as an unsigned 32-bit number. */
export function halfSipHash(key: HashKey, first: number, second: number): number {
  let v0 = key[0];
  let v1 = key[1];
  let v2 = 0x6c796765 ^ key[0];
  let v3 = 0x74656462 ^ key[1];
  // One round for each of the two words and for the length, three to finish.
  for (let round = 0; round < 6; round++) {
    const word = round === 0 ? first : round === 1 ? second : LENGTH_BYTES << 24;
    if (round < 3) v3 ^= word;
    else if (round === 3) v2 ^= 0xff;
    v0 = (v0 + v1) | 0;
    v1 = (v1 << 5 | v1 >>> 27) ^ v0;
    v0 = v0 << 16 | v0 >>> 16;
    v2 = (v2 + v3) | 0;
    v3 = (v3 << 8 | v3 >>> 24) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = (v3 << 7 | v3 >>> 25) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = (v1 << 13 | v1 >>> 19) ^ v2;
    v2 = v2 << 16 | v2 >>> 16;
    if (round < 3) v0 ^= word;
  }
  return (v1 ^ v3) >>> 0;
}

const LENGTH_BYTES = 8;
