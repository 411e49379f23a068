// Packets for tests, as bytes with correct lengths and checksums:
//
//   ipv4({ source: "192.0.2.1", destination: "192.0.2.2", payload: tcp({ destinationPort: 80 }) })
//   ipv6({ source: "2001:db8::1", destination: "2001:db8::2", payload: tcp() })
//
// Each field has a default that makes a plain SYN. For a wrong packet, build a right one and change
// its bytes with `patch`.

import { Writer } from "../../src/bytes/writer.ts";
import { addressBytes, parseAddress } from "../../src/packet/address.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

/** IP protocol numbers, extension headers of IPv6 among them. */
export const IPPROTO = {
  HOPOPTS: 0,
  ICMP: 1,
  TCP: 6,
  UDP: 17,
  ROUTING: 43,
  FRAGMENT: 44,
  ESP: 50,
  AH: 51,
  ICMPV6: 58,
  NONE: 59,
  DSTOPTS: 60,
} as const;

/** TCP flags. */
export const TCP = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32, ECE: 64, CWR: 128 } as const;

export interface TcpFields {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  readonly flags?: number;
  readonly window?: number;
  /** A multiple of four bytes. */
  readonly options?: Uint8Array;
  readonly data?: Uint8Array;
}

/** A TCP segment. Its checksum also covers the addresses: ipv4() and ipv6() fill it in. */
export function tcp(fields: TcpFields = {}): Bytes {
  const { options = NOTHING, data = NOTHING } = fields;
  return new Writer()
    .u16be(fields.sourcePort ?? 40000)
    .u16be(fields.destinationPort ?? 80)
    .u32be(fields.sequence ?? 1)
    .u32be(fields.acknowledgment ?? 0)
    .u8((20 + options.length) / 4 << 4)
    .u8(fields.flags ?? TCP.SYN)
    .u16be(fields.window ?? 64240)
    .u16be(0)
    .u16be(0)
    .raw(options)
    .raw(data)
    .bytes();
}

export interface UdpFields {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly data?: Uint8Array;
}

/** A UDP datagram, for `protocol: IPPROTO.UDP`. */
export function udp(fields: UdpFields = {}): Bytes {
  const { data = NOTHING } = fields;
  return new Writer()
    .u16be(fields.sourcePort ?? 40000)
    .u16be(fields.destinationPort ?? 53)
    .u16be(8 + data.length)
    .u16be(0)
    .raw(data)
    .bytes();
}

export interface EchoFields {
  readonly type?: number;
  readonly code?: number;
  readonly identifier?: number;
  readonly sequence?: number;
  readonly data?: Uint8Array;
}

/** An echo request for `protocol: IPPROTO.ICMP`, or for IPPROTO.ICMPV6 with type 128. */
export function echo(fields: EchoFields = {}): Bytes {
  return new Writer()
    .u8(fields.type ?? 8)
    .u8(fields.code ?? 0)
    .u16be(0)
    .u16be(fields.identifier ?? 1)
    .u16be(fields.sequence ?? 1)
    .raw(fields.data ?? NOTHING)
    .bytes();
}

export interface Ipv4Fields {
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  readonly identification?: number;
  /** The 16 bits of flags and fragment offset: 0x4000 is don't-fragment, 0x2000 more-fragments. */
  readonly fragment?: number;
  readonly ttl?: number;
  /** A multiple of four bytes. */
  readonly options?: Uint8Array;
  readonly payload?: Uint8Array;
}

/** An IPv4 packet; the payload is a TCP segment unless `protocol` says otherwise. */
export function ipv4(fields: Ipv4Fields = {}): Bytes {
  const { protocol = IPPROTO.TCP, options = NOTHING, payload = tcp() } = fields;
  const source = address(fields.source ?? "192.0.2.1");
  const destination = address(fields.destination ?? "192.0.2.2");
  const headerBytes = 20 + options.length;
  const header = new Writer()
    .u8(0x40 | headerBytes / 4)
    .u8(0)
    .u16be(headerBytes + payload.length)
    .u16be(fields.identification ?? 0)
    .u16be(fields.fragment ?? 0x4000)
    .u8(fields.ttl ?? 64)
    .u8(protocol)
    .u16be(0)
    .raw(source)
    .raw(destination)
    .raw(options)
    .bytes();
  const upper = protocol === IPPROTO.ICMP && payload.length >= 4
    ? setU16(setU16(payload, 2, 0), 2, checksum(setU16(payload, 2, 0)))
    : withChecksum(protocol, source, destination, payload);
  return concat(setU16(header, 10, checksum(header)), upper);
}

/** An extension header; ipv6() writes the number of the next one into its first byte. */
export interface Extension {
  readonly protocol: number;
  readonly bytes: Uint8Array;
}

