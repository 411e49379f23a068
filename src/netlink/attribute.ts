// Netlink attributes (struct nlattr, linux/netlink.h), to write and to read. Pure.
//
//   0               2               4
//  +---------------+---------------+- - - - - - - -+
//  | nla_len  (ne) | nla_type (ne) | payload, zero-padded to 4 bytes
//  +---------------+---------------+- - - - - - - -+
//
// nla_len counts the header and the payload, not the padding. An attribute here is a value: a
// message can be looked at and compared before it becomes bytes.

import { cstring, Reader } from "../bytes/reader.ts";
import type { Writer } from "../bytes/writer.ts";
import { DecodeError } from "../errors.ts";
import { NLA } from "./constants.ts";

const HEADER_BYTES = 4;
const LENGTH_MAX = 0xffff;

/** One attribute to be sent: payload bytes, or attributes nested in it. */
export type Attribute =
  | { readonly type: number; readonly payload: Uint8Array }
  | { readonly type: number; readonly nested: readonly Attribute[] };

/** An attribute with an unsigned 32-bit integer in network order, as nf_tables has them. */
export function u32be(type: number, value: number): Attribute {
  const payload = new Uint8Array(4);
  new DataView(payload.buffer).setUint32(0, value);
  return { type, payload };
}

/** An attribute with an unsigned 64-bit integer in network order. */
export function u64be(type: number, value: bigint): Attribute {
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setBigUint64(0, value);
  return { type, payload };
}

/** An attribute with text and its closing zero byte. */
export function text(type: number, value: string): Attribute {
  return { type, payload: encoder.encode(`${value}\0`) };
}

// One for all: to make another costs as much as the rest of a grant.
const encoder = new TextEncoder();

/** An attribute with bytes as they are. */
export function raw(type: number, payload: Uint8Array): Attribute {
  return { type, payload };
}

/** An attribute that holds others; the flag NLA_F_NESTED is set. */
export function nested(type: number, attributes: readonly Attribute[]): Attribute {
  return { type: type | NLA.NLA_F_NESTED, nested: attributes };
}

/**
 * Appends attributes, each padded to 4 bytes.
 *
 * @throws {RangeError} when one is longer than its length field can say.
 */
export function writeAttributes(writer: Writer, attributes: readonly Attribute[]): void {
  for (const attribute of attributes) {
    const start = writer.length;
    writer.u16ne(0).u16ne(attribute.type);
    if ("nested" in attribute) writeAttributes(writer, attribute.nested);
    else writer.raw(attribute.payload);
    const length = writer.length - start;
    if (length > LENGTH_MAX) throw new RangeError(`Attribute of ${length} bytes: 65535 at most`);
    writer.patchU16ne(start, length).align(4);
  }
}

/** Attributes read from a message, by type without flags; of several with one type, the last. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/**
 * Reads attributes up to the end of `bytes`. Unknown types are kept, for the caller to skip.
 *
 * @throws {DecodeError} when a length points outside.
 */
export function readAttributes(bytes: Uint8Array): Attributes {
  return new Map(listAttributes(bytes));
}

/** As `readAttributes`, in order and with repeated types: for lists of NFTA_LIST_ELEM. */
export function listAttributes(bytes: Uint8Array): [type: number, payload: Uint8Array][] {
  const list: [number, Uint8Array][] = [];
  const reader = new Reader(bytes);
  while (reader.left >= HEADER_BYTES) {
    const at = reader.offset;
    const length = reader.u16ne();
    const type = reader.u16ne() & NLA.NLA_TYPE_MASK;
    if (length < HEADER_BYTES) throw new DecodeError("attribute", at, HEADER_BYTES, length);
    list.push([type, reader.raw(length - HEADER_BYTES)]);
    reader.align(4);
  }
  return list;
}

/** The integer of an attribute that holds 32 bits in network order; undefined where it is absent. */
export function getU32be(attributes: Attributes, type: number): number | undefined {
  const payload = attributes.get(type);
  return payload && new Reader(payload).u32be();
}

/** The integer of an attribute that holds 64 bits in network order; undefined where it is absent. */
export function getU64be(attributes: Attributes, type: number): bigint | undefined {
  const payload = attributes.get(type);
  return payload && new Reader(payload).u64be();
}

/** The text of an attribute; undefined where it is absent. */
export function getText(attributes: Attributes, type: number): string | undefined {
  const payload = attributes.get(type);
  return payload && cstring(payload);
}

/** The attributes nested in one; an empty map where it is absent. */
export function getNested(attributes: Attributes, type: number): Attributes {
  return readAttributes(attributes.get(type) ?? new Uint8Array());
}
