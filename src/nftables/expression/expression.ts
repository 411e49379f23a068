// An expression: one instruction of nf_tables' small machine, which loads into or tests registers.
// A rule is a list of them. Each file beside this one encodes one kind; the comment above every
// encoder is the line `nft --debug=netlink` prints for it.

import { type Attribute, nested, raw, text } from "../../netlink/attribute.ts";
import { LITTLE_ENDIAN } from "../../bytes/endian.ts";
import { NFT_REG, NFTA_DATA, NFTA_EXPR } from "../constants.ts";

/** An expression by the name the kernel knows it by, with its attributes. */
export interface Expression {
  readonly name: string;
  readonly attributes: readonly Attribute[];
}

/** NFTA_EXPR_NAME and NFTA_EXPR_DATA, to go into a list. */
export function expressionAttributes(expression: Expression): Attribute[] {
  return [
    text(NFTA_EXPR.NFTA_EXPR_NAME, expression.name),
    nested(NFTA_EXPR.NFTA_EXPR_DATA, expression.attributes),
  ];
}

/**
 * The register that starts `offset` bytes into the register file: one of the four of 16 bytes where
 * it fits, else one of the sixteen of 4 bytes. A concatenated key lies there field after field,
 * each on a multiple of four bytes.
 */
export function register(offset: number): number {
  return offset % 16 === 0 ? NFT_REG.NFT_REG_1 + offset / 16 : NFT_REG.NFT_REG32_00 + offset / 4;
}

/** An attribute with an unsigned 16-bit integer in network order. */
export function u16be(type: number, value: number): Attribute {
  const payload = new Uint8Array(2);
  new DataView(payload.buffer).setUint16(0, value);
  return { type, payload };
}

/** Struct nft_data as a value. */
export function dataValue(type: number, bytes: Uint8Array): Attribute {
  return nested(type, [raw(NFTA_DATA.NFTA_DATA_VALUE, bytes)]);
}

/** A 16-bit integer as registers hold the machine's own numbers. */
export function bytesU16ne(value: number): Uint8Array {
  return bytesU32ne(value).subarray(LITTLE_ENDIAN ? 0 : 2, LITTLE_ENDIAN ? 2 : 4);
}

/** A 32-bit integer as registers hold the machine's own numbers. */
export function bytesU32ne(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, LITTLE_ENDIAN);
  return bytes;
}
