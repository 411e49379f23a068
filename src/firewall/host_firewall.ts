// Can somebody who knocked get through the host's own firewall? pk only shuts: each base chain of each
// table must let the packet go on, and an accept in one of them does not help in another.
//
// Looks at the rulesets of nf_tables, iptables-nft among them, at the hooks that a packet to this host
// passes, and tells of a port only where no packet to it can pass. Sees nothing of iptables-legacy, of
// ebtables, of tables at ingress and of eBPF, nor what a router before this host does.
//
// **Invariant:** in doubt the port is taken for open: a false alarm would teach people to overlook it.

import { FAMILY } from "../netlink/constants.ts";
import type { Conversation } from "../netlink/conversation.ts";
import {
  getGeneration,
  type ListedChain,
  parseGeneration,
  type Place,
} from "../nftables/listing/objects.ts";
import { type HostRuleset, readHostRuleset } from "./host/host_ruleset.ts";
import type { Newcomer } from "./host/newcomer.ts";
import { type Outcomes, walk } from "./host/walk.ts";
import { TABLE } from "./ruleset.ts";

/** A port that cannot be reached, and what to do. */
export interface Obstacle {
  readonly port: number;
  readonly family: "IPv4" | "IPv6" | "both";
  /** "inet filter"; of several all. */
  readonly table: string;
  readonly chain: string;
  readonly hint: string;
  /** One family is shut to every port while the other lets this one in: meant so, presumably. */
  readonly deliberate: boolean;
}

/** Hooks (NF_INET_*) that a packet to this host passes. */
const HOOKS = { prerouting: 0, input: 1 } as const;

/** Connection tracking at prerouting (NF_IP_PRI_CONNTRACK). */
const CONNTRACK_PRIORITY = -200;

/** Others that change the ruleset meanwhile are waited for this often. */
const TRIES = 3;

/**
 * Reads the rulesets and looks for ports that cannot be reached.
 *
 * @param altered families in which something that netlink does not show may change packets.
 * @param isLate asked now and then: ports that have not been judged by then are taken for open.
 * @returns undefined when others kept changing the rulesets.
 * @throws {KernelError} @throws {DecodeError}
 */
export function findObstacles(
  kernel: Conversation,
  ports: readonly number[],
  altered: ReadonlySet<4 | 6> = new Set(),
  isLate: () => boolean = () => false,
): Obstacle[] | undefined {
  const generation = () => kernel.ask(getGeneration()).map(parseGeneration)[0];
  for (let tries = 0; tries < TRIES; tries++) {
    const before = generation();
    const ruleset = readHostRuleset(kernel);
    const obstacles = ports.flatMap((port) =>
      isLate() ? [] : obstacleFor(ruleset, port, altered, isLate) ?? []
    );
    if (generation() === before) return obstacles;
  }
  return undefined;
}

/** What keeps newcomers from a port, or undefined. */
function obstacleFor(
  ruleset: HostRuleset,
  port: number,
  altered: ReadonlySet<4 | 6>,
  isLate: () => boolean,
): Obstacle | undefined {
  const families = ([4, 6] as const).filter((family) => !altered.has(family));
  const [shut, ...others] = families
    .map((family) => ({ family, chains: forbidding(ruleset, family, port, isLate) }))
    .filter(({ chains }) => chains.length > 0);
  if (shut === undefined) return undefined;
  const chains = [...new Set([shut, ...others].flatMap((one) => one.chains))];
  return {
    port,
    family: others.length > 0 ? "both" : `IPv${shut.family}`,
    table: listed(chains.map(placeName)),
    chain: listed(chains.map(({ name }) => name)),
    hint: `pk only shuts; let the port through: ${
      listed(chains.map((chain) => remedy(ruleset, chain, port)), " and ")
    }`,
    deliberate: others.length === 0 &&
      forbidding(ruleset, shut.family, undefined, isLate).length > 0,
  };
}

/** The base chains that no newcomer gets through; none where that is not certain. */
function forbidding(
  ruleset: HostRuleset,
  family: 4 | 6,
  port: number | undefined,
  isLate: () => boolean,
): ListedChain[] {
  const chains = baseChains(ruleset, family);
  const walkAll = (trackedAtAll: boolean) =>
    chains.map((chain) => {
      const tracked = trackedAtAll && isTracked(chain);
      const newcomer = { family, port, tracked } satisfies Newcomer;
      return { chain, ...walk(ruleset, chain, newcomer, isLate) };
    });
  let results: readonly (Outcomes & { readonly chain: ListedChain })[] = walkAll(true);
  if (results.some(({ mayUntrack }) => mayUntrack)) results = walkAll(false);
  if (results.some(({ mayChange }) => mayChange)) return [];
  return results.filter(({ mayAccept }) => !mayAccept).map(({ chain }) => chain);
}

/** In the order in which a packet passes them. */
function baseChains({ chains, tables }: HostRuleset, family: 4 | 6): ListedChain[] {
  const own = family === 4 ? FAMILY.NFPROTO_IPV4 : FAMILY.NFPROTO_IPV6;
  const dormant = new Set(tables.filter((table) => table.dormant).map(placeName));
  const hooks: readonly number[] = Object.values(HOOKS);
  const ours = `inet ${TABLE}`;
  return chains
    .filter((chain) =>
      (chain.family === FAMILY.NFPROTO_INET || chain.family === own) &&
      chain.base !== undefined && hooks.includes(chain.base.hook) &&
      !dormant.has(placeName(chain)) && placeName(chain) !== ours
    )
    .sort((one, other) =>
      hookOf(one) - hookOf(other) || (one.base?.priority ?? 0) - (other.base?.priority ?? 0)
    );
}

function hookOf(chain: ListedChain): number {
  return chain.base?.hook ?? 0;
}

function isTracked({ base }: ListedChain): boolean {
  return base?.hook === HOOKS.input || (base?.priority ?? 0) > CONNTRACK_PRIORITY;
}

/** What to do, in the words of the program that made the chain. */
function remedy(ruleset: HostRuleset, chain: ListedChain, port: number): string {
  const names = ruleset.chains
    .filter((one) => one.family === chain.family && one.table === chain.table)
    .map(({ name }) => name);
  const has = (pattern: RegExp) => names.some((name) => pattern.test(name));
  if (has(/^ufw6?-/)) return `ufw allow ${port}/tcp`;
  // Its older backend writes chains of iptables.
  if (chain.table === "firewalld" || has(/^INPUT_ZONES$/)) {
    return `firewall-cmd --permanent --add-port=${port}/tcp && firewall-cmd --reload`;
  }
  const inserted = chain.family === FAMILY.NFPROTO_IPV6 ? "ip6tables" : "iptables";
  if (chain.family !== FAMILY.NFPROTO_INET && /^(INPUT|PREROUTING)$/.test(chain.name)) {
    const table = chain.table === "filter" ? "" : ` -t ${chain.table}`;
    return `${inserted}${table} -I ${chain.name} -p tcp --dport ${port} -j ACCEPT`;
  }
  return `nft insert rule ${placeName(chain)} ${chain.name} tcp dport ${port} accept`;
}

/** "inet filter" */
function placeName({ family, table }: Place): string {
  const name = family === FAMILY.NFPROTO_INET
    ? "inet"
    : family === FAMILY.NFPROTO_IPV4
    ? "ip"
    : family === FAMILY.NFPROTO_IPV6
    ? "ip6"
    : `family ${family}`;
  return `${name} ${table}`;
}

function listed(words: readonly string[], separator = ", "): string {
  return [...new Set(words)].join(separator);
}
