// createThrottle(): so many lines a second, and each line left out told once, soon after its second.

import fc from "fast-check";
import assert from "node:assert/strict";
import { createThrottle } from "../../../src/daemon/throttle.ts";

Deno.test("createThrottle() admits so many a second and counts the rest", () => {
  const throttle = createThrottle(2);
  assert.deepEqual([0, 1, 2, 999].map((ms) => throttle.admit(ms)), [true, true, false, false]);
  assert.equal(throttle.dueMs, 1_000);
  assert.equal(throttle.takeOmitted(999), 0, "the second is not over");
  assert.equal(throttle.takeOmitted(1_000), 2);
  assert.equal(throttle.takeOmitted(1_000), 0, "told once");
  assert.equal(throttle.dueMs, undefined);
  assert.equal(throttle.admit(1_000), true);
});

Deno.test("createThrottle() has nothing to tell where nothing was left out", () => {
  const throttle = createThrottle(1);
  assert.equal(throttle.takeOmitted(0), 0);
  assert.equal(throttle.dueMs, undefined);
  assert.equal(throttle.admit(0), true);
  assert.equal(throttle.dueMs, undefined);
  assert.equal(throttle.takeOmitted(5_000), 0);
});

Deno.test("createThrottle() starts a second with its first line, wherever the clock stands", () => {
  const throttle = createThrottle(1);
  assert.equal(throttle.admit(123_456_789), true);
  assert.equal(throttle.admit(123_457_788), false);
  assert.equal(throttle.admit(123_457_789), true);
});

Deno.test("createThrottle() tells of a second that is over also when the next one has begun", () => {
  const throttle = createThrottle(1);
  throttle.admit(0);
  throttle.admit(1);
  throttle.admit(1_000); // a flood comes first, then the daemon asks
  assert.ok((throttle.dueMs ?? Infinity) <= 1_000, "it is due");
  assert.equal(throttle.takeOmitted(1_000), 1);
});

Deno.test("createThrottle() as a naive list says, in any order of lines and questions", () => {
  const event = fc.record({ gapMs: fc.nat(700), ask: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(event), (perSecond, events) => {
      const throttle = createThrottle(perSecond);
      const seconds: { readonly startMs: number; lines: number; told: boolean }[] = [];
      let nowMs = 0;
      for (const { gapMs, ask } of events) {
        nowMs += gapMs;
        if (ask) {
          const over = seconds.filter(({ startMs, told }) => !told && nowMs - startMs >= 1_000);
          for (const second of over) second.told = true;
          const omitted = over.map(({ lines }) => Math.max(0, lines - perSecond));
          assert.equal(throttle.takeOmitted(nowMs), omitted.reduce((sum, count) => sum + count, 0));
          continue;
        }
        let second = seconds.at(-1);
        if (second === undefined || nowMs - second.startMs >= 1_000) {
          second = { startMs: nowMs, lines: 0, told: false };
          seconds.push(second);
        }
        second.lines++;
        assert.equal(throttle.admit(nowMs), second.lines <= perSecond);
      }
    }),
    { numRuns: 500 },
  );
});
