// An operation on one nf_tables object: the request, and what it does in words, so that a refusal
// by the kernel names the object. A transaction is a list of them.

import type { Attribute } from "../netlink/attribute.ts";
import { FAMILY, NFNL_SUBSYS } from "../netlink/constants.ts";
import type { NamedRequest } from "../netlink/conversation.ts";
import { nfnetlinkRequest } from "../netlink/nfnetlink.ts";

export type Operation = NamedRequest;

/** An operation on family inet. `message` is one of NFT_MSG_*. */
export function operation(
  what: string,
  message: number,
  flags: number,
  attributes: readonly Attribute[],
): Operation {
  const subsystem = NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES;
  return {
    what,
    ...nfnetlinkRequest(subsystem, message, flags, FAMILY.NFPROTO_INET, attributes),
  };
}
