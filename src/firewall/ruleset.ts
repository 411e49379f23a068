// The ruleset pk owns, as a value: it can be printed as nft text and turned into one transaction.
//
//   watch (prerouting -250, before connection tracking): SYNs to watched ports wait in the queue
//   guard (prerouting -150, before DNAT): segments to guarded ports of this host go to gate
//   gate: a SYN needs a grant; other segments an established connection, or one older than pk
//
// **Invariant:** only `gate` decides. What the daemon says about queued packets cannot open anything.

import type { Chain } from "../nftables/chain.ts";
import { type Rule, ruleText } from "../nftables/rule.ts";
import { type NftSet, setText } from "../nftables/set.ts";
import {
  counted,
  ctEstablished,
  destinationIn,
  notLoopback,
  type QueueKind,
  sourceIn,
  tcpFlags,
  toLocalAddress,
  toQueue,
  verdict,
} from "../nftables/statement.ts";
import type { Config } from "../config/config.ts";
import { INHERITED_MAX } from "../limits.ts";
import { GRANT_KEY } from "./grant.ts";

export const TABLE = "pk";

/** What says that a table is ours, and in which layout. */
export const TABLE_COMMENT = "pk/1";

/** Before connection tracking (-200), which counts a second knock as part of a connection. */
const WATCH_PRIORITY = -250;

/** After connection tracking, before DNAT (-100): published container ports are guarded, too. */
const GUARD_PRIORITY = -150;

export interface Ruleset {
  readonly chains: readonly Chain[];
  readonly rules: readonly Rule[];
  readonly sets: readonly NftSet[];
  /** Ports in the sets `watched` and `guarded`. */
  readonly watched: readonly number[];
  readonly guarded: readonly number[];
}

/** The ruleset of a configuration. `queueKind` is how this kernel hands packets to user space. */
export function rulesetOf(config: Config, queueKind: QueueKind): Ruleset {
  const guarded = ascending(config.doors.map((door) => door.port));
  return {
    chains: [
      { name: "gate" },
      { name: "watch", prerouting: WATCH_PRIORITY },
      { name: "guard", prerouting: GUARD_PRIORITY },
    ],
    rules: [
      watchRule(config.queueNumber, queueKind),
      {
        chain: "guard",
        statements: [
          destinationIn("guarded"),
          notLoopback(),
          toLocalAddress(),
          verdict({ goto: "gate" }),
        ],
      },
      ...gateRules(),
    ],
    sets: sets(config.grantsMax),
    watched: ascending([...config.doors.flatMap((door) => door.sequence), ...guarded]),
    guarded,
  };
}

/** The ruleset as text for `nft -f`; with `owned`, said in a comment, since old nft cannot read it. */
export function rulesetText(ruleset: Ruleset, owned: boolean): string {
  const elements: Record<string, readonly number[]> = {
    watched: ruleset.watched,
    guarded: ruleset.guarded,
  };
  const blocks = [
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
function watchRule(queueNumber: number, kind: QueueKind): Rule {
  return {
    chain: "watch",
    statements: [
      tcpFlags(["syn"], ["fin", "syn", "rst", "ack"]),
      destinationIn("watched"),
      notLoopback(),
      toLocalAddress(),
      counted(),
      toQueue(queueNumber, kind),
    ],
  };
}

function gateRules(): Rule[] {
  const syn = tcpFlags(["syn"], ["syn", "ack"]);
  const rules = [
    // Before connection tracking is asked: an old entry must not let a new SYN in.
    [syn, sourceIn("ip", ["l4proto", "dport"], "grants4"), verdict("accept")],
    [syn, sourceIn("ip6", ["l4proto", "dport"], "grants6"), verdict("accept")],
    [syn, counted(), verdict("drop")],
    [ctEstablished(), verdict("accept")],
    [sourceIn("ip", ["sport", "dport"], "inherited4"), verdict("accept")],
    [sourceIn("ip6", ["sport", "dport"], "inherited6"), verdict("accept")],
    [counted(), verdict("drop")],
  ];
  return rules.map((statements) => ({ chain: "gate", statements }));
}

function sets(grantsMax: number): NftSet[] {
  const ports = { key: ["inet_proto", "inet_service"], timeout: false } as const;
  const grants = { timeout: true, size: grantsMax } as const;
  const inherited = { timeout: true, size: INHERITED_MAX } as const;
  return [
    { name: "watched", ...ports },
    { name: "guarded", ...ports },
    { name: "grants4", key: GRANT_KEY.grants4, ...grants },
    { name: "grants6", key: GRANT_KEY.grants6, ...grants },
    { name: "inherited4", key: ["ipv4_addr", "inet_service", "inet_service"], ...inherited },
    { name: "inherited6", key: ["ipv6_addr", "inet_service", "inet_service"], ...inherited },
  ];
}

function ascending(ports: readonly number[]): number[] {
  return [...new Set(ports)].sort((a, b) => a - b);
}
