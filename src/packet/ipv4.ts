// The IPv4 header (RFC 791). Options are skipped, fragments are not looked into.
//
//   0       1       2               4               6
//  +---+---+-------+---------------+---------------+---+-----------+
//  |4 |IHL | TOS   | total length  | identification|0DM| fragment  |
//  +---+---+-------+---------------+---------------+---+-----------+
//  | TTL   | proto | checksum      | source address                |
//  +-------+-------+---------------+-------------------------------+
//  | destination address           | options, up to IHL * 4 bytes
//  +-------------------------------+- - - -

import { parseEcho } from "./echo.ts";
import type { PacketHeader } from "./header.ts";
import { PARSE, type ParseOutcome } from "./outcome.ts";
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from "./protocol.ts";
import { parseTcp } from "./tcp.ts";
import { parseUdp } from "./udp.ts";

const HEADER_BYTES = 20;
const TOTAL_LENGTH = 2;
const FRAGMENT = 6;
const PROTOCOL = 9;
const SOURCE = 12;
/** More-fragments flag and fragment offset: all zero in a whole packet. */
const FRAGMENT_MASK = 0x3fff;

/** Called by `parsePacket`, which read version 4 and so at least one byte. */
export function parseIpv4(
  view: DataView,
  offset: number,
  length: number,
  header: PacketHeader,
): ParseOutcome {
  if (length < HEADER_BYTES) return PARSE.truncated;
  const headerBytes = (view.getUint8(offset) & 0x0f) * 4;
  const totalLength = view.getUint16(offset + TOTAL_LENGTH);
  if (headerBytes < HEADER_BYTES || totalLength < headerBytes) return PARSE.malformed;
  if (length < headerBytes) return PARSE.truncated;

  const source = view.getUint32(offset + SOURCE);
  if (isBadSource(source)) return PARSE.badSource;
  if ((view.getUint16(offset + FRAGMENT) & FRAGMENT_MASK) !== 0) return PARSE.fragment;

  header.family = 4;
  header.word0 = 0;
  header.word1 = 0;
  header.word2 = 0;
  header.word3 = source;
  const packetEnd = offset + totalLength;
  const capturedEnd = Math.min(offset + length, packetEnd);
  const at = offset + headerBytes;
  switch (view.getUint8(offset + PROTOCOL)) {
    case IPPROTO_TCP:
      return parseTcp(view, at, capturedEnd, packetEnd, header);
    case IPPROTO_UDP:
      return parseUdp(view, at, capturedEnd, packetEnd, header);
    case IPPROTO_ICMP:
      return parseEcho(view, at, capturedEnd, packetEnd, header, IPPROTO_ICMP);
    default:
      return PARSE.notKnock;
  }
}

/** 0.0.0.0/8, 127.0.0.0/8, and 224.0.0.0 to the end: multicast, reserved, broadcast (RFC 6890). */
function isBadSource(address: number): boolean {
  const network = address >>> 24;
  return network === 0 || network === 127 || network >= 224;
}
