// ct: what connection tracking knows of a packet. One such expression in a table also switches on
// connection tracking and, with it, the reassembly of fragments before priority -400 ends.

import { u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_CT = { NFTA_CT_DREG: 1, NFTA_CT_KEY: 2 } as const;
/** enum nft_ct_keys */
const NFT_CT = { NFT_CT_STATE: 0, NFT_CT_DIRECTION: 1 } as const;

/** NF_CT_STATE_BIT(IP_CT_ESTABLISHED) of linux/netfilter/nf_conntrack_common.h. */
export const CT_STATE_ESTABLISHED = 2;

/** IP_CT_DIR_REPLY of linux/netfilter/nf_conntrack_tuple_common.h: to who sent the first packet. */
export const CT_DIRECTION_REPLY = 1;

/** `[ ct load state => reg 1 ]`, 32 bits. */
export function ctState(): Expression {
  return ct(NFT_CT.NFT_CT_STATE);
}

/** `[ ct load direction => reg 1 ]`, one byte. */
export function ctDirection(): Expression {
  return ct(NFT_CT.NFT_CT_DIRECTION);
}

function ct(key: number): Expression {
  return {
    name: "ct",
    attributes: [
      u32be(NFTA_CT.NFTA_CT_KEY, key),
      u32be(NFTA_CT.NFTA_CT_DREG, register(0)),
    ],
  };
}
