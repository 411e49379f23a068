// Notices a daemon that has gone deaf: the kernel counts knocks, and no copy of them arrives.

import { HostError } from "../errors.ts";
import { WATCHDOG_MS } from "../limits.ts";

export interface Watchdog {
  /**
   * Compares, when it is time to.
   *
   * @param copied copies that have arrived or are known to be lost, which only grows.
   * @throws {HostError} when knocks were counted before the last check and none has arrived since.
   */
  check(copied: number, nowMs: number): void;
  /** When the next check is due. */
  readonly dueMs: number;
}

/** @param counted reads how many knocks the kernel has counted; undefined where it cannot tell. */
export function createWatchdog(counted: () => number | undefined, startMs: number): Watchdog {
  let dueMs = startMs + WATCHDOG_MS;
  let lastCounted = counted();
  let lastCopied = 0;
  /** The kernel had counted knocks at the last check that had not arrived. */
  let missing = false;
  return {
    check(copied, nowMs) {
      if (nowMs < dueMs) return;
      dueMs = nowMs + WATCHDOG_MS;
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
