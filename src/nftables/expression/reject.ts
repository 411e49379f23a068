// reject: drops the packet and answers it, as the host would for a closed port.

import { raw, u32be } from "../../netlink/attribute.ts";
import type { Expression } from "./expression.ts";

const NFTA_REJECT = { NFTA_REJECT_TYPE: 1, NFTA_REJECT_ICMP_CODE: 2 } as const;
const NFT_REJECT = { NFT_REJECT_TCP_RST: 1, NFT_REJECT_ICMPX_UNREACH: 2 } as const;
/** Of ICMP and ICMPv6 alike (enum nft_reject_inet_code). */
const NFT_REJECT_ICMPX_PORT_UNREACH = 1;

/** `[ reject type 1 code 0 ]` */
export function rejectTcpReset(): Expression {
  return {
    name: "reject",
    attributes: [u32be(NFTA_REJECT.NFTA_REJECT_TYPE, NFT_REJECT.NFT_REJECT_TCP_RST)],
  };
}

/** `[ reject type 2 code 1 ]`: ICMP or ICMPv6, port unreachable. */
export function rejectPortUnreachable(): Expression {
  return {
    name: "reject",
    attributes: [
      u32be(NFTA_REJECT.NFTA_REJECT_TYPE, NFT_REJECT.NFT_REJECT_ICMPX_UNREACH),
      raw(NFTA_REJECT.NFTA_REJECT_ICMP_CODE, Uint8Array.of(NFT_REJECT_ICMPX_PORT_UNREACH)),
    ],
  };
}
