// A grant: one source may connect to one port for some time. In the kernel it is an element of the
// set `grants4` or `grants6`, which the kernel itself removes.

import type { Source } from "../packet/header.ts";
import { addressBytes } from "../packet/address.ts";
import { Reader } from "../bytes/reader.ts";
import type { Element } from "../nftables/element.ts";
import { encodeKey, type FieldType } from "../nftables/set.ts";

export const IPPROTO_TCP = 6;

export interface Grant {
  readonly source: Readonly<Source>;
  /** TCP port. */
  readonly port: number;
  /** Milliseconds from now on. */
  readonly timeoutMs: number;
}

/** The sets of grants and the fields of their keys. */
export const GRANT_KEY = {
  grants4: ["ipv4_addr", "inet_proto", "inet_service"],
  grants6: ["ipv6_addr", "inet_proto", "inet_service"],
} as const satisfies Record<string, readonly FieldType[]>;

/** The set a grant belongs to. */
export function grantSet(source: Readonly<Source>): "grants4" | "grants6" {
  return source.family === 4 ? "grants4" : "grants6";
}

/** The element (source address, protocol, port) with its timeout. */
export function grantElement({ source, port, timeoutMs }: Grant): Element {
  const key = encodeKey([addressBytes(source), Uint8Array.of(IPPROTO_TCP), portBytes(port)]);
  return { key, timeoutMs };
}

/**
 * The grant that an element of one of the two sets is, or undefined where it is none of pk's: for
 * another protocol. One without a timeout counts as ended.
 */
export function parseGrant(set: "grants4" | "grants6", element: Element): Grant | undefined {
  const reader = new Reader(element.key);
  const source = readSource(reader, set === "grants4" ? 4 : 6);
  if (reader.u8() !== IPPROTO_TCP) return undefined;
  reader.raw(3); // the protocol's padding
  return { source, port: reader.u16be(), timeoutMs: element.timeoutMs ?? 0 };
}

/** A source address in network order. */
export function readSource(reader: Reader, family: 4 | 6): Source {
  const [word0, word1, word2] = family === 4
    ? [0, 0, 0]
    : [reader.u32be(), reader.u32be(), reader.u32be()];
  return { family, word0, word1, word2, word3: reader.u32be() };
}

/** A port in network order. */
export function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff);
}
