// fib: a lookup in the routing tables; here only the type of an address.

import { u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_FIB = { NFTA_FIB_DREG: 1, NFTA_FIB_RESULT: 2, NFTA_FIB_FLAGS: 3 } as const;
const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F = { saddr: 1, daddr: 2 } as const;

/** linux/rtnetlink.h: somebody else's address, one of this host, a network's broadcast address. */
export const RTN = { RTN_UNICAST: 1, RTN_LOCAL: 2, RTN_BROADCAST: 3 } as const;

/** `[ fib daddr type => reg 1 ]` */
export function fibType(address: keyof typeof NFTA_FIB_F): Expression {
  return {
    name: "fib",
    attributes: [
      u32be(NFTA_FIB.NFTA_FIB_FLAGS, NFTA_FIB_F[address]),
      u32be(NFTA_FIB.NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE),
      u32be(NFTA_FIB.NFTA_FIB_DREG, register(0)),
    ],
  };
}
