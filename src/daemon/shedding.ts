// Which sources are heard when more knocks come than can be read. Lost at random, half of the copies
// would be lost to everybody, and a sequence needs all of its own: nobody would get in. So the kernel copies
// the knocks of a share of the sources only, by a hash of their address, each share in turn: whoever is
// heard is heard to the end.

import type { SourceShare } from "../firewall/ruleset.ts";
import {
  HEARD_CAPACITY_SHARE,
  HEARD_MS,
  HEARD_SHARES_MAX,
  LOSING_READS_MIN,
  LOSS_SHARE_MAX,
  SHEDDING_WINDOW_MS,
} from "../limits.ts";

/** A turn of the daemon lasts longer than a window where it gets little of a processor, but not so long. */
const WINDOW_STRETCH_MAX = 4;

/** A loss is told by the next copy, and copies wait in the socket: those of the share before, too. */
const SETTLING_MS = 2 * SHEDDING_WINDOW_MS;

/** After each share that was read whole, so much more is thought to be possible. */
const CAPACITY_GROWTH = 1.1;

export interface Shedding {
  /**
   * Looks at what came since the last time, when it is time to.
   *
   * @param copied copies that were read or lost, which only grows.
   * @param lost those lost.
   * @param unheard asks for the knocks that were not copied: a counter, which may begin anew; undefined
   *   where nobody knows.
   * @returns true when `heard` is another share now.
   */
  check(
    copied: number,
    lost: number,
    unheard: () => number | undefined,
    nowMs: number,
  ): boolean;
  /** All sources are heard, and for some seconds nothing changes that. */
  restart(nowMs: number): void;
  /** Who is heard; undefined: all. */
  readonly heard: SourceShare | undefined;
  /** When the next look is due, while not all are heard. */
  readonly dueMs: number;
}

/** All are heard until copies are lost. The seed: 32 bits by chance. */
export function createShedding(seed: number, startMs: number): Shedding {
  let windowMs = startMs;
  let quietUntilMs = startMs;
  let lastCopied = 0;
  let lastLost = 0;
  let lastUnheard: number | undefined;
  let lostBefore = false;
  /** Knocks a second that could be read when some were lost, since when there may be more room. */
  let capacity = Infinity;
  let shares = 1;
  let turn = 0;
  let turnEndsMs = Infinity;
  let partition = seed;

  /** How many shares it takes that each can be read whole, of knocks that come at this rate. */
  const sharesFor = (rate: number): number => {
    const enough = Math.ceil(rate / (capacity * HEARD_CAPACITY_SHARE));
    return Math.min(Math.max(enough, 1), HEARD_SHARES_MAX);
  };

  const takeUnheard = (counted: number | undefined): number => {
    const last = lastUnheard;
    lastUnheard = counted;
    if (counted === undefined || last === undefined) return 0;
    // A table made anew counts from 0.
    return counted < last ? counted : counted - last;
  };

  return {
    check(copied, lost, unheard, nowMs) {
      const ms = nowMs - windowMs;
      if (ms < SHEDDING_WINDOW_MS) return false;
      const newCopied = copied - lastCopied;
      const newLost = lost - lastLost;
      [windowMs, lastCopied, lastLost] = [nowMs, copied, lost];
      // Of a process that was idle or stopped, the rates say nothing.
      const isTelling = nowMs >= quietUntilMs && ms <= WINDOW_STRETCH_MAX * SHEDDING_WINDOW_MS;
      const read = (newCopied - newLost) * 1000 / ms;
      const isLosing = isTelling && newLost > newCopied * LOSS_SHARE_MAX &&
        read >= LOSING_READS_MIN;
      // A burst is over before anything could be done about it.
      const isLasting = isLosing && (lostBefore || shares > 1);
      lostBefore = isLosing;
      if (isLasting) capacity = read;
      else if (shares === 1) return false;

      const newUnheard = takeUnheard(unheard());
      if (!isTelling) return false;
      const came = newCopied + newUnheard;
      const wanted = sharesFor(came * 1000 / ms);
      // Some source is too much by itself. Who shares with it would never be heard: there are other shares.
      const isUneven = isLasting && newCopied * shares > 2 * came;
      if (isUneven) partition = (partition + 1) >>> 0;
      // A share has its turn to the end, unless it is too large or nothing needs shares any more.
      const isTooMuch = isUneven || (isLasting && wanted > shares);
      if (!isTooMuch && wanted > 1 && nowMs < turnEndsMs) return false;
      // There may be more room than once was measured, which only a try can tell.
      if (!isLasting) capacity = Math.max(capacity, read) * CAPACITY_GROWTH;
      shares = wanted;
      turn++;
      turnEndsMs = nowMs + HEARD_MS;
      quietUntilMs = shares === 1 ? nowMs : nowMs + SETTLING_MS;
      return true;
    },

    restart(nowMs) {
      shares = 1;
      lastUnheard = undefined;
      quietUntilMs = nowMs + HEARD_MS;
    },

    get heard() {
      return shares === 1 ? undefined : { modulus: shares, seed: partition, value: turn % shares };
    },

    get dueMs() {
      return shares === 1 ? Infinity : windowMs + SHEDDING_WINDOW_MS;
    },
  };
}
