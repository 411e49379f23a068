// The bounded table of attempts: who is at which stage of which door. All memory is allocated at
// the start; every operation costs the same at any fill; nothing here throws.
//
// The slots are divided by stage. Stage 1, which one forged packet reaches, has at most half of
// them; the others share the rest evenly. A stage that is full gives up its own oldest attempt,
// never another stage's: forged first knocks cannot push out people in the middle of a sequence,
// nor forged near-complete ones those who begin. The last part, `opened`, remembers the packets of
// completed sequences, so that their retransmissions are known as such.
//
//   buckets (by keyed hash of the source)      slots                      order of each stage
//   ┌───┐                                      ┌────────────────────┐
//   │ ──┼─► slot ─► slot ─► -1                 │ source, door, stage│     oldest ⇄ … ⇄ newest
//   │-1 │                                      │ start, packets seen│
//   └───┘                                      └────────────────────┘
//
// Sources are hashed by their network, which is the /64 of an IPv6 address and an IPv4 address itself.
// So all attempts of one network lie in one bucket and are counted on the way: when there are too many,
// one whose time is over gives way, or else the earliest of the least advanced. Its completed sequences
// are counted apart from them, since they cost time alike.

import type { Source } from "../packet/header.ts";
import { halfSipHash, type HashKey } from "./siphash.ts";

/** No slot. */
export const NONE = -1;

export interface AttemptsOptions {
  /** Slots in all. */
  readonly slots: number;
  /** Knocks of the longest sequence; stages are 1 to this, the last one being `opened`. */
  readonly stages: number;
  /** Attempts of one network, and as many completed sequences. */
  readonly perPrefix: number;
  /** Milliseconds after which no attempt can go on. */
  readonly lifetimeMs: number;
  readonly key: HashKey;
  /** Note the time of the last knock, too: some rule asks for it. */
  readonly timed?: boolean;
}

export class Attempts {
  readonly #key: HashKey;
  readonly #perPrefix: number;
  readonly #lifetimeMs: number;
  readonly #stages: number;
  readonly #ring: number;
  readonly #mask: number;

  readonly #bucket: Int32Array;
  readonly #next: Int32Array;
  readonly #older: Int32Array;
  readonly #newer: Int32Array;
  readonly #word0: Uint32Array;
  readonly #word1: Uint32Array;
  readonly #word2: Uint32Array;
  readonly #word3: Uint32Array;
  /** Door and family: what else makes two attempts different. */
  readonly #tag: Uint32Array;
  readonly #stage: Uint8Array;
  readonly #startMs: Float64Array;
  readonly #lastMs: Float64Array | undefined;
  readonly #seenCount: Uint16Array;
  readonly #seen: Uint32Array;

  readonly #quota: Int32Array;
  readonly #count: Int32Array;
  readonly #oldest: Int32Array;
  readonly #newest: Int32Array;
  /** Free slots, linked through `#next`. */
  #free: number;

  constructor({ slots, stages, perPrefix, lifetimeMs, key, timed = false }: AttemptsOptions) {
    const buckets = 2 ** Math.ceil(Math.log2(slots * 2));
    this.#key = key;
    this.#perPrefix = perPrefix;
    this.#lifetimeMs = lifetimeMs;
    this.#stages = stages;
    this.#ring = 2 * stages;
    this.#mask = buckets - 1;
    this.#bucket = new Int32Array(buckets).fill(NONE);
    this.#next = new Int32Array(slots);
    this.#older = new Int32Array(slots);
    this.#newer = new Int32Array(slots);
    this.#word0 = new Uint32Array(slots);
    this.#word1 = new Uint32Array(slots);
    this.#word2 = new Uint32Array(slots);
    this.#word3 = new Uint32Array(slots);
    this.#tag = new Uint32Array(slots);
    this.#stage = new Uint8Array(slots);
    this.#startMs = new Float64Array(slots);
    this.#lastMs = timed ? new Float64Array(slots) : undefined;
    this.#seenCount = new Uint16Array(slots);
    this.#seen = new Uint32Array(slots * this.#ring);
    this.#quota = stageQuotas(slots, stages);
    this.#count = new Int32Array(stages + 1);
    this.#oldest = new Int32Array(stages + 1).fill(NONE);
    this.#newest = new Int32Array(stages + 1).fill(NONE);
    for (let slot = 0; slot < slots; slot++) this.#next[slot] = slot + 1;
    this.#next[slots - 1] = NONE;
    this.#free = 0;
  }

