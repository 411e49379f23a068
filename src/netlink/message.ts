// Netlink messages (struct nlmsghdr, linux/netlink.h), to write and to read. Pure.
//
//   0               4       6       8               12              16
//  +---------------+-------+-------+---------------+---------------+- - -
//  | nlmsg_len     | type  | flags | nlmsg_seq     | nlmsg_pid     | payload, padded to 4 bytes
//  +---------------+-------+-------+---------------+---------------+- - -
//
// All in the machine's own byte order.

import { LITTLE_ENDIAN } from "../bytes/endian.ts";
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { DecodeError } from "../errors.ts";
import { type Attribute, getText, readAttributes, writeAttributes } from "./attribute.ts";
import { NLM_F, NLMSG, NLMSGERR_ATTR } from "./constants.ts";

export const NLMSG_HEADER_BYTES = 16;
const REQUEST_LENGTH_BYTES = 4;

/** A message as it was read; `payload` is a view into the buffer it came in. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** nlmsg_pid: the port of the socket that caused it. */
  readonly port: number;
  readonly payload: Uint8Array;
}

/** A request as a value: what follows nlmsghdr is a protocol's own header, then attributes. */
export interface Request {
  readonly type: number;
  /** NLM_F_* besides NLM_F_REQUEST. */
  readonly flags: number;
  readonly header: Uint8Array;
  readonly attributes: readonly Attribute[];
}

/** Appends one request. */
export function writeRequest(writer: Writer, request: Request, sequence: number): void {
  const start = writer.length;
  writer.u32ne(0).u16ne(request.type).u16ne(NLM_F.NLM_F_REQUEST | request.flags);
  writer.u32ne(sequence).u32ne(0).raw(request.header);
  writeAttributes(writer, request.attributes);
  writer.patchU32ne(start, writer.length - start).align(4);
}

/** One request as bytes. */
export function encodeRequest(request: Request, sequence: number): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  writeRequest(writer, request, sequence);
  return writer.bytes();
}

/**
 * Splits what one read from a netlink socket brought.
 *
 * @throws {DecodeError} when a length points outside.
 */
export function readMessages(bytes: Uint8Array): Message[] {
  const messages: Message[] = [];
  const reader = new Reader(bytes);
  while (reader.left > 0) {
    const at = reader.offset;
    const length = reader.u32ne();
    if (length < NLMSG_HEADER_BYTES) {
      throw new DecodeError("nlmsghdr", at, NLMSG_HEADER_BYTES, length);
    }
    messages.push({
      type: reader.u16ne(),
      flags: reader.u16ne(),
      sequence: reader.u32ne(),
      port: reader.u32ne(),
      payload: reader.raw(length - NLMSG_HEADER_BYTES),
    });
    reader.align(4);
  }
  return messages;
}

/**
 * Is this datagram nothing but the ack of a request, without an error? Tells at once what `readMessages`
 * and `readAck` tell of it.
 */
export function isPlainAck(bytes: Uint8Array, sequence: number): boolean {
  if (bytes.length < NLMSG_HEADER_BYTES + 4) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return view.getUint32(0, LITTLE_ENDIAN) === bytes.length &&
    view.getUint16(4, LITTLE_ENDIAN) === NLMSG.NLMSG_ERROR &&
    view.getUint32(8, LITTLE_ENDIAN) === sequence &&
    view.getInt32(NLMSG_HEADER_BYTES, LITTLE_ENDIAN) === 0;
}

/** What an NLMSG_ERROR or NLMSG_DONE says. */
export interface Ack {
  /** errno, positive; 0 is success. */
  readonly errno: number;
  /** The kernel's own words, where it sent an extended ack. */
  readonly message: string | undefined;
}

/** Reads the payload of NLMSG_ERROR: struct nlmsgerr, then the extended ack's attributes. */
export function readAck(message: Message): Ack {
  const reader = new Reader(message.payload);
  const errno = -reader.i32ne();
  if (message.type === NLMSG.NLMSG_DONE || !(message.flags & NLM_F.NLM_F_ACK_TLVS)) {
    return { errno, message: undefined };
  }
  const requestLength = reader.u32ne();
  // With NETLINK_CAP_ACK only the header of the request is echoed, otherwise all of it.
  const capped = (message.flags & NLM_F.NLM_F_CAPPED) !== 0;
  reader.raw((capped ? NLMSG_HEADER_BYTES : requestLength) - REQUEST_LENGTH_BYTES);
  const attributes = readAttributes(reader.align(4).rest());
  return { errno, message: getText(attributes, NLMSGERR_ATTR.NLMSGERR_ATTR_MSG) };
}
