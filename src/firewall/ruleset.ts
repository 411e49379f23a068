// The ruleset pk owns, as a value: it can be printed as nft text and turned into one transaction.
//
//   watch (prerouting -250, before connection tracking): SYNs to watched ports go to knock
//   knock: a SYN to a knock port is copied to the daemon and goes on
//   final: with one of the last two knocks of a sequence its source is `finishing` for a moment
//   hold:  a SYN to a guarded port without a grant: from a source that is finishing it waits for the
//          daemon, so that the grant is there first; from others it goes to refuse
//   guard (prerouting -150, before DNAT): segments to guarded ports go on when their connection is
//          established; others, to an address of this host, go to gate
//   gate:  a SYN needs a grant; other segments a connection that is older than pk
//   refuse: a SYN that may not come in is counted, some of them are copied, all are dropped
//
// **Invariant:** only `gate` lets in. What the daemon says about held packets cannot open anything.
// **Invariant:** without the daemon, stopped or gone, nothing waits but SYNs to guarded ports.

import type { Chain } from "../nftables/chain.ts";
import { type Rule, ruleText, type Statement } from "../nftables/rule.ts";
import { type NftSet, setText } from "../nftables/set.ts";
import { counterText } from "../nftables/counter_object.ts";
import {
  counted,
  countedAs,
  ctEstablished,
  destinationIn,
  fromType,
  limitedTo,
  loggedTo,
  notLoopback,
  type QueueKind,
  rejected,
  rememberSource,
  sourceAloneIn,
  sourceIn,
  tcpFlags,
  tcpFlagsNot,
  toLocalAddress,
  toQueue,
  verdict,
} from "../nftables/statement.ts";
import type { Config, Refusal } from "../config/config.ts";
import {
  BANNED_MAX,
  FINISHING_MAX,
  FINISHING_MS,
  INHERITED_MAX,
  LINES_PER_SECOND,
} from "../limits.ts";
import { GRANT_KEY } from "./grant.ts";

export const TABLE = "pk";

/** What says that a table is ours, and in which layout. */
export const TABLE_COMMENT = "pk/1";

/** Before connection tracking (-200), which counts a second knock as part of a connection. */
const WATCH_PRIORITY = -250;

/** After connection tracking, before DNAT (-100): published container ports are guarded, too. */
const GUARD_PRIORITY = -150;

const FINAL_KNOCKS = 2;

/** Prefix of the copies of refused SYNs; copies of knocks have none. */
export const REFUSED_PREFIX = "refused";

/** What begins a connection. */
const SYN = tcpFlags(["syn"], ["syn", "ack"]);

export interface Ruleset {
  readonly chains: readonly Chain[];
  readonly rules: readonly Rule[];
  readonly sets: readonly NftSet[];
  /** Names of counters. */
  readonly counters: readonly string[];
  /** TCP ports in the sets of that name. */
  readonly ports: {
    /** All that pk looks at. */
    readonly watched: readonly number[];
    readonly guarded: readonly number[];
    /** Where only guessers knock. */
    readonly decoys: readonly number[];
    /** The last two knocks of each sequence: two, since CPUs can swap the last one with the SYN. */
    readonly finals: readonly number[];
  };
}

/** The ruleset of a configuration. `queueKind` is how this kernel holds packets. */
export function rulesetOf(config: Config, queueKind: QueueKind): Ruleset {
  const { doors, decoys, queueNumber } = config;
  const guarded = ascending(doors.map((door) => door.port));
  return {
    chains: [
      { name: "refuse" },
      { name: "hold" },
      { name: "final" },
      { name: "knock" },
      { name: "gate" },
      { name: "watch", prerouting: WATCH_PRIORITY },
      { name: "guard", prerouting: GUARD_PRIORITY },
    ],
    rules: [
      ...chainRules("watch", watchRules()),
      ...chainRules("knock", knockRules(config)),
      ...chainRules("final", finalRules(config)),
      ...chainRules("hold", holdRules(queueNumber, queueKind)),
      ...chainRules("guard", guardRules(config)),
      ...chainRules("gate", gateRules(config)),
      ...chainRules("refuse", refuseRules(config)),
    ],
    sets: sets(config),
    counters: ["knocks", "refused"],
    ports: {
      watched: ascending([
        ...doors.flatMap((door) => door.sequence),
        ...guarded,
        ...decoys,
      ]),
      guarded,
      decoys: ascending(decoys),
      finals: ascending(doors.flatMap((door) => door.sequence.slice(-FINAL_KNOCKS))),
    },
  };
}

