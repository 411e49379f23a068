// The statements that pk's rules are made of, in nft's words and as the expressions nft makes of
// them. Tests load both forms and compare what the kernel lists.

import { accept, drop, goto, immediate } from "./expression/immediate.ts";
import { bitwiseAnd } from "./expression/bitwise.ts";
import { cmp } from "./expression/cmp.ts";
import { counter } from "./expression/counter.ts";
import { CT_DIRECTION_REPLY, CT_STATE_ESTABLISHED, ctDirection, ctState } from "./expression/ct.ts";
import { dynsetUpdate } from "./expression/dynset.ts";
import { bytesU16ne, bytesU32ne, type Expression } from "./expression/expression.ts";
import { fibType, RTN } from "./expression/fib.ts";
import { jhash } from "./expression/hash.ts";
import { limit } from "./expression/limit.ts";
import { log } from "./expression/log.ts";
import { lookup } from "./expression/lookup.ts";
import { meta, metaSetMark } from "./expression/meta.ts";
import { objrefCounter } from "./expression/objref.ts";
import { payload } from "./expression/payload.ts";
import { queue, queueTarget } from "./expression/queue.ts";
import { rejectPortUnreachable, rejectTcpReset } from "./expression/reject.ts";
import { IPPROTO, IPPROTO_ICMP, IPPROTO_ICMPV6 } from "../packet/protocol.ts";
import type { Statement } from "./rule.ts";

const TCP_FLAGS_OFFSET = 13;
const ARPHRD_LOOPBACK = 772;
/** Where the second of the registers of 16 bytes begins. */
const SECOND_REGISTER = 16;

/** Bits of the TCP flags byte (RFC 9293) in nft's words. */
const TCP_FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32, ecn: 64, cwr: 128 } as const;

export type TcpFlag = keyof typeof TCP_FLAG;

/** All flags, the lowest bit first. */
const TCP_FLAGS = Object.keys(TCP_FLAG) as TcpFlag[];

/**
 * Echo requests by family: the number of the family and of the protocol, the type of the message, and
 * where the IP header says a length, of which so many bytes are not the message's data.
 */
const ECHO = {
  icmp: {
    ...{ nfproto: 2, protocol: IPPROTO_ICMP, type: 8 },
    ...{ words: "icmp type echo-request ip length", start: 2, overhead: 28 },
  },
  icmp6: {
    ...{ nfproto: 10, protocol: IPPROTO_ICMPV6, type: 128 },
    ...{ words: "icmpv6 type echo-request ip6 length", start: 4, overhead: 8 },
  },
} as const;

/** Fields of a concatenated key, each loaded at a byte offset of the register file. */
const FIELD = {
  l4proto: { nft: "meta l4proto", load: (at: number) => meta("l4proto", at) },
  sport: { nft: "th sport", load: (at: number) => payload("transport", 0, 2, at) },
  dport: { nft: "th dport", load: (at: number) => payload("transport", 2, 2, at) },
} as const;

/** Where the source address stands in its header, by family: nfproto, offset, bytes. */
const SOURCE_ADDRESS = {
  ip: { nfproto: 2, start: 12, length: 4 },
  ip6: { nfproto: 10, start: 8, length: 16 },
} as const;

/** TCP segments with just these of the masked flags: `tcpFlags(["syn"], ["syn", "ack"])`. */
export function tcpFlags(
  set: readonly TcpFlag[],
  mask: readonly TcpFlag[],
): Statement {
  // nft 1.0 reads a slash only where two flags are masked and one is set.
  const nft = set.length > 0 && mask.length > 1
    ? `tcp flags ${set.join(",")} / ${mask.join(",")}`
    : `tcp flags & (${mask.join(" | ")}) == ${set.join(",") || "0x0"}`;
  return { nft, expressions: tcpFlagsCompared("eq", set, mask) };
}

/** TCP segments of whose flags these bits are so; with an empty mask all. */
export function tcpFlagBits({ mask, value }: { mask: number; value: number }): Statement {
  const names = (bits: number) => TCP_FLAGS.filter((name) => (bits & TCP_FLAG[name]) !== 0);
  return mask === 0 ? overProtocol("tcp") : tcpFlags(names(value), names(mask));
}

/** TCP segments with any others of the masked flags. */
export function tcpFlagsNot(set: readonly TcpFlag[], mask: readonly TcpFlag[]): Statement {
  return {
    nft: `tcp flags != ${set.join(",")} / ${mask.join(",")}`,
    expressions: tcpFlagsCompared("neq", set, mask),
  };
}

