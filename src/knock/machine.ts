// The knock machine: everything that decides about a knock lives here. Packets in, effects out. It
// has no clock, does no I/O and never throws; time is in the event. Its state is a table that is
// changed in place, because it must cost no allocation per packet.
//
// A source's attempt at a rule (a fixed sequence), on a packet that can be one of the rule's knocks:
//
//   | the packet is                                          | then                               |
//   |--------------------------------------------------------|------------------------------------|
//   | later than `withinMs` after the first knock            | back to the start                  |
//   | one already seen in this attempt or the last completed | nothing: a retransmission          |
//   | the expected knock, in its time                        | next stage; after the last: opened |
//   | a new knock at the stage just passed                   | nothing; at stage 1 time restarts  |
//   | another knock of the sequence, or one out of its time  | back to the start                  |
//
// Back at the start, a packet that is the first knock is stage 1 at once. TCP alone repeats packets by
// itself: of other protocols the expected knock counts however often it came. A packet to a decoy
// takes its source back to the start everywhere. Doors with changing sequences have locks (lock.ts).

import type { Door, Endpoint, Step } from "../config/config.ts";
import { REPEATED_MS, SEQUENCE_PORTS_MIN, SHARED_FIRST_MAX, SOURCES_RANGE } from "../limits.ts";
import type { PacketHeader, Source } from "../packet/header.ts";
import { Attempts, NONE } from "./attempts.ts";
import type { EventTime, Lock } from "./lock.ts";
import { isAdmitted } from "./prefix.ts";
import {
  endpointKey,
  type KnockRule,
  PROTOCOL,
  rulesOf,
  sharedFirst,
  type Watch,
  watchesOf,
} from "./rules.ts";
import { halfSipHash, type HashKey } from "./siphash.ts";

/** What a packet led to, at one door. Reused: valid until the next step. */
export interface Effect {
  /** Index of the door. */
  door: number;
  /** Knocks taken so far. */
  stage: number;
  /** Knocks of the sequence; `stage === of` opens the door. */
  of: number;
  /** Of a sequence in a file: its line. */
  line: string | undefined;
  /** Of a sequence that follows from the time: its time step. */
  timeStep: number | undefined;
  /** Where the sequence tells who it is. */
  user: string | undefined;
}

export interface MachineOptions {
  readonly doors: readonly Door[];
  /** The locks of doors with changing sequences, by index of the door. */
  readonly locks?: ReadonlyMap<number, Lock>;
  /** Endpoints of no rule that set a source back. */
  readonly decoys?: readonly Endpoint[];
  /** Attempts remembered at once. */
  readonly sourcesMax: number;
  /** Attempts of one network, for each rule that one packet can begin. */
  readonly perPrefixMax: number;
  /** Random words that nobody on the network knows. */
  readonly key: HashKey;
  /** A machine whose attempts at rules that are the same go on here. */
  readonly previous?: KnockMachine;
}

const SYN = 0x02;
const FIN_SYN_RST_ACK = 0x17;

export class KnockMachine {
  readonly doors: readonly Door[];
  /** By index of the door. */
  readonly locks: ReadonlyMap<number, Lock>;
  readonly #rules: readonly KnockRule[];
  readonly #key: HashKey;
  readonly #attempts: Attempts;
  readonly #watches: ReadonlyMap<number, readonly Watch[]>;
  readonly #lockedDoors: ReadonlyMap<number, readonly number[]>;
  readonly #decoys: ReadonlySet<number>;
  readonly #effects: Effect[] = [];
  #effectCount = 0;

