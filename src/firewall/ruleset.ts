// The ruleset pk owns, as a value: it can be printed as nft text and turned into one transaction.
//
//   watch (prerouting -250, before connection tracking): SYNs and datagrams to watched ports go to
//          knock, and what else is a knock: segments with certain flags, echo requests of some length;
//          other segments end at their flags
//   early: a SYN that is a knock and not one of the last two is copied to the daemon and goes on
//   knock: so is every other knock, after it was looked at what else it is
//   final: with one of the last two knocks of a sequence its source is `finishing` for a moment
//   range: so it is with any knock of a sequence that changes, but `ranging`, in a set of its own
//   hold:  a SYN to a guarded port without a grant: from a source that is either it waits for the daemon,
//          so that the grant is there first; from others it goes to refuse. A datagram from
//          others goes on, since it can be part of what is established
//   guard (prerouting -190, before DNAT): packets of established connections go on, unless they may be
//          cut; others to guarded ports, at an address of this host, go to gate
//   gate:  a SYN or a datagram needs a grant, or a SYN the mark of one that the daemon lets in while it
//          writes the grant; other segments a connection that is older than pk
//   refuse: what may not come in is counted, some of it is copied, all is dropped
//
// What a configuration does not need is not there: with TCP alone nothing is asked about UDP.
//
// With `filter: stateless` no chain asks connection tracking: guard lets every segment but SYNs go on, and
// drops fragments in which not even the protocol can be found.
//
// **Invariant:** only `gate` lets newcomers in. That the daemon lets a held packet go on opens nothing;
// with the mark it opens to this one packet.
// **Invariant:** without the daemon, stopped or gone, nothing waits but SYNs and datagrams to guarded
// ports.

import type { Config, Endpoint } from "../config/config.ts";
import { BANNED_MAX, FINISHING_MAX, FINISHING_MS, INHERITED_MAX } from "../limits.ts";
import type { Chain } from "../nftables/chain.ts";
import { counterText } from "../nftables/counter_object.ts";
import { type Rule, ruleText } from "../nftables/rule.ts";
import { type NftSet, setText } from "../nftables/set.ts";
import { ctEstablished, type QueueKind, verdict } from "../nftables/statement.ts";
import { ENDPOINT_KEY, GRANT_KEY } from "./grant.ts";
import { INHERITED_KEY } from "./inherited.ts";
import { rulesOf, type SourceShare, SYN, UDP } from "./rules.ts";
import { type PortSets, type WatchList, watchListOf } from "./watch_list.ts";

export const TABLE = "pk";

/** What says that a table is ours, and in which layout. */
export const TABLE_COMMENT = "pk/1";

/** Before connection tracking (-200), which counts a second knock as part of a connection. */
const WATCH_PRIORITY = -250;

/**
 * After connection tracking (-200), before DNAT (-100): published container ports are guarded, too. And
 * before the mangle table (-150), where hosts set marks of their own.
 */
const GUARD_PRIORITY = -190;

export { LET_IN_MARK, REFUSED_PREFIX, type SourceShare } from "./rules.ts";

export interface Ruleset {
  readonly chains: readonly Chain[];
  readonly rules: readonly Rule[];
  readonly sets: readonly NftSet[];
  /** Names of counters. */
  readonly counters: readonly string[];
  /** Elements of the sets of that name. */
  readonly ports: PortSets;
}

/** Chains that copy knocks: what is heard is decided there. */
export const COPYING_CHAINS: ReadonlySet<string> = new Set(["early", "knock"]);

/**
 * The ruleset of a configuration. `queueKind` is how this kernel holds packets; only knocks of the sources
 * `heard` are copied, or of all.
 */
export function rulesetOf(config: Config, queueKind: QueueKind, heard?: SourceShare): Ruleset {
  const list = watchListOf(config);
  return {
    chains: [
      { name: "refuse" },
      { name: "hold" },
      { name: "final" },
      ...(list.ports.ranges === undefined ? [] : [{ name: "range" }]),
      ...(list.ports.early === undefined ? [] : [{ name: "early" }]),
      { name: "knock" },
      { name: "gate" },
      { name: "watch", prerouting: WATCH_PRIORITY },
      { name: "guard", prerouting: GUARD_PRIORITY },
    ],
    rules: rulesOf(list, config, queueKind, heard),
    sets: sets(list, config),
    counters: ["knocks", "refused", "unheard"],
    ports: list.ports,
  };
}

/**
 * The part that judges SYNs. It does without connection tracking; other segments pass. Datagrams need a
 * grant: which of them are part of something established nobody knows, so the others are dropped without
 * the answer that could end it.
 */
export function onlyNewcomers(ruleset: Ruleset): Ruleset {
  if (!ruleset.rules.some(asksConnections)) return ruleset;
  const rules = ruleset.rules.flatMap((rule): Rule[] => {
    if (asksConnections(rule)) return [];
    const [first, ...others] = rule.statements.map(({ nft }) => nft);
    if (rule.chain !== "gate" || first === SYN.nft) return [rule];
    if (first !== UDP.nft) return [];
    const refused = others.includes(verdict({ goto: "refuse" }).nft);
    return refused ? [{ chain: "gate", statements: [UDP, verdict("drop")] }] : [rule];
  });
  return { ...ruleset, rules };
}

function asksConnections({ statements }: Rule): boolean {
  return statements.some(({ nft }) => nft === ctEstablished().nft);
}

/** The ruleset as text for `nft -f`; with `owned`, said in a comment, since old nft cannot read it. */
export function rulesetText(ruleset: Ruleset, owned: boolean): string {
  const elements = new Map<string, readonly Endpoint[]>(Object.entries(ruleset.ports));
  const blocks = [
    ...ruleset.counters.map(counterText),
    ...ruleset.sets.map((set) =>
      setText(set, (elements.get(set.name) ?? []).map((one) => elementText(set, one)))
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

function sets({ ports, protocols }: WatchList, { grantsMax, banMs, filter }: Config): NftSet[] {
  const endpoints = { key: ENDPOINT_KEY, timeout: false } as const;
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
    ...Object.keys(ports).map((name) =>
      name === "early"
        ? { name, key: ["inet_service"], timeout: false } as const
        : { name, ...endpoints }
    ),
    ...(ports.ranges === undefined ? ["finishing"] : ["finishing", "ranging"]).flatMap((name) => [
      { name: `${name}4`, key: ["ipv4_addr"], ...finishing } as const,
      { name: `${name}6`, key: ["ipv6_addr"], ...finishing } as const,
    ]),
    ...(ports.decoys === undefined || banMs === undefined ? [] : [
      { name: "banned4", key: ["ipv4_addr"], ...banned, timeoutMs: banMs } as const,
      { name: "banned6", key: ["ipv6_addr"], ...banned, timeoutMs: banMs } as const,
    ]),
    { name: "grants4", key: GRANT_KEY.grants4, ...grants },
    { name: "grants6", key: GRANT_KEY.grants6, ...grants },
    ...(filter === "stateful" && protocols.guarded.has("tcp")
      ? [
        { name: "inherited4", key: INHERITED_KEY.inherited4, ...inherited },
        { name: "inherited6", key: INHERITED_KEY.inherited6, ...inherited },
      ]
      : []),
  ];
}

function elementText({ key }: NftSet, { protocol, port }: Endpoint): string {
  return key.length === 1 ? String(port) : `${protocol} . ${port}`;
}
