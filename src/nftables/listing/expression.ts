// Expressions as the kernel lists them. What pk does not know, and what writes instead of reading, is
// kept as opaque with its attributes, never dropped: a rule without one of its conditions would mean
// something else.

import {
  type Attributes,
  getNested,
  getText,
  getU32be,
  readAttributes,
} from "../../netlink/attribute.ts";
import { NFT_REG, NFTA_DATA, NFTA_EXPR } from "../constants.ts";
import { parseVerdict, type Verdict } from "./verdict.ts";

/** Bytes of the register file: sixteen registers of four. */
export const REGISTER_BYTES = 64;

/** Offsets of registers (`at`, `from`, `to`) are bytes into the register file. */
export type ListedExpression =
  | { kind: "payload"; base: number; offset: number; length: number; to: number }
  | { kind: "meta"; key: number; to: number }
  | { kind: "ct"; key: number; to: number }
  | { kind: "fib"; result: number; flags: number; to: number }
  | { kind: "immediate"; value: Uint8Array; to: number }
  | { kind: "bitwise"; from: number; to: number; mask: Uint8Array; xor: Uint8Array }
  | { kind: "byteorder"; from: number; to: number; length: number; size: number }
  | { kind: "cmp"; at: number; op: CompareOp; value: Uint8Array }
  | { kind: "range"; at: number; inverted: boolean; first: Uint8Array; last: Uint8Array }
  /** Finds a key; `gives` says what a map does with it. */
  | { kind: "lookup"; at: number; set: string; inverted: boolean; gives: "nothing" | "verdict" }
  | { kind: "verdict"; verdict: Verdict }
  | { kind: "reject" }
  | { kind: "xt"; of: "match" | "target"; name: string; revision: number; info: Uint8Array }
  | { kind: "opaque"; name: string; attributes: Attributes };

export type CompareOp = "eq" | "neq" | "lt" | "lte" | "gt" | "gte";

const COMPARE_OPS: readonly CompareOp[] = ["eq", "neq", "lt", "lte", "gt", "gte"];
const WORD_BYTES: ReadonlySet<number> = new Set([2, 4, 8]);
const NFT_RANGE_NEQ = 1;
const NFT_LOOKUP_F_INV = 1;

/**
 * The expression in a list's element.
 *
 * @throws {DecodeError} when a length points outside.
 */
export function parseExpression(payload: Uint8Array): ListedExpression {
  const element = readAttributes(payload);
  const name = getText(element, NFTA_EXPR.NFTA_EXPR_NAME) ?? "";
  const attributes = getNested(element, NFTA_EXPR.NFTA_EXPR_DATA);
  return PARSERS.get(name)?.(attributes) ?? { kind: "opaque", name, attributes };
}

type Parser = (attributes: Attributes) => ListedExpression | undefined;