/** The part that judges SYNs. It does without connection tracking; other segments pass. */
export function onlyNewcomers(ruleset: Ruleset): Ruleset {
  const rules = ruleset.rules.filter(({ chain, statements }) =>
    chain === "gate"
      ? statements[0]?.nft === SYN.nft
      : statements.every(({ nft }) => nft !== ctEstablished().nft)
  );
  return { ...ruleset, rules };
}

/** The ruleset as text for `nft -f`; with `owned`, said in a comment, since old nft cannot read it. */
export function rulesetText(ruleset: Ruleset, owned: boolean): string {
  const elements: Record<string, readonly number[]> = ruleset.ports;
  const blocks = [
    ...ruleset.counters.map(counterText),
    ...ruleset.sets.map((set) =>
      setText(set, (elements[set.name] ?? []).map((port) => `tcp . ${port}`))
    ),
    ...ruleset.chains.map((chain) => [
      `chain ${chain.name} {`,
      ...(chain.prerouting === undefined
        ? []
        : [`\ttype filter hook prerouting priority ${chain.prerouting}; policy accept;`]),
      ...ruleset.rules.filter((rule) => rule.chain === chain.name).map((rule) =>
        `\t${ruleText(rule)}`
      ),
      "}",
    ]),
  ];
  return [
    `table inet ${TABLE} {`,
    `\tcomment "${TABLE_COMMENT}"`,
    ...(owned ? ["\t# flags owner, persist (where the kernel has them: Linux 6.9)"] : []),
    ...blocks.flatMap((block) => ["", ...block.map((line) => `\t${line}`)]),
    "}",
    "",
  ].join("\n");
}

/** The flags come first: for segments of established traffic they are all that is asked. */
function watchRules(): Statement[][] {
  return [[
    tcpFlags(["syn"], ["fin", "syn", "rst", "ack"]),
    destinationIn("watched"),
    notLoopback(),
    toLocalAddress(),
    verdict({ goto: "knock" }),
  ]];
}

function knockRules({ queueNumber, banMs }: Config): Statement[][] {
  return [
    [destinationIn("guarded"), verdict({ goto: "hold" })],
    ...(banMs === undefined ? [] : [
      [sourceAloneIn("ip", "banned4"), verdict("accept")],
      [sourceAloneIn("ip6", "banned6"), verdict("accept")],
    ]),
    [destinationIn("finals"), verdict({ goto: "final" })],
    copied(queueNumber),
    ...(banMs === undefined ? [] : [
      [destinationIn("decoys"), rememberSource("ip", "banned4")],
      [destinationIn("decoys"), rememberSource("ip6", "banned6")],
    ]),
  ];
}

/** Without the last knocks nobody gets in: it is enough to look at these for sources that are no peer. */
function finalRules({ queueNumber }: Config): Statement[][] {
  return [
    [fromType("local"), verdict("accept")],
    [fromType("broadcast"), verdict("accept")],
    // Copied before the source is marked, since a rule ends at a set that is full.
    copied(queueNumber),
    [rememberSource("ip", "finishing4")],
    [rememberSource("ip6", "finishing6")],
  ];
}

function copied(group: number): Statement[] {
  return [countedAs("knocks"), loggedTo(group)];
}

/** Before connection tracking, so that a flood of such SYNs costs as little as can be. */
function holdRules(queueNumber: number, kind: QueueKind): Statement[][] {
  return [
    [sourceIn("ip", ["l4proto", "dport"], "grants4"), verdict("accept")],
    [sourceIn("ip6", ["l4proto", "dport"], "grants6"), verdict("accept")],
    [sourceAloneIn("ip", "finishing4"), counted(), toQueue(queueNumber, kind)],
    [sourceAloneIn("ip6", "finishing6"), counted(), toQueue(queueNumber, kind)],
    [verdict({ goto: "refuse" })],
  ];
}

