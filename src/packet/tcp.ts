// The TCP header (RFC 9293). Options and data are not read.
//
//   0               2               4               8               12      13
//  +---------------+---------------+---------------+---------------+-------+-------+
//  | source port   | dest. port    | sequence      | acknowledgment|off|res| flags |
//  +---------------+---------------+-------+-------+---------------+-------+-------+
//  | window        | checksum      | urgent        | options, up to off * 4 bytes
//  +---------------+---------------+---------------+- - - -

import type { PacketHeader } from "./header.ts";
import { PARSE, type ParseOutcome } from "./outcome.ts";
import { IPPROTO_TCP } from "./protocol.ts";

const HEADER_BYTES = 20;
const DESTINATION_PORT = 2;
const SEQUENCE = 4;
const DATA_OFFSET = 12;
const FLAGS = 13;

/**
 * Parses the segment at `at`. It ends at `packetEnd`, as the IP header says; captured is what lies
 * before `capturedEnd`. Options may be cut off, the fixed part may not.
 */
export function parseTcp(
  view: DataView,
  at: number,
  capturedEnd: number,
  packetEnd: number,
  header: PacketHeader,
): ParseOutcome {
  if (at + HEADER_BYTES > packetEnd) return PARSE.malformed;
  if (at + HEADER_BYTES > capturedEnd) return PARSE.truncated;
  const headerBytes = (view.getUint8(at + DATA_OFFSET) >>> 4) * 4;
  if (headerBytes < HEADER_BYTES || at + headerBytes > packetEnd) return PARSE.malformed;

  const sourcePort = view.getUint16(at);
  const destinationPort = view.getUint16(at + DESTINATION_PORT);
  if (sourcePort === 0 || destinationPort === 0) return PARSE.malformed;

  header.protocol = IPPROTO_TCP;
  header.sourcePort = sourcePort;
  header.destinationPort = destinationPort;
  header.sequence = view.getUint32(at + SEQUENCE);
  header.flags = view.getUint8(at + FLAGS);
  return PARSE.tcp;
}
