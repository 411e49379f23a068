// payload: bytes of the packet (enum nft_payload_bases, nft_payload_attributes).

import { u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_PAYLOAD = {
  NFTA_PAYLOAD_DREG: 1,
  NFTA_PAYLOAD_BASE: 2,
  NFTA_PAYLOAD_OFFSET: 3,
  NFTA_PAYLOAD_LEN: 4,
} as const;
const NFT_PAYLOAD = { network: 1, transport: 2 } as const;

/** `[ payload load 2b @ transport header + 2 => reg 1 ]` */
export function payload(
  base: keyof typeof NFT_PAYLOAD,
  start: number,
  length: number,
  offset = 0,
): Expression {
  return {
    name: "payload",
    attributes: [
      u32be(NFTA_PAYLOAD.NFTA_PAYLOAD_DREG, register(offset)),
      u32be(NFTA_PAYLOAD.NFTA_PAYLOAD_BASE, NFT_PAYLOAD[base]),
      u32be(NFTA_PAYLOAD.NFTA_PAYLOAD_OFFSET, start),
      u32be(NFTA_PAYLOAD.NFTA_PAYLOAD_LEN, length),
    ],
  };
}
