// What the table of an earlier pk says of connections that live on: which ports it guarded, and which of
// their connections were older than it. Any other came in by a grant.

import { Reader } from "../bytes/reader.ts";
import type { Conversation } from "../netlink/conversation.ts";
import { messageAttributes } from "../netlink/nfnetlink.ts";
import type { Session } from "../netlink/sock_diag.ts";
import { listElements, parseElements } from "../nftables/element.ts";
import { type FieldType, keyType, listSets, parseSetLayout } from "../nftables/set.ts";
import { formatAddress, readSource } from "../packet/address.ts";
import { IPPROTO } from "../packet/protocol.ts";
import { TABLE } from "./ruleset.ts";
import { readTable } from "./standing.ts";

/** The sets it is read from, with the fields of their keys. */
const KEYS = {
  guarded: ["inet_proto", "inet_service"],
  inherited4: ["ipv4_addr", "inet_service", "inet_service"],
  inherited6: ["ipv6_addr", "inet_service", "inet_service"],
} as const satisfies Record<string, readonly FieldType[]>;

export interface Before {
  /** Did it guard this TCP port? */
  guarded(port: number): boolean;
  /** Is it one of the connections that were older? */
  inherited(session: Session): boolean;
}

/**
 * Undefined where no table stands, or one that tracked no connections, or in another layout.
 *
 * @throws {HostError} when it is somebody else's.
 */
export function readBefore(kernel: Conversation): Before | undefined {
  if (readTable(kernel) === undefined) return undefined;
  const layouts = kernel.ask(listSets(TABLE)).map((message) =>
    parseSetLayout(messageAttributes(message))
  );
  const stands = ([set, key]: [string, readonly FieldType[]]) =>
    layouts.some((layout) => layout.name === set && layout.keyType === keyType(key));
  if (!Object.entries(KEYS).every(stands)) return undefined;
  const keysOf = (set: keyof typeof KEYS) =>
    kernel.ask(listElements(TABLE, set))
      .flatMap((message) => parseElements(messageAttributes(message)))
      .map(({ key }) => new Reader(key));
  const ports = new Set(keysOf("guarded").flatMap(tcpPort));
  const sessions = new Set([
    ...keysOf("inherited4").map((key) => sessionKey(readSession(key, 4))),
    ...keysOf("inherited6").map((key) => sessionKey(readSession(key, 6))),
  ]);
  return {
    guarded: (port) => ports.has(port),
    inherited: (session) => sessions.has(sessionKey(session)),
  };
}

/** Protocol and port, each padded to four bytes. */
function tcpPort(key: Reader): number[] {
  const protocol = key.u8();
  key.raw(3);
  return protocol === IPPROTO.tcp ? [key.u16be()] : [];
}

/** Source address, its port and the guarded one, each padded to four bytes. */
function readSession(key: Reader, family: 4 | 6): Session {
  const source = readSource(key, family);
  const sourcePort = key.u16be();
  key.raw(2);
  return { source, sourcePort, port: key.u16be() };
}

function sessionKey({ source, sourcePort, port }: Session): string {
  return `${formatAddress(source)} ${sourcePort} ${port}`;
}
