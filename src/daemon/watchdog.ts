// Notices a daemon that has gone deaf: a listener that is no longer its own, or knocks that the kernel
// counts and no copy of which arrives.

import { HostError } from "../errors.ts";
import { WATCHDOG_MS } from "../limits.ts";

export interface Watchdog {
  /**
   * Compares, when it is time to.
   *
   * @param copied copies that have arrived or are known to be lost, which only grows.
   * @throws {HostError} when a listener is gone, or when knocks were counted before the last check and
   *   none has arrived since.
   */
  check(copied: number, nowMs: number): void;
  /** When the next check is due. */
  readonly dueMs: number;
}

/** What the watchdog asks the kernel. */
export interface Watched {
  /** How many knocks it has counted; undefined where it cannot tell. */
  counted(): number | undefined;
  /** A listener that somebody took from pk, in words ("Queue 7"); undefined where all is well. */
  lostListener(): string | undefined;
}

export function createWatchdog({ counted, lostListener }: Watched, startMs: number): Watchdog {
  let dueMs = startMs + WATCHDOG_MS;
  let lastCounted = counted();
  let lastCopied = 0;
  /** The kernel had counted knocks at the last check that had not arrived. */
  let missing = false;
  return {
    check(copied, nowMs) {
      if (nowMs < dueMs) return;
      dueMs = nowMs + WATCHDOG_MS;
      const lost = lostListener();
      if (lost !== undefined) {
        throw new HostError(
          `${lost} no longer belongs to pk: somebody unbound it`,
          "Start pk again; nothing was opened meanwhile",
        );
      }
      const now = counted();
      const arrived = copied > lastCopied;
      if (missing && !arrived) {
        throw new HostError(
          "The kernel counts knocks, but no copy of them arrives",
          "Start pk again; if it happens again, report it with the kernel's version (uname -r)",
        );
      }
      // Those counted in this very moment may still be on their way: the next check tells.
      missing = !arrived && now !== undefined && lastCounted !== undefined && now > lastCounted;
      lastCounted = now;
      lastCopied = copied;
    },
    get dueMs() {
      return dueMs;
    },
  };
}
