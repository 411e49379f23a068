// The knocks of many sources at an encrypted door, as bytes that may make a message: one collector for
// each layout. Memory is allocated at the start; a source is the number of its slot in the lock's table.
//
//   window    the last sixteen knocks, in order: one candidate
//   indexed   for each of sixteen places the last three values, in any order: the newest ones make the
//             first candidate; then come those with one or two places taken from older values, since
//             somebody may knock in the source's name in between

import type { Block } from "./aes_sieve.ts";
import { type Layout, MESSAGE_BYTES, VALUES } from "./encrypted_message.ts";

export interface Collector {
  /** Candidates that a knock can lead to, at most. */
  readonly candidatesMax: number;
  /** Forgets what is in a slot. */
  clear(slot: number): void;
  /** Says that what comes now does not go on with what came before, though it may belong to it. */
  pause(slot: number): void;
  /** Takes a knock, by its port less the first of the range. */
  add(slot: number, offset: number, nowMs: number): Progress;
  /** Writes the bytes of a candidate, 0 being the likeliest, or says that there is none. */
  candidate(slot: number, index: number, nowMs: number, block: Block): boolean;
}

/** What a knock led to: `first` is what a client's last knock leads to, `later` what more than that does. */
export type Progress = "incomplete" | "first" | "later";

export interface CollectorOptions {
  readonly slots: number;
  /** From the first knock of a message to its last. */
  readonly withinMs: number;
}

export function collectorOf(layout: Layout, options: CollectorOptions): Collector {
  return layout === "window" ? new WindowCollector(options) : new IndexedCollector(options);
}

class WindowCollector implements Collector {
  readonly candidatesMax = 1;
  readonly #withinMs: number;
  /** The knocks of a slot, around and around. */
  readonly #values: Uint8Array;
  readonly #times: Uint32Array;
  readonly #count: Uint32Array;
  /** Knocks since a pause. */
  readonly #sincePause: Uint32Array;

  constructor({ slots, withinMs }: CollectorOptions) {
    this.#withinMs = withinMs;
    this.#values = new Uint8Array(slots * MESSAGE_BYTES);
    this.#times = new Uint32Array(slots * MESSAGE_BYTES);
    this.#count = new Uint32Array(slots);
    this.#sincePause = new Uint32Array(slots);
  }

  clear(slot: number): void {
    this.#count[slot] = 0;
    this.#sincePause[slot] = 0;
  }

  pause(slot: number): void {
    this.#sincePause[slot] = 0;
  }

