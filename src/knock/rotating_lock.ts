// A door whose sequence changes with time and source: PROTOCOL.md, "Rotating sequences". The sequences
// of the current time step and of its neighbours count, each judged on its own, in a lane of its
// own: three steps in a row lie in three lanes. What a knock does to an attempt is as in the table of
// machine.ts.
//
//                 known or in an attempt ──────────────────────────┐
//   knock ──► source                                               ├──► judged in each lane
//                 new: parked ──► its second knock: both, in order ┘
//
// To judge a source that is new costs one HMAC a lane. Spoofed sources that never come twice do not
// reach it. Those that do share a budget, of which a part is kept for attempts under way and another
// for the current step, so that under a flood first the clients with wrong clocks have to wait.

import {
  ATTEMPTS_PER_PREFIX_MAX,
  REPEATED_MS,
  ROTATING_ATTEMPTS_MAX,
  ROTATING_HMACS_PER_SECOND_MAX,
  ROTATING_PARKED_MAX,
  ROTATING_PORTS_KNOWN_MAX,
} from "../limits.ts";
import type { PacketHeader, Source } from "../packet/header.ts";
import { IPPROTO_TCP } from "../packet/protocol.ts";
import { Attempts, NONE } from "./attempts.ts";
import type { EventTime, Lock, LockEffect } from "./lock.ts";
import { NEVER, NOBODY, ParkedKnocks } from "./parked_knocks.ts";
import { type RotatingParameters, timeStepAt } from "./rotating_sequence.ts";
import { SequenceBook, SourceHash, UNKNOWN } from "./sequence_book.ts";
import { halfSipHash, type HashKey } from "./siphash.ts";

/** Time steps before and after the current one that count as well. */
const SKEW = 1;
const LANES = 2 * SKEW + 1;

export interface RotatingLockOptions extends RotatingParameters {
  /** Length of a time step. */
  readonly stepMs: number;
  /** From the first knock to the last. */
  readonly withinMs: number;
  /** Sequences differ from source to source. */
  readonly bindSource: boolean;
  /** Random words that nobody on the network knows. */
  readonly key: HashKey;
  /** Instead of those of limits.ts, all but the last being powers of two. */
  readonly attemptsMax?: number;
  readonly parkedMax?: number;
  readonly portsKnownMax?: number;
  readonly hmacsPerSecondMax?: number;
}

export class RotatingLock implements Lock {
  readonly #knocks: number;
  readonly #stepMs: number;
  readonly #withinMs: number;
  readonly #bindSource: boolean;
  readonly #key: HashKey;
  readonly #hash: SourceHash;
  readonly #book: SequenceBook;
  readonly #parked: ParkedKnocks;
  readonly #attempts: Attempts;
  /** Of each slot of `#attempts`: its time step, and its knocks as far as they were asked for. */
  readonly #timeStep: Float64Array;
  readonly #ports: Uint16Array;
  readonly #effect: LockEffect;
  #unjudged = 0;

