// The ports of a rotating door's sequences as far as anybody has asked for them. What is known is in
// a table of fixed size, so that packets of the same sources cost no HMAC; what is not is derived
// within a budget, so that packets of ever new sources cost no more than that.
//
// The table is direct-mapped: a new entry takes the place of another, which then has to be derived
// again. Its hashes are keyed; an entry is taken for another once in 2^47.

import type { Source } from "../packet/header.ts";
import { RotatingDerivation, type RotatingParameters } from "./rotating_sequence.ts";
import { halfSipHash, type HashKey } from "./siphash.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Not known, and not to be derived now. No port has this number. */
export const UNKNOWN = 0;

/** Two hashes of an address, independent of each other. */
export class SourceHash {
  readonly #key: HashKey;
  readonly #otherKey: HashKey;
  first = 0;
  second = 0;

  constructor(key: HashKey) {
    this.#key = key;
    this.#otherKey = [key[1], key[0]];
  }

  /** Makes them those of this source. */
  set({ family, word0, word1, word2, word3 }: Readonly<Source>): void {
    const upper = family === 6 ? halfSipHash(this.#key, word0, word1) : 0;
    const lower = family === 6 ? halfSipHash(this.#key, word2, word3) : word3;
    this.first = halfSipHash(this.#key, upper, lower);
    this.second = halfSipHash(this.#otherKey, upper, lower);
  }
}

export interface SequenceBookOptions extends RotatingParameters {
  /** Sequences differ from source to source. */
  readonly bindSource: boolean;
  /** Ports known at once; a power of two. */
  readonly portsKnownMax: number;
  readonly hmacsPerSecondMax: number;
  readonly key: HashKey;
}

/** How much of the budget is kept for others: those who ask for something more important. */
export type Reserve = "none" | "quarter" | "half";

export class SequenceBook {
  readonly #derivation: RotatingDerivation;
  readonly #bindSource: boolean;
  readonly #key: HashKey;
  readonly #mask: number;
  readonly #tag: Uint32Array;
  readonly #port: Uint16Array;
  readonly #budget: TokenBucket;
  #reserves: Readonly<Record<Reserve, number>>;

  constructor(options: SequenceBookOptions) {
    const { portsKnownMax, hmacsPerSecondMax, key } = options;
    this.#derivation = new RotatingDerivation(options);
    this.#bindSource = options.bindSource;
    this.#key = key;
    this.#mask = portsKnownMax - 1;
    this.#tag = new Uint32Array(portsKnownMax);
    this.#port = new Uint16Array(portsKnownMax);
    const burst = hmacsPerSecondMax * BURST_SECONDS;
    this.#budget = new TokenBucket(hmacsPerSecondMax, burst);
    this.#reserves = reservesOf(burst);
  }

  /** Another budget from now on. */
  setBudget(hmacsPerSecondMax: number): void {
    const burst = hmacsPerSecondMax * BURST_SECONDS;
    this.#budget.resize(hmacsPerSecondMax, burst);
    this.#reserves = reservesOf(burst);
  }

  refill(nowMs: number): void {
    this.#budget.refill(nowMs);
  }

  /** The knock at `index` of a sequence, where it is known. */
  known(hash: Readonly<SourceHash>, timeStep: number, index: number): number {
    const entry = this.#entryOf(hash, timeStep, index);
    if (this.#tag[entry] !== tagOf(hash, timeStep, index)) return UNKNOWN;
    return this.#port[entry] as number;
  }

  /**
   * The knock at `index`, derived where it is not known and the budget allows it.
   *
   * @param ports where the earlier knocks are, the first of them at `at`.
   * @param draw from 0 to below 1, by chance: decides where the budget is nearly spent.
   */
  port(
    source: Readonly<Source>,
    hash: Readonly<SourceHash>,
    timeStep: number,
    index: number,
    ports: Uint16Array,
    at: number,
    reserve: Reserve = "none",
    draw = 0,
  ): number {
    const known = this.known(hash, timeStep, index);
    if (known !== UNKNOWN) return known;
    if (!this.#budget.take(this.#reserves[reserve], draw)) return UNKNOWN;
    const bound = this.#bindSource ? source : undefined;
    const port = this.#derivation.port(timeStep, bound, ports, at, index);
    const entry = this.#entryOf(hash, timeStep, index);
    this.#tag[entry] = tagOf(hash, timeStep, index);
    this.#port[entry] = port;
    return port;
  }

  #entryOf(hash: Readonly<SourceHash>, timeStep: number, index: number): number {
    return halfSipHash(this.#key, hash.first + index, timeStep) & this.#mask;
  }
}

/** What may be spent at once: a crowd that comes in the same moment. */
const BURST_SECONDS = 0.2;

function reservesOf(burst: number): Readonly<Record<Reserve, number>> {
  return { none: 0, quarter: burst / 4, half: burst / 2 };
}

function tagOf(hash: Readonly<SourceHash>, timeStep: number, index: number): number {
  return (hash.second + Math.imul(timeStep, 0x9e37_79b1) + Math.imul(index, 0x85eb_ca6b)) >>> 0;
}