  add(slot: number, offset: number, nowMs: number): Progress {
    const count = at(this.#count, slot);
    const place = slot * MESSAGE_BYTES + count % MESSAGE_BYTES;
    this.#values[place] = offset;
    this.#times[place] = nowMs;
    const now = count + 1 < WRAP ? count + 1 : MESSAGE_BYTES;
    this.#count[slot] = now;
    const since = Math.min(at(this.#sincePause, slot) + 1, MESSAGE_BYTES + 1);
    this.#sincePause[slot] = since;
    const oldest = slot * MESSAGE_BYTES + now % MESSAGE_BYTES;
    if (now < MESSAGE_BYTES || ageMs(at(this.#times, oldest), nowMs) > this.#withinMs) {
      return "incomplete";
    }
    return since === MESSAGE_BYTES ? "first" : "later";
  }

  candidate(slot: number, _index: number, _nowMs: number, block: Block): boolean {
    const start = at(this.#count, slot);
    for (let place = 0; place < MESSAGE_BYTES; place++) {
      const index = slot * MESSAGE_BYTES + (start + place) % MESSAGE_BYTES;
      putByte(block, place, at(this.#values, index));
    }
    return true;
  }
}

/** Where the count of knocks goes back by a multiple of sixteen. */
const WRAP = 2 ** 31;

/** Values that a place remembers. */
const RANKS = 3;
const PER_SLOT = MESSAGE_BYTES * RANKS;
const ALL_PLACES = 2 ** MESSAGE_BYTES - 1;

class IndexedCollector implements Collector {
  readonly candidatesMax = DEVIATIONS.length;
  readonly #withinMs: number;
  /** For each place the values, the newest first, and when each was knocked last. */
  readonly #values: Uint8Array;
  readonly #times: Uint32Array;
  readonly #count: Uint8Array;
  /** Places knocked at any time, and those since a pause: a bit each. */
  readonly #knocked: Uint16Array;
  readonly #sincePause: Uint16Array;
  /** The place of the last knock, whose newest value is part of every candidate. */
  readonly #lastPlace: Uint8Array;

  constructor({ slots, withinMs }: CollectorOptions) {
    this.#withinMs = withinMs;
    this.#values = new Uint8Array(slots * PER_SLOT);
    this.#times = new Uint32Array(slots * PER_SLOT);
    this.#count = new Uint8Array(slots * MESSAGE_BYTES);
    this.#knocked = new Uint16Array(slots);
    this.#sincePause = new Uint16Array(slots);
    this.#lastPlace = new Uint8Array(slots);
  }

  clear(slot: number): void {
    this.#count.fill(0, slot * MESSAGE_BYTES, (slot + 1) * MESSAGE_BYTES);
    this.#knocked[slot] = 0;
    this.#sincePause[slot] = 0;
  }

  pause(slot: number): void {
    this.#sincePause[slot] = 0;
  }

  add(slot: number, offset: number, nowMs: number): Progress {
    const place = Math.floor(offset / VALUES);
    this.#toFront(slot, place, offset % VALUES, nowMs);
    this.#lastPlace[slot] = place;
    const before = at(this.#sincePause, slot);
    const since = before | 1 << place;
    this.#sincePause[slot] = since;
    const knocked = at(this.#knocked, slot) | 1 << place;
    this.#knocked[slot] = knocked;
    if (knocked !== ALL_PLACES) return "incomplete";
    for (let other = 0; other < MESSAGE_BYTES; other++) {
      if (!this.#has(slot, other, 0, nowMs)) return "incomplete";
    }
    return since === ALL_PLACES && before !== ALL_PLACES ? "first" : "later";
  }

  candidate(slot: number, index: number, nowMs: number, block: Block): boolean {
    const deviation = DEVIATIONS[index] as Uint8Array;
    for (let place = 0; place < MESSAGE_BYTES; place++) {
      const rank = at(deviation, place);
      if (rank === 0) continue;
      if (place === this.#lastPlace[slot] || !this.#has(slot, place, rank, nowMs)) return false;
    }
    for (let place = 0; place < MESSAGE_BYTES; place++) {
      const index = slot * PER_SLOT + place * RANKS + at(deviation, place);
      putByte(block, place, at(this.#values, index));
    }
    return true;
  }

  #has(slot: number, place: number, rank: number, nowMs: number): boolean {
    return rank < at(this.#count, slot * MESSAGE_BYTES + place) &&
      ageMs(at(this.#times, slot * PER_SLOT + place * RANKS + rank), nowMs) <= this.#withinMs;
  }

  /** A value that is there already comes to the front; for a new one the oldest goes. */
  #toFront(slot: number, place: number, value: number, nowMs: number): void {
    const first = slot * PER_SLOT + place * RANKS;
    const count = at(this.#count, slot * MESSAGE_BYTES + place);
    let rank = 0;
    while (rank < count && this.#values[first + rank] !== value) rank++;
    if (rank === count && count < RANKS) this.#count[slot * MESSAGE_BYTES + place] = count + 1;
    for (let to = first + Math.min(rank, RANKS - 1); to > first; to--) {
      this.#values[to] = at(this.#values, to - 1);
      this.#times[to] = at(this.#times, to - 1);
    }
    this.#values[first] = value;
    this.#times[first] = nowMs;
  }
}

/** For each candidate the rank of the value at each place: two steps away from the newest at most. */
const DEVIATIONS: readonly Uint8Array[] = deviations();

function deviations(): Uint8Array[] {
  const places = Array.from({ length: MESSAGE_BYTES }, (_, place) => place);
  const ranks = (older: Record<number, number>) =>
    Uint8Array.from(places, (place) => older[place] ?? 0);
  return [
    ranks({}),
    ...places.map((place) => ranks({ [place]: 1 })),
    ...places.flatMap((one) =>
      places.slice(one + 1).map((other) => ranks({ [one]: 1, [other]: 1 }))
    ),
    ...places.map((place) => ranks({ [place]: 2 })),
  ];
}

function putByte(block: Block, place: number, value: number): void {
  const shift = 24 - place % 4 * 8;
  const keep = ~(0xff << shift);
  if (place < 4) block.word0 = block.word0 & keep | value << shift;
  else if (place < 8) block.word1 = block.word1 & keep | value << shift;
  else if (place < 12) block.word2 = block.word2 & keep | value << shift;
  else block.word3 = block.word3 & keep | value << shift;
}

/** Times are kept in 32 bits of milliseconds, 49 days. */
function ageMs(then: number, nowMs: number): number {
  return (nowMs >>> 0) - then >>> 0;
}

/** An element that is known to be there; the compiler cannot know it. */
function at(array: Uint8Array | Uint16Array | Uint32Array, index: number): number {
  return array[index] as number;
}
