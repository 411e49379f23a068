// dynset: the packet itself makes the key in the registers an element of a set (NFT_SET_EVAL), or
// gives the element that is there its whole time again. The rule ends here where the set is full.

import { text, u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_DYNSET = {
  NFTA_DYNSET_SET_NAME: 1,
  NFTA_DYNSET_OP: 3,
  NFTA_DYNSET_SREG_KEY: 4,
} as const;
const NFT_DYNSET_OP_UPDATE = 1;

/** `[ dynset update reg_key 1 set finishing4 ]`; the time is the set's own. */
export function dynsetUpdate(set: string): Expression {
  return {
    name: "dynset",
    attributes: [
      text(NFTA_DYNSET.NFTA_DYNSET_SET_NAME, set),
      u32be(NFTA_DYNSET.NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE),
      u32be(NFTA_DYNSET.NFTA_DYNSET_SREG_KEY, register(0)),
    ],
  };
}
