// reject: drops the packet and answers it, here always with a TCP reset.

import { u32be } from "../../netlink/attribute.ts";
import type { Expression } from "./expression.ts";

const NFTA_REJECT_TYPE = 1;
const NFT_REJECT_TCP_RST = 1;

/** `[ reject type 1 code 0 ]` */
export function rejectTcpReset(): Expression {
  return { name: "reject", attributes: [u32be(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST)] };
}
