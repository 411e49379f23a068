// cmp: a register against a constant; the rule ends here where it does not hold.

import { u32be } from "../../netlink/attribute.ts";
import { dataValue, type Expression, register } from "./expression.ts";

const NFTA_CMP = { NFTA_CMP_SREG: 1, NFTA_CMP_OP: 2, NFTA_CMP_DATA: 3 } as const;
const NFT_CMP = { eq: 0, neq: 1 } as const;

/** `[ cmp eq reg 1 0x00000006 ]` */
export function cmp(op: keyof typeof NFT_CMP, value: Uint8Array): Expression {
  return {
    name: "cmp",
    attributes: [
      u32be(NFTA_CMP.NFTA_CMP_SREG, register(0)),
      u32be(NFTA_CMP.NFTA_CMP_OP, NFT_CMP[op]),
      dataValue(NFTA_CMP.NFTA_CMP_DATA, value),
    ],
  };
}
