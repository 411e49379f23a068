// How many candidates an encrypted door tries in a time, and which, when they are too many. Half of the
// budget is kept for sources that do just what a client does: sixteen knocks and no more. The other half
// is for all; the less of it is left, the less a source must have had. What each leaves to others:
//
//   nothing            half                 all
//     ├──────────────────┼──────────────────┤
//     ╡ first                                         all with the same chance (token_bucket.ts)
//     ╞═════ later ════╡                            the more, the more of its candidates were tried
//                        ╞═ unlikely ═╡             likewise; never all: a source alone gets what it asks

import { ENCRYPTED_SHARE_MAX } from "../limits.ts";
import { TokenBucket } from "./token_bucket.ts";

/** A source's first sixteen knocks, what came after them, or a long shot. */
export type Likelihood = "first" | "later" | "unlikely";

export class TrialBudget {
  /** What each half holds at most. */
  readonly #half: number;
  readonly #kept: TokenBucket;
  readonly #shared: TokenBucket;

  /**
   * @param perSecond candidates a second, on average.
   * @param burst candidates at once, after a pause: some tens at least.
   */
  constructor(perSecond: number, burst: number) {
    this.#half = burst / 2;
    this.#kept = new TokenBucket(perSecond / 2, this.#half);
    this.#shared = new TokenBucket(perSecond / 2, this.#half);
  }

  /** Puts in what time brings. `nowMs` never goes back. */
  refill(nowMs: number): void {
    this.#kept.refill(nowMs);
    this.#shared.refill(nowMs);
  }

  /**
   * Takes one candidate, if it may be tried.
   *
   * @param had how many of the source were, beside the first.
   * @param chance 0 to 1, of which nobody knows anything.
   */
  take(likelihood: Likelihood, had: number, chance: number): boolean {
    if (likelihood === "first") return this.#kept.take(0, chance) || this.#shared.take(0, chance);
    const share = had / ENCRYPTED_SHARE_MAX;
    const left = likelihood === "later" ? 0.4 * share : 0.5 + 0.2 * share;
    return this.#shared.take(left * this.#half, chance / 4);
  }
}
