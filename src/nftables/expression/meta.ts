// meta: what the kernel knows of a packet besides its bytes (enum nft_meta_keys). Only the mark can be
// set, of those that are here.

import { u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_META = { NFTA_META_DREG: 1, NFTA_META_KEY: 2, NFTA_META_SREG: 3 } as const;
const NFT_META = { mark: 3, iiftype: 8, nfproto: 15, l4proto: 16 } as const;

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

/** `[ meta set mark with reg 1 ]` */
export function metaSetMark(): Expression {
  return {
    name: "meta",
    attributes: [
      u32be(NFTA_META.NFTA_META_KEY, NFT_META.mark),
      u32be(NFTA_META.NFTA_META_SREG, register(0)),
    ],
  };
}
