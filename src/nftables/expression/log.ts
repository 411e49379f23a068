// log: copies the packet to a group of nfnetlink_log, for whom it may concern; the rule goes on, and
// nobody listening changes nothing.

import { text } from "../../netlink/attribute.ts";
import { type Expression, u16be } from "./expression.ts";

const NFTA_LOG = { NFTA_LOG_GROUP: 1, NFTA_LOG_PREFIX: 2 } as const;

/** `[ log prefix refused group 27085 snaplen 0 qthreshold 0 ]`; a prefix has 127 bytes at most. */
export function log(group: number, prefix?: string): Expression {
  const attributes = [u16be(NFTA_LOG.NFTA_LOG_GROUP, group)];
  if (prefix !== undefined) attributes.push(text(NFTA_LOG.NFTA_LOG_PREFIX, prefix));
  return { name: "log", attributes };
}