/** Undefined from one of these: a form of the expression that is not known here. */
const PARSERS: ReadonlyMap<string, Parser> = new Map<string, Parser>([
  ["payload", (a) => {
    const [to, base, offset, length] = [registerAt(a, 1), u32(a, 2), u32(a, 3), u32(a, 4)];
    if (to === undefined || base === undefined || offset === undefined) return undefined;
    if (length === undefined || length > REGISTER_BYTES) return undefined;
    return { kind: "payload", base, offset, length, to };
  }],
  ["meta", (a) => load("meta", registerAt(a, 1), u32(a, 2))],
  ["ct", (a) => load("ct", registerAt(a, 1), u32(a, 2))],
  ["fib", (a) => {
    const [to, result, flags] = [registerAt(a, 1), u32(a, 2), u32(a, 3)];
    if (to === undefined || result === undefined || flags === undefined) return undefined;
    return { kind: "fib", result, flags, to };
  }],
  ["immediate", (a) => {
    if (u32(a, 1) === NFT_REG.NFT_REG_VERDICT) {
      const verdict = getNested(getNested(a, 2), NFTA_DATA.NFTA_DATA_VERDICT);
      return { kind: "verdict", verdict: parseVerdict(verdict) };
    }
    const [to, value] = [registerAt(a, 1), valueOf(a, 2)];
    return to === undefined || value === undefined ? undefined : { kind: "immediate", value, to };
  }],
  ["bitwise", (a) => {
    const [from, to, mask, xor] = [
      registerAt(a, 1),
      registerAt(a, 2),
      valueOf(a, 4),
      valueOf(a, 5),
    ];
    // Another operation than mask and xor (NFTA_BITWISE_OP) has neither of the two.
    if (from === undefined || to === undefined || mask === undefined) return undefined;
    return xor?.length === mask.length ? { kind: "bitwise", from, to, mask, xor } : undefined;
  }],
  ["byteorder", (a) => {
    const [from, to, length, size] = [registerAt(a, 1), registerAt(a, 2), u32(a, 4), u32(a, 5)];
    if (from === undefined || to === undefined || length === undefined) return undefined;
    if (size === undefined || !WORD_BYTES.has(size) || length > REGISTER_BYTES) return undefined;
    return { kind: "byteorder", from, to, length, size };
  }],
  ["cmp", (a) => {
    const [at, op, value] = [registerAt(a, 1), COMPARE_OPS[u32(a, 2) ?? -1], valueOf(a, 3)];
    if (at === undefined || op === undefined || value === undefined) return undefined;
    return { kind: "cmp", at, op, value };
  }],
  ["range", (a) => {
    const [at, first, last] = [registerAt(a, 1), valueOf(a, 3), valueOf(a, 4)];
    if (at === undefined || first === undefined || first.length !== last?.length) return undefined;
    return { kind: "range", at, inverted: u32(a, 2) === NFT_RANGE_NEQ, first, last };
  }],
  ["lookup", (a) => {
    const [set, at] = [getText(a, 1), registerAt(a, 2)];
    const inverted = ((u32(a, 5) ?? 0) & NFT_LOOKUP_F_INV) !== 0;
    if (set === undefined || at === undefined) return undefined;
    if (!a.has(3)) return { kind: "lookup", at, set, inverted, gives: "nothing" };
    // A map to other data than verdicts is opaque: it loads a register.
    if (u32(a, 3) !== NFT_REG.NFT_REG_VERDICT) return undefined;
    return { kind: "lookup", at, set, inverted, gives: "verdict" };
  }],
  ["reject", () => ({ kind: "reject" })],
  ["match", (a) => xt("match", a)],
  ["target", (a) => xt("target", a)],
]);

function load(
  kind: "meta" | "ct",
  to: number | undefined,
  key: number | undefined,
): ListedExpression | undefined {
  return to === undefined || key === undefined ? undefined : { kind, key, to };
}

function xt(of: "match" | "target", attributes: Attributes): ListedExpression | undefined {
  const [name, info] = [getText(attributes, 1), attributes.get(3)];
  if (name === undefined || info === undefined) return undefined;
  return { kind: "xt", of, name, revision: u32(attributes, 2) ?? 0, info };
}

/** Where a register begins (the inverse of register() in ../expression/expression.ts). */
function registerAt(attributes: Attributes, type: number): number | undefined {
  const register = u32(attributes, type);
  if (register === undefined || register === NFT_REG.NFT_REG_VERDICT) return undefined;
  const at = register >= NFT_REG.NFT_REG32_00
    ? (register - NFT_REG.NFT_REG32_00) * 4
    : (register - NFT_REG.NFT_REG_1) * 16;
  return at < REGISTER_BYTES ? at : undefined;
}

function valueOf(attributes: Attributes, type: number): Uint8Array | undefined {
  return getNested(attributes, type).get(NFTA_DATA.NFTA_DATA_VALUE);
}

function u32(attributes: Attributes, type: number): number | undefined {
  return getU32be(attributes, type);
}
