// The packet that a firewall is asked about: the SYN with which somebody who has just knocked comes to
// a guarded port, from anywhere, on any interface but loopback. What is the same for all such packets
// is known, all else is not.

import { LITTLE_ENDIAN } from "../../bytes/endian.ts";
import { bytesU32ne } from "../../nftables/expression/expression.ts";
import { IPPROTO_TCP } from "../../packet/protocol.ts";
import { exactly, type KnownBytes, type Never, partly, unknown } from "./known_bytes.ts";

export interface Newcomer {
  readonly family: 4 | 6;
  /** Undefined for a packet to any port. */
  readonly port: number | undefined;
  /** Has connection tracking seen it as a new connection? Else it may say anything of it. */
  readonly tracked: boolean;
}

export const NFPROTO = { 4: 2, 6: 10 } as const;
/** SYN; of the two flags of ECN nothing is known. */
export const TCP_FLAGS = { bits: 0x02, known: 0x3f } as const;

const ETHERTYPE = { 4: [0x08, 0x00], 6: [0x86, 0xdd] } as const;
const ARPHRD_LOOPBACK = 772;
const LOOPBACK_IFINDEX = 1;
const PACKET_HOST = 0;
const RTN_LOCAL = 2;

const NFT_PAYLOAD = { network: 1, transport: 2 } as const;
/** enum nft_meta_keys */
const NFT_META = {
  protocol: 1,
  iif: 4,
  iifname: 6,
  iiftype: 8,
  nfproto: 15,
  l4proto: 16,
  pkttype: 19,
} as const;
/** enum nft_ct_keys */
const NFT_CT = { state: 0, direction: 1, status: 2 } as const;
const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F_DADDR = 2;

/** NF_CT_STATE_BIT(IP_CT_NEW) */
const CT_STATE_NEW = 0x8;
/** IPS_EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED, DST_NAT (linux/netfilter/nf_conntrack_common.h). */
const CT_STATUS_NOT_YET = 0x2f;

/** Bytes of its headers. */
export function payloadOf(
  newcomer: Newcomer,
  base: number,
  offset: number,
  length: number,
): KnownBytes {
  const header = base === NFT_PAYLOAD.network
    ? networkHeader(newcomer)
    : base === NFT_PAYLOAD.transport
    ? transportHeader(newcomer)
    : [];
  const bits = new Uint8Array(length);
  const known = new Uint8Array(length);
  for (const [at, value, mask] of header) {
    if (at < offset || at >= offset + length) continue;
    bits[at - offset] = value;
    known[at - offset] = mask;
  }
  const never = base === NFT_PAYLOAD.network ? neverIn(newcomer, offset, length) : [];
  return { ...partly(bits, known), never };
}

/** What the expression `meta` loads: as many bytes as the key has, in registers of four. */
export function metaOf({ family }: Newcomer, key: number): KnownBytes {
  switch (key) {
    case NFT_META.protocol:
      return exactly(Uint8Array.of(...ETHERTYPE[family], 0, 0));
    case NFT_META.nfproto:
      return exactly(Uint8Array.of(NFPROTO[family], 0, 0, 0));
    case NFT_META.l4proto:
      return exactly(Uint8Array.of(IPPROTO_TCP, 0, 0, 0));
    case NFT_META.pkttype:
      return exactly(Uint8Array.of(PACKET_HOST, 0, 0, 0));
    case NFT_META.iif:
      return unknown(4, [neverBytes(bytesU32ne(LOOPBACK_IFINDEX))]);
    case NFT_META.iiftype: {
      const loopback = new Uint8Array(2);
      new DataView(loopback.buffer).setUint16(0, ARPHRD_LOOPBACK, LITTLE_ENDIAN);
      return unknown(4, [neverBytes(loopback)]);
    }
    case NFT_META.iifname:
      return unknown(16, [neverBytes(new TextEncoder().encode("lo\0"))]);
    default:
      return unknown(16);
  }
}

/** What the expression `ct` loads. */
export function ctOf({ tracked }: Newcomer, key: number): KnownBytes {
  if (!tracked) return unknown(16);
  switch (key) {
    case NFT_CT.state:
      return exactly(bytesU32ne(CT_STATE_NEW));
    case NFT_CT.direction:
      return exactly(new Uint8Array(4));
    case NFT_CT.status:
      return partly(new Uint8Array(4), bytesU32ne(CT_STATUS_NOT_YET));
    default:
      return unknown(16);
  }
}

/** What the expression `fib` loads. */
export function fibOf(result: number, flags: number): KnownBytes {
  return result === NFT_FIB_RESULT_ADDRTYPE && flags === NFTA_FIB_F_DADDR
    ? exactly(bytesU32ne(RTN_LOCAL))
    : unknown(16);
}

/** Offset, value, known bits. */
type Known = readonly [at: number, value: number, mask: number];

function networkHeader({ family }: Newcomer): readonly Known[] {
  // Version and protocol; extension headers of IPv6, which few send, are left out.
  return family === 4
    ? [[0, 0x40, 0xf0], [9, IPPROTO_TCP, 0xff]]
    : [[0, 0x60, 0xf0], [6, IPPROTO_TCP, 0xff]];
}

function transportHeader({ port }: Newcomer): readonly Known[] {
  const flags: Known = [13, TCP_FLAGS.bits, TCP_FLAGS.known];
  return port === undefined ? [flags] : [[2, port >> 8, 0xff], [3, port & 0xff, 0xff], flags];
}

/** A destination of this host is no group of hosts: 224.0.0.0/4, 255.255.255.255, ff00::/8. */
function neverIn({ family }: Newcomer, offset: number, length: number): Never[] {
  const groups: Never[] = family === 4
    ? [
      { at: 16, mask: Uint8Array.of(0xf0), value: Uint8Array.of(0xe0) },
      neverBytes(Uint8Array.of(255, 255, 255, 255), 16),
    ]
    : [neverBytes(Uint8Array.of(0xff), 24)];
  return groups.map((one) => ({ ...one, at: one.at - offset }))
    .filter((one) => one.at >= 0 && one.at + one.mask.length <= length);
}

function neverBytes(value: Uint8Array, at = 0): Never {
  return { at, mask: new Uint8Array(value.length).fill(0xff), value };
}