  /** Slots in use at a stage. */
  count(stage: number): number {
    return at(this.#count, stage);
  }

  /** The attempt of a source at a door, or NONE. */
  findAttempt(source: Source, door: number): number {
    return this.#find(source, door, false);
  }

  /** The completed sequence of a source at a door, or NONE. */
  findOpened(source: Source, door: number): number {
    return this.#find(source, door, true);
  }

  /** A new attempt at stage 1, for a source that has none at this door. */
  begin(source: Source, door: number, nowMs: number): number {
    const bucket = this.#bucketOf(source);
    this.#boundPrefix(source, bucket, false, nowMs);
    this.#makeRoom(1);
    const slot = this.#take(source, door, bucket);
    this.#startMs[slot] = nowMs;
    this.#append(slot, 1);
    return slot;
  }

  /** A free slot in the bucket of its source, at no stage yet. */
  #take(source: Source, door: number, bucket: number): number {
    const slot = this.#free;
    this.#free = at(this.#next, slot);
    this.#word0[slot] = source.word0;
    this.#word1[slot] = source.word1;
    this.#word2[slot] = source.word2;
    this.#word3[slot] = source.word3;
    this.#tag[slot] = tagOf(source, door);
    this.#seenCount[slot] = 0;
    this.#next[slot] = at(this.#bucket, bucket);
    this.#bucket[bucket] = slot;
    return slot;
  }

  /** Takes an attempt to another stage, as the newest there. */
  advance(slot: number, stage: number): void {
    this.#unlink(slot);
    this.#makeRoom(stage);
    this.#append(slot, stage);
  }

