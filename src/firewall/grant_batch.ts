// Grants as the bytes of one transaction, without building what they are made of: a grant decides when
// somebody gets in, and comes seldom, so code that was not run for a while costs more here than anything.
// The bytes are those of a sample grant, made by the encoder once for each family; where its fields
// stand is found by looking for them.

import { LITTLE_ENDIAN } from "../bytes/endian.ts";
import { NLM_F } from "../netlink/constants.ts";
import type { Batch } from "../netlink/conversation.ts";
import { encodeRequest } from "../netlink/message.ts";
import { encodeBatch } from "../netlink/nfnetlink.ts";
import { renewElement } from "../nftables/element.ts";
import type { Operation } from "../nftables/operation.ts";
import { addressBytes } from "../packet/address.ts";
import { IPPROTO } from "../packet/protocol.ts";
import { type Grant, grantElement, grantSet } from "./grant.ts";
import { TABLE } from "./ruleset.ts";

/** Requests that renew one grant: add, delete, add. */
export const REQUESTS_PER_GRANT = 3;

/** struct nlmsghdr: offsets of its flags and its sequence number. */
const FLAGS = 6;
const SEQUENCE = 8;

interface Template {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where each request begins. */
  readonly requests: readonly number[];
  /** Where each key begins: the address, then the protocol, then the port, each padded to four bytes. */
  readonly keys: readonly number[];
  /** Where each timeout is, 64 bits in network order. */
  readonly timeouts: readonly number[];
  readonly addressBytes: number;
}

/** A transaction that writes the grants, each with its whole time. */
export function grantBatch(grants: readonly Grant[]): Batch {
  const count = REQUESTS_PER_GRANT * grants.length;
  return {
    count,
    what: (index) => {
      const grant = grants[Math.floor(index / REQUESTS_PER_GRANT)];
      return grant === undefined
        ? "write grants"
        : renewal(grant)[index % REQUESTS_PER_GRANT]?.what ?? "write grants";
    },
    encode: (begin) => encode(grants, begin),
  };
}

function renewal(grant: Grant): Operation[] {
  return renewElement(TABLE, grantSet(grant.source), grantElement(grant));
}

function encode(grants: readonly Grant[], begin: number): Uint8Array<ArrayBuffer> {
  const { begins, ends } = marks();
  let length = begins.length + ends.length;
  for (const { source } of grants) length += templateOf(source.family).bytes.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set(begins);
  view.setUint32(SEQUENCE, begin, LITTLE_ENDIAN);
  let at = begins.length;
  let sequence = begin + 1;
  let last = at;
  for (const grant of grants) {
    const template = templateOf(grant.source.family);
    bytes.set(template.bytes, at);
    for (const request of template.requests) {
      last = at + request;
      view.setUint32(last + SEQUENCE, sequence++, LITTLE_ENDIAN);
    }
    writeFields(view, at, template, grant);
    at += template.bytes.length;
  }
  // Errors always come; one ack, for the last request, says that all went well.
  view.setUint16(
    last + FLAGS,
    view.getUint16(last + FLAGS, LITTLE_ENDIAN) | NLM_F.NLM_F_ACK,
    LITTLE_ENDIAN,
  );
  bytes.set(ends, at);
  view.setUint32(at + SEQUENCE, sequence, LITTLE_ENDIAN);
  return bytes;
}

function writeFields(
  view: DataView,
  at: number,
  { keys, timeouts, addressBytes }: Template,
  { source, protocol, port, timeoutMs }: Grant,
): void {
  for (const key of keys) {
    let field = at + key;
    if (source.family === 6) {
      view.setUint32(field, source.word0);
      view.setUint32(field + 4, source.word1);
      view.setUint32(field + 8, source.word2);
    }
    field += addressBytes;
    view.setUint32(field - 4, source.word3);
    view.setUint8(field, IPPROTO[protocol]);
    view.setUint16(field + 4, port);
  }
  const wholeMs = Math.ceil(timeoutMs);
  for (const timeout of timeouts) {
    view.setUint32(at + timeout, Math.floor(wholeMs / 0x1_0000_0000));
    view.setUint32(at + timeout + 4, wholeMs >>> 0);
  }
}

let template4: Template | undefined;
let template6: Template | undefined;
let batchMarks: { readonly begins: Uint8Array; readonly ends: Uint8Array } | undefined;

function templateOf(family: 4 | 6): Template {
  if (family === 4) return template4 ??= makeTemplate(4);
  return template6 ??= makeTemplate(6);
}

function marks() {
  if (batchMarks === undefined) {
    const both = encodeBatch([], 0);
    const half = both.length / 2;
    batchMarks = { begins: both.slice(0, half), ends: both.slice(half) };
  }
  return batchMarks;
}

/** No two fields of the sample are alike, and none looks like what stands around it. */
function makeTemplate(family: 4 | 6): Template {
  const words = { word0: 0xd1d2d3d4, word1: 0xe1e2e3e4, word2: 0xf1f2f3f4, word3: 0xc1c2c3c4 };
  const source = family === 6
    ? { family, ...words }
    : { family, ...words, word0: 0, word1: 0, word2: 0 };
  const sample: Grant = { source, protocol: "udp", port: 0xb1b2, timeoutMs: 0x11_b3b4_b5b6 };
  const element = grantElement(sample);
  const timeout = new Uint8Array(8);
  new DataView(timeout.buffer).setBigUint64(0, BigInt(sample.timeoutMs));
  const parts = renewal(sample).map((request) => encodeRequest(request, 0));
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  const requests: number[] = [];
  let at = 0;
  for (const part of parts) {
    requests.push(at);
    bytes.set(part, at);
    at += part.length;
  }
  const keys = placesOf(element.key, bytes, REQUESTS_PER_GRANT);
  // The deletion has none.
  const timeouts = placesOf(timeout, bytes, REQUESTS_PER_GRANT - 1);
  return { bytes, requests, keys, timeouts, addressBytes: addressBytes(source).length };
}

/** Where the bytes of a field stand, which is in so many places. */
function placesOf(field: Uint8Array, bytes: Uint8Array, count: number): number[] {
  const places: number[] = [];
  for (let at = 0; at + field.length <= bytes.length; at++) {
    if (field.every((byte, index) => byte === bytes[at + index])) places.push(at);
  }
  if (places.length !== count) throw new TypeError(`A field stands in ${places.length} places`);
  return places;
}
