// How many refused SYNs were not told: the kernel counts all, and copies only some a second.

import type { Conversation } from "../netlink/conversation.ts";
import { readCounter } from "./counter.ts";

export interface RefusalCount {
  /** One was told. */
  tell(nowMs: number): void;
  /** Those since the last time that were not told; 0 while it is not due. */
  takeUntold(nowMs: number): number;
  /** When there will be something to take, or undefined. */
  readonly dueMs: number | undefined;
}

const INTERVAL_MS = 1_000;

/** Counts from what the kernel has counted so far. */
export function createRefusalCount(kernel: Conversation): RefusalCount {
  let counted = readCounter(kernel, "refused");
  let told = 0;
  let dueMs: number | undefined;
  return {
    tell(nowMs) {
      told++;
      dueMs ??= nowMs + INTERVAL_MS;
    },
    takeUntold(nowMs) {
      if (dueMs === undefined || nowMs < dueMs) return 0;
      const now = readCounter(kernel, "refused");
      dueMs = undefined;
      if (now === undefined || counted === undefined) {
        counted = now ?? counted;
        told = 0;
        return 0;
      }
      // A table made anew counts from 0.
      const since = now < counted ? now : now - counted;
      const untold = Math.max(0, since - told);
      counted = now;
      // Some were counted before their copies were read.
      told = Math.max(0, told - since);
      return untold;
    },
    get dueMs() {
      return dueMs;
    },
  };
}
