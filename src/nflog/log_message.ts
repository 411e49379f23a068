// NFULNL_MSG_PACKET (linux/netfilter/nfnetlink_log.h): the copy of one packet, one netlink datagram.
//
//   0               4       6       8               12              16  17  18      20
//  +---------------+-------+-------+---------------+---------------+---+---+-------+- - - - - -
//  | nlmsg_len     | type  | flags | nlmsg_seq     | nlmsg_pid     |fam|ver| res_id| attributes
//  +---------------+-------+-------+---------------+---------------+---+---+-------+- - - - - -
//
// In the machine's own order, but for res_id, which is the group, and what attributes hold. Decoded
// in place: nothing is allocated or thrown, and nothing is read outside the datagram.

import { LITTLE_ENDIAN } from "../bytes/endian.ts";
import { NFNL_SUBSYS, NLA } from "../netlink/constants.ts";
import { NFULA, NFULNL_MSG } from "./constants.ts";

/** Outcomes of `decodeLogMessage`. Only after `packet` is the result filled in. */
export const LOGGED = {
  packet: 0,
  /** Another message: an error, an ack, the end of a dump. */
  notPacket: 1,
  /** Lengths that point outside, or no NFULA_SEQ. */
  malformed: 2,
} as const;

export type LogOutcome = typeof LOGGED[keyof typeof LOGGED];

/** What pk reads of a copy; filled in place, again for every packet. */
export interface LoggedPacket {
  /** Counts up by one for each packet of the group, from 0 and over from 2^32; a gap is a loss. */
  sequence: number;
  /** The first byte of the rule's prefix; 0 without one. */
  mark: number;
  /** Where the packet begins, in the view that was decoded. */
  payloadOffset: number;
  /** Bytes of the packet that were copied: 0 without NFULA_PAYLOAD. */
  payloadLength: number;
}

/** A result object to be filled by `decodeLogMessage`. */
export function emptyLoggedPacket(): LoggedPacket {
  return { sequence: 0, mark: 0, payloadOffset: 0, payloadLength: 0 };
}

const NLMSGHDR_BYTES = 16;
const NFGENMSG_BYTES = 4;
const NLMSG_TYPE = 4;
const NLATTR_BYTES = 4;

const PACKET_TYPE = NFNL_SUBSYS.NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG.NFULNL_MSG_PACKET;

/**
 * Decodes the datagram at `offset`, `length` bytes long; they must lie in the view. Unknown
 * attributes are skipped; of two of one type the last counts, as in the kernel's own decoder.
 */
export function decodeLogMessage(
  view: DataView,
  offset: number,
  length: number,
  out: LoggedPacket,
): LogOutcome {
  if (length < NLMSGHDR_BYTES) return LOGGED.malformed;
  const messageBytes = view.getUint32(offset, LITTLE_ENDIAN);
  if (messageBytes < NLMSGHDR_BYTES || messageBytes > length) return LOGGED.malformed;
  if (view.getUint16(offset + NLMSG_TYPE, LITTLE_ENDIAN) !== PACKET_TYPE) return LOGGED.notPacket;
  if (messageBytes < NLMSGHDR_BYTES + NFGENMSG_BYTES) return LOGGED.malformed;

  out.mark = 0;
  out.payloadOffset = offset;
  out.payloadLength = 0;
  let hasSequence = false;
  const end = offset + messageBytes;
  let at = offset + NLMSGHDR_BYTES + NFGENMSG_BYTES;
  // The payload is the last attribute and is not padded; fewer bytes than a header are padding.
  while (end - at >= NLATTR_BYTES) {
    const attributeBytes = view.getUint16(at, LITTLE_ENDIAN);
    if (attributeBytes < NLATTR_BYTES || attributeBytes > end - at) return LOGGED.malformed;
    const type = view.getUint16(at + 2, LITTLE_ENDIAN) & NLA.NLA_TYPE_MASK;
    const content = at + NLATTR_BYTES;
    const contentBytes = attributeBytes - NLATTR_BYTES;
    if (type === NFULA.NFULA_PAYLOAD) {
      out.payloadOffset = content;
      out.payloadLength = contentBytes;
    } else if (type === NFULA.NFULA_SEQ) {
      if (contentBytes < 4) return LOGGED.malformed;
      out.sequence = view.getUint32(content);
      hasSequence = true;
    } else if (type === NFULA.NFULA_PREFIX) {
      out.mark = contentBytes > 0 ? view.getUint8(content) : 0;
    }
    at += (attributeBytes + 3) & ~3;
  }
  return hasSequence ? LOGGED.packet : LOGGED.malformed;
}
