// bitwise: register = (register & mask) ^ xor, here always with xor 0.

import { u32be } from "../../netlink/attribute.ts";
import { dataValue, type Expression, register } from "./expression.ts";

const NFTA_BITWISE = {
  NFTA_BITWISE_SREG: 1,
  NFTA_BITWISE_DREG: 2,
  NFTA_BITWISE_LEN: 3,
  NFTA_BITWISE_MASK: 4,
  NFTA_BITWISE_XOR: 5,
} as const;

/** `[ bitwise reg 1 = ( reg 1 & 0x00000017 ) ^ 0x00000000 ]` */
export function bitwiseAnd(mask: Uint8Array): Expression {
  return {
    name: "bitwise",
    attributes: [
      u32be(NFTA_BITWISE.NFTA_BITWISE_SREG, register(0)),
      u32be(NFTA_BITWISE.NFTA_BITWISE_DREG, register(0)),
      u32be(NFTA_BITWISE.NFTA_BITWISE_LEN, mask.length),
      dataValue(NFTA_BITWISE.NFTA_BITWISE_MASK, mask),
      dataValue(NFTA_BITWISE.NFTA_BITWISE_XOR, new Uint8Array(mask.length)),
    ],
  };
}
