// TCP flags of a knock as words: "syn" has to be set, "!ack" must not be, others may be either.

import type { FlagTest } from "./config.ts";
import type { Parsed } from "./parsed.ts";

/** Bits of the flags (RFC 9293, section 3.1). */
export const FLAG_BITS = {
  fin: 0x01,
  syn: 0x02,
  rst: 0x04,
  psh: 0x08,
  ack: 0x10,
  urg: 0x20,
  ece: 0x40,
  cwr: 0x80,
} as const;

type Flag = keyof typeof FLAG_BITS;
export type FlagWord = Flag | `!${Flag}`;

const FLAGS = Object.keys(FLAG_BITS) as readonly Flag[];

/** All words there are. */
export const FLAG_WORDS: readonly FlagWord[] = [
  ...FLAGS,
  ...FLAGS.map((flag) => `!${flag}` as const),
];

/**
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseFlagWords } from "./tcp_flags.ts";
 * assert.deepEqual(parseFlagWords(["fin", "!syn"]), { value: { mask: 3, value: 1 } });
 * ```
 */
export function parseFlagWords(words: readonly FlagWord[]): Parsed<FlagTest> {
  const both = FLAGS.find((flag) => words.includes(flag) && words.includes(`!${flag}`));
  if (both !== undefined) return { reason: `no segment has ${both} and not ${both}` };
  const bits = (asked: readonly FlagWord[]) =>
    FLAGS.reduce((sum, flag) => asked.includes(flag) ? sum | FLAG_BITS[flag] : sum, 0);
  const value = bits(words);
  const unset = bits(
    words.filter((word) => word.startsWith("!")).map((word) => word.slice(1) as Flag),
  );
  return { value: { mask: value | unset, value } };
}

/** The words of a test. */
export function flagWords({ mask, value }: FlagTest): FlagWord[] {
  return FLAGS.filter((flag) => (mask & FLAG_BITS[flag]) !== 0)
    .map((flag) => (value & FLAG_BITS[flag]) !== 0 ? flag : `!${flag}` as const);
}
