// immediate: puts a constant into a register; a verdict, in the register for it, ends the rule.

import { nested, text, u32be } from "../../netlink/attribute.ts";
import { NFT_REG, NFTA_DATA, NFTA_VERDICT, VERDICT } from "../constants.ts";
import { dataValue, type Expression, register } from "./expression.ts";

const NFTA_IMMEDIATE = { NFTA_IMMEDIATE_DREG: 1, NFTA_IMMEDIATE_DATA: 2 } as const;

/** `[ immediate reg 0 accept ]`: ends this base chain only; other tables still decide. */
export function accept(): Expression {
  return verdict(VERDICT.NF_ACCEPT);
}

/** `[ immediate reg 0 drop ]` */
export function drop(): Expression {
  return verdict(VERDICT.NF_DROP);
}

/** `[ immediate reg 0 goto -> gate ]` */
export function goto(chain: string): Expression {
  return verdict(VERDICT.NFT_GOTO, chain);
}

/** `[ immediate reg 1 0x00000000 ]` */
export function immediate(value: Uint8Array): Expression {
  return {
    name: "immediate",
    attributes: [
      u32be(NFTA_IMMEDIATE.NFTA_IMMEDIATE_DREG, register(0)),
      dataValue(NFTA_IMMEDIATE.NFTA_IMMEDIATE_DATA, value),
    ],
  };
}

function verdict(code: number, chain?: string): Expression {
  const attributes = [u32be(NFTA_VERDICT.NFTA_VERDICT_CODE, code)];
  if (chain !== undefined) attributes.push(text(NFTA_VERDICT.NFTA_VERDICT_CHAIN, chain));
  return {
    name: "immediate",
    attributes: [
      u32be(NFTA_IMMEDIATE.NFTA_IMMEDIATE_DREG, NFT_REG.NFT_REG_VERDICT),
      nested(NFTA_IMMEDIATE.NFTA_IMMEDIATE_DATA, [
        nested(NFTA_DATA.NFTA_DATA_VERDICT, attributes),
      ]),
    ],
  };
}
