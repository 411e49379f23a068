// The IPv6 header and its extension headers (RFC 8200), up to the upper layer.
//
//   0               4       5       6       7       8                       24
//  +---+-----------+-------+-------+-------+-------+-----------+-----------+-----------+
//  |6 | class, flow| payload length| next  | hops  | source, 16 bytes      | destination
//  +---+-----------+---------------+-------+-------+-----------------------+-----------+
//
// Each extension header begins with the number of the next one, and all but the fragment header go
// on with their length. A jumbogram (RFC 2675) has payload length 0, so its hop-by-hop header lies
// outside the packet: malformed here. ESP hides what follows: no knock.

import { parseEcho } from "./echo.ts";
import type { PacketHeader } from "./header.ts";
import { PARSE, type ParseOutcome } from "./outcome.ts";
import { EXTENSION_HEADERS_MAX } from "../limits.ts";
import { IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from "./protocol.ts";
import { parseTcp } from "./tcp.ts";
import { parseUdp } from "./udp.ts";

const HEADER_BYTES = 40;
const PAYLOAD_LENGTH = 4;
const NEXT_HEADER = 6;
const SOURCE = 8;

const IPPROTO_HOPOPTS = 0;
const IPPROTO_ROUTING = 43;
const IPPROTO_FRAGMENT = 44;
const IPPROTO_AH = 51;
const IPPROTO_DSTOPTS = 60;

/** The smallest extension header. */
const EXTENSION_BYTES = 8;
/** The fixed part of the authentication header (RFC 4302, section 2). */
const AH_BYTES = 12;
/** Fragment offset and M flag: all zero in an atomic fragment (RFC 6946), a whole packet. */
const FRAGMENT_MASK = 0xfff9;

/** Called by `parsePacket`, which read version 6 and so at least one byte. */
export function parseIpv6(
  view: DataView,
  offset: number,
  length: number,
  header: PacketHeader,
): ParseOutcome {
  if (length < HEADER_BYTES) return PARSE.truncated;
  const word0 = view.getUint32(offset + SOURCE);
  const word1 = view.getUint32(offset + SOURCE + 4);
  const word2 = view.getUint32(offset + SOURCE + 8);
  const word3 = view.getUint32(offset + SOURCE + 12);
  if (isBadSource(word0, word1, word2, word3)) return PARSE.badSource;
  header.family = 6;
  header.word0 = word0;
  header.word1 = word1;
  header.word2 = word2;
  header.word3 = word3;

  const first = offset + HEADER_BYTES;
  const packetEnd = first + view.getUint16(offset + PAYLOAD_LENGTH);
  const capturedEnd = Math.min(offset + length, packetEnd);
  let next = view.getUint8(offset + NEXT_HEADER);
  let at = first;
  for (let passed = 0; passed <= EXTENSION_HEADERS_MAX; passed++) {
    if (next === IPPROTO_TCP) return parseTcp(view, at, capturedEnd, packetEnd, header);
    if (next === IPPROTO_UDP) return parseUdp(view, at, capturedEnd, packetEnd, header);
    if (next === IPPROTO_ICMPV6) {
      return parseEcho(view, at, capturedEnd, packetEnd, header, IPPROTO_ICMPV6);
    }
    if (!isExtension(next)) return PARSE.notKnock;

    if (at + EXTENSION_BYTES > packetEnd) return PARSE.malformed;
    if (at + EXTENSION_BYTES > capturedEnd) return PARSE.truncated;
    const lengthField = view.getUint8(at + 1);
    let bytes = (lengthField + 1) * 8;
    if (next === IPPROTO_HOPOPTS) {
      if (at !== first) return PARSE.malformed;
    } else if (next === IPPROTO_FRAGMENT) {
      if ((view.getUint16(at + 2) & FRAGMENT_MASK) !== 0) return PARSE.fragment;
      bytes = EXTENSION_BYTES;
    } else if (next === IPPROTO_AH) {
      bytes = (lengthField + 2) * 4;
      if (bytes < AH_BYTES) return PARSE.malformed;
    }
    if (at + bytes > packetEnd) return PARSE.malformed;
    next = view.getUint8(at);
    at += bytes;
  }
  return PARSE.tooManyHeaders;
}

function isExtension(next: number): boolean {
  return next === IPPROTO_HOPOPTS || next === IPPROTO_DSTOPTS || next === IPPROTO_ROUTING ||
    next === IPPROTO_FRAGMENT || next === IPPROTO_AH;
}

/** ff00::/8 (multicast), :: (unspecified), ::1 (loopback), ::ffff:0:0/96 (IPv4-mapped). */
function isBadSource(word0: number, word1: number, word2: number, word3: number): boolean {
  if (word0 >>> 24 === 0xff) return true;
  if (word0 !== 0 || word1 !== 0) return false;
  return word2 === 0 ? word3 <= 1 : word2 === 0xffff;
}
