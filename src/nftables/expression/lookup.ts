// lookup: is the key in the registers an element of a set? The rule ends here where it is not.

import { text, u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_LOOKUP = { NFTA_LOOKUP_SET: 1, NFTA_LOOKUP_SREG: 2 } as const;

/** `[ lookup reg 1 set grants4 ]` */
export function lookup(set: string): Expression {
  return {
    name: "lookup",
    attributes: [
      text(NFTA_LOOKUP.NFTA_LOOKUP_SET, set),
      u32be(NFTA_LOOKUP.NFTA_LOOKUP_SREG, register(0)),
    ],
  };
}
