// Addresses that only hold within a network: a server elsewhere sees others.

import type { Source } from "../packet/header.ts";

/**
 * Is it an address that the Internet does not carry? IPv4: RFC 1918, RFC 6598, loopback, link-local;
 * IPv6: unique local (RFC 4193), link-local, loopback.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseAddress } from "../packet/address.ts";
 * import { isPrivate } from "./private_address.ts";
 * const [home, public_] = [parseAddress("192.168.1.5"), parseAddress("2001:db8::1")];
 * assert(home && isPrivate(home) && public_ && !isPrivate(public_));
 * ```
 */
export function isPrivate({ family, word0, word1, word2, word3 }: Readonly<Source>): boolean {
  if (family === 4) return PRIVATE_IPV4.some(([word, bits]) => sameBits(word3, word, bits));
  if (sameBits(word0, 0xfc00_0000, 7) || sameBits(word0, 0xfe80_0000, 10)) return true;
  return word0 === 0 && word1 === 0 && word2 === 0 && word3 === 1;
}

const PRIVATE_IPV4 = [
  [0x0a00_0000, 8],
  [0xac10_0000, 12],
  [0xc0a8_0000, 16],
  [0x6440_0000, 10],
  [0x7f00_0000, 8],
  [0xa9fe_0000, 16],
] as const;

function sameBits(one: number, other: number, bits: number): boolean {
  return (one ^ other) >>> (32 - bits) === 0;
}
