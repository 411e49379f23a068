// nextTurn(): every step at most once, within what the server accepts, and never waiting without need.

import assert from "node:assert/strict";
import fc from "fast-check";
import { isSpent, nextTurn } from "../../../src/client/time_step.ts";

const STEP_MS = 30_000;

Deno.test("nextTurn() takes the current step, then the one ahead, then waits", () => {
  const cases: readonly [last: number | undefined, unixMs: number, step: number, waitMs: number][] =
    [
      [undefined, 61_000, 2, 0],
      [1, 61_000, 2, 0],
      [2, 61_000, 3, 0],
      [2, 60_400, 3, 600],
      [3, 61_000, 4, 30_000],
      [3, 89_999, 4, 1_001],
    ];
  for (const [last, unixMs, timeStep, waitMs] of cases) {
    assert.deepEqual(nextTurn(last, unixMs, STEP_MS), { timeStep, waitMs });
  }
});

Deno.test("nextTurn() forgets steps of a clock that was wrong", () => {
  assert.deepEqual(nextTurn(1_000_000, 61_000, STEP_MS), { timeStep: 2, waitMs: 0 });
  assert.equal(isSpent(1_000_000, 61_000, STEP_MS), false);
});

Deno.test("nextTurn() never knocks a step twice, nor one that the server does not take", () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 70_000 }), { maxLength: 40 });
  // The server's clock may be up to a second behind, or any bit ahead within the step.
  fc.assert(fc.property(gaps, fc.integer({ min: 0, max: 1_000 }), (waits, behindMs) => {
    let now = 1_700_000_000_000;
    let last: number | undefined;
    const used = new Set<number>();
    for (const wait of waits) {
      now += wait;
      const { timeStep, waitMs } = nextTurn(last, now, STEP_MS);
      assert.ok(waitMs <= STEP_MS + 1_000, `${waitMs}`);
      now += waitMs;
      assert.ok(!used.has(timeStep), "twice");
      const server = Math.floor((now - behindMs) / STEP_MS);
      assert.ok(Math.abs(timeStep - server) <= 1, `${timeStep} at ${server}`);
      used.add(timeStep);
      last = timeStep;
    }
  }));
});
