// Which time step a client knocks: each opens once for a source, and a server accepts one step ahead
// of its clock. Pure.

import { timeStepAt } from "../knock/rotating_sequence.ts";

/** How far the server's clock may be behind when a step ahead of it is knocked. */
const BEHIND_MS = 1_000;

/** A time step to knock, and how long to wait before. */
export interface Turn {
  readonly timeStep: number;
  readonly waitMs: number;
}

/**
 * The next time step that was not knocked yet. The current one, or the one ahead of it at once; with
 * both used up, the one after as soon as it is one ahead.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { nextTurn } from "./time_step.ts";
 * assert.deepEqual(nextTurn(undefined, 61_000, 30_000), { timeStep: 2, waitMs: 0 });
 * assert.deepEqual(nextTurn(2, 61_000, 30_000), { timeStep: 3, waitMs: 0 });
 * assert.deepEqual(nextTurn(3, 61_000, 30_000), { timeStep: 4, waitMs: 30_000 });
 * ```
 *
 * @param last the last one that was knocked.
 */
export function nextTurn(last: number | undefined, unixMs: number, stepMs: number): Turn {
  const current = timeStepAt(unixMs, stepMs);
  if (!isSpent(last, unixMs, stepMs)) return { timeStep: current, waitMs: 0 };
  const timeStep = (last ?? current) + 1;
  return { timeStep, waitMs: Math.max(0, (timeStep - 1) * stepMs + BEHIND_MS - unixMs) };
}

/**
 * Was the sequence of this moment knocked already? One that is more than one step ahead was knocked
 * while this host's clock was wrong, and opened nothing.
 */
export function isSpent(last: number | undefined, unixMs: number, stepMs: number): boolean {
  const current = timeStepAt(unixMs, stepMs);
  return last !== undefined && last >= current && last <= current + 1;
}
