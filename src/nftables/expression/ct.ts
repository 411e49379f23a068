// ct: what connection tracking knows of a packet. One such expression in a table also switches on
// connection tracking and, with it, the reassembly of fragments before priority -400 ends.

import { u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_CT = { NFTA_CT_DREG: 1, NFTA_CT_KEY: 2 } as const;
const NFT_CT_STATE = 0;

/** NF_CT_STATE_BIT(IP_CT_ESTABLISHED) of linux/netfilter/nf_conntrack_common.h. */
export const CT_STATE_ESTABLISHED = 2;

/** `[ ct load state => reg 1 ]` */
export function ctState(): Expression {
  return {
    name: "ct",
    attributes: [
      u32be(NFTA_CT.NFTA_CT_KEY, NFT_CT_STATE),
      u32be(NFTA_CT.NFTA_CT_DREG, register(0)),
    ],
  };
}
