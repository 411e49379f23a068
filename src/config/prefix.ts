// Networks as text: "192.0.2.0/24", "2001:db8::/32", or one address.

import { formatAddress, parseAddress } from "../packet/address.ts";
import type { Source } from "../packet/header.ts";
import type { Prefix } from "./config.ts";
import type { Parsed } from "./parsed.ts";

const BITS = { 4: 32, 6: 128 } as const;

/**
 * Addresses with the same first bits.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parsePrefix, prefixText } from "./prefix.ts";
 * const parsed = parsePrefix("192.0.2.0/24");
 * assert.ok("value" in parsed && prefixText(parsed.value) === "192.0.2.0/24");
 * ```
 */
export function parsePrefix(text: string): Parsed<Prefix> {
  const [addressText = "", lengthText, ...more] = text.split("/");
  const address = parseAddress(addressText);
  if (address === undefined || more.length > 0) {
    return { reason: "a network is an address and its first bits: 192.0.2.0/24, 2001:db8::/32" };
  }
  if (
    address.family === 6 && address.word0 === 0 && address.word1 === 0 &&
    address.word2 === 0xffff
  ) {
    const plain = formatAddress({ ...address, family: 4, word2: 0 });
    return { reason: `packets of IPv4 come from its own addresses: write ${plain}` };
  }
  const bits = BITS[address.family];
  const length = lengthText === undefined
    ? bits
    : /^\d{1,3}$/.test(lengthText)
    ? Number(lengthText)
    : Infinity;
  if (length > bits) {
    return { reason: `after the slash stands a number of bits, 0 to ${bits}` };
  }
  const masked = maskedTo(address, length);
  if (formatAddress(masked) !== formatAddress(address)) {
    const network = prefixText({ address: masked, length });
    const host = `${formatAddress(address)}/${bits}`;
    return { reason: `there are bits behind the first ${length}: write ${network}, or ${host}` };
  }
  return { value: { address, length } };
}

/** "192.0.2.0/24" */
export function prefixText({ address, length }: Prefix): string {
  return `${formatAddress(address)}/${length}`;
}

/** The address with zeros behind its first bits. */
export function maskedTo(address: Readonly<Source>, length: number): Source {
  const { family, word0, word1, word2, word3 } = address;
  if (family === 4) return { family, word0, word1, word2, word3: maskedWord(word3, length) };
  return {
    family,
    word0: maskedWord(word0, length),
    word1: maskedWord(word1, length - 32),
    word2: maskedWord(word2, length - 64),
    word3: maskedWord(word3, length - 96),
  };
}

function maskedWord(word: number, bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? word : (word & -1 << (32 - bits)) >>> 0;
}
