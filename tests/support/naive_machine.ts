// The knock machine once more, from the words of its table and as plainly as can be: everything is
// an object in an array that is searched from end to end. Without `slots` it forgets nobody; with
// them it gives way as the table of attempts does. Never used outside of tests.

import type { Prefix, Step } from "../../src/config/config.ts";
import type { KnockRule } from "../../src/knock/rules.ts";
import { REPEATED_MS } from "../../src/limits.ts";
import { addressBytes } from "../../src/packet/address.ts";
import type { PacketHeader, Source } from "../../src/packet/header.ts";

export interface NaiveOptions {
  /**
   * Attempts and completed sequences remembered in all, for each rule that one packet can begin, up
   * to eight of them; any number when absent.
   */
  readonly slots?: number;
  /** Attempts, and completed sequences, of one network, for each rule that one packet can begin. */
  readonly perPrefix?: number;
}

export interface NaiveEffect {
  readonly door: number;
  readonly stage: number;
  readonly of: number;
}

export interface NaiveMachine {
  step(packet: Readonly<PacketHeader>, nowMs: number): NaiveEffect[];
  /** Attempts at a stage; at the stage of the longest sequence, completed sequences. */
  attemptsAt(stage: number): number;
}

interface Entry {
  readonly source: string;
  /** The /64 of an IPv6 source, or an IPv4 address. */
  readonly network: string;
  readonly rule: number;
  /** Knocks taken. */
  taken: number;
  /** Time of the first knock; of a completed sequence, of the last one. */
  sinceMs: number;
  /** Time of the last knock that counted. */
  lastMs: number;
  /** Every packet that counted as part of it, repeated knocks included. */
  packets: string[];
  completed: boolean;
}

