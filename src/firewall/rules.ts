// The rules of each chain; ruleset.ts says how the chains work together. Each function reads like the
// chain as `pk --dry-run` prints it.

import type { Config, Filter, Refusal, Transport } from "../config/config.ts";
import { LINES_PER_SECOND } from "../limits.ts";
import type { Rule, Statement } from "../nftables/rule.ts";
import {
  anyProtocol,
  counted,
  countedAs,
  ctEstablished,
  ctReply,
  destinationIn,
  destinationPortIn,
  echoRequest,
  fromType,
  limitedTo,
  loggedTo,
  marked,
  notLoopback,
  notToOthers,
  overProtocol,
  type QueueKind,
  rejected,
  rememberSource,
  sourceAloneIn,
  sourceHashNot,
  sourceIn,
  tcpFlagBits,
  tcpFlags,
  tcpFlagsNot,
  toLocalAddress,
  toQueue,
  unmark,
  unreachable,
  verdict,
} from "../nftables/statement.ts";
import type { WatchList } from "./watch_list.ts";

/** Prefix of the copies of what is refused; copies of knocks have none. */
export const REFUSED_PREFIX = "refused";

/**
 * Set by the daemon's verdict on a SYN that it lets in before the grant for it is written: "pkin". No
 * packet brings a mark along from the network, and `gate`, which every such SYN comes to, takes it away
 * before anybody else looks.
 */
export const LET_IN_MARK = 0x706b_696e;

/** What begins a connection. */
export const SYN = tcpFlags(["syn"], ["syn", "ack"]);
const NO_SYN = tcpFlagsNot(["syn"], ["syn", "ack"]);
export const UDP = overProtocol("udp");

const TCP = overProtocol("tcp");
const FIRST_SYN = tcpFlags(["syn"], ["fin", "syn", "rst", "ack"]);
const NO_FIRST_SYN = tcpFlagsNot(["syn"], ["fin", "syn", "rst", "ack"]);
const TCP_ALONE: ReadonlySet<Transport> = new Set(["tcp"]);

/** One of `modulus` shares of all sources: those whose address has this hash. */
export interface SourceShare {
  readonly modulus: number;
  /** Unsigned 32 bits that nobody on the network knows, so that no share can be aimed at. */
  readonly seed: number;
  /** From 0, below the modulus. */
  readonly value: number;
}

/**
 * The rules of all chains. `queueKind` is how this kernel holds packets; of other sources than `heard`
 * no knock is copied.
 */
export function rulesOf(
  list: WatchList,
  { queueNumber, refuse, filter }: Config,
  queueKind: QueueKind,
  heard?: SourceShare,
): Rule[] {
  return [
    ...chainRules("watch", watchRules(list)),
    ...(list.ports.early === undefined
      ? []
      : chainRules("early", [...bannedPass(list), ...unheardPass(heard), copied(queueNumber)])),
    ...chainRules("knock", knockRules(list, queueNumber, heard)),
    ...chainRules("final", finalRules("finishing", queueNumber)),
    ...(list.ports.ranges === undefined
      ? []
      : chainRules("range", finalRules("ranging", queueNumber))),
    ...chainRules("hold", holdRules(list, queueNumber, queueKind)),
    ...chainRules("guard", filter === "stateful" ? guardRules(list) : statelessGuardRules(list)),
    ...chainRules("gate", gateRules(list, refuse, filter)),
    ...chainRules("refuse", refuseRules(list, queueNumber, refuse)),
  ];
}

/**
 * Segments of established traffic end at the flags, which are all that is asked of them. Then what floods
 * are made of: most knocks need no other set.
 */
function watchRules({ ports, protocols, flagTests, echoes }: WatchList): Statement[][] {
  const to = (chain: string) => [notLoopback(), toLocalAddress(), verdict({ goto: chain })];
  const kinds = [
    ...(protocols.watched.has("tcp") ? [[FIRST_SYN, destinationIn("watched")]] : []),
    ...(protocols.watched.has("udp") ? [[UDP, destinationIn("watched")]] : []),
    ...echoes.map(({ protocol, bytes }) => [echoRequest(protocol, bytes)]),
  ];
  return [
    ...flagTests.map((test) => [tcpFlagBits(test), destinationIn("flagged"), ...to("knock")]),
    ...(protocols.watched.has("tcp") ? [[NO_FIRST_SYN, verdict("accept")]] : []),
    ...(ports.early === undefined ? [] : [[TCP, destinationPortIn("early"), ...to("early")]]),
    ...kinds.map((kind) => [...kind, ...to("knock")]),
  ];
}

