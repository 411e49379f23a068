// nfnetlink (linux/netfilter/nfnetlink.h): the header that every netfilter message has after
// nlmsghdr, and the batch, which the kernel carries out as one transaction. Pure.
//
//   0       1       2               4
//  +-------+-------+---------------+- - - -
//  |family |version| res_id (be)   | attributes
//  +-------+-------+---------------+- - - -

import { Writer } from "../bytes/writer.ts";
import { type Attribute, type Attributes, readAttributes } from "./attribute.ts";
import { FAMILY, NFNL_MSG, NFNL_SUBSYS } from "./constants.ts";
import { type Message, type Request, writeRequest } from "./message.ts";

const NFGENMSG_BYTES = 4;

/**
 * A request to a netfilter subsystem; `message` is the low byte of its type, `resource` what it is
 * about where the subsystem numbers things (a log group).
 */
export function nfnetlinkRequest(
  subsystem: number,
  message: number,
  flags: number,
  family: number,
  attributes: readonly Attribute[],
  resource = 0,
): Request {
  return {
    type: subsystem << 8 | message,
    flags,
    header: Uint8Array.of(family, 0, resource >> 8, resource & 0xff),
    attributes,
  };
}

/**
 * Requests as one transaction: all are carried out or none. The first request has the sequence
 * number `sequence + 1`, the next one more, so that an error's number leads back to its request.
 */
export function encodeBatch(
  requests: readonly Request[],
  sequence: number,
): Uint8Array<ArrayBuffer> {
  const writer = new Writer(4096);
  writeRequest(writer, batchMark(NFNL_MSG.NFNL_MSG_BATCH_BEGIN), sequence);
  requests.forEach((request, index) => writeRequest(writer, request, sequence + 1 + index));
  writeRequest(writer, batchMark(NFNL_MSG.NFNL_MSG_BATCH_END), sequence + 1 + requests.length);
  return writer.bytes();
}

/** The attributes of a netfilter message. */
export function messageAttributes(message: Message): Attributes {
  return readAttributes(message.payload.subarray(NFGENMSG_BYTES));
}

/** nfgen_family of a netfilter message. */
export function messageFamily(message: Message): number {
  return message.payload[0] ?? FAMILY.AF_UNSPEC;
}

function batchMark(type: number): Request {
  // res_id, in network order, says which subsystem the batch is for.
  const header = Uint8Array.of(FAMILY.AF_UNSPEC, 0, 0, NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES);
  return { type, flags: 0, header, attributes: [] };
}
