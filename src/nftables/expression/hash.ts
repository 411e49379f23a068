// hash: a number below a modulus that follows from bytes in a register (enum nft_hash_attributes).

import { u32be } from "../../netlink/attribute.ts";
import { type Expression, register } from "./expression.ts";

const NFTA_HASH = {
  NFTA_HASH_SREG: 1,
  NFTA_HASH_DREG: 2,
  NFTA_HASH_LEN: 3,
  NFTA_HASH_MODULUS: 4,
  NFTA_HASH_SEED: 5,
  NFTA_HASH_TYPE: 7,
} as const;
const NFT_HASH_JENKINS = 0;

/** `[ hash reg 1 = jhash(reg 2, 4, 0x1) % mod 3 ]`, of bytes at an offset of the register file. */
export function jhash(offset: number, length: number, modulus: number, seed: number): Expression {
  return {
    name: "hash",
    attributes: [
      u32be(NFTA_HASH.NFTA_HASH_SREG, register(offset)),
      u32be(NFTA_HASH.NFTA_HASH_DREG, register(0)),
      u32be(NFTA_HASH.NFTA_HASH_LEN, length),
      u32be(NFTA_HASH.NFTA_HASH_MODULUS, modulus),
      u32be(NFTA_HASH.NFTA_HASH_SEED, seed),
      u32be(NFTA_HASH.NFTA_HASH_TYPE, NFT_HASH_JENKINS),
    ],
  };
}
