// Has the kernel copy the knocks of those who are heard, and sees to it that it never stays with fewer.
//
// **Invariant:** where it is not known what the kernel copies, it is asked to copy everybody's until it has
// said so, or the rules were written anew.

import { KernelError } from "../errors.ts";
import type { SourceShare } from "../firewall/ruleset.ts";
import { HEARD_MS } from "../limits.ts";
import type { Log } from "./log.ts";
import { createShedding } from "./shedding.ts";

/** After the kernel refused, or did not answer. */
const RETRY_MS = 1_000;

export interface HearingOptions {
  /** Has the knocks of this share copied, or of all. @throws {KernelError} */
  readonly hear: (heard: SourceShare | undefined) => void;
  /** Knocks that were not copied; undefined where nobody knows. */
  readonly unheard: () => number | undefined;
  /** 32 bits by chance. */
  readonly seed: number;
  readonly log: Log;
}

export interface Hearing {
  /** Looks whether copies are lost, and changes who is heard. */
  check(copies: { readonly copied: number; readonly lost: number }, nowMs: number): void;
  /** All are heard again: the rules were written anew. */
  installed(nowMs: number): void;
  /** When the next look is due, while not all are heard. */
  readonly dueMs: number;
}

export function createHearing(options: HearingOptions, startMs: number): Hearing {
  const { hear, unheard, seed, log } = options;
  const shedding = createShedding(seed, startMs);
  let retryAtMs = Infinity;
  let failureTold = false;

  const tryToHear = (heard: SourceShare | undefined, nowMs: number): boolean => {
    try {
      hear(heard);
      retryAtMs = Infinity;
      return true;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      retryAtMs = nowMs + RETRY_MS;
      if (!failureTold) log("warning", "sources not chosen", { reason: error.message });
      failureTold = true;
      return false;
    }
  };

  return {
    check({ copied, lost }, nowMs) {
      if (nowMs >= retryAtMs) tryToHear(undefined, nowMs);
      if (retryAtMs !== Infinity) return;
      const before = shedding.heard;
      if (!shedding.check(copied, lost, unheard, nowMs)) return;
      const { heard } = shedding;
      if (!tryToHear(heard, nowMs)) {
        shedding.restart(nowMs);
        if (before === undefined) return;
      }
      tell(before, shedding.heard, log);
    },
    installed(nowMs) {
      const before = shedding.heard;
      retryAtMs = Infinity;
      shedding.restart(nowMs);
      tell(before, undefined, log);
    },
    get dueMs() {
      return Math.min(shedding.dueMs, retryAtMs);
    },
  };
}

function tell(before: SourceShare | undefined, heard: SourceShare | undefined, log: Log): void {
  if (before?.modulus === heard?.modulus) return;
  if (heard === undefined) return log("info", "all heard", {});
  log("warning", "beyond capacity", {
    heard: `1/${heard.modulus}`,
    hint:
      "more knocks come than can be read; one share of the sources after the other is heard, each for " +
      `${HEARD_MS / 1000} s: who does not get in must knock again`,
  });
}