function knockRules(
  list: WatchList,
  queueNumber: number,
  heard: SourceShare | undefined,
): Statement[][] {
  const { ports, finalEchoes } = list;
  return [
    [destinationIn("guarded"), verdict({ goto: "hold" })],
    ...bannedPass(list),
    ...unheardPass(heard),
    [destinationIn("finals"), verdict({ goto: "final" })],
    ...finalEchoes.map(({ protocol, bytes }) => [
      echoRequest(protocol, bytes),
      verdict({ goto: "final" }),
    ]),
    ...(ports.ranges === undefined ? [] : [[destinationIn("ranges"), verdict({ goto: "range" })]]),
    copied(queueNumber),
    ...(ports.decoys === undefined ? [] : [
      [destinationIn("decoys"), rememberSource("ip", "banned4")],
      [destinationIn("decoys"), rememberSource("ip6", "banned6")],
    ]),
  ];
}

/** Who is banned goes on, unheard. */
function bannedPass({ ports }: WatchList): Statement[][] {
  if (ports.decoys === undefined) return [];
  return [
    [sourceAloneIn("ip", "banned4"), verdict("accept")],
    [sourceAloneIn("ip6", "banned6"), verdict("accept")],
  ];
}

/** Beyond capacity: who is heard is heard to the end of the sequence, and the others go on. */
function unheardPass(heard: SourceShare | undefined): Statement[][] {
  if (heard === undefined) return [];
  return (["ip", "ip6"] as const).map((family) => [
    sourceHashNot(family, heard),
    countedAs("unheard"),
    verdict("accept"),
  ]);
}

/**
 * Without the last knocks nobody gets in: it is enough to look at these for sources that are no peer.
 * A flood into a range fills the set of its own, so that other doors keep the first SYN's promise.
 */
function finalRules(set: "finishing" | "ranging", queueNumber: number): Statement[][] {
  return [
    [fromType("local"), verdict("accept")],
    [fromType("broadcast"), verdict("accept")],
    // Copied before the source is marked, since a rule ends at a set that is full.
    copied(queueNumber),
    [rememberSource("ip", `${set}4`)],
    [rememberSource("ip6", `${set}6`)],
  ];
}

function copied(group: number): Statement[] {
  return [countedAs("knocks"), loggedTo(group)];
}

/** Before connection tracking, so that a flood of such SYNs costs as little as can be. */
function holdRules(
  { ports, protocols }: WatchList,
  queueNumber: number,
  kind: QueueKind,
): Statement[][] {
  const waiting = ports.ranges === undefined ? ["finishing"] : ["finishing", "ranging"];
  return [
    ...granted().map((source) => [source, verdict("accept")]),
    ...waiting.flatMap((set) => [
      [sourceAloneIn("ip", `${set}4`), counted(), toQueue(queueNumber, kind)],
      [sourceAloneIn("ip6", `${set}6`), counted(), toQueue(queueNumber, kind)],
    ]),
    ...(protocols.guarded.has("udp") ? [[UDP, verdict("accept")]] : []),
    [verdict({ goto: "refuse" })],
  ];
}

/** What most packets are comes first: of established connections no set is asked, unless with `cut`. */
function guardRules({ ports, protocols }: WatchList): Statement[][] {
  const kept = ports.kept === undefined ? [] : [destinationIn("kept")];
  return [
    ...(protocols.kept.has("tcp") ? [[NO_SYN, ctEstablished(), ...kept, verdict("accept")]] : []),
    ...(protocols.kept.has("udp") ? [[UDP, ctEstablished(), ...kept, verdict("accept")]] : []),
    toGate(),
  ];
}

/**
 * Without connection tracking fragments come as they are. A first one that is too short for the flags is
 * none that may pass; one of IPv6 in which not even the protocol can be found could begin anything once
 * it is put together, and RFC 7112 has it dropped.
 */
