// createWatchdog(): an alarm when the kernel counts knocks and no copy of them arrives, and at no other
// time.

import fc from "fast-check";
import assert from "node:assert/strict";
import { createWatchdog } from "../../../src/daemon/watchdog.ts";
import { HostError } from "../../../src/errors.ts";
import { WATCHDOG_MS } from "../../../src/limits.ts";

/** What the kernel has counted and what has arrived in all, at one check after the other. */
type Check = readonly [counted: number | undefined, copied: number];

Deno.test("check() alarms at the second check after knocks of which no copy arrives", () => {
  assert.equal(alarmAt([[1, 0], [1, 0]]), 2);
  assert.equal(alarmAt([[0, 0], [0, 0], [5, 0], [9, 0]]), 4);
  assert.equal(alarmAt([[3, 3], [5, 5], [6, 5], [6, 5]]), 4);
});

Deno.test("check() tells what to do", () => {
  let counted = 0;
  const watchdog = createWatchdog({ counted: () => counted, lostListener: () => undefined }, 0);
  counted = 1;
  watchdog.check(0, WATCHDOG_MS);
  assert.throws(() => watchdog.check(0, 2 * WATCHDOG_MS), (error) => {
    assert.ok(error instanceof HostError);
    assert.match(error.message, /no copy of them arrives/);
    assert.match(error.hint, /Start pk again/);
    return true;
  });
});

const peaceful: readonly [string, readonly Check[]][] = [
  ["nothing happens", [[0, 0], [0, 0], [0, 0]]],
  ["every knock arrives", [[4, 4], [9, 9], [9, 9], [10, 10]]],
  ["a knock arrives after it was counted", [[1, 0], [1, 1], [1, 1]]],
  ["knocks always arrive a check late", [[1, 0], [2, 1], [3, 2], [4, 3], [4, 4]]],
  ["copies were lost, as the next one told", [[9_000, 0], [9_001, 9_001], [9_001, 9_001]]],
  ["copies are of refused SYNs as well", [[0, 7], [1, 9], [1, 9]]],
  ["the table was made anew", [[50, 50], [0, 50], [0, 50], [3, 53], [3, 53]]],
  ["the table was made anew and counts already", [[50, 50], [7, 50], [7, 57], [7, 57]]],
  ["the counter cannot be read", [[undefined, 0], [undefined, 0], [undefined, 0]]],
  ["the counter cannot be read for a while", [[5, 5], [undefined, 5], [5, 5], [5, 5]]],
  ["knocks came while it could not be read", [[5, 5], [undefined, 8], [8, 8], [8, 8]]],
];

for (const [what, checks] of peaceful) {
  Deno.test(`check() stays calm where ${what}`, () => assert.equal(alarmAt(checks), undefined));
}

Deno.test("check() counts from what stood in the kernel before it began", () => {
  assert.equal(alarmAt([[5_000, 0], [5_000, 0], [5_000, 0]], 5_000), undefined);
});

Deno.test("check() counts from what it read first, where nothing could be read before", () => {
  assert.equal(alarmAt([[5_000, 0], [5_000, 0], [5_000, 0]], "unreadable"), undefined);
  assert.equal(alarmAt([[5_000, 0], [5_001, 0], [5_001, 0]], "unreadable"), 3);
});

Deno.test("check() alarms also where the counter cannot be read at the last check", () => {
  assert.equal(alarmAt([[1, 0], [undefined, 0]]), 2);
});

Deno.test("check() reads the counter when it is due, and is due again a while after that", () => {
  let reads = 0;
  const watchdog = createWatchdog({ counted: () => reads++, lostListener: () => undefined }, 500);
  assert.equal(watchdog.dueMs, 500 + WATCHDOG_MS);
  watchdog.check(0, 500);
  watchdog.check(0, 499 + WATCHDOG_MS);
  assert.equal(reads, 1);
  watchdog.check(0, 600 + WATCHDOG_MS);
  assert.equal(reads, 2);
  assert.equal(watchdog.dueMs, 600 + 2 * WATCHDOG_MS);
});

Deno.test("check() stays calm when the process was stopped for long", () => {
  let counted = 0;
  const watchdog = createWatchdog({ counted: () => counted, lostListener: () => undefined }, 0);
  // Stopped just after it had read what there was: the first check finds the copies not read yet.
  counted = 100_000;
  watchdog.check(0, 1_000 * WATCHDOG_MS);
  assert.equal(watchdog.dueMs, 1_001 * WATCHDOG_MS);
  watchdog.check(0, 1_000 * WATCHDOG_MS + 1);
  // Some of them were lost.
  watchdog.check(30_000, 1_001 * WATCHDOG_MS);
  watchdog.check(30_000, 1_002 * WATCHDOG_MS);
});

/** Knocks between two checks, and how many of those that are on their way stay there. */
const interval = fc.record({ knocks: fc.nat(3), late: fc.nat(3), anew: fc.boolean() });

Deno.test("check() stays calm whatever comes, where all arrives before the check after next", () => {
  fc.assert(
    fc.property(fc.array(interval, { maxLength: 50 }), (intervals) => {
      let [counted, copied, onTheirWay] = [0, 0, 0];
      const checks = intervals.map(({ knocks, late, anew }): Check => {
        if (anew) counted = 0;
        counted += knocks;
        // Only those of this interval can be late.
        const left = Math.min(late, knocks);
        copied += onTheirWay + knocks - left;
        onTheirWay = left;
        return [counted, copied];
      });
      assert.equal(alarmAt(checks), undefined);
    }),
    { numRuns: 500 },
  );
});

/** The number of the check that alarms, from 1; undefined where none does. */
function alarmAt(
  checks: readonly Check[],
  standing: number | "unreadable" = 0,
): number | undefined {
  let counted = standing === "unreadable" ? undefined : standing;
  const watchdog = createWatchdog({ counted: () => counted, lostListener: () => undefined }, 0);
  for (const [index, [now, copied]] of checks.entries()) {
    counted = now;
    try {
      watchdog.check(copied, (index + 1) * WATCHDOG_MS);
    } catch (error) {
      assert.ok(error instanceof HostError, String(error));
      return index + 1;
    }
  }
  return undefined;
}

Deno.test("check() ends at the first look that finds a listener lost, knocks or none", () => {
  const lost: string[] = [];
  const watchdog = createWatchdog({ counted: () => 0, lostListener: () => lost[0] }, 0);
  watchdog.check(0, WATCHDOG_MS);
  lost.push("Queue 7");
  watchdog.check(0, WATCHDOG_MS + 1);
  assert.throws(() => watchdog.check(5, 2 * WATCHDOG_MS), /Queue 7 no longer belongs to pk/);
});