  constructor(options: RotatingLockOptions) {
    const { knocks, withinMs, key, attemptsMax = ROTATING_ATTEMPTS_MAX } = options;
    this.#knocks = knocks;
    this.#stepMs = options.stepMs;
    this.#withinMs = withinMs;
    this.#bindSource = options.bindSource;
    this.#key = key;
    this.#hash = new SourceHash(key);
    this.#book = new SequenceBook({
      ...options,
      portsKnownMax: options.portsKnownMax ?? ROTATING_PORTS_KNOWN_MAX,
      hmacsPerSecondMax: options.hmacsPerSecondMax ?? ROTATING_HMACS_PER_SECOND_MAX,
    });
    this.#parked = new ParkedKnocks(options.parkedMax ?? ROTATING_PARKED_MAX);
    this.#attempts = new Attempts({
      slots: attemptsMax,
      stages: knocks,
      perPrefix: ATTEMPTS_PER_PREFIX_MAX,
      lifetimeMs: withinMs,
      key,
    });
    this.#timeStep = new Float64Array(attemptsMax);
    this.#ports = new Uint16Array(attemptsMax * knocks);
    this.#effect = { stage: 0, of: knocks, timeStep: 0, user: undefined };
  }

  step(packet: Readonly<PacketHeader>, time: EventTime): Readonly<LockEffect> | undefined {
    const nowMs = time.nowMs;
    const seen = this.#packetHash(packet);
    if (packet.protocol === IPPROTO_TCP) {
      for (let lane = 0; lane < LANES; lane++) {
        if (this.#isRepeated(packet, lane, seen, nowMs)) return undefined;
      }
    }
    this.#book.refill(nowMs);
    if (this.#bindSource) this.#hash.set(packet);
    const parked = this.#bindSource ? this.#parked.find(this.#hash) : NOBODY;
    const now = timeStepAt(time.unixMs, this.#stepMs);
    const effect = this.#effect;
    effect.stage = 0;
    let waits = false;
    let refused = false;
    let repeated = NEVER;
    for (let nth = 0; nth < LANES; nth++) {
      const timeStep = now + skewOf(nth);
      const stage = this.#stepLane(packet, seen, timeStep, parked, nth === 0, nowMs);
      if (stage === UNJUDGED) refused = true;
      if (stage === UNJUDGED || stage === WAITING) waits = true;
      if (stage === REPEATED) repeated = skewOf(nth);
      if (stage <= effect.stage) continue;
      effect.stage = stage;
      effect.timeStep = timeStep;
    }
    if (waits) {
      this.#parked.park(this.#hash, packet.destinationPort, seen, now, repeated, nowMs);
    }
    if (!waits && parked !== NOBODY) this.#parked.forget(parked);
    if (refused) this.#unjudged++;
    return effect.stage > 0 ? effect : undefined;
  }

  setBack(source: Readonly<Source>): void {
    this.#attempts.removeAll(source);
    if (!this.#bindSource) return;
    this.#hash.set(source);
    const parked = this.#parked.find(this.#hash);
    if (parked !== NOBODY) this.#parked.forget(parked);
  }

  /** Another share of the processor's time from now on; all that was knocked stays. */
  setBudget(hmacsPerSecondMax: number): void {
    this.#book.setBudget(hmacsPerSecondMax);
  }

  takeUnjudged(): number {
    const unjudged = this.#unjudged;
    this.#unjudged = 0;
    return unjudged;
  }

  /** The stage that the packet leads to at one time step, 0 for nothing, WAITING, UNJUDGED or REPEATED. */
  #stepLane(
    packet: Readonly<PacketHeader>,
    seen: number,
    timeStep: number,
    parked: number,
    current: boolean,
    nowMs: number,
  ): number {
    const lane = laneOf(timeStep);
    if (packet.protocol !== IPPROTO_TCP) {
      // Without sequence numbers, equal packets are the same only at the same step.
      const opened = this.#openedAt(packet, lane, timeStep);
      if (opened !== NONE && this.#isIn(opened, seen, REPEATED_MS, nowMs)) {
        this.#beginParked(packet, timeStep, parked, current, seen, nowMs);
        return REPEATED;
      }
    }
    const slot = this.#attemptAt(packet, lane, timeStep, nowMs);
    if (slot !== NONE) return this.#stepAttempt(slot, packet, seen, nowMs);

    let first = this.#book.known(this.#hash, timeStep, 0);
    if (first === UNKNOWN) {
      if (parked === NOBODY && this.#bindSource) return WAITING;
      first = this.#firstPort(packet, timeStep, current, seen);
      if (first === UNKNOWN) return UNJUDGED;
      if (parked !== NOBODY && this.#isParkedAt(parked, first, timeStep, nowMs)) {
        const atMs = this.#parked.atMs(parked);
        const begun = this.#begin(packet, this.#parked.seen(parked), timeStep, first, atMs);
        const stage = this.#stepAttempt(begun, packet, seen, nowMs);
        return stage === 0 ? 1 : stage;
      }
    }
    if (packet.destinationPort !== first) return 0;
    this.#begin(packet, seen, timeStep, first, nowMs);
    return 1;
  }

  /** A repeated packet says nothing of the knock that waits: at this step it is judged alone. */
  #beginParked(
    packet: Readonly<PacketHeader>,
    timeStep: number,
    parked: number,
    current: boolean,
    seen: number,
    nowMs: number,
  ): void {
    if (parked === NOBODY) return;
    if (this.#attemptAt(packet, laneOf(timeStep), timeStep, nowMs) !== NONE) return;
    const first = this.#firstPort(packet, timeStep, current, seen);
    if (first === UNKNOWN || !this.#isParkedAt(parked, first, timeStep, nowMs)) return;
    this.#begin(packet, this.#parked.seen(parked), timeStep, first, this.#parked.atMs(parked));
  }

  /** The first knock of a step, or UNKNOWN where the budget is spent. */
  #firstPort(
    packet: Readonly<PacketHeader>,
    timeStep: number,
    current: boolean,
    seen: number,
  ): number {
    const known = this.#book.known(this.#hash, timeStep, 0);
    if (known !== UNKNOWN) return known;
    const reserve = current ? "quarter" : "half";
    const draw = seen / 2 ** 32;
    return this.#book.port(packet, this.#hash, timeStep, 0, this.#ports, 0, reserve, draw);
  }

  /** The stage that a packet takes an attempt to, 0 for nothing. */
  #stepAttempt(
    slot: number,
    packet: Readonly<PacketHeader>,
    seen: number,
    nowMs: number,
  ): number {
    const attempts = this.#attempts;
    if (attempts.hasSeen(slot, seen)) return 0;
    const stage = attempts.stage(slot);
    const timeStep = this.#timeStep[slot] as number;
    const ports = slot * this.#knocks;
    const port = packet.destinationPort;
    if (port === this.#ports[ports + stage - 1]) {
      attempts.remember(slot, seen);
      if (stage === 1) attempts.restart(slot, nowMs);
      return 0;
    }
    const next = this.#next(slot, packet, stage, timeStep);
    if (next === UNKNOWN) return UNJUDGED;
    if (port === next) {
      attempts.remember(slot, seen);
      if (stage + 1 < this.#knocks) attempts.advance(slot, stage + 1);
      else this.#open(slot, packet, timeStep, nowMs);
      return stage + 1;
    }
    const first = this.#ports[ports] as number;
    attempts.remove(slot);
    if (port !== first) return 0;
    this.#begin(packet, seen, timeStep, first, nowMs);
    return 1;
  }

  /** The knock that an attempt waits for. */
  #next(slot: number, source: Readonly<Source>, stage: number, timeStep: number): number {
    const ports = slot * this.#knocks;
    const known = this.#ports[ports + stage] as number;
    if (known !== UNKNOWN) return known;
    const next = this.#book.port(source, this.#hash, timeStep, stage, this.#ports, ports);
    this.#ports[ports + stage] = next;
    return next;
  }

  #begin(
    source: Readonly<Source>,
    seen: number,
    timeStep: number,
    first: number,
    atMs: number,
  ): number {
    const slot = this.#attempts.begin(source, laneOf(timeStep), atMs);
    this.#attempts.remember(slot, seen);
    this.#timeStep[slot] = timeStep;
    this.#ports.fill(UNKNOWN, slot * this.#knocks, (slot + 1) * this.#knocks);
    this.#ports[slot * this.#knocks] = first;
    return slot;
  }

  #open(slot: number, source: Readonly<Source>, timeStep: number, nowMs: number): void {
    const lane = laneOf(timeStep);
    const opened = this.#openedAt(source, lane, timeStep);
    const stale = opened === NONE ? this.#attempts.findOpened(source, lane) : NONE;
    if (stale !== NONE) this.#attempts.remove(stale);
    this.#attempts.open(slot, opened, nowMs);
  }

  /** The attempt of a source at a time step; one of another step or too late is forgotten. */
  #attemptAt(
    source: Readonly<Source>,
    lane: number,
    timeStep: number,
    nowMs: number,
  ): number {
    const slot = this.#attempts.findAttempt(source, lane);
    if (slot === NONE) return NONE;
    const late = nowMs - this.#attempts.startMs(slot) > this.#withinMs;
    if (!late && this.#timeStep[slot] === timeStep) return slot;
    this.#attempts.remove(slot);
    return NONE;
  }

  #openedAt(source: Readonly<Source>, lane: number, timeStep: number): number {
    const slot = this.#attempts.findOpened(source, lane);
    return slot !== NONE && this.#timeStep[slot] === timeStep ? slot : NONE;
  }

  /** Is it a segment of the attempt or of the completed sequence in a lane, of whatever step? */
  #isRepeated(source: Readonly<Source>, lane: number, seen: number, nowMs: number): boolean {
    const opened = this.#attempts.findOpened(source, lane);
    if (opened !== NONE && this.#isIn(opened, seen, REPEATED_MS, nowMs)) return true;
    const slot = this.#attempts.findAttempt(source, lane);
    return slot !== NONE && this.#isIn(slot, seen, this.#withinMs, nowMs);
  }

  #isIn(slot: number, seen: number, forMs: number, nowMs: number): boolean {
    return nowMs - this.#attempts.startMs(slot) <= forMs && this.#attempts.hasSeen(slot, seen);
  }

  #isParkedAt(parked: number, first: number, timeStep: number, nowMs: number): boolean {
    return this.#parked.port(parked) === first &&
      nowMs - this.#parked.atMs(parked) <= this.#withinMs &&
      this.#parked.wasInWindow(parked, timeStep, SKEW);
  }

  #packetHash({ sourcePort, destinationPort, sequence }: Readonly<PacketHeader>): number {
    return halfSipHash(this.#key, sourcePort << 16 | destinationPort, sequence);
  }
}

/** The source is new: its knock waits for another. */
const WAITING = -1;
/** The budget is spent. */
const UNJUDGED = -2;
/** It is one of a sequence that was completed at this step. */
const REPEATED = -3;

/** The current time step first, then its neighbours. */
function skewOf(nth: number): number {
  return nth === 0 ? 0 : nth === 1 ? -SKEW : SKEW;
}

function laneOf(timeStep: number): number {
  return (timeStep % LANES + LANES) % LANES;
}
