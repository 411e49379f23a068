// NFQNL_MSG_PACKET (linux/netfilter/nfnetlink_queue.h): one queued packet, one netlink datagram.
//
//   0               4       6       8               12              16  17  18      20
//  +---------------+-------+-------+---------------+---------------+---+---+-------+- - - - - -
//  | nlmsg_len     | type  | flags | nlmsg_seq     | nlmsg_pid     |fam|ver| res_id| attributes
//  +---------------+-------+-------+---------------+---------------+---+---+-------+- - - - - -
//
// In the machine's own order, but for res_id, which is the queue number, and what attributes hold.
// Decoded in place: nothing is allocated or thrown, and nothing is read outside the datagram.

import { LITTLE_ENDIAN } from "../bytes/endian.ts";
import { NFNL_SUBSYS, NLA } from "../netlink/constants.ts";
import { NFQA, NFQNL_MSG } from "./constants.ts";

/** Outcomes of `decodePacketMessage`. Only after `packet` is the result filled in. */
export const QUEUE = {
  packet: 0,
  /** Another message: an error, an ack, the end of a dump. */
  notPacket: 1,
  /** Lengths that point outside, or no NFQA_PACKET_HDR. */
  malformed: 2,
} as const;

export type QueueOutcome = typeof QUEUE[keyof typeof QUEUE];

/** What pk reads of a queued packet; filled in place, again for every packet. */
export interface QueuedPacket {
  /** The number that a verdict names; the queue counts up from 1, and over from 2^32. */
  id: number;
  /** What somebody on this host marked it with; 0 without. */
  mark: number;
  /** Where the packet begins, in the view that was decoded. */
  payloadOffset: number;
  /** Bytes of the packet that came along: 0 without NFQA_PAYLOAD. */
  payloadLength: number;
}

/** A result object to be filled by `decodePacketMessage`. */
export function emptyQueuedPacket(): QueuedPacket {
  return { id: 0, mark: 0, payloadOffset: 0, payloadLength: 0 };
}

const NLMSGHDR_BYTES = 16;
const NFGENMSG_BYTES = 4;
const NLMSG_TYPE = 4;
const NLATTR_BYTES = 4;
/** nfqnl_msg_packet_hdr: id (be32), hw_protocol (be16), hook (u8). */
const PACKET_HDR_BYTES = 7;

const PACKET_TYPE = NFNL_SUBSYS.NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG.NFQNL_MSG_PACKET;

/**
 * Decodes the datagram at `offset`, `length` bytes long; they must lie in the view. Unknown
 * attributes are skipped; of two of one type the last counts, as in the kernel's own decoder.
 */
export function decodePacketMessage(
  view: DataView,
  offset: number,
  length: number,
  out: QueuedPacket,
): QueueOutcome {
  if (length < NLMSGHDR_BYTES) return QUEUE.malformed;
  const messageBytes = view.getUint32(offset, LITTLE_ENDIAN);
  if (messageBytes < NLMSGHDR_BYTES || messageBytes > length) return QUEUE.malformed;
  if (view.getUint16(offset + NLMSG_TYPE, LITTLE_ENDIAN) !== PACKET_TYPE) return QUEUE.notPacket;
  if (messageBytes < NLMSGHDR_BYTES + NFGENMSG_BYTES) return QUEUE.malformed;

  out.mark = 0;
  out.payloadOffset = offset;
  out.payloadLength = 0;
  let hasHeader = false;
  const end = offset + messageBytes;
  let at = offset + NLMSGHDR_BYTES + NFGENMSG_BYTES;
  // The last attribute need not be padded; fewer bytes than a header are padding.
  while (end - at >= NLATTR_BYTES) {
    const attributeBytes = view.getUint16(at, LITTLE_ENDIAN);
    if (attributeBytes < NLATTR_BYTES || attributeBytes > end - at) return QUEUE.malformed;
    const type = view.getUint16(at + 2, LITTLE_ENDIAN) & NLA.NLA_TYPE_MASK;
    const content = at + NLATTR_BYTES;
    const contentBytes = attributeBytes - NLATTR_BYTES;
    if (type === NFQA.NFQA_PACKET_HDR) {
      if (contentBytes < PACKET_HDR_BYTES) return QUEUE.malformed;
      out.id = view.getUint32(content);
      hasHeader = true;
    } else if (type === NFQA.NFQA_MARK) {
      if (contentBytes < 4) return QUEUE.malformed;
      out.mark = view.getUint32(content);
    } else if (type === NFQA.NFQA_PAYLOAD) {
      out.payloadOffset = content;
      out.payloadLength = contentBytes;
    }
    at += (attributeBytes + 3) & ~3;
  }
  return hasHeader ? QUEUE.packet : QUEUE.malformed;
}