function tcpFlagsCompared(
  operation: "eq" | "neq",
  set: readonly TcpFlag[],
  mask: readonly TcpFlag[],
): Expression[] {
  const bits = (names: readonly TcpFlag[]) =>
    Uint8Array.of(names.reduce((sum, name) => sum | TCP_FLAG[name], 0));
  return [
    ...isProtocol(IPPROTO.tcp),
    payload("transport", TCP_FLAGS_OFFSET, 1),
    bitwiseAnd(bits(mask)),
    cmp(operation, bits(set)),
  ];
}

/** Packets of this transport protocol. */
export function overProtocol(protocol: keyof typeof IPPROTO): Statement {
  return { nft: `meta l4proto ${protocol}`, expressions: isProtocol(IPPROTO[protocol]) };
}

/**
 * Packets whose protocol is known: of IPv6, extension headers up to it are whole. The kernel ends a rule
 * where it cannot load what is compared, so the number, which IANA reserves, only gives it a reason to.
 */
export function anyProtocol(): Statement {
  return { nft: "meta l4proto != 255", expressions: isProtocol(255, "neq") };
}

/**
 * Echo requests with so many bytes of data, in a packet without options or extension headers: it is
 * the IP header's length that is asked.
 */
export function echoRequest(protocol: keyof typeof ECHO, bytes: number): Statement {
  const { nfproto, protocol: number, type, words, start, overhead } = ECHO[protocol];
  return {
    nft: `${words} ${bytes + overhead}`,
    expressions: [
      ...isFamily(nfproto),
      ...isProtocol(number),
      payload("transport", 0, 1),
      cmp("eq", Uint8Array.of(type)),
      payload("network", start, 2),
      cmp("eq", bytesU16be(bytes + overhead)),
    ],
  };
}

/** Packets whose protocol and destination port are an element of the set. */
export function destinationIn(set: string): Statement {
  return {
    nft: `meta l4proto . th dport @${set}`,
    expressions: [FIELD.l4proto.load(0), FIELD.dport.load(4), lookup(set)],
  };
}

/** Packets whose destination port is an element of the set. */
export function destinationPortIn(set: string): Statement {
  return { nft: `th dport @${set}`, expressions: [FIELD.dport.load(0), lookup(set)] };
}

/** Packets whose source address and two more fields are an element of the set. */
export function sourceIn(
  family: keyof typeof SOURCE_ADDRESS,
  fields: readonly [keyof typeof FIELD, keyof typeof FIELD],
  set: string,
): Statement {
  const { length } = SOURCE_ADDRESS[family];
  return {
    nft: `${family} saddr . ${fields.map((field) => FIELD[field].nft).join(" . ")} @${set}`,
    expressions: [
      ...sourceAddress(family),
      ...fields.map((field, index) => FIELD[field].load(length + 4 * index)),
      lookup(set),
    ],
  };
}

/** Packets whose source address is an element of the set. */
export function sourceAloneIn(family: keyof typeof SOURCE_ADDRESS, set: string): Statement {
  return {
    nft: `${family} saddr @${set}`,
    expressions: [...sourceAddress(family), lookup(set)],
  };
}

/** Packets whose source address has another hash below `modulus` than this. */
export function sourceHashNot(
  family: keyof typeof SOURCE_ADDRESS,
  { modulus, seed, value }: { modulus: number; seed: number; value: number },
): Statement {
  const { nfproto, start, length } = SOURCE_ADDRESS[family];
  return {
    nft: `jhash ${family} saddr mod ${modulus} seed 0x${seed.toString(16)} != ${value}`,
    expressions: [
      ...isFamily(nfproto),
      payload("network", start, length, SECOND_REGISTER),
      jhash(SECOND_REGISTER, length, modulus, seed),
      cmp("neq", bytesU32ne(value)),
    ],
  };
}

/**
 * Makes the source address an element of a dynamic set, or its time there begin anew; the rule ends
 * here where the set is full.
 */
export function rememberSource(family: keyof typeof SOURCE_ADDRESS, set: string): Statement {
  return {
    nft: `update @${set} { ${family} saddr }`,
    expressions: [...sourceAddress(family), dynsetUpdate(set)],
  };
}

/** Everything but loopback. The type of the interface is asked, since `lo` can be renamed. */
export function notLoopback(): Statement {
  return {
    nft: "meta iiftype != loopback",
    expressions: [
      meta("iiftype"),
      cmp("neq", bytesU16ne(ARPHRD_LOOPBACK)),
    ],
  };
}

/** Packets to an address of this host, local services and published container ports alike. */
export function toLocalAddress(): Statement {
  return {
    nft: "fib daddr type local",
    expressions: [fibType("daddr"), cmp("eq", bytesU32ne(RTN.RTN_LOCAL))],
  };
}