function guardRules({ onExpire }: Config): Statement[][] {
  return [
    // What most segments are comes first; with `cut` they need a grant as well.
    ...(onExpire === "cut" ? [] : [
      [
        destinationIn("guarded"),
        tcpFlagsNot(["syn"], ["syn", "ack"]),
        ctEstablished(),
        verdict("accept"),
      ],
    ]),
    [destinationIn("guarded"), notLoopback(), toLocalAddress(), verdict({ goto: "gate" })],
  ];
}

function gateRules({ onExpire, refuse }: Config): Statement[][] {
  const granted = (["ip", "ip6"] as const).map((family) =>
    sourceIn(family, ["l4proto", "dport"], family === "ip" ? "grants4" : "grants6")
  );
  return [
    // Before connection tracking is asked: an old entry must not let a new SYN in.
    ...granted.map((source) => [SYN, source, verdict("accept")]),
    [SYN, verdict({ goto: "refuse" })],
    ...(onExpire === "keep" ? [] : [
      ...granted.map((source) => [ctEstablished(), source, verdict("accept")]),
    ]),
    [sourceIn("ip", ["sport", "dport"], "inherited4"), verdict("accept")],
    [sourceIn("ip6", ["sport", "dport"], "inherited6"), verdict("accept")],
    // The end of a connection may be told to its other side, and is told to this one.
    ...(onExpire === "keep" ? [] : [
      [tcpFlags(["rst"], ["rst"]), ctEstablished(), verdict("accept")],
      [ctEstablished(), rejected()],
    ]),
    [counted()],
    ...refusal(refuse),
  ];
}

function refuseRules({ queueNumber, refuse }: Config): Statement[][] {
  return [
    [
      countedAs("refused"),
      limitedTo(LINES_PER_SECOND, LINES_PER_SECOND),
      loggedTo(queueNumber, REFUSED_PREFIX),
    ],
    ...refusal(refuse),
  ];
}

/** The end of the way. A reset is what a closed port answers. */
function refusal(refuse: Refusal): Statement[][] {
  return [...(refuse === "reset" ? [[rejected()]] : []), [verdict("drop")]];
}

function chainRules(chain: string, rules: readonly Statement[][]): Rule[] {
  return rules.map((statements) => ({ chain, statements }));
}

function sets({ grantsMax, banMs }: Config): NftSet[] {
  const ports = { key: ["inet_proto", "inet_service"], timeout: false } as const;
  const grants = { timeout: true, size: grantsMax } as const;
  const inherited = { timeout: true, size: INHERITED_MAX } as const;
  const finishing = {
    timeout: true,
    timeoutMs: FINISHING_MS,
    dynamic: true,
    size: FINISHING_MAX,
  } as const;
  const banned = { timeout: true, dynamic: true, size: BANNED_MAX } as const;
  return [
    { name: "watched", ...ports },
    { name: "guarded", ...ports },
    { name: "decoys", ...ports },
    { name: "finals", ...ports },
    { name: "finishing4", key: ["ipv4_addr"], ...finishing },
    { name: "finishing6", key: ["ipv6_addr"], ...finishing },
    ...(banMs === undefined ? [] : [
      { name: "banned4", key: ["ipv4_addr"], ...banned, timeoutMs: banMs } as const,
      { name: "banned6", key: ["ipv6_addr"], ...banned, timeoutMs: banMs } as const,
    ]),
    { name: "grants4", key: GRANT_KEY.grants4, ...grants },
    { name: "grants6", key: GRANT_KEY.grants6, ...grants },
    { name: "inherited4", key: ["ipv4_addr", "inet_service", "inet_service"], ...inherited },
    { name: "inherited6", key: ["ipv6_addr", "inet_service", "inet_service"], ...inherited },
  ];
}

function ascending(ports: readonly number[]): number[] {
  return [...new Set(ports)].sort((a, b) => a - b);
}