function statelessGuardRules({ protocols }: WatchList): Statement[][] {
  return [
    ...(protocols.guarded.has("tcp") ? [[NO_SYN, verdict("accept")]] : []),
    toGate(),
    [anyProtocol(), verdict("accept")],
    [notLoopback(), notToOthers(), counted(), verdict("drop")],
  ];
}

/** Datagrams come in by broadcast, multicast and anycast addresses as well. */
function toGate(): Statement[] {
  return [destinationIn("guarded"), notLoopback(), notToOthers(), verdict({ goto: "gate" })];
}

function gateRules({ protocols }: WatchList, refuse: Refusal, filter: Filter): Statement[][] {
  const { guarded, cut } = protocols;
  const tracked = filter === "stateful";
  return [
    ...(guarded.has("tcp") ? synRules() : []),
    ...(guarded.has("udp") ? datagramRules(tracked && cut.has("udp")) : []),
    ...(tracked && guarded.has("tcp") ? segmentRules(cut.has("tcp")) : []),
    [counted()],
    ...refusal(refuse, TCP_ALONE),
  ];
}

/** Before connection tracking is asked: an old entry must not let a new SYN in. */
function synRules(): Statement[][] {
  return [
    // Held until its source had a right to the grant that is written at this moment. It comes first, since
    // a mark must not stay where the grant is there by now.
    [SYN, marked(LET_IN_MARK), unmark(), verdict("accept")],
    ...granted().map((source) => [SYN, source, verdict("accept")]),
    [SYN, verdict({ goto: "refuse" })],
  ];
}

/**
 * What is established and may go on without a grant does not come here. With `cut`, what this host, or one
 * behind it, has begun from a port of that number may be answered: it is no newcomer's.
 */
function datagramRules(cut: boolean): Statement[][] {
  return [
    ...granted().map((source) => [UDP, source, verdict("accept")]),
    ...(cut
      ? [
        [UDP, ctEstablished(), ctReply(), verdict("accept")],
        [UDP, ctEstablished(), verdict("drop")],
      ]
      : []),
    [UDP, verdict({ goto: "refuse" })],
  ];
}

function segmentRules(cut: boolean): Statement[][] {
  return [
    ...(cut ? granted().map((source) => [ctEstablished(), source, verdict("accept")]) : []),
    [sourceIn("ip", ["sport", "dport"], "inherited4"), verdict("accept")],
    [sourceIn("ip6", ["sport", "dport"], "inherited6"), verdict("accept")],
    // What this side has begun may be answered. The end of a connection may be told to its other side,
    // and is told to this one.
    ...(cut
      ? [
        [ctEstablished(), ctReply(), verdict("accept")],
        [tcpFlags(["rst"], ["rst"]), ctEstablished(), verdict("accept")],
        [ctEstablished(), rejected()],
      ]
      : []),
  ];
}

function refuseRules(
  { protocols }: WatchList,
  queueNumber: number,
  refuse: Refusal,
): Statement[][] {
  return [
    [
      countedAs("refused"),
      limitedTo(LINES_PER_SECOND, LINES_PER_SECOND),
      loggedTo(queueNumber, REFUSED_PREFIX),
    ],
    ...refusal(refuse, protocols.guarded),
  ];
}

/** The end of the way. A reset, or "port unreachable", is what a closed port answers. */
function refusal(refuse: Refusal, protocols: ReadonlySet<Transport>): Statement[][] {
  const answers = [
    ...(protocols.has("tcp") ? [[rejected()]] : []),
    ...(protocols.has("udp") ? [[unreachable()]] : []),
  ];
  return [...(refuse === "reset" ? answers : []), [verdict("drop")]];
}

/** Sources with a grant for the port, of either family. */
function granted(): Statement[] {
  return [
    sourceIn("ip", ["l4proto", "dport"], "grants4"),
    sourceIn("ip6", ["l4proto", "dport"], "grants6"),
  ];
}

function chainRules(chain: string, rules: readonly Statement[][]): Rule[] {
  return rules.map((statements) => ({ chain, statements }));
}
