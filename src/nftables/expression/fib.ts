// fib: a lookup in the routing tables; here only the type of the destination address.

import { u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_FIB = { NFTA_FIB_DREG: 1, NFTA_FIB_RESULT: 2, NFTA_FIB_FLAGS: 3 } as const;
const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F_DADDR = 2;

/** linux/rtnetlink.h: the destination is an address of this host. */
export const RTN_LOCAL = 2;

/** `[ fib daddr type => reg 1 ]` */
export function fibDaddrType(): Expression {
  return {
    name: "fib",
    attributes: [
      u32be(NFTA_FIB.NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR),
      u32be(NFTA_FIB.NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE),
      u32be(NFTA_FIB.NFTA_FIB_DREG, register(0)),
    ],
  };
}
