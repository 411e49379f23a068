// Which sources are heard when more knocks come than can be read. Lost at random, half of the copies
// would be lost to everybody, and a sequence needs all of its own: nobody would get in. So the kernel copies
// the knocks of a share of the sources only, by a hash of their address, each share in turn: whoever is
// heard is heard to the end.

import type { SourceShare } from "../firewall/ruleset.ts";
import {
  HEARD_CAPACITY_SHARE,
  HEARD_MS,
  HEARD_SHARES_MAX,
  LOSS_SHARE_MAX,
  SHEDDING_WINDOW_MS,
} from "../limits.ts";

export interface Shedding {
  /**
   * Looks at what came since the last time, when it is time to.
   *
   * @param copied copies that were read or lost, which only grows.
   * @param lost those lost.
   * @param unheard asks for the knocks that were not copied, which only grows; undefined where nobody knows.
   * @returns true when `heard` is another share now.
   */
  check(
    copied: number,
    lost: number,
    unheard: () => number | undefined,
    nowMs: number,
  ): boolean;
  /** All sources are heard, and will be for some seconds: the rules were written anew, or cannot be. */
  restart(nowMs: number): void;
  /** Who is heard; undefined: all. */
  readonly heard: SourceShare | undefined;
  /** When the next look is due, while not all are heard. */
  readonly dueMs: number;
}

/** A turn of the daemon lasts longer than a window where it gets little of a processor, but not so long. */
const WINDOW_STRETCH_MAX = 4;

/** With each share that was read whole, as much more is thought to be possible. */
const CAPACITY_GROWTH = 1.05;

/** All are heard until copies are lost. The seed: 32 bits by chance. */
export function createShedding(seed: number, startMs: number): Shedding {
  let windowMs = startMs;
  let lastCopied = 0;
  let lastLost = 0;
  let lastUnheard: number | undefined;
  /** Knocks a second that could be read when some were lost, since when there may be more room. */
  let capacity = Infinity;
  let shares = 1;
  let turn = 0;
  let turnEndsMs = Infinity;

  /** How many shares it takes that each can be read whole, of knocks that come at this rate. */
  const sharesFor = (rate: number): number => {
    const enough = Math.ceil(rate / (capacity * HEARD_CAPACITY_SHARE));
    return Math.min(Math.max(enough, 1), HEARD_SHARES_MAX);
  };

  return {
    check(copied, lost, unheard, nowMs) {
      const seconds = (nowMs - windowMs) / 1000;
      if (seconds * 1000 < SHEDDING_WINDOW_MS) return false;
      const newCopied = copied - lastCopied;
      const newLost = lost - lastLost;
      [windowMs, lastCopied, lastLost] = [nowMs, copied, lost];
      // Of a process that was idle or stopped, the rates say nothing.
      if (seconds * 1000 > WINDOW_STRETCH_MAX * SHEDDING_WINDOW_MS) return false;

      const read = (newCopied - newLost) / seconds;
      // A loss is told by the next copy, which may come long after it: where next to nothing was read, it is
      // old news.
      const isLosing = newLost > newCopied * LOSS_SHARE_MAX &&
        (capacity === Infinity || read > capacity * (1 - HEARD_CAPACITY_SHARE));
      if (shares === 1 && !isLosing) return false;
      const counted = unheard();
      const newUnheard = Math.max(0, (counted ?? 0) - (lastUnheard ?? counted ?? 0));
      lastUnheard = counted;
      capacity = isLosing ? read : Math.max(capacity, read);

      const wanted = sharesFor((newCopied + newUnheard) / seconds);
      // A share has its turn to the end, unless it is too large or nothing needs shares any more.
      if (!isLosing && wanted > 1 && nowMs < turnEndsMs) return false;
      // There may be more room than once was measured, which only a try can tell.
      if (!isLosing) capacity *= CAPACITY_GROWTH;
      shares = wanted;
      turn++;
      turnEndsMs = nowMs + HEARD_MS;
      return true;
    },

    restart(nowMs) {
      shares = 1;
      lastUnheard = undefined;
      windowMs = nowMs + HEARD_MS;
    },

    get heard() {
      return shares === 1 ? undefined : { modulus: shares, seed, value: turn % shares };
    },

    get dueMs() {
      return shares === 1 ? Infinity : windowMs + SHEDDING_WINDOW_MS;
    },
  };
}
