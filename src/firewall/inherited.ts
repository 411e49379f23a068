// Sessions older than pk: in the kernel they are elements of the sets `inherited4` and `inherited6`.

import { Reader } from "../bytes/reader.ts";
import { INHERITED_MS } from "../limits.ts";
import type { Session } from "../netlink/sock_diag.ts";
import type { Element } from "../nftables/element.ts";
import { encodeKey, type FieldType } from "../nftables/set.ts";
import { addressBytes, readSource } from "../packet/address.ts";
import { portBytes } from "./grant.ts";

/** The sets and the fields of their keys: source address, its port, the guarded one. */
export const INHERITED_KEY = {
  inherited4: ["ipv4_addr", "inet_service", "inet_service"],
  inherited6: ["ipv6_addr", "inet_service", "inet_service"],
} as const satisfies Record<string, readonly FieldType[]>;

export const INHERITED_SETS = ["inherited4", "inherited6"] as const;

/** The set a session belongs to. */
export function inheritedSet({ source }: Session): "inherited4" | "inherited6" {
  return source.family === 4 ? "inherited4" : "inherited6";
}

export function inheritedElement({ source, sourcePort, port }: Session): Element {
  return {
    key: encodeKey([addressBytes(source), portBytes(sourcePort), portBytes(port)]),
    timeoutMs: INHERITED_MS,
  };
}

/** The session that an element of one of the two sets is. @throws {DecodeError} */
export function parseInherited(set: "inherited4" | "inherited6", { key }: Element): Session {
  const reader = new Reader(key);
  const source = readSource(reader, set === "inherited4" ? 4 : 6);
  const sourcePort = reader.u16be();
  reader.raw(2); // the port's padding
  return { source, sourcePort, port: reader.u16be() };
}
