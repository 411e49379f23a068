// Matches and targets of xtables, which iptables-nft hands to the kernel as they are (nft_compat).
// Those that everyday rulesets consist of are read, from the structs of linux/netfilter/xt_*.h in the
// machine's byte order; all others may match or not.

import { LITTLE_ENDIAN } from "../../bytes/endian.ts";
import { type Answer, not } from "./known_bytes.ts";
import { type Newcomer, TCP_FLAGS } from "./newcomer.ts";

/** Does the match hold for the newcomer? */
export function matchHolds(
  newcomer: Newcomer,
  name: string,
  revision: number,
  info: Uint8Array,
): Answer {
  const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
  const reads = MATCHES.get(`${name} ${revision}`);
  if (name === "comment") return "yes";
  return reads === undefined || info.length < reads.bytes ? "maybe" : reads.holds(newcomer, view);
}

/** What becomes of a packet: "next" for targets that only write something down. */
export function targetDoes(name: string): "drop" | "next" | "untracks" | "anything" {
  if (name === "REJECT") return "drop";
  if (name === "CT" || name === "NOTRACK") return "untracks";
  return PASSIVE_TARGETS.has(name) ? "next" : "anything";
}

const PASSIVE_TARGETS: ReadonlySet<string> = new Set([
  "AUDIT",
  "CHECKSUM",
  "CLASSIFY",
  "CONNMARK",
  "CONNSECMARK",
  "LED",
  "LOG",
  "MARK",
  "NFLOG",
  "RATEEST",
  "SECMARK",
  "TCPMSS",
  "TRACE",
]);

interface Match {
  /** Bytes of the struct that are read. */
  readonly bytes: number;
  readonly holds: (newcomer: Newcomer, view: DataView) => Answer;
}

const MATCHES: ReadonlyMap<string, Match> = new Map<string, Match>([
  ["tcp 0", { bytes: 12, holds: tcp }],
  ["multiport 0", { bytes: 32, holds: (newcomer, view) => multiport(newcomer, view, false) }],
  ["multiport 1", { bytes: 48, holds: (newcomer, view) => multiport(newcomer, view, true) }],
  ["conntrack 2", { bytes: 154, holds: conntrack }],
  ["conntrack 3", { bytes: 154, holds: conntrack }],
  ["state 0", {
    bytes: 4,
    holds: ({ tracked }, view) => stateIn(tracked, view.getUint32(0, LITTLE_ENDIAN)),
  }],
  ["addrtype 1", { bytes: 8, holds: addrtype }],
]);

const XT_TCP_INV = { SRCPT: 0x01, DSTPT: 0x02, FLAGS: 0x04 } as const;

/**
 *      0       2       4       6       8      9      10     11     12
 *     +-------+-------+-------+-------+------+------+------+------+
 *     | sport from-to | dport from-to |option| mask | cmp  | inv  |
 *     +-------+-------+-------+-------+------+------+------+------+
 */
function tcp({ port }: Newcomer, view: DataView): Answer {
  const u16 = (at: number) => view.getUint16(at, LITTLE_ENDIAN);
  const inverted = view.getUint8(11);
  const answers: Answer[] = [
    // The source port is unknown, unless all are meant.
    invertIf(
      (inverted & XT_TCP_INV.SRCPT) !== 0,
      u16(0) === 0 && u16(2) === 0xffff ? "yes" : "maybe",
    ),
    invertIf((inverted & XT_TCP_INV.DSTPT) !== 0, portWithin(port, u16(4), u16(6))),
    view.getUint8(8) === 0 ? "yes" : "maybe",
    invertIf((inverted & XT_TCP_INV.FLAGS) !== 0, flagsAre(view.getUint8(9), view.getUint8(10))),
  ];
  return answers.includes("no") ? "no" : answers.includes("maybe") ? "maybe" : "yes";
}

function flagsAre(mask: number, wanted: number): Answer {
  if (((TCP_FLAGS.bits ^ wanted) & mask & TCP_FLAGS.known) !== 0 || (wanted & ~mask) !== 0) {
    return "no";
  }
  return (mask & ~TCP_FLAGS.known) === 0 ? "yes" : "maybe";
}

const XT_MULTIPORT_MAX = 15;
const XT_MULTIPORT = { SOURCE: 0, DESTINATION: 1, EITHER: 2 } as const;

