// Echo requests of ICMP (RFC 792) and ICMPv6 (RFC 4443, section 4.1): what ping sends. Their knock is
// how many bytes they carry; the bytes themselves are not read.
//
//   0       1       2               4               6               8
//  +-------+-------+---------------+---------------+---------------+- - -
//  | type  | code  | checksum      | identifier    | sequence      | data
//  +-------+-------+---------------+---------------+---------------+- - -

import type { PacketHeader } from "./header.ts";
import { PARSE, type ParseOutcome } from "./outcome.ts";
import { IPPROTO_ICMP } from "./protocol.ts";

/** Of an ICMP packet without data. */
const HEADER_BYTES = 8;
const CODE = 1;
const IDENTIFIER = 4;
const SEQUENCE = 6;

const ICMP_ECHO = 8;
const ICMPV6_ECHO_REQUEST = 128;

/**
 * Parses the message at `at`. It ends at `packetEnd`, as the IP header says, which tells its bytes of
 * data; captured is what lies before `capturedEnd`. Data may be cut off, the fixed part may not.
 * `protocol` is IPPROTO_ICMP or IPPROTO_ICMPV6.
 */
export function parseEcho(
  view: DataView,
  at: number,
  capturedEnd: number,
  packetEnd: number,
  header: PacketHeader,
  protocol: number,
): ParseOutcome {
  if (at + HEADER_BYTES > packetEnd) return PARSE.malformed;
  if (at + HEADER_BYTES > capturedEnd) return PARSE.truncated;
  const request = protocol === IPPROTO_ICMP ? ICMP_ECHO : ICMPV6_ECHO_REQUEST;
  if (view.getUint8(at) !== request) return PARSE.notKnock;
  if (view.getUint8(at + CODE) !== 0) return PARSE.malformed;

  header.protocol = protocol;
  header.sourcePort = view.getUint16(at + IDENTIFIER);
  header.destinationPort = packetEnd - at - HEADER_BYTES;
  header.sequence = view.getUint16(at + SEQUENCE);
  header.flags = 0;
  return PARSE.echo;
}
