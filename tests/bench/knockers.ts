// Real knockers: fresh sources that knock and connect, one after the other, and what became of each.

import type { Daemon } from "../support/pk.ts";
import { type FamilyName, freshAddress, GUARDED_PORT, KNOCK_PORTS } from "./addresses.ts";
import type { Background } from "./background.ts";
import type { Connected, ConnectOrder } from "./connector.ts";
import { percentile } from "./statistics.ts";

/** A connect that took longer lost its first SYN: the kernel repeats it after 1 s. */
const FIRST_SYN_US = 500_000;

export interface Knocker extends Connected {
  readonly address: string;
  /** How often it has knocked. */
  readonly attempts: number;
  /** Milliseconds since the epoch when it had connected, or given up. */
  readonly endedMs: number;
}

export interface Visit {
  readonly family: FamilyName;
  readonly count: number;
  readonly gapMs: number;
  /** Nobody begins later than so long after the first one: they do not count as tried. */
  readonly withinMs: number;
  /** The ports that a fresh source knocks on; pk's default ones where it is left out. */
  readonly knocks?: Knocks | undefined;
  /** How often somebody knocks who does not get in; once where it is left out. */
  readonly attemptsMax?: number;
  /** When to give a connection up; as long as the system tries where it is left out. */
  readonly giveUpMs?: number;
}

/** The sequence of a fresh source at this moment: asked anew for each of its attempts. */
export type Knocks = (source: number) => Promise<readonly number[]>;

/** Numbers of fresh sources that nobody has used in this network. */
export type FreshSources = () => number;

export function freshSources(first = 1): FreshSources {
  let next = first;
  return () => next++;
}

/** Knock-and-connects in turn. */
export async function visit(
  client: Background,
  fresh: FreshSources,
  { family, count, gapMs, withinMs, knocks = usualKnocks, attemptsMax = 1, giveUpMs }: Visit,
): Promise<Knocker[]> {
  const knockers: Knocker[] = [];
  const endMs = performance.now() + withinMs;
  while (knockers.length < count && performance.now() < endMs) {
    const source = fresh();
    const address = freshAddress(family, source);
    for (let attempts = 1;; attempts++) {
      const ports = await knocks(source);
      const port = GUARDED_PORT;
      const order: ConnectOrder = { family, source, knocks: ports, gapMs, port, giveUpMs };
      const connected = await client.order(order) as Connected;
      if (!connected.connected && attempts < attemptsMax) continue;
      knockers.push({ ...connected, address, attempts, endedMs: Date.now() });
      break;
    }
  }
  return knockers;
}

function usualKnocks(): Promise<readonly number[]> {
  return Promise.resolve(KNOCK_PORTS);
}

export function inWithFirstSyn(knocker: Connected & { readonly attempts?: number }): boolean {
  return knocker.connected && knocker.us < FIRST_SYN_US && (knocker.attempts ?? 1) === 1;
}

/** How many got in, how, and what pk did for those who did not. */
export interface Summary {
  readonly tried: number;
  readonly in: number;
  readonly firstSyn: number;
  /** Those that knocked more than once. */
  readonly again: number;
  /** Microseconds from the last knock to connected, of those that got in. */
  readonly p50Us: number;
  readonly p99Us: number;
  /** Those who did not get in with their first SYN. `granted`: pk had written a grant for them. */
  readonly late: readonly (Knocker & { readonly granted: boolean })[];
}

export function summarise(knockers: readonly Knocker[], pk?: Daemon): Summary {
  const granted = new Set(pk?.seen("granted").map((event) => event.source));
  const inside = knockers.filter((knocker) => knocker.connected);
  const us = inside.map((knocker) => knocker.us);
  return {
    tried: knockers.length,
    in: inside.length,
    firstSyn: knockers.filter(inWithFirstSyn).length,
    again: knockers.filter(({ attempts }) => attempts > 1).length,
    p50Us: percentile(us, 0.5),
    p99Us: percentile(us, 0.99),
    late: knockers.filter((knocker) => !inWithFirstSyn(knocker))
      .map((knocker) => ({ ...knocker, granted: granted.has(knocker.address) })),
  };
}
