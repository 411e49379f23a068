// counter: packets and bytes that came as far as this in a rule.

import { u64be } from "../../netlink/attribute.ts";
import { NFTA_COUNTER } from "../constants.ts";
import type { Expression } from "./expression.ts";

/** `[ counter pkts 0 bytes 0 ]` */
export function counter(): Expression {
  return {
    name: "counter",
    attributes: [
      u64be(NFTA_COUNTER.NFTA_COUNTER_BYTES, 0n),
      u64be(NFTA_COUNTER.NFTA_COUNTER_PACKETS, 0n),
    ],
  };
}