  constructor(options: MachineOptions) {
    const { doors, locks = new Map(), decoys = [], sourcesMax, perPrefixMax, key } = options;
    const rules = rulesOf(doors);
    const shared = sharedFirst(rules);
    this.doors = doors;
    this.#rules = rules;
    this.#key = key;
    this.#attempts = new Attempts({
      slots: Math.min(sourcesMax * Math.min(shared, SHARED_FIRST_MAX), SOURCES_RANGE.max),
      stages: Math.max(SEQUENCE_PORTS_MIN, ...rules.map(({ steps }) => steps.length)),
      perPrefix: perPrefixMax * shared,
      lifetimeMs: Math.max(...rules.map((rule) => rule.withinMs)),
      key,
      timed: rules.some(({ steps }) => steps.some(isTimed)),
    });
    this.#watches = watchesOf(rules);
    this.locks = locks;
    this.#lockedDoors = lockedDoors(doors);
    this.#decoys = new Set(
      decoys.map(({ protocol, port }) => endpointKey(PROTOCOL[protocol], port)),
    );
    if (options.previous !== undefined) this.#adopt(options.previous);
  }

  /** Effects of the last step, from 0 to what it returned. */
  effect(index: number): Effect {
    return this.#effects[index] as Effect;
  }

  /** Does the packet set its source back? */
  isDecoy({ protocol, destinationPort }: Readonly<PacketHeader>): boolean {
    return this.#decoys.has(endpointKey(protocol, destinationPort));
  }

  /** Attempts at a stage, for reports and tests. */
  attemptsAt(stage: number): number {
    return this.#attempts.count(stage);
  }

  /**
   * One packet. `time.nowMs` never goes back.
   *
   * @returns how many effects it had.
   */
  step(packet: PacketHeader, time: EventTime): number {
    this.#effectCount = 0;
    const endpoint = endpointKey(packet.protocol, packet.destinationPort);
    const watches = this.#watches.get(endpoint);
    if (watches !== undefined) this.#stepRules(watches, packet, time.nowMs);
    const beginsFlow = packet.protocol !== PROTOCOL.tcp || isSyn(packet);
    if (!beginsFlow) return this.#effectCount;
    const doors = this.#lockedDoors.get(endpoint);
    if (doors !== undefined) this.#stepLocks(doors, packet, time);
    if (this.#decoys.size > 0 && this.#decoys.has(endpoint)) this.#setBack(packet);
    return this.#effectCount;
  }

  #stepRules(watches: readonly Watch[], packet: PacketHeader, nowMs: number): void {
    const ports = packet.sourcePort << 16 | packet.destinationPort & 0xffff;
    // Of another protocol it is another packet, whatever its numbers.
    const seen = (halfSipHash(this.#key, ports, packet.sequence) ^ packet.protocol) >>> 0;
    for (let index = 0; index < watches.length; index++) {
      const { rule, tests } = watches[index] as Watch;
      let steps = 0;
      for (let at = 0; at < tests.length; at++) {
        const test = tests[at] as Watch["tests"][number];
        if ((packet.flags & test.mask) === test.value) steps |= test.steps;
      }
      if (steps !== 0) this.#stepRule(rule, steps, packet, seen, nowMs);
    }
  }

  /** @param matches the steps that the packet can be; bit i is step i. */
  #stepRule(
    index: number,
    matches: number,
    packet: PacketHeader,
    seen: number,
    nowMs: number,
  ): void {
    const rule = this.#rules[index] as KnockRule;
    const attempts = this.#attempts;
    if (rule.from.length > 0 && !isAdmitted(packet, rule.from)) return;
    const repeats = packet.protocol === PROTOCOL.tcp;

    const opened = attempts.findOpened(packet, index);
    if (opened !== NONE && repeats && attempts.hasSeen(opened, seen)) {
      if (nowMs - attempts.startMs(opened) <= REPEATED_MS) return;
    }

    const slot = attempts.findAttempt(packet, index);
    if (slot !== NONE) {
      const stage = attempts.stage(slot);
      if (nowMs - attempts.startMs(slot) <= rule.withinMs) {
        const known = attempts.hasSeen(slot, seen);
        if (known && repeats) return;
        if (isStep(matches, stage)) {
          const waitedMs = nowMs - attempts.lastMs(slot);
          if (isInTime(rule.steps[stage] as Step, waitedMs)) {
            attempts.knock(slot, seen, nowMs);
            return this.#advance(index, slot, stage + 1, opened, nowMs);
          }
        } else if (known) return;
        else if (isStep(matches, stage - 1)) {
          if (stage > 1) return attempts.remember(slot, seen);
          attempts.knock(slot, seen, nowMs);
          return attempts.restart(slot, nowMs);
        }
      }
      attempts.remove(slot);
    }
    if (!isStep(matches, 0)) return;
    attempts.knock(attempts.begin(packet, index, nowMs), seen, nowMs);
    this.#emit(rule.door, 1, rule.steps.length).line = rule.line;
  }

  #advance(index: number, slot: number, stage: number, opened: number, nowMs: number): void {
    const rule = this.#rules[index] as KnockRule;
    const attempts = this.#attempts;
    if (stage < rule.steps.length) attempts.advance(slot, stage);
    else attempts.open(slot, opened, nowMs);
    this.#emit(rule.door, stage, rule.steps.length).line = rule.line;
  }

  #stepLocks(doors: readonly number[], packet: PacketHeader, time: EventTime): void {
    for (let index = 0; index < doors.length; index++) {
      const door = doors[index] as number;
      if (!isAdmitted(packet, (this.doors[door] as Door).from)) continue;
      const found = this.locks.get(door)?.step(packet, time);
      if (found === undefined) continue;
      const effect = this.#emit(door, found.stage, found.of);
      effect.timeStep = found.timeStep;
      effect.user = found.user;
    }
  }

  #setBack(source: Source): void {
    this.#attempts.removeAll(source);
    for (const lock of this.locks.values()) lock.setBack(source);
  }

  #emit(door: number, stage: number, of: number): Effect {
    const effect = this.#effects[this.#effectCount] ??= {
      door,
      stage,
      of,
      line: undefined,
      timeStep: undefined,
      user: undefined,
    };
    this.#effectCount++;
    effect.door = door;
    effect.stage = stage;
    effect.of = of;
    effect.line = undefined;
    effect.timeStep = undefined;
    effect.user = undefined;
    return effect;
  }

  /** What a rule asks, of which door, as text: the same for rules that are the same. */
  #describe(index: number): string {
    const { door, ...asked } = this.#rules[index] as KnockRule;
    return JSON.stringify([this.doors[door]?.name, asked]);
  }

  /** Attempts at rules that are the same go on. */
  #adopt(previous: KnockMachine): void {
    const ours = Map.groupBy(this.#rules.keys(), (rule) => this.#describe(rule));
    const ruleOf = previous.#rules.map((_, rule) => ours.get(previous.#describe(rule))?.shift());
    this.#attempts.adopt(previous.#attempts, (rule) => ruleOf[rule] ?? NONE);
  }
}

function isSyn({ flags }: PacketHeader): boolean {
  return (flags & FIN_SYN_RST_ACK) === SYN;
}

function isStep(matches: number, step: number): boolean {
  return (matches >>> step & 1) === 1;
}

function isTimed({ afterMs, beforeMs }: Step): boolean {
  return afterMs > 0 || beforeMs !== Infinity;
}

function isInTime({ afterMs, beforeMs }: Step, waitedMs: number): boolean {
  return (afterMs === 0 || waitedMs >= afterMs) && waitedMs <= beforeMs;
}

/** Doors with a lock by the endpoints of their knocks. */
function lockedDoors(doors: readonly Door[]): Map<number, number[]> {
  const locked = new Map<number, number[]>();
  doors.forEach(({ knock }, door) => {
    if (knock.kind !== "rotating" && knock.kind !== "encrypted") return;
    const { protocol, first, last } = knock.ports;
    for (let port = Number(first); port <= last; port++) {
      const key = endpointKey(PROTOCOL[protocol], port);
      const list = locked.get(key);
      if (list === undefined) locked.set(key, [door]);
      else list.push(door);
    }
  });
  return locked;
}
