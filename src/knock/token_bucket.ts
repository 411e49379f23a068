// A budget that refills with time: so much a second, and at once no more than is in the bucket. Time
// is in the call, as everywhere here.

export class TokenBucket {
  #perMs: number;
  #size: number;
  #tokens: number;
  #atMs = -Infinity;

  /** It begins full. */
  constructor(perSecond: number, size: number) {
    this.#perMs = perSecond / 1000;
    this.#size = size;
    this.#tokens = size;
  }

  /** Another rate and size from now on. What does not fit is lost. */
  resize(perSecond: number, size: number): void {
    this.#perMs = perSecond / 1000;
    this.#size = size;
    this.#tokens = Math.min(this.#tokens, size);
  }

  /** Puts in what the time since the last refill brings. `nowMs` never goes back. */
  refill(nowMs: number): void {
    this.#tokens = Math.min(this.#size, this.#tokens + (nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
  }

  /**
   * Takes one, and leaves so many for others. Where little more than that is there, it depends on the
   * draw, a number from 0 to below 1 that nobody can foresee: all who ask then have the same chance,
   * not only who asks at the moment a token comes. Draw 0 always takes what it may.
   */
  take(left: number, draw: number): boolean {
    if (this.#tokens < left + 1 || this.#tokens - left <= draw * this.#size * SCARCE) return false;
    this.#tokens--;
    return true;
  }
}

/** Part of the bucket within which the draw decides. */
const SCARCE = 1 / 4;
