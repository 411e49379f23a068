// limit: a token bucket, full at first. The rule ends here for packets that find it empty.

import { u32be, u64be } from "../../netlink/attribute.ts";
import type { Expression } from "./expression.ts";

const NFTA_LIMIT = {
  NFTA_LIMIT_RATE: 1,
  NFTA_LIMIT_UNIT: 2,
  NFTA_LIMIT_BURST: 3,
  NFTA_LIMIT_TYPE: 4,
  NFTA_LIMIT_FLAGS: 5,
} as const;
const NFT_LIMIT_PKTS = 0;
const UNIT_SECOND = 1n;

/** `[ limit rate 16/second burst 32 type packets flags 0x0 ]` */
export function limit(perSecond: number, burst: number): Expression {
  return {
    name: "limit",
    attributes: [
      u64be(NFTA_LIMIT.NFTA_LIMIT_RATE, BigInt(perSecond)),
      u64be(NFTA_LIMIT.NFTA_LIMIT_UNIT, UNIT_SECOND),
      u32be(NFTA_LIMIT.NFTA_LIMIT_BURST, burst),
      u32be(NFTA_LIMIT.NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS),
      u32be(NFTA_LIMIT.NFTA_LIMIT_FLAGS, 0),
    ],
  };
}
