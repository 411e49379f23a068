// The knock machine once more, from the words of its table and as plainly as can be: everything is
// an object in an array that is searched from end to end. Without `slots` it forgets nobody; with
// them it gives way as the table of attempts does. Never used outside of tests.

import type { KnockRule } from "../../src/knock/machine.ts";
import { REPEATED_MS } from "../../src/limits.ts";
import type { PacketHeader, Source } from "../../src/packet/header.ts";

export interface NaiveOptions {
  /** Attempts and completed sequences remembered in all; any number when absent. */
  readonly slots?: number;
  /** Attempts, and completed sequences, of one IPv6 /64. */
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
  /** The /64 of an IPv6 source, undefined for IPv4. */
  readonly prefix: string | undefined;
  readonly door: number;
  /** Knocks taken. */
  taken: number;
  /** Time of the first knock; of a completed sequence, of the last one. */
  sinceMs: number;
  /** Every packet that counted as part of it, repeated knocks included. */
  packets: string[];
  completed: boolean;
}

export function naiveMachine(
  rules: readonly KnockRule[],
  { slots = Infinity, perPrefix = Infinity }: NaiveOptions = {},
): NaiveMachine {
  const longest = Math.max(2, ...rules.map((rule) => rule.sequence.length));
  const lifetimeMs = Math.max(...rules.map((rule) => rule.withinMs));
  const share = Math.floor(slots / 2 / (longest - 1));
  const quota = (stage: number) => stage > 1 ? share : slots - share * (longest - 1);

  // In the order in which they came to their stage, the first to come first.
  let entries: Entry[] = [];
  const stageOf = (entry: Entry) => entry.completed ? longest : entry.taken;
  const forget = (entry: Entry | undefined) => entries = entries.filter((one) => one !== entry);
  const at = (stage: number) => entries.filter((entry) => stageOf(entry) === stage);
  const find = (source: string, door: number, completed: boolean) =>
    entries.find((one) =>
      one.source === source && one.door === door && one.completed === completed
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
   * Where a /64 has all its attempts, the earliest goes of those whose time is over, or else of the
   * least advanced; where it has all its completed sequences, the earliest.
   */
  const boundPrefix = (prefix: string | undefined, completed: boolean, nowMs: number) => {
    if (prefix === undefined) return;
    begun = begun.filter((one) => entries.includes(one));
    const rivals = begun.filter((one) => one.prefix === prefix && one.completed === completed);
    if (rivals.length < perPrefix) return;
    const over = rivals.filter((one) => nowMs - one.sinceMs > lifetimeMs);
    const stage = Math.min(...rivals.map(stageOf));
    const candidates = over.length > 0 ? over : rivals.filter((one) => stageOf(one) === stage);
    const sinceMs = Math.min(...candidates.map((one) => one.sinceMs));
    forget(candidates.find((one) => one.sinceMs === sinceMs));
  };

  /** What the source completed before stays one with it: only packets and time are new. */
  const complete = (attempt: Entry, nowMs: number) => {
    const before = find(attempt.source, attempt.door, true);
    if (before === undefined) boundPrefix(attempt.prefix, true, nowMs);
    else forget(attempt);
    const completed = before ?? attempt;
    if (before !== undefined) remember(before, attempt.packets);
    completed.completed = true;
    completed.sinceMs = nowMs;
    enter(completed);
  };

  const stepDoor = (
    door: number,
    { sequence, withinMs }: KnockRule,
    packet: Readonly<PacketHeader>,
    nowMs: number,
  ): NaiveEffect[] => {
    const port = packet.destinationPort;
    const of = sequence.length;
    const source = [packet.family, ...words(packet)].join();
    const name = [packet.sourcePort, port, packet.sequence].join();

    const completed = find(source, door, true);
    if (completed?.packets.includes(name) && nowMs - completed.sinceMs <= REPEATED_MS) return [];

    const attempt = find(source, door, false);
    if (attempt !== undefined && nowMs - attempt.sinceMs <= withinMs) {
      if (attempt.packets.includes(name)) return [];
      if (port === sequence[attempt.taken]) {
        remember(attempt, [name]);
        const stage = ++attempt.taken;
        if (stage === of) complete(attempt, nowMs);
        else enter(attempt);
        return [{ door, stage, of }];
      }
      if (port === sequence[attempt.taken - 1]) {
        remember(attempt, [name]);
        if (attempt.taken === 1) attempt.sinceMs = nowMs;
        return [];
      }
    }
    forget(attempt);
    if (port !== sequence[0]) return [];
    const prefix = packet.family === 6 ? words(packet).slice(0, 2).join() : undefined;
    boundPrefix(prefix, false, nowMs);
    const entry: Entry = {
      source,
      prefix,
      door,
      taken: 1,
      sinceMs: nowMs,
      packets: [name],
      completed: false,
    };
    enter(entry);
    begun.push(entry);
    return [{ door, stage: 1, of }];
  };

  return {
    step(packet, nowMs) {
      const syn = (packet.flags & 2) !== 0 && (packet.flags & (1 | 4 | 16)) === 0;
      if (!syn) return [];
      return rules.flatMap((rule, door) =>
        rule.sequence.includes(packet.destinationPort) ? stepDoor(door, rule, packet, nowMs) : []
      );
    },
    attemptsAt: (stage) => at(stage).length,
  };
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
