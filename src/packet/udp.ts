// The UDP header (RFC 768). Data is not read.
//
//   0               2               4               6               8
//  +---------------+---------------+---------------+---------------+- - -
//  | source port   | dest. port    | length        | checksum      | data
//  +---------------+---------------+---------------+---------------+- - -
//
// A source port of 0 is none, which the RFC allows. A jumbogram (RFC 2675) has length 0: malformed here.

import type { PacketHeader } from "./header.ts";
import { PARSE, type ParseOutcome } from "./outcome.ts";
import { IPPROTO_UDP } from "./protocol.ts";

const HEADER_BYTES = 8;
const DESTINATION_PORT = 2;
const LENGTH = 4;

/**
 * Parses the datagram at `at`. The packet ends at `packetEnd`, as the IP header says; captured is what
 * lies before `capturedEnd`. Data may be cut off. As in Linux, the packet may go on behind the datagram.
 */
export function parseUdp(
  view: DataView,
  at: number,
  capturedEnd: number,
  packetEnd: number,
  header: PacketHeader,
): ParseOutcome {
  if (at + HEADER_BYTES > packetEnd) return PARSE.malformed;
  if (at + HEADER_BYTES > capturedEnd) return PARSE.truncated;
  const length = view.getUint16(at + LENGTH);
  if (length < HEADER_BYTES || at + length > packetEnd) return PARSE.malformed;
  const destinationPort = view.getUint16(at + DESTINATION_PORT);
  if (destinationPort === 0) return PARSE.malformed;

  header.protocol = IPPROTO_UDP;
  header.sourcePort = view.getUint16(at);
  header.destinationPort = destinationPort;
  header.sequence = 0;
  header.flags = 0;
  return PARSE.udp;
}
