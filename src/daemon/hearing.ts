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
  /** Of so many shares one is heard, as the log has it. */
  let sharesTold = 1;

  const tell = (heard: SourceShare | undefined) => {
    const shares = heard?.modulus ?? 1;
    if (shares === sharesTold) return;
    sharesTold = shares;
    if (shares === 1) return log("info", "all heard", {});
    log("warning", "beyond capacity", {
      heard: `1/${shares}`,
      hint:
        "more knocks come than can be read; one share of the sources after the other is heard, each for " +
        `${HEARD_MS / 1000} s: who does not get in must knock again`,
    });
  };

  const tryToHear = (heard: SourceShare | undefined, nowMs: number): void => {
    try {
      hear(heard);
      retryAtMs = Infinity;
      tell(heard);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      retryAtMs = nowMs + RETRY_MS;
      if (!failureTold) log("warning", "sources not chosen", { reason: error.message });
      failureTold = true;
      shedding.restart(nowMs);
    }
  };

  return {
    check({ copied, lost }, nowMs) {
      if (nowMs >= retryAtMs) tryToHear(undefined, nowMs);
      if (retryAtMs !== Infinity) return;
      if (shedding.check(copied, lost, unheard, nowMs)) tryToHear(shedding.heard, nowMs);
    },
    installed(nowMs) {
      retryAtMs = Infinity;
      shedding.restart(nowMs);
      tell(undefined);
    },
    get dueMs() {
      return Math.min(shedding.dueMs, retryAtMs);
    },
  };
}
