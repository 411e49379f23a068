// Set: keys to look up, in constant time. A key is one field, or a concatenation of fields, each padded
// to four bytes. The types are for people who list the set; the kernel knows only the length.

import {
  type Attributes,
  getNested,
  getText,
  getU32be,
  getU64be,
  nested,
  raw,
  text,
  u32be,
  u64be,
} from "../netlink/attribute.ts";
import { NLM_F } from "../netlink/constants.ts";
import { NFT_MSG, NFT_SET_F, NFTA_SET, NFTA_SET_DESC_SIZE } from "./constants.ts";
import { type Operation, operation } from "./operation.ts";

/** nft's numbers for the types of fields, and their lengths in bytes. */
const FIELD_TYPE = {
  ipv4_addr: { number: 7, length: 4 },
  ipv6_addr: { number: 8, length: 16 },
  inet_proto: { number: 12, length: 1 },
  inet_service: { number: 13, length: 2 },
} as const;
const FIELD_TYPE_BITS = 6;

const ELEMENTS_PER_LINE = 8;

export type FieldType = keyof typeof FIELD_TYPE;

export interface NftSet {
  readonly name: string;
  readonly key: readonly FieldType[];
  /** Elements may have a timeout. */
  readonly timeout: boolean;
  /**
   * The timeout of elements that come without one; undefined is none. Whole seconds: the kernel
   * counts in its own ticks and would list anything finer as something else.
   */
  readonly timeoutMs?: number;
  /** Rules add elements. Name a size then: the kernel makes no bound a bound of 65535. */
  readonly dynamic?: true;
  /** Most elements it takes; undefined is no bound. */
  readonly size?: number;
}

/**
 * Creates the set. One that stands already with the same key and flags keeps its elements; a new
 * kernel (6.18 does) gives it this timeout. With other flags: EEXIST.
 */
export function addSet(table: string, set: NftSet, id: number): Operation {
  const attributes = [
    text(NFTA_SET.NFTA_SET_TABLE, table),
    text(NFTA_SET.NFTA_SET_NAME, set.name),
    u32be(NFTA_SET.NFTA_SET_FLAGS, flagsOf(set)),
    u32be(NFTA_SET.NFTA_SET_KEY_TYPE, keyType(set.key)),
    u32be(NFTA_SET.NFTA_SET_KEY_LEN, keyLength(set.key)),
    u32be(NFTA_SET.NFTA_SET_ID, id),
    raw(NFTA_SET.NFTA_SET_USERDATA, KEY_IN_NETWORK_ORDER),
  ];
  if (set.timeoutMs !== undefined) {
    attributes.push(u64be(NFTA_SET.NFTA_SET_TIMEOUT, BigInt(set.timeoutMs)));
  }
  if (set.size !== undefined) {
    attributes.push(nested(NFTA_SET.NFTA_SET_DESC, [u32be(NFTA_SET_DESC_SIZE, set.size)]));
  }
  const what = `add set "${set.name}"`;
  return operation(what, NFT_MSG.NFT_MSG_NEWSET, NLM_F.NLM_F_CREATE, attributes);
}

/** Deletes a set with its elements; EBUSY while a rule names it. */
export function deleteSet(table: string, name: string): Operation {
  return operation(`delete set "${name}"`, NFT_MSG.NFT_MSG_DELSET, 0, [
    text(NFTA_SET.NFTA_SET_TABLE, table),
    text(NFTA_SET.NFTA_SET_NAME, name),
  ]);
}

/** Asks for the sets of a table. */
export function listSets(table: string): Operation {
  return operation(`read sets of table "${table}"`, NFT_MSG.NFT_MSG_GETSET, NLM_F.NLM_F_DUMP, [
    text(NFTA_SET.NFTA_SET_TABLE, table),
  ]);
}

/** A set as the kernel describes it: what can be compared with one of ours. */
export interface SetLayout {
  readonly name: string;
  readonly keyType: number;
  readonly keyLength: number;
  readonly timeout: boolean;
  readonly timeoutMs: number | undefined;
  readonly dynamic: boolean;
  readonly size: number | undefined;
}

