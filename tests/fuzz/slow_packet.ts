// parsePacket() once more, from RFC 768, 791, 792, 4443, 8200 and 9293 and the words of src/packet/outcome.ts, with
// slices in place of offsets. Slow, plain, and independent: it shares only names with the parser.

import { emptyHeader, type PacketHeader } from "../../src/packet/header.ts";
import type { ParseName } from "../../src/packet/outcome.ts";

export interface SlowPacket {
  readonly outcome: ParseName;
  /** Only for `tcp`, `udp` and `echo`. */
  readonly header?: PacketHeader;
  /** Which headers were passed, the first three and how many: a number below 2^24. */
  readonly way: number;
}

/** A part of a packet: the bytes that were captured of it, and how many it has. */
interface Part {
  readonly captured: Uint8Array;
  readonly length: number;
}

/** The packet whose first bytes these are. */
export function slowParse(captured: Uint8Array): SlowPacket {
  const version = captured.length === 0 ? -1 : byte(captured, 0) >> 4;
  if (version === -1) return end("truncated");
  if (version === 4) return slowIpv4(captured);
  if (version === 6) return slowIpv6(captured);
  return end("malformed");
}

function slowIpv4(captured: Uint8Array): SlowPacket {
  if (captured.length < 20) return end("truncated", 4);
  const headerBytes = 4 * (byte(captured, 0) % 16);
  const totalLength = number(captured, 2, 2);
  if (headerBytes < 20 || headerBytes > totalLength) return end("malformed", 4);
  if (headerBytes > captured.length) return end("truncated", 4);
  const network = byte(captured, 12);
  if (network === 0 || network === 127 || network > 223) return end("badSource", 4);
  const moreFragments = (byte(captured, 6) & 0x20) !== 0;
  const fragmentOffset = number(captured, 6, 2) % 2 ** 13;
  if (moreFragments || fragmentOffset > 0) return end("fragment", 4);
  const header = { ...emptyHeader(), family: 4, word3: number(captured, 12, 4) } as const;
  const whole = { captured: captured.subarray(0, totalLength), length: totalLength };
  const rest = without(whole, headerBytes);
  switch (byte(captured, 9)) {
    case 6:
      return slowTcp(header, rest, headerBytes);
    case 17:
      return slowUdp(header, rest, headerBytes);
    case 1:
      return slowEcho({ ...header, protocol: 1 }, 8, rest, headerBytes);
    default:
      return end("notKnock", 4);
  }
}

function slowIpv6(captured: Uint8Array): SlowPacket {
  if (captured.length < 40) return end("truncated", 6);
  const source = captured.subarray(8, 24);
  const zeros = source.findIndex((value) => value !== 0);
  const unspecifiedOrLoopback = zeros === -1 || (zeros === 15 && source[15] === 1);
  const ipv4Mapped = zeros === 10 && source[10] === 0xff && source[11] === 0xff;
  if (source[0] === 0xff || unspecifiedOrLoopback || ipv4Mapped) return end("badSource", 6);
  const header: PacketHeader = {
    ...emptyHeader(),
    family: 6,
    word0: number(source, 0, 4),
    word1: number(source, 4, 4),
    word2: number(source, 8, 4),
    word3: number(source, 12, 4),
  };
  const length = number(captured, 4, 2);
  const payload = { captured: captured.subarray(40, 40 + length), length };
  return slowExtensions(header, byte(captured, 6), payload, 0, 6);
}

/** What the extension headers from here on lead to; `passed` of them lie behind. */
function slowExtensions(
  header: PacketHeader,
  protocol: number,
  part: Part,
  passed: number,
  way: number,
): SlowPacket {
  if (passed === 9) return end("tooManyHeaders", way);
  if (protocol === 6) return slowTcp(header, part, way);
  if (protocol === 17) return slowUdp(header, part, way);
  if (protocol === 58) return slowEcho({ ...header, protocol: 58 }, 128, part, way);
  if (![0, 43, 44, 51, 60].includes(protocol)) return end("notKnock", way);
  if (part.length < 8) return end("malformed", way);
  if (part.captured.length < 8) return end("truncated", way);
  if (protocol === 0 && passed > 0) return end("malformed", way);
  if (protocol === 44 && (number(part.captured, 2, 2) & ~0b110) !== 0) return end("fragment", way);
  if (protocol === 51 && byte(part.captured, 1) === 0) return end("malformed", way);
  const bytes = protocol === 44
    ? 8
    : protocol === 51
    ? 4 * (byte(part.captured, 1) + 2)
    : 8 * (byte(part.captured, 1) + 1);
  if (bytes > part.length) return end("malformed", way);
  const next = byte(part.captured, 0);
  return slowExtensions(
    header,
    next,
    without(part, bytes),
    passed + 1,
    passed < 3 ? way * 61 + protocol : way + 1,
  );
}

function slowTcp(header: PacketHeader, { captured, length }: Part, way: number): SlowPacket {
  if (length < 20) return end("malformed", way);
  if (captured.length < 20) return end("truncated", way);
  const headerBytes = 4 * (byte(captured, 12) >> 4);
  if (headerBytes < 20 || headerBytes > length) return end("malformed", way);
  const sourcePort = number(captured, 0, 2);
  const destinationPort = number(captured, 2, 2);
  if (sourcePort === 0 || destinationPort === 0) return end("malformed", way);
  const sequence = number(captured, 4, 4);
  const flags = byte(captured, 13);
  return {
    outcome: "tcp",
    header: { ...header, protocol: 6, sourcePort, destinationPort, sequence, flags },
    way: way * 61 + headerBytes,
  };
}

function slowUdp(header: PacketHeader, { captured, length }: Part, way: number): SlowPacket {
  if (length < 8) return end("malformed", way);
  if (captured.length < 8) return end("truncated", way);
  const own = number(captured, 4, 2);
  const destinationPort = number(captured, 2, 2);
  if (own < 8 || own > length || destinationPort === 0) return end("malformed", way);
  return {
    outcome: "udp",
    header: { ...header, protocol: 17, sourcePort: number(captured, 0, 2), destinationPort },
    way: way * 61 + 17,
  };
}

/** `request` is the type of an echo request. */
function slowEcho(
  header: PacketHeader,
  request: number,
  { captured, length }: Part,
  way: number,
): SlowPacket {
  if (length < 8) return end("malformed", way);
  if (captured.length < 8) return end("truncated", way);
  if (byte(captured, 0) !== request) return end("notKnock", way);
  if (byte(captured, 1) !== 0) return end("malformed", way);
  const [sourcePort, sequence] = [number(captured, 4, 2), number(captured, 6, 2)];
  return {
    outcome: "echo",
    header: { ...header, sourcePort, destinationPort: length - 8, sequence },
    way: way * 61 + 8,
  };
}

function end(outcome: ParseName, way = 0): SlowPacket {
  return { outcome, way };
}

function without({ captured, length }: Part, bytes: number): Part {
  return { captured: captured.subarray(bytes), length: length - bytes };
}

function byte(bytes: Uint8Array, at: number): number {
  const value = bytes[at];
  if (value === undefined) throw new RangeError(`The slow parser itself reads outside, at ${at}`);
  return value;
}

/** An unsigned number of so many bytes in network order. */
function number(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = 0; index < count; index++) value = value * 256 + byte(bytes, at + index);
  return value;
}