export function naiveMachine(
  rules: readonly KnockRule[],
  { slots = Infinity, perPrefix = Infinity }: NaiveOptions = {},
): NaiveMachine {
  const longest = Math.max(2, ...rules.map(({ steps }) => steps.length));
  const firsts = rules.map(({ steps: [first] }) => `${first?.protocol}/${first?.port}`);
  const shared = Math.max(
    1,
    ...firsts.map((one) => firsts.filter((other) => other === one).length),
  );
  const lifetimeMs = Math.max(...rules.map((rule) => rule.withinMs));
  const all = slots * Math.min(shared, 8);
  const share = Math.floor(all / 2 / (longest - 1));
  const quota = (stage: number) => stage > 1 ? share : all - share * (longest - 1);

  // In the order in which they came to their stage, the first to come first.
  let entries: Entry[] = [];
  const stageOf = (entry: Entry) => entry.completed ? longest : entry.taken;
  const forget = (entry: Entry | undefined) => entries = entries.filter((one) => one !== entry);
  const at = (stage: number) => entries.filter((entry) => stageOf(entry) === stage);
  const find = (source: string, rule: number, completed: boolean) =>
    entries.find((one) =>
      one.source === source && one.rule === rule && one.completed === completed
    );

  /** Puts an entry last at the stage it has now come to; where that is full, the first goes. */
  const enter = (entry: Entry) => {
    forget(entry);
    const there = at(stageOf(entry));
    if (there.length >= quota(stageOf(entry))) forget(there[0]);
    entries.push(entry);
  };

  const remember = (entry: Entry, packets: readonly string[]) =>
    entry.packets = [...entry.packets, ...packets].slice(-2 * longest);

  // Everything in the order in which it began, which breaks ties of time.
  let begun: Entry[] = [];

  /**
   * Where a network has all its attempts, the earliest goes of those whose time is over, or else of the
   * least advanced; where it has all its completed sequences, the earliest.
   */
  const boundNetwork = (network: string, completed: boolean, nowMs: number) => {
    begun = begun.filter((one) => entries.includes(one));
    const rivals = begun.filter((one) => one.network === network && one.completed === completed);
    if (rivals.length < perPrefix * shared) return;
    const over = rivals.filter((one) => nowMs - one.sinceMs > lifetimeMs);
    const stage = Math.min(...rivals.map(stageOf));
    const candidates = over.length > 0 ? over : rivals.filter((one) => stageOf(one) === stage);
    const sinceMs = Math.min(...candidates.map((one) => one.sinceMs));
    forget(candidates.find((one) => one.sinceMs === sinceMs));
  };

  /** What the source completed before stays one with it: only packets and time are new. */
  const complete = (attempt: Entry, nowMs: number) => {
    const before = find(attempt.source, attempt.rule, true);
    if (before === undefined) boundNetwork(attempt.network, true, nowMs);
    else forget(attempt);
    const completed = before ?? attempt;
    if (before !== undefined) remember(before, attempt.packets);
    completed.completed = true;
    completed.sinceMs = nowMs;
    enter(completed);
  };

  const stepRule = (
    rule: number,
    { door, steps, withinMs, from }: KnockRule,
    packet: Readonly<PacketHeader>,
    nowMs: number,
  ): NaiveEffect[] => {
    const can = (index: number) => {
      const step = steps[index];
      return step !== undefined && isKnockOf(step, packet);
    };
    if (!steps.some((_, index) => can(index)) || !isFrom(packet, from)) return [];
    const of = steps.length;
    const source = [packet.family, ...words(packet)].join();
    const name = [packet.protocol, packet.sourcePort, packet.destinationPort, packet.sequence]
      .join();
    const repeats = packet.protocol === 6;

    const completed = find(source, rule, true);
    const late = completed === undefined || nowMs - completed.sinceMs > REPEATED_MS;
    if (repeats && completed?.packets.includes(name) && !late) return [];

    const attempt = find(source, rule, false);
    if (attempt !== undefined && nowMs - attempt.sinceMs <= withinMs) {
      const known = attempt.packets.includes(name);
      if (known && repeats) return [];
      const { afterMs = 0, beforeMs = 0 } = steps[attempt.taken] ?? {};
      const waitedMs = nowMs - attempt.lastMs;
      if (can(attempt.taken) && waitedMs >= afterMs && waitedMs <= beforeMs) {
        remember(attempt, [name]);
        attempt.lastMs = nowMs;
        const stage = ++attempt.taken;
        if (stage === of) complete(attempt, nowMs);
        else enter(attempt);
        return [{ door, stage, of }];
      }
      if (!can(attempt.taken)) {
        if (known) return [];
        if (can(attempt.taken - 1)) {
          remember(attempt, [name]);
          if (attempt.taken === 1) attempt.sinceMs = attempt.lastMs = nowMs;
          return [];
        }
      }
    }
    forget(attempt);
    if (!can(0)) return [];
    const network = networkOf(packet);
    boundNetwork(network, false, nowMs);
    const entry: Entry = {
      source,
      network,
      rule,
      taken: 1,
      sinceMs: nowMs,
      lastMs: nowMs,
      packets: [name],
      completed: false,
    };
    enter(entry);
    begun.push(entry);
    return [{ door, stage: 1, of }];
  };

  return {
    step: (packet, nowMs) => rules.flatMap((rule, index) => stepRule(index, rule, packet, nowMs)),
    attemptsAt: (stage) => at(stage).length,
  };
}

const PROTOCOLS = { tcp: 6, udp: 17, icmp: 1, icmp6: 58 };

function isKnockOf({ protocol, port, flags }: Step, packet: Readonly<PacketHeader>): boolean {
  if (PROTOCOLS[protocol] !== packet.protocol || port !== packet.destinationPort) return false;
  return protocol !== "tcp" || (packet.flags & flags.mask) === flags.value;
}

function isFrom(source: Readonly<Source>, from: readonly Prefix[]): boolean {
  const bits = (one: Readonly<Source>) =>
    [...addressBytes(one)].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return from.length === 0 ||
    from.some(({ address, length }) =>
      address.family === source.family && bits(source).startsWith(bits(address).slice(0, length))
    );
}

function networkOf(source: Readonly<Source>): string {
  return source.family === 6 ? words(source).slice(0, 2).join() : `${source.word3}`;
}

function words({ word0, word1, word2, word3 }: Readonly<Source>): number[] {
  return [word0, word1, word2, word3];
}

/** A SYN; what is not given is the same for all. */
export function syn(fields: Partial<PacketHeader> & { destinationPort: number }): PacketHeader {
  return { ...ipv4(0x0a000001), protocol: 6, sourcePort: 1024, sequence: 1, flags: 2, ...fields };
}

export function ipv4(word3: number): Source {
  return { family: 4, word0: 0, word1: 0, word2: 0, word3 };
}

export function ipv6(word0: number, word1: number, word2: number, word3: number): Source {
  return { family: 6, word0, word1, word2, word3 };
}