  /**
   * Takes a completed attempt to the last part, where its packets stay known: added to those of
   * `opened`, the sequence that the source completed before at this door, or NONE.
   */
  open(slot: number, opened: number, nowMs: number): void {
    let completed = slot;
    if (opened !== NONE) {
      this.#addSeen(opened, slot);
      this.remove(slot);
      completed = opened;
    } else this.#boundPrefix(this.#sourceOf(slot), this.#bucketOfSlot(slot), true, nowMs);
    this.#startMs[completed] = nowMs;
    this.advance(completed, this.#stages);
  }

  /** Forgets an attempt. */
  remove(slot: number): void {
    this.#unlink(slot);
    const bucket = this.#bucketOfSlot(slot);
    let before = at(this.#bucket, bucket);
    if (before === slot) {
      this.#bucket[bucket] = at(this.#next, slot);
    } else {
      while (at(this.#next, before) !== slot) before = at(this.#next, before);
      this.#next[before] = at(this.#next, slot);
    }
    this.#next[slot] = this.#free;
    this.#free = slot;
  }

  /** Forgets all attempts of a source, at any door. */
  removeAll(source: Source): void {
    for (let slot = at(this.#bucket, this.#bucketOf(source)); slot !== NONE;) {
      const next = at(this.#next, slot);
      const theirs = this.#isFrom(slot, source) && this.#stage[slot] !== this.#stages;
      if (theirs) this.remove(slot);
      slot = next;
    }
  }

  /**
   * Takes over what another table knows, each stage in its order; `doorOf` says which door of this
   * table one of the other is, or NONE. For a table that is empty.
   */
  adopt(other: Attempts, doorOf: (door: number) => number): void {
    for (let stage = 1; stage <= other.#stages; stage++) {
      const opened = stage === other.#stages;
      if (!opened && stage >= this.#stages) continue;
      for (let from = at(other.#oldest, stage); from !== NONE; from = at(other.#newer, from)) {
        const door = doorOf(at(other.#tag, from) & ~FAMILY_6);
        if (door !== NONE) this.#copy(other, from, door, opened ? this.#stages : stage);
      }
    }
  }

  #copy(other: Attempts, from: number, door: number, stage: number): void {
    const source = other.#sourceOf(from);
    this.#makeRoom(stage);
    const slot = this.#take(source, door, this.#bucketOf(source));
    this.#startMs[slot] = at(other.#startMs, from);
    this.#knockedAt(slot, other.lastMs(from));
    this.#addSeen(slot, from, other);
    this.#append(slot, stage);
  }

  stage(slot: number): number {
    return at(this.#stage, slot);
  }

  startMs(slot: number): number {
    return at(this.#startMs, slot);
  }

  restart(slot: number, nowMs: number): void {
    this.#startMs[slot] = nowMs;
  }

  /** When the last knock came; 0 where nobody asks (`timed`). */
  lastMs(slot: number): number {
    return this.#lastMs === undefined ? 0 : at(this.#lastMs, slot);
  }

  #knockedAt(slot: number, nowMs: number): void {
    if (this.#lastMs !== undefined) this.#lastMs[slot] = nowMs;
  }

  /** Remembers a knock of this attempt, and when it came. */
  knock(slot: number, packet: number, nowMs: number): void {
    this.remember(slot, packet);
    this.#knockedAt(slot, nowMs);
  }

  /** Remembers a packet of this attempt; of more than two a stage the earliest is forgotten. */
  remember(slot: number, packet: number): void {
    const count = at(this.#seenCount, slot);
    this.#seen[slot * this.#ring + count % this.#ring] = packet;
    // Past the first turn only the place in the ring matters.
    this.#seenCount[slot] = count + 1 < 2 * this.#ring ? count + 1 : this.#ring;
  }

  /** Was this packet part of the attempt before? */
  hasSeen(slot: number, packet: number): boolean {
    const first = slot * this.#ring;
    const end = first + Math.min(at(this.#seenCount, slot), this.#ring);
    for (let index = first; index < end; index++) {
      if (this.#seen[index] === packet) return true;
    }
    return false;
  }

  /** Remembers in `slot` the packets of another attempt, in their order. */
  #addSeen(slot: number, from: number, other: Attempts = this): void {
    const count = at(other.#seenCount, from);
    for (let index = Math.max(0, count - other.#ring); index < count; index++) {
      this.remember(slot, at(other.#seen, from * other.#ring + index % other.#ring));
    }
  }

  #find(source: Source, door: number, opened: boolean): number {
    const tag = tagOf(source, door);
    let slot = at(this.#bucket, this.#bucketOf(source));
    while (slot !== NONE) {
      if (
        this.#tag[slot] === tag && this.#isFrom(slot, source) &&
        (this.#stage[slot] === this.#stages) === opened
      ) return slot;
      slot = at(this.#next, slot);
    }
    return NONE;
  }

  #isFrom(slot: number, source: Source): boolean {
    return this.#word3[slot] === source.word3 && this.#word2[slot] === source.word2 &&
      this.#word1[slot] === source.word1 && this.#word0[slot] === source.word0 &&
      this.#isFamily6(slot) === (source.family === 6);
  }

  #sourceOf(slot: number): Source {
    return {
      family: this.#isFamily6(slot) ? 6 : 4,
      word0: at(this.#word0, slot),
      word1: at(this.#word1, slot),
      word2: at(this.#word2, slot),
      word3: at(this.#word3, slot),
    };
  }

  /** Where a network has all its attempts, or completed sequences, one of them gives way. */
  #boundPrefix(
    { family, word0, word1, word3 }: Source,
    bucket: number,
    opened: boolean,
    nowMs: number,
  ): void {
    let count = 0;
    let victim = NONE;
    for (let slot = at(this.#bucket, bucket); slot !== NONE; slot = at(this.#next, slot)) {
      const sameNetwork = family === 6
        ? this.#word0[slot] === word0 && this.#word1[slot] === word1 && this.#isFamily6(slot)
        : this.#word3[slot] === word3 && !this.#isFamily6(slot);
      const rival = sameNetwork && (this.#stage[slot] === this.#stages) === opened;
      if (!rival) continue;
      count++;
      if (victim === NONE || this.#givesWay(slot, victim, nowMs)) victim = slot;
    }
    if (count >= this.#perPrefix) this.remove(victim);
  }

  /** Of two that began at the same time the later in the bucket is the earlier. */
  #givesWay(slot: number, other: number, nowMs: number): boolean {
    const rank = this.#rank(slot, nowMs) - this.#rank(other, nowMs);
    return rank !== 0 ? rank < 0 : at(this.#startMs, slot) <= at(this.#startMs, other);
  }

  #rank(slot: number, nowMs: number): number {
    return nowMs - at(this.#startMs, slot) > this.#lifetimeMs ? 0 : at(this.#stage, slot);
  }

  #makeRoom(stage: number): void {
    if (at(this.#count, stage) >= at(this.#quota, stage)) this.remove(at(this.#oldest, stage));
  }

  #append(slot: number, stage: number): void {
    const newest = at(this.#newest, stage);
    this.#stage[slot] = stage;
    this.#older[slot] = newest;
    this.#newer[slot] = NONE;
    if (newest === NONE) this.#oldest[stage] = slot;
    else this.#newer[newest] = slot;
    this.#newest[stage] = slot;
    this.#count[stage] = at(this.#count, stage) + 1;
  }

  #unlink(slot: number): void {
    const stage = at(this.#stage, slot);
    const older = at(this.#older, slot);
    const newer = at(this.#newer, slot);
    if (older === NONE) this.#oldest[stage] = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) this.#newest[stage] = older;
    else this.#older[newer] = older;
    this.#count[stage] = at(this.#count, stage) - 1;
  }

  #bucketOf(source: Source): number {
    return this.#hash(source.family === 6, source.word0, source.word1, source.word3);
  }

  #bucketOfSlot(slot: number): number {
    const six = this.#isFamily6(slot);
    return this.#hash(six, at(this.#word0, slot), at(this.#word1, slot), at(this.#word3, slot));
  }

  #isFamily6(slot: number): boolean {
    return (at(this.#tag, slot) & FAMILY_6) !== 0;
  }

  #hash(six: boolean, word0: number, word1: number, word3: number): number {
    return (six ? halfSipHash(this.#key, word0, word1) : halfSipHash(this.#key, 0, word3)) &
      this.#mask;
  }
}

/**
 * Slots of each stage, by stage: half for stage 1, the rest in equal parts. At least one each.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { stageQuotas } from "./attempts.ts";
 * assert(stageQuotas(12, 4).join() === "0,6,2,2,2");
 * ```
 */
export function stageQuotas(slots: number, stages: number): Int32Array {
  const others = stages - 1;
  const share = Math.max(1, Math.floor(slots / 2 / others));
  return Int32Array.from(
    { length: stages + 1 },
    (_, stage) => stage === 0 ? 0 : stage === 1 ? slots - share * others : share,
  );
}

const FAMILY_6 = 0x4000_0000;

function tagOf(source: Source, door: number): number {
  return source.family === 6 ? FAMILY_6 | door : door;
}

/** An element that is known to be there; the compiler cannot know it. */
function at(
  array: Int32Array | Uint32Array | Uint16Array | Uint8Array | Float64Array,
  index: number,
): number {
  return array[index] as number;
}
