// The knock machine: everything that decides about a knock lives here. Packets in, effects out. It
// has no clock, does no I/O and never throws; time is in the event. Its state is a table that is
// changed in place, because it must cost no allocation per packet.
//
// A source's attempt at a door, on a SYN to one of the door's ports:
//
//   | the packet is                                          | then                               |
//   |--------------------------------------------------------|------------------------------------|
//   | later than `withinMs` after the first knock            | back to the start                  |
//   | one already seen in this attempt or the last completed | nothing: a retransmission          |
//   | the expected knock, in time                            | next stage; after the last: opened |
//   | a new knock at the stage just passed                   | nothing; at stage 1 time restarts  |
//   | a watched port of the door that is not expected        | back to the start                  |
//
// Back at the start, a packet that is the first knock of the door is stage 1 at once. A SYN to a decoy
// takes its source back to the start at every door.

import { REPEATED_MS, SEQUENCE_PORTS_MIN } from "../limits.ts";
import type { PacketHeader, Source } from "../packet/header.ts";
import { Attempts, NONE } from "./attempts.ts";
import { halfSipHash, type HashKey } from "./siphash.ts";

/** A sequence that opens a door. */
export interface KnockRule {
  /** TCP ports in order, two at least. */
  readonly sequence: readonly number[];
  /** Milliseconds from the first knock to the last. */
  readonly withinMs: number;
}

/** What a packet led to, at one door. Reused: valid until the next step. */
export interface Effect {
  /** Index of the rule. */
  door: number;
  /** Knocks taken so far. */
  stage: number;
  /** Knocks of the sequence; `stage === of` opens the door. */
  of: number;
}

export interface MachineOptions {
  readonly rules: readonly KnockRule[];
  /** Ports of no rule that set a source back. */
  readonly decoys?: readonly number[];
  /** Attempts remembered at once. */
  readonly sourcesMax: number;
  /** Attempts of one IPv6 /64. */
  readonly perPrefixMax: number;
  /** Random words that nobody on the network knows. */
  readonly key: HashKey;
}

const SYN = 0x02;
const FIN_SYN_RST_ACK = 0x17;

export class KnockMachine {
  readonly #rules: readonly KnockRule[];
  readonly #key: HashKey;
  readonly #attempts: Attempts;
  readonly #doorsByPort: ReadonlyMap<number, readonly number[]>;
  readonly #decoys: ReadonlySet<number>;
  readonly #effects: readonly Effect[];
  #effectCount = 0;

  constructor({ rules, decoys = [], sourcesMax, perPrefixMax, key }: MachineOptions) {
    const stages = Math.max(SEQUENCE_PORTS_MIN, ...rules.map((rule) => rule.sequence.length));
    this.#rules = rules;
    this.#key = key;
    const lifetimeMs = Math.max(...rules.map((rule) => rule.withinMs));
    this.#attempts = new Attempts({
      slots: sourcesMax,
      stages,
      perPrefix: perPrefixMax,
      lifetimeMs,
      key,
    });
    this.#doorsByPort = doorsByPort(rules);
    this.#decoys = new Set(decoys);
    this.#effects = rules.map(() => ({ door: 0, stage: 0, of: 0 }));
  }

  /** Effects of the last step, from 0 to what it returned. */
  effect(index: number): Effect {
    return this.#effects[index] as Effect;
  }

  /** Is the port part of any sequence? */
  watches(port: number): boolean {
    return this.#doorsByPort.has(port);
  }

  isDecoy(port: number): boolean {
    return this.#decoys.has(port);
  }

  /** Attempts at a stage, for reports and tests. */
  attemptsAt(stage: number): number {
    return this.#attempts.count(stage);
  }

  /**
   * One packet. `nowMs` never goes back.
   *
   * @returns how many effects it had.
   */
  step(packet: PacketHeader, nowMs: number): number {
    this.#effectCount = 0;
    if ((packet.flags & FIN_SYN_RST_ACK) !== SYN) return 0;
    const doors = this.#doorsByPort.get(packet.destinationPort);
    if (doors === undefined) {
      if (this.#decoys.has(packet.destinationPort)) this.#setBack(packet);
      return 0;
    }
    const ports = packet.sourcePort << 16 | packet.destinationPort;
    const seen = halfSipHash(this.#key, ports, packet.sequence);
    for (let index = 0; index < doors.length; index++) {
      this.#stepDoor(doors[index] as number, packet, seen, nowMs);
    }
    return this.#effectCount;
  }

  #setBack(source: Source): void {
    for (let door = 0; door < this.#rules.length; door++) {
      const slot = this.#attempts.findAttempt(source, door);
      if (slot !== NONE) this.#attempts.remove(slot);
    }
  }

  #stepDoor(door: number, packet: PacketHeader, seen: number, nowMs: number): void {
    const rule = this.#rules[door] as KnockRule;
    const attempts = this.#attempts;
    const port = packet.destinationPort;

    const opened = attempts.findOpened(packet, door);
    if (opened !== NONE && attempts.hasSeen(opened, seen)) {
      if (nowMs - attempts.startMs(opened) <= REPEATED_MS) return;
    }

    const slot = attempts.findAttempt(packet, door);
    if (slot !== NONE) {
      const stage = attempts.stage(slot);
      if (nowMs - attempts.startMs(slot) <= rule.withinMs) {
        if (attempts.hasSeen(slot, seen)) return;
        if (rule.sequence[stage] === port) {
          attempts.remember(slot, seen);
          this.#advance(door, rule, slot, stage + 1, opened, nowMs);
          return;
        }
        if (rule.sequence[stage - 1] === port) {
          attempts.remember(slot, seen);
          if (stage === 1) attempts.restart(slot, nowMs);
          return;
        }
      }
      attempts.remove(slot);
    }
    if (rule.sequence[0] !== port) return;
    attempts.remember(attempts.begin(packet, door, nowMs), seen);
    this.#emit(door, 1, rule.sequence.length);
  }

  #advance(
    door: number,
    rule: KnockRule,
    slot: number,
    stage: number,
    opened: number,
    nowMs: number,
  ): void {
    const attempts = this.#attempts;
    if (stage < rule.sequence.length) attempts.advance(slot, stage);
    else attempts.open(slot, opened, nowMs);
    this.#emit(door, stage, rule.sequence.length);
  }

  #emit(door: number, stage: number, of: number): void {
    const effect = this.#effects[this.#effectCount++] as Effect;
    effect.door = door;
    effect.stage = stage;
    effect.of = of;
  }
}

function doorsByPort(rules: readonly KnockRule[]): Map<number, number[]> {
  const doors = new Map<number, number[]>();
  rules.forEach((rule, door) => {
    for (const port of new Set(rule.sequence)) {
      const list = doors.get(port);
      if (list === undefined) doors.set(port, [door]);
      else list.push(door);
    }
  });
  return doors;
}
