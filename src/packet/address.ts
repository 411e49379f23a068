// Source addresses as text and as bytes, for logs, configuration and set elements; not for the hot
// path. Text of IPv6 is written as RFC 5952 says and read as RFC 4291, section 2.2, says. No names,
// no prefixes, no zones (`%eth0`), no brackets.

import type { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { Source } from "./header.ts";

/**
 * The address as text.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { formatAddress } from "./address.ts";
 * const source = { family: 6, word0: 0x20010db8, word1: 0, word2: 0, word3: 1 } as const;
 * assert.ok(formatAddress(source) === "2001:db8::1");
 * ```
 */
export function formatAddress(source: Readonly<Source>): string {
  if (source.family === 4) return dottedQuad(source.word3);
  // RFC 5952, section 5: mixed notation where a well-known prefix says that IPv4 is inside.
  if (source.word0 === 0 && source.word1 === 0 && source.word2 === 0xffff) {
    return `::ffff:${dottedQuad(source.word3)}`;
  }
  const groups = [source.word0, source.word1, source.word2, source.word3]
    .flatMap((word) => [word >>> 16, word & 0xffff]);
  const zeros = longestZeros(groups);
  if (zeros.count < 2) return hexGroups(groups);
  const head = hexGroups(groups.slice(0, zeros.start));
  return `${head}::${hexGroups(groups.slice(zeros.start + zeros.count))}`;
}

/** The address in network order: 4 bytes for IPv4, 16 for IPv6. */
export function addressBytes(source: Readonly<Source>): Uint8Array<ArrayBuffer> {
  const writer = new Writer(16);
  if (source.family === 6) writer.u32be(source.word0).u32be(source.word1).u32be(source.word2);
  return writer.u32be(source.word3).bytes();
}

/** Reads an address in network order, as `addressBytes` makes it. @throws {DecodeError} */
export function readSource(reader: Reader, family: 4 | 6): Source {
  const [word0, word1, word2] = family === 4
    ? [0, 0, 0]
    : [reader.u32be(), reader.u32be(), reader.u32be()];
  return { family, word0, word1, word2, word3: reader.u32be() };
}

/**
 * The address that a text names, or undefined when it names none. An IPv4-mapped address
 * (`::ffff:192.0.2.1`) is one of IPv6.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { formatAddress, parseAddress } from "./address.ts";
 * const source = parseAddress("2001:DB8:0:0::1");
 * assert.ok(source && formatAddress(source) === "2001:db8::1");
 * assert.ok(parseAddress("192.0.2.256") === undefined);
 * ```
 */
export function parseAddress(text: string): Source | undefined {
  if (!text.includes(":")) {
    const word3 = parseQuad(text);
    return word3 === undefined ? undefined : { family: 4, word0: 0, word1: 0, word2: 0, word3 };
  }
  const groups = parseSides(text);
  if (groups === undefined) return undefined;
  const word = (index: number) =>
    ((groups[index * 2] ?? 0) << 16 | (groups[index * 2 + 1] ?? 0)) >>> 0;
  return { family: 6, word0: word(0), word1: word(1), word2: word(2), word3: word(3) };
}

const GROUPS = 8;

function dottedQuad(word: number): string {
  return [word >>> 24, word >>> 16 & 0xff, word >>> 8 & 0xff, word & 0xff].join(".");
}

function hexGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(":");
}

/** The longest run of zero groups; of equally long ones the first (RFC 5952, section 4.2.3). */
function longestZeros(groups: readonly number[]): { start: number; count: number } {
  let longest = { start: 0, count: 0 };
  let start = 0;
  groups.forEach((group, index) => {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > longest.count) longest = { start, count: index + 1 - start };
  });
  return longest;
}

/** Decimal without leading zeros, which some readers take for octal. */
function parseQuad(text: string): number | undefined {
  if (!/^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text)) return undefined;
  const bytes = text.split(".").map(Number);
  if (bytes.some((byte) => byte > 255)) return undefined;
  return bytes.reduce((word, byte) => word * 256 + byte, 0);
}

/** Eight groups from the text on both sides of `::`, which stands for one zero group or more. */
function parseSides(text: string): number[] | undefined {
  const sides = text.split("::");
  if (sides.length > 2) return undefined;
  const [headText = "", tailText] = sides;
  const head = parseGroups(headText, tailText === undefined);
  if (tailText === undefined) return head?.length === GROUPS ? head : undefined;
  const tail = parseGroups(tailText, true);
  if (head === undefined || tail === undefined) return undefined;
  const zeros = GROUPS - head.length - tail.length;
  return zeros < 1 ? undefined : [...head, ...new Array<number>(zeros).fill(0), ...tail];
}

/** Groups between colons; where the address ends, the last may be a dotted quad. */
function parseGroups(text: string, ends: boolean): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const quad = ends ? parseQuad(parts.at(-1) ?? "") : undefined;
  if (quad !== undefined) parts.pop();
  if (!parts.every((part) => /^[0-9a-f]{1,4}$/i.test(part))) return undefined;
  const groups = parts.map((part) => Number.parseInt(part, 16));
  return quad === undefined ? groups : [...groups, quad >>> 16, quad & 0xffff];
}
