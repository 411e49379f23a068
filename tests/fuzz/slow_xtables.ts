// Matches of xtables as the kernel computes them for one packet, function by function after
// net/netfilter/xt_*.c, and packets that a newcomer can be.

import { LITTLE_ENDIAN } from "../../src/bytes/endian.ts";
import type { Newcomer } from "../../src/firewall/host/newcomer.ts";

/** A SYN to an address of this host, as far as the matches look at it. */
interface Packet {
  readonly family: 4 | 6;
  readonly sourcePort: number;
  readonly port: number;
  readonly flags: number;
  /** enum ip_conntrack_info, or what else the packet is. */
  readonly conntrack: number | "invalid" | "untracked";
  readonly sourceTranslated: boolean;
  /** Whatever else the match asks: an option, a source address, the rest of a connection. */
  readonly others: boolean;
}

const IP_CT = { NEW: 2, IS_REPLY: 3, NUMBER: 5 } as const;

/** Does the packet match? Undefined for what the kernel does not take, or is not known here. */
export function kernelMatches(
  name: string,
  revision: number,
  info: Uint8Array,
  packet: Packet,
): boolean | undefined {
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  switch (`${name} ${revision}`) {
    case "tcp 0":
      return info.length < 12 ? undefined : tcpMt(view, packet);
    case "multiport 1":
      return info.length < 48 ? undefined : multiportMt(view, packet);
    case "conntrack 2":
    case "conntrack 3":
      return info.length < 154 ? undefined : conntrackMt(view, packet);
    case "state 0":
      return info.length < 4 ? undefined : stateMt(view, packet);
    case "addrtype 1":
      return info.length < 8 ? undefined : addrtypeMt(view, packet);
    case "comment 0":
      return true;
    default:
      return undefined;
  }
}

function tcpMt(view: DataView, { sourcePort, port, flags, others }: Packet): boolean | undefined {
  const [invflags, option] = [view.getUint8(11), view.getUint8(8)];
  if ((invflags & ~0x0f) !== 0) return undefined;
  const portMatch = (at: number, value: number, invert: boolean) =>
    (value >= u16(view, at) && value <= u16(view, at + 2)) !== invert;
  if (!portMatch(0, sourcePort, (invflags & 1) !== 0)) return false;
  if (!portMatch(4, port, (invflags & 2) !== 0)) return false;
  if (((flags & view.getUint8(9)) === view.getUint8(10)) === ((invflags & 4) !== 0)) return false;
  return option === 0 || others;
}

function multiportMt(view: DataView, { sourcePort, port }: Packet): boolean | undefined {
  const [flags, count, invert] = [view.getUint8(0), view.getUint8(1), view.getUint8(47)];
  if (flags > 2 || count > 15) return undefined;
  const values = flags === 0 ? [sourcePort] : flags === 1 ? [port] : [sourcePort, port];
  for (let i = 0; i < count; i++) {
    const first = u16(view, 2 + 2 * i);
    let last = first;
    if (view.getUint8(32 + i) !== 0) {
      i++;
      last = u16(view, 2 + 2 * i);
    }
    if (values.some((value) => value >= first && value <= last)) return (1 ^ invert) !== 0;
  }
  return invert !== 0;
}

function conntrackMt(view: DataView, packet: Packet): boolean {
  const { conntrack, sourceTranslated, others } = packet;
  const [matchFlags, invertFlags, stateMask] = [u16(view, 146), u16(view, 148), u16(view, 150)];
  const asksState = (matchFlags & 1) !== 0;
  if (asksState) {
    let bits = stateBit(conntrack, 1 << IP_CT.NUMBER + 3);
    if (typeof conntrack === "number" && sourceTranslated) bits |= 1 << IP_CT.NUMBER + 1;
    if (((stateMask & bits) !== 0) === ((invertFlags & 1) !== 0)) return false;
  }
  if (typeof conntrack !== "number") return asksState;
  return (matchFlags & ~1) === 0 || others;
}

function stateMt(view: DataView, { conntrack }: Packet): boolean {
  const bit = stateBit(conntrack, 1 << IP_CT.NUMBER + 1);
  return (view.getUint32(0, LITTLE_ENDIAN) & bit) !== 0;
}

function stateBit(conntrack: Packet["conntrack"], untracked: number): number {
  if (conntrack === "untracked") return untracked;
  return conntrack === "invalid" ? 1 : 1 << conntrack % IP_CT.IS_REPLY + 1;
}

const TYPE = { UNSPEC: 0x1, UNICAST: 0x2, LOCAL: 0x4, BROADCAST: 0x8, MULTICAST: 0x20 } as const;
const BLACKHOLE = 0x40;
const PROHIBIT = 0x100;

function addrtypeMt(view: DataView, { family, others }: Packet): boolean | undefined {
  const [source, dest, flags] = [u16(view, 0), u16(view, 2), view.getUint32(4, LITTLE_ENDIAN)];
  const types = source | dest;
  const refused = (types & (BLACKHOLE | TYPE.BROADCAST)) !== 0 || types >= PROHIBIT;
  if (family === 6 && refused || (flags & 0xc) === 0xc) return undefined;
  if (source !== 0 && !others) return false;
  // An interface may have other addresses than this one.
  const local = (flags & 0xc) === 0 || others;
  const inverted = (flags & 2) !== 0;
  return dest === 0 || (family === 4 ? isOfType4 : isOfType6)(dest, local) !== inverted;
}

function isOfType4(mask: number, local: boolean): boolean {
  return (mask & (local ? TYPE.LOCAL : TYPE.UNICAST)) !== 0;
}

/** The address is a local one: unicast, and no other kind. */
function isOfType6(mask: number, local: boolean): boolean {
  if ((mask & (TYPE.MULTICAST | TYPE.UNSPEC)) !== 0) return false;
  const asksRoute = (mask & ~(TYPE.MULTICAST | TYPE.UNSPEC | TYPE.UNICAST | TYPE.BROADCAST)) !== 0;
  return !asksRoute || (local && (mask & TYPE.LOCAL) !== 0);
}

function u16(view: DataView, at: number): number {
  return view.getUint16(at, LITTLE_ENDIAN);
}

const PACKETS = 24;
/** Steps through lists that are no multiples of each other. */
const STRIDE = 7;
const ECN = [0x00, 0x40, 0x80, 0xc0] as const;
const NOT_NEW = [0, 3, "invalid", "untracked"] as const;

/** Some of the packets that the newcomer can be, with ports around the numbers in the match. */
export function packetsOf({ family, port, tracked }: Newcomer, info: Uint8Array): Packet[] {
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  const ports = [0, 40_000, 65_535];
  for (let at = 0; at + 2 <= Math.min(info.length, 34); at += 2) {
    const word = u16(view, at);
    ports.push(word, word + 1 & 0xffff, word - 1 & 0xffff);
  }
  return Array.from({ length: PACKETS }, (_, nth): Packet => ({
    family,
    sourcePort: ports[nth % ports.length] as number,
    port: port ?? ports[nth * STRIDE % ports.length] as number,
    flags: 0x02 | ECN[nth % ECN.length] as number,
    conntrack: tracked || nth % 3 === 0
      ? IP_CT.NEW
      : NOT_NEW[nth % NOT_NEW.length] as Packet["conntrack"],
    sourceTranslated: nth % 5 === 0,
    others: (nth >> 1) % 2 === 0,
  }));
}