export interface Ipv6Fields {
  readonly source?: string;
  readonly destination?: string;
  /** What follows the extension headers. */
  readonly protocol?: number;
  readonly trafficClass?: number;
  readonly flowLabel?: number;
  readonly hopLimit?: number;
  readonly extensions?: readonly Extension[];
  readonly payload?: Uint8Array;
}

/** An IPv6 packet; the payload is a TCP segment unless `protocol` says otherwise. */
export function ipv6(fields: Ipv6Fields = {}): Bytes {
  const { protocol = IPPROTO.TCP, extensions = [], payload = tcp() } = fields;
  const source = address(fields.source ?? "2001:db8::1");
  const destination = address(fields.destination ?? "2001:db8::2");
  const body = concat(
    ...extensions.map(({ bytes }, index) =>
      patch(bytes, 0, extensions[index + 1]?.protocol ?? protocol)
    ),
    withChecksum(protocol, source, destination, payload),
  );
  return new Writer()
    .u32be((6 << 28 | (fields.trafficClass ?? 0) << 20 | (fields.flowLabel ?? 0)) >>> 0)
    .u16be(body.length)
    .u8(extensions[0]?.protocol ?? protocol)
    .u8(fields.hopLimit ?? 64)
    .raw(source)
    .raw(destination)
    .raw(body)
    .bytes();
}

/** Hop-by-hop or destination options: 6 bytes of them, or that and a multiple of 8 more. */
export function options(protocol: 0 | 60, body: Uint8Array = PADDING): Extension {
  return { protocol, bytes: concat(new Uint8Array([0, (body.length - 6) / 8]), body) };
}

/** A routing header of type 0 with `addresses` empty addresses and none left to visit. */
export function routing(addresses = 0): Extension {
  const bytes = new Uint8Array(8 + addresses * 16);
  bytes[1] = addresses * 2;
  return { protocol: IPPROTO.ROUTING, bytes };
}

/** A fragment header; offset in units of 8 bytes. Without arguments the fragment is atomic. */
export function fragment({ offset = 0, more = false, identification = 1 } = {}): Extension {
  const bytes = new Writer().u16be(0).u16be(offset << 3 | Number(more)).u32be(identification)
    .bytes();
  return { protocol: IPPROTO.FRAGMENT, bytes };
}

/** An authentication header whose integrity check value has that many bytes, a multiple of four. */
export function authentication(valueBytes = 12): Extension {
  const bytes = new Uint8Array(12 + valueBytes);
  bytes[1] = bytes.length / 4 - 2;
  return { protocol: IPPROTO.AH, bytes };
}

/** A copy with some bytes changed from `offset` on; checksums stay as they are. */
export function patch(bytes: Uint8Array, offset: number, ...values: readonly number[]): Bytes {
  const copy = Uint8Array.from(bytes);
  copy.set(values, offset);
  return copy;
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  return parts.reduce((writer, part) => writer.raw(part), new Writer()).bytes();
}

/** The Internet checksum (RFC 1071) of bytes in which the checksum itself is zero. */
export function checksum(...parts: readonly Uint8Array[]): number {
  const bytes = concat(...parts);
  let sum = 0;
  bytes.forEach((byte, at) => sum += at % 2 === 0 ? byte << 8 : byte);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const NOTHING = new Uint8Array();
/** One PadN option. */
const PADDING = new Uint8Array([1, 4, 0, 0, 0, 0]);

/** Where upper layers have a checksum over the addresses too (pseudo-header, RFC 9293 and 8200). */
const CHECKSUM_OFFSET = new Map<number, number>([
  [IPPROTO.TCP, 16],
  [IPPROTO.UDP, 6],
  [IPPROTO.ICMPV6, 2],
]);

function withChecksum(
  protocol: number,
  source: Uint8Array,
  destination: Uint8Array,
  payload: Uint8Array,
): Bytes {
  const offset = CHECKSUM_OFFSET.get(protocol);
  if (offset === undefined || payload.length < offset + 2) return Uint8Array.from(payload);
  const zeroed = patch(payload, offset, 0, 0);
  const lengthAndProtocol = new Writer().u32be(payload.length).u32be(protocol).bytes();
  return setU16(zeroed, offset, checksum(source, destination, lengthAndProtocol, zeroed));
}

function setU16(bytes: Uint8Array, offset: number, value: number): Bytes {
  return patch(bytes, offset, value >>> 8, value & 0xff);
}

function address(text: string): Bytes {
  const source = parseAddress(text);
  if (source === undefined) throw new TypeError(`Not an address: ${text}`);
  return addressBytes(source);
}
