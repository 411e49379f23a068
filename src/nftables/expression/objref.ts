// objref: passes the packet to a stateful object of the table, here always a counter.

import { text, u32be } from "../../netlink/attribute.ts";
import { NFT_OBJECT } from "../constants.ts";
import type { Expression } from "./expression.ts";

const NFTA_OBJREF = { NFTA_OBJREF_IMM_TYPE: 1, NFTA_OBJREF_IMM_NAME: 2 } as const;

/** `[ objref type 1 name knocks ]` */
export function objrefCounter(name: string): Expression {
  return {
    name: "objref",
    attributes: [
      u32be(NFTA_OBJREF.NFTA_OBJREF_IMM_TYPE, NFT_OBJECT.NFT_OBJECT_COUNTER),
      text(NFTA_OBJREF.NFTA_OBJREF_IMM_NAME, name),
    ],
  };
}
