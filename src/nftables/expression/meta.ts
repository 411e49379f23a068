// meta: what the kernel knows of a packet besides its bytes (enum nft_meta_keys).

import { u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_META = { NFTA_META_DREG: 1, NFTA_META_KEY: 2 } as const;
const NFT_META = { iiftype: 8, nfproto: 15, l4proto: 16 } as const;

/** `[ meta load l4proto => reg 1 ]` */
export function meta(key: keyof typeof NFT_META, offset = 0): Expression {
  return {
    name: "meta",
    attributes: [
      u32be(NFTA_META.NFTA_META_KEY, NFT_META[key]),
      u32be(NFTA_META.NFTA_META_DREG, register(offset)),
    ],
  };
}