/** Packets to whatever this host may take for its own: broadcast, multicast and anycast addresses, too. */
export function notToOthers(): Statement {
  return {
    nft: "fib daddr type != unicast",
    expressions: [fibType("daddr"), cmp("neq", bytesU32ne(RTN.RTN_UNICAST))],
  };
}

/** Packets from an address of this host, or from a network's broadcast address: from no peer. */
export function fromType(type: "local" | "broadcast"): Statement {
  const number = type === "local" ? RTN.RTN_LOCAL : RTN.RTN_BROADCAST;
  return {
    nft: `fib saddr type ${type}`,
    expressions: [fibType("saddr"), cmp("eq", bytesU32ne(number))],
  };
}

/** Packets with this mark, which no packet brings along: it is set on this host. */
export function marked(mark: number): Statement {
  return {
    nft: `meta mark ${hex32(mark)}`,
    expressions: [meta("mark"), cmp("eq", bytesU32ne(mark))],
  };
}

/** Takes the mark away. */
export function unmark(): Statement {
  return {
    nft: `meta mark set ${hex32(0)}`,
    expressions: [immediate(bytesU32ne(0)), metaSetMark()],
  };
}

/** Packets of a connection that connection tracking has seen both ways. */
export function ctEstablished(): Statement {
  return {
    nft: "ct state established",
    expressions: [
      ctState(),
      bitwiseAnd(bytesU32ne(CT_STATE_ESTABLISHED)),
      cmp("neq", bytesU32ne(0)),
    ],
  };
}

/** Packets to whoever sent the first one of their connection. */
export function ctReply(): Statement {
  return {
    nft: "ct direction reply",
    expressions: [ctDirection(), cmp("eq", Uint8Array.of(CT_DIRECTION_REPLY))],
  };
}

/** Counts packets and bytes that came as far as this. */
export function counted(): Statement {
  return { nft: "counter", expressions: [counter()] };
}

/** Counts likewise, in a counter object of the table. */
export function countedAs(name: string): Statement {
  return { nft: `counter name "${name}"`, expressions: [objrefCounter(name)] };
}

/** So many packets a second, after a burst of so many; the rule ends here for those above. */
export function limitedTo(perSecond: number, burst: number): Statement {
  return {
    nft: `limit rate ${perSecond}/second burst ${burst} packets`,
    expressions: [limit(perSecond, burst)],
  };
}

/** A copy to who listens at this group of nfnetlink_log, with a word that says which rule it was. */
export function loggedTo(group: number, prefix?: string): Statement {
  const words = prefix === undefined ? "" : ` prefix "${prefix}"`;
  return { nft: `log${words} group ${group}`, expressions: [log(group, prefix)] };
}

/** Answers a TCP segment with a reset and drops it; other packets go on to the next rule. */
export function rejected(): Statement {
  return {
    nft: "meta l4proto tcp reject with tcp reset",
    expressions: [...isProtocol(IPPROTO.tcp), rejectTcpReset()],
  };
}

/** Answers a UDP datagram with "port unreachable" and drops it; other packets go on. */
export function unreachable(): Statement {
  return {
    nft: "meta l4proto udp reject with icmpx port-unreachable",
    expressions: [...isProtocol(IPPROTO.udp), rejectPortUnreachable()],
  };
}

/** Verdict accept, drop, or the way into another chain. */
export function verdict(kind: "accept" | "drop" | { readonly goto: string }): Statement {
  if (kind === "accept") return { nft: "accept", expressions: [accept()] };
  if (kind === "drop") return { nft: "drop", expressions: [drop()] };
  return { nft: `goto ${kind.goto}`, expressions: [goto(kind.goto)] };
}

/** Which of the two ways to user space a kernel has: nf_tables' own, or xtables' target. */
export type QueueKind = "queue" | "xt-target";

/** To user space; with nobody listening the packet goes on. */
export function toQueue(queueNumber: number, kind: QueueKind): Statement {
  return {
    nft: `queue flags bypass to ${queueNumber}`,
    expressions: [kind === "queue" ? queue(queueNumber) : queueTarget(queueNumber)],
  };
}

/** Loads the source address of packets of this family; the rule ends here for others. */
function sourceAddress(family: keyof typeof SOURCE_ADDRESS): Expression[] {
  const { nfproto, start, length } = SOURCE_ADDRESS[family];
  return [...isFamily(nfproto), payload("network", start, length)];
}

function isFamily(nfproto: number): Expression[] {
  return [meta("nfproto"), cmp("eq", Uint8Array.of(nfproto))];
}

function isProtocol(number: number, operation: "eq" | "neq" = "eq"): Expression[] {
  return [meta("l4proto"), cmp(operation, Uint8Array.of(number))];
}

/** As nft lists marks. */
function hex32(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

/** A 16-bit integer as packets have it. */
function bytesU16be(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}
