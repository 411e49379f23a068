// A grant: one source may connect to one port for some time. In the kernel it is an element of the
// set `grants4` or `grants6`, which the kernel itself removes.

import type { Transport } from "../config/config.ts";
import type { Source } from "../packet/header.ts";
import { addressBytes, readSource } from "../packet/address.ts";
import { IPPROTO } from "../packet/protocol.ts";
import { Reader } from "../bytes/reader.ts";
import type { Element } from "../nftables/element.ts";
import { encodeKey, type FieldType } from "../nftables/set.ts";

export interface Grant {
  readonly source: Readonly<Source>;
  readonly protocol: Transport;
  readonly port: number;
  /** Milliseconds from now on. */
  readonly timeoutMs: number;
}

/** The sets of grants and the fields of their keys. */
export const GRANT_KEY = {
  grants4: ["ipv4_addr", "inet_proto", "inet_service"],
  grants6: ["ipv6_addr", "inet_proto", "inet_service"],
} as const satisfies Record<string, readonly FieldType[]>;

export const GRANT_SETS = ["grants4", "grants6"] as const;

/** The set a grant belongs to. */
export function grantSet(source: Readonly<Source>): "grants4" | "grants6" {
  return source.family === 4 ? "grants4" : "grants6";
}

/** The element (source address, protocol, port) with its timeout. */
export function grantElement({ source, timeoutMs, ...endpoint }: Grant): Element {
  return { key: encodeKey([addressBytes(source), ...endpointFields(endpoint)]), timeoutMs };
}

/** The fields of keys of ports. */
export const ENDPOINT_KEY = ["inet_proto", "inet_service"] as const satisfies readonly FieldType[];

/** Protocol and port as fields of a key. */
export function endpointFields(
  { protocol, port }: { readonly protocol: Transport; readonly port: number },
): [protocol: Uint8Array, port: Uint8Array] {
  return [Uint8Array.of(IPPROTO[protocol]), portBytes(port)];
}

/**
 * The grant that an element of one of the two sets is, or undefined where it is none of pk's: for
 * a protocol that has no doors. One without a timeout counts as ended.
 */
export function parseGrant(set: "grants4" | "grants6", element: Element): Grant | undefined {
  const reader = new Reader(element.key);
  const source = readSource(reader, set === "grants4" ? 4 : 6);
  const endpoint = readEndpoint(reader);
  return endpoint && { source, ...endpoint, timeoutMs: element.timeoutMs ?? 0 };
}

function transportOf(number: number): Transport | undefined {
  if (number === IPPROTO.tcp) return "tcp";
  return number === IPPROTO.udp ? "udp" : undefined;
}

/** The endpoint that such a key is; undefined of a protocol that has no doors. @throws {DecodeError} */
export function readEndpoint(
  reader: Reader,
): { readonly protocol: Transport; readonly port: number } | undefined {
  const protocol = transportOf(reader.u8());
  reader.raw(3); // the protocol's padding
  const port = reader.u16be();
  return protocol && { protocol, port };
}

/** A port in network order. */
export function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff);
}
