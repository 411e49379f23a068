// Chance that can be repeated: sfc32 (Chris Doty-Humphrey, PractRand), 128 bits of state from a seed.

export class Random {
  #a: number;
  #b: number;
  #c = 0x9e3779b9 | 0;
  #count = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 2 ** 32) | 0;
    for (let round = 0; round < 15; round++) this.next();
  }

  /** An unsigned 32-bit number. */
  next(): number {
    const sum = (this.#a + this.#b | 0) + this.#count | 0;
    this.#count = this.#count + 1 | 0;
    this.#a = this.#b ^ this.#b >>> 9;
    this.#b = this.#c + (this.#c << 3) | 0;
    this.#c = (this.#c << 21 | this.#c >>> 11) + sum | 0;
    return sum >>> 0;
  }

  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number {
    return Math.floor(this.next() / 2 ** 32 * bound);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }
}
