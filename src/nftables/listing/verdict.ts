// A verdict as the kernel lists it (enum nft_verdicts and linux/netfilter.h), in a rule and in a map.

import { type Attributes, getText, getU32be } from "../../netlink/attribute.ts";
import { NFTA_VERDICT } from "../constants.ts";

/** `on` in the same rule, with the `next` rule, or behind the chain (`return`). */
export type Verdict =
  | { readonly kind: "accept" | "drop" | "on" | "next" | "return" }
  | { readonly kind: "jump" | "goto"; readonly chain: string }
  /** To user space, or a code that is newer than pk. */
  | { readonly kind: "other"; readonly code: number };

const NF = { NF_DROP: 0, NF_ACCEPT: 1 } as const;
const NFT = {
  NFT_CONTINUE: -1,
  NFT_BREAK: -2,
  NFT_JUMP: -3,
  NFT_GOTO: -4,
  NFT_RETURN: -5,
} as const;

/** The verdict in NFTA_DATA_VERDICT. */
export function parseVerdict(attributes: Attributes): Verdict {
  const code = (getU32be(attributes, NFTA_VERDICT.NFTA_VERDICT_CODE) ?? NF.NF_ACCEPT) | 0;
  const chain = getText(attributes, NFTA_VERDICT.NFTA_VERDICT_CHAIN) ?? "";
  switch (code) {
    case NF.NF_ACCEPT:
      return { kind: "accept" };
    case NF.NF_DROP:
      return { kind: "drop" };
    case NFT.NFT_CONTINUE:
      return { kind: "on" };
    case NFT.NFT_BREAK:
      return { kind: "next" };
    case NFT.NFT_RETURN:
      return { kind: "return" };
    case NFT.NFT_JUMP:
      return { kind: "jump", chain };
    case NFT.NFT_GOTO:
      return { kind: "goto", chain };
    default:
      return { kind: "other", code };
  }
}