/** Struct xt_multiport: flags u8, count u8, ports u16 x 15; _v1 goes on: pflags u8 x 15, invert u8. */
function multiport({ port }: Newcomer, view: DataView, ranges: boolean): Answer {
  const flags = view.getUint8(0);
  const count = Math.min(view.getUint8(1), XT_MULTIPORT_MAX);
  const portAt = (n: number) => view.getUint16(2 + 2 * n, LITTLE_ENDIAN);
  const answers: Answer[] = [];
  for (let n = 0; n < count; n++) {
    const first = portAt(n);
    // The next one ends the range, whatever its own flag says.
    const last = ranges && view.getUint8(32 + n) !== 0 ? portAt(++n) : first;
    answers.push(portWithin(port, first, last));
  }
  const invert = ranges ? view.getUint8(47) : 0;
  // The kernel takes it for a number, and nobody writes another.
  if (invert > 1) return "maybe";
  const inverted = invert === 1;
  const destination: Answer = answers.includes("yes")
    ? "yes"
    : answers.includes("maybe")
    ? "maybe"
    : "no";
  if (flags === XT_MULTIPORT.DESTINATION) return invertIf(inverted, destination);
  if (flags === XT_MULTIPORT.EITHER && destination === "yes") return invertIf(inverted, "yes");
  return "maybe";
}

const XT_CONNTRACK_STATE = 0x1;
const CONNTRACK_MATCH_FLAGS = 146;
const CONNTRACK_INVERT_FLAGS = 148;
const CONNTRACK_STATE_MASK = 150;

/**
 * Struct xt_conntrack_mtinfo3: four addresses with masks (128 bytes), expiry u32 x 2, l4proto u16,
 * ports u16 x 4, then match_flags, invert_flags, state_mask, status_mask, u16 each.
 */
function conntrack({ tracked }: Newcomer, view: DataView): Answer {
  const u16 = (at: number) => view.getUint16(at, LITTLE_ENDIAN);
  // Whatever else it asks for is unknown, but all of it has to hold.
  const matched = u16(CONNTRACK_MATCH_FLAGS);
  if ((matched & XT_CONNTRACK_STATE) === 0) return "maybe";
  const inverted = (u16(CONNTRACK_INVERT_FLAGS) & XT_CONNTRACK_STATE) !== 0;
  const state = invertIf(inverted, stateIn(tracked, u16(CONNTRACK_STATE_MASK)));
  return matched === XT_CONNTRACK_STATE || state === "no" ? state : "maybe";
}

/** XT_CONNTRACK_STATE_BIT(IP_CT_NEW) and the bit of connections with another source. */
const XT_STATE = { NEW: 0x8, SNAT: 0x40 } as const;

function stateIn(tracked: boolean, mask: number): Answer {
  if (!tracked) return "maybe";
  if ((mask & XT_STATE.NEW) !== 0) return "yes";
  return (mask & XT_STATE.SNAT) !== 0 ? "maybe" : "no";
}

const XT_ADDRTYPE = { UNSPEC: 0x1, UNICAST: 0x2, LOCAL: 0x4, MULTICAST: 0x20 } as const;
const XT_ADDRTYPE_INVERT_DEST = 0x2;
const XT_ADDRTYPE_LIMIT_IFACE = 0xc;

/** Struct xt_addrtype_info_v1: source u16, dest u16 (masks of types), flags u32. */
function addrtype({ family }: Newcomer, view: DataView): Answer {
  const [source, dest] = [view.getUint16(0, LITTLE_ENDIAN), view.getUint16(2, LITTLE_ENDIAN)];
  const flags = view.getUint32(4, LITTLE_ENDIAN);
  if (dest === 0 || (flags & XT_ADDRTYPE_LIMIT_IFACE) !== 0) return "maybe";
  const inverted = (flags & XT_ADDRTYPE_INVERT_DEST) !== 0;
  const answer = invertIf(inverted, localIs(family, dest));
  return source === 0 || answer === "no" ? answer : "maybe";
}

/** Is an address of this host of one of these types? For IPv6 it must not lack some of them. */
function localIs(family: 4 | 6, types: number): Answer {
  if (family === 6) {
    if ((types & (XT_ADDRTYPE.UNSPEC | XT_ADDRTYPE.MULTICAST)) !== 0) return "no";
    // It is a unicast address as well.
    if ((types & XT_ADDRTYPE.UNICAST) !== 0) return "maybe";
  }
  return (types & XT_ADDRTYPE.LOCAL) !== 0 ? "yes" : "no";
}

function portWithin(port: number | undefined, first: number, last: number): Answer {
  if (port === undefined) return first === 0 && last === 0xffff ? "yes" : "maybe";
  return port >= first && port <= last ? "yes" : "no";
}

function invertIf(inverted: boolean, answer: Answer): Answer {
  return inverted ? not(answer) : answer;
}