/** The layout of a set of ours. */
export function layoutOf({ name, key, timeout, timeoutMs, dynamic, size }: NftSet): SetLayout {
  return {
    name,
    keyType: keyType(key),
    keyLength: keyLength(key),
    timeout,
    timeoutMs,
    dynamic: dynamic === true,
    size,
  };
}

/** The layout in a message of such a listing. */
export function parseSetLayout(attributes: Attributes): SetLayout {
  const flags = getU32be(attributes, NFTA_SET.NFTA_SET_FLAGS) ?? 0;
  const timeoutMs = getU64be(attributes, NFTA_SET.NFTA_SET_TIMEOUT);
  return {
    name: getText(attributes, NFTA_SET.NFTA_SET_NAME) ?? "",
    keyType: getU32be(attributes, NFTA_SET.NFTA_SET_KEY_TYPE) ?? 0,
    keyLength: getU32be(attributes, NFTA_SET.NFTA_SET_KEY_LEN) ?? 0,
    timeout: (flags & NFT_SET_F.NFT_SET_TIMEOUT) !== 0,
    timeoutMs: timeoutMs === undefined ? undefined : Number(timeoutMs),
    dynamic: (flags & NFT_SET_F.NFT_SET_EVAL) !== 0,
    size: getU32be(getNested(attributes, NFTA_SET.NFTA_SET_DESC), NFTA_SET_DESC_SIZE),
  };
}

/** The number nft gives to a concatenation, six bits a field. */
export function keyType(key: readonly FieldType[]): number {
  return key.reduce((sum, field) => sum << FIELD_TYPE_BITS | FIELD_TYPE[field].number, 0);
}

/** Bytes of a key with its padding. */
export function keyLength(key: readonly FieldType[]): number {
  const [only, ...others] = key;
  if (only !== undefined && others.length === 0) return FIELD_TYPE[only].length;
  return key.reduce((sum, field) => sum + padded(FIELD_TYPE[field].length), 0);
}

/** A key from the bytes of its fields; of several each is padded to four bytes. */
export function encodeKey(fields: readonly Uint8Array[]): Uint8Array {
  const [only, ...others] = fields;
  if (only !== undefined && others.length === 0) return only;
  const bytes = new Uint8Array(fields.reduce((sum, field) => sum + padded(field.length), 0));
  let at = 0;
  for (const field of fields) {
    bytes.set(field, at);
    at += padded(field.length);
  }
  return bytes;
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}

/** The set as nft's text, with elements where given. */
export function setText(set: NftSet, elements: readonly string[] = []): string[] {
  const flags = [...(set.dynamic ? ["dynamic"] : []), ...(set.timeout ? ["timeout"] : [])];
  return [
    `set ${set.name} {`,
    `\ttype ${set.key.join(" . ")}`,
    ...(set.size === undefined ? [] : [`\tsize ${set.size}`]),
    ...(flags.length > 0 ? [`\tflags ${flags.join(",")}`] : []),
    ...(set.timeoutMs === undefined ? [] : [`\ttimeout ${set.timeoutMs / 1_000}s`]),
    ...elementLines(elements),
    "}",
  ];
}

/** Long lists take several lines, as nft itself prints them. */
function elementLines(elements: readonly string[]): string[] {
  const rows = Array.from(
    { length: Math.ceil(elements.length / ELEMENTS_PER_LINE) },
    (_, row) => elements.slice(row * ELEMENTS_PER_LINE, (row + 1) * ELEMENTS_PER_LINE).join(", "),
  );
  if (rows.length === 0) return [];
  return `\telements = { ${rows.join(",\n\t\t")} }`.split("\n");
}

function flagsOf({ timeout, dynamic }: NftSet): number {
  return (timeout ? NFT_SET_F.NFT_SET_TIMEOUT : 0) | (dynamic ? NFT_SET_F.NFT_SET_EVAL : 0);
}

// User data by which nft knows how to print keys: NFTNL_UDATA_SET_KEYBYTEORDER (0), four bytes,
// BYTEORDER_BIG_ENDIAN (2) in the machine's order.
const KEY_IN_NETWORK_ORDER = Uint8Array.of(0, 4, 2, 0, 0, 0);
