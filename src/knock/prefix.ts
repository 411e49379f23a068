// Which sources a door admits to its knocks.

import type { Prefix } from "../config/config.ts";
import type { Source } from "../packet/header.ts";

/** Is the source in one of the prefixes? Without any, every source is. */
export function isAdmitted(source: Readonly<Source>, prefixes: readonly Prefix[]): boolean {
  if (prefixes.length === 0) return true;
  for (let index = 0; index < prefixes.length; index++) {
    if (contains(prefixes[index] as Prefix, source)) return true;
  }
  return false;
}

function contains({ address, length }: Prefix, source: Readonly<Source>): boolean {
  if (address.family !== source.family) return false;
  if (source.family === 4) return sameBits(address.word3, source.word3, length);
  return sameBits(address.word0, source.word0, length) &&
    sameBits(address.word1, source.word1, length - 32) &&
    sameBits(address.word2, source.word2, length - 64) &&
    sameBits(address.word3, source.word3, length - 96);
}

/** Are the first bits of two words the same? */
function sameBits(one: number, other: number, bits: number): boolean {
  if (bits <= 0) return true;
  return bits >= 32 ? one === other : (one ^ other) >>> (32 - bits) === 0;
}
