// Which sources are heard, in floods that are played through the policy window by window.

import assert from "node:assert/strict";
import fc from "fast-check";
import { createShedding } from "../../../src/daemon/shedding.ts";
import { HEARD_MS, HEARD_SHARES_MAX, SHEDDING_WINDOW_MS } from "../../../src/limits.ts";

const SEED = 7;

/** A host that reads so many a second of what is copied, where all sources knock alike. */
function play(capacity: number) {
  const shedding = createShedding(SEED, 0);
  let nowMs = 0, copied = 0, lost = 0, unheard = 0;
  return {
    shedding,
    /** So many knocks a second for a window. @returns whether another share is heard then. */
    window(rate: number, ms = SHEDDING_WINDOW_MS): boolean {
      const shares = shedding.heard?.modulus ?? 1;
      const came = rate * ms / 1000;
      copied += came / shares;
      unheard += came - came / shares;
      lost += Math.max(0, came / shares - capacity * ms / 1000);
      nowMs += ms;
      return shedding.check(copied, lost, () => unheard, nowMs);
    },
    restart: () => shedding.restart(nowMs),
    get lost() {
      return lost;
    },
  };
}

Deno.test("check() hears all where nothing is lost, and does not ask what is unheard", () => {
  const { shedding, window } = play(100_000);
  for (let round = 0; round < 100; round++) assert.equal(window(99_000), false);
  assert.equal(shedding.heard, undefined);
  assert.equal(shedding.dueMs, Infinity);
  assert.equal(
    shedding.check(1e9, 0, () => assert.fail("asked"), 100 * SHEDDING_WINDOW_MS + 1_000),
    false,
  );
});

Deno.test("check() hears a share that can be read as soon as copies are lost", () => {
  const { shedding, window } = play(100_000);
  assert.equal(window(200_000), true);
  assert.deepEqual(shedding.heard, { modulus: 3, seed: SEED, value: 1 });
  assert.equal(window(200_000), false);
});

Deno.test("check() hears every share for as long, one after the other", () => {
  const flood = play(100_000);
  flood.window(200_000);
  const heard: number[] = [];
  for (let ms = 0; ms < 12 * HEARD_MS; ms += SHEDDING_WINDOW_MS) {
    if (flood.window(200_000)) heard.push(flood.shedding.heard?.value ?? -1);
  }
  assert.equal(heard.length, 12);
  for (let from = 0; from + 3 <= heard.length; from += 3) {
    if (flood.shedding.heard?.modulus !== 3) break;
    assert.equal(new Set(heard.slice(from, from + 3)).size, 3, String(heard));
  }
});

Deno.test("check() loses little of a flood that lasts, and tries larger shares rarely", () => {
  const flood = play(100_000);
  let came = 0;
  for (let ms = 0; ms < 300_000; ms += SHEDDING_WINDOW_MS) {
    flood.window(240_000);
    came += 240_000 * SHEDDING_WINDOW_MS / 1000;
  }
  assert.ok(flood.lost < came * 0.01, `${flood.lost} of ${came}`);
});

Deno.test("check() hears all again in the first window without a flood", () => {
  const { shedding, window } = play(100_000);
  window(500_000);
  assert.equal(window(0), true);
  assert.equal(shedding.heard, undefined);
});

Deno.test("check() takes no larger share before the turn is over", () => {
  const { shedding, window } = play(100_000);
  window(700_000);
  const { modulus } = shedding.heard ?? assert.fail();
  for (let ms = SHEDDING_WINDOW_MS; ms < HEARD_MS; ms += SHEDDING_WINDOW_MS) {
    assert.equal(window(300_000), false);
  }
  assert.equal(window(300_000), true);
  assert.ok((shedding.heard?.modulus ?? 0) < modulus);
});

Deno.test("check() goes on to the next share where one is too much by itself", () => {
  const shedding = createShedding(SEED, 0);
  // All of it from one source, so that no share but one is concerned.
  let copied = 0, lost = 0, unheard = 0;
  let losing = 0;
  for (let window = 1; window <= 400; window++) {
    const { heard } = shedding;
    if (heard === undefined || heard.value === 0) {
      copied += 50_000;
      lost += 30_000;
      losing++;
    } else unheard += 50_000;
    shedding.check(copied, lost, () => unheard, window * SHEDDING_WINDOW_MS);
  }
  assert.ok(losing < 40, `${losing} of 400 windows`);
});

Deno.test("check() says nothing of a window in which the process was stopped", () => {
  const { shedding, window } = play(100_000);
  assert.equal(window(1_000_000, 60_000), false);
  assert.equal(shedding.heard, undefined);
});

Deno.test("check() takes no old news for a loss of the share that is heard", () => {
  const shedding = createShedding(SEED, 0);
  const at = (window: number) => window * SHEDDING_WINDOW_MS;
  shedding.check(50_000, 25_000, () => 0, at(1));
  const { heard } = shedding;
  assert.notEqual(heard, undefined);
  // Another 20,000 had been lost by then, of which the next copy tells, which comes now.
  assert.equal(shedding.check(70_001, 45_000, () => 40_000, at(2)), false);
  assert.deepEqual(shedding.heard, heard);
});

Deno.test("check() goes on where nobody knows how many were unheard", () => {
  const shedding = createShedding(SEED, 0);
  shedding.check(50_000, 25_000, () => undefined, SHEDDING_WINDOW_MS);
  assert.notEqual(shedding.heard, undefined);
  assert.equal(shedding.check(50_001, 25_000, () => undefined, 2 * SHEDDING_WINDOW_MS), true);
  assert.equal(shedding.heard, undefined);
});

Deno.test("restart() hears all, and looks no more for as long as a turn", () => {
  const { shedding, window, restart } = play(100_000);
  window(200_000);
  restart();
  assert.equal(shedding.heard, undefined);
  for (let ms = SHEDDING_WINDOW_MS; ms <= HEARD_MS; ms += SHEDDING_WINDOW_MS) {
    assert.equal(window(200_000), false);
  }
  assert.equal(window(200_000), true);
});

Deno.test("check() hears some share, at least one of 16, whatever is counted", () => {
  const counts = fc.record({
    copied: fc.nat(1_000_000),
    lost: fc.double({ min: 0, max: 1, noNaN: true }),
    unheard: fc.option(fc.nat(10_000_000), { nil: undefined }),
    ms: fc.integer({ min: 0, max: 1_000 }),
  });
  fc.assert(fc.property(fc.array(counts, { maxLength: 50 }), (windows) => {
    const shedding = createShedding(SEED, 0);
    let nowMs = 0, copied = 0, lost = 0;
    for (const window of windows) {
      nowMs += window.ms;
      copied += window.copied;
      lost += Math.floor(window.copied * window.lost);
      shedding.check(copied, lost, () => window.unheard, nowMs);
      const { heard } = shedding;
      if (heard === undefined) continue;
      assert.ok(heard.modulus > 1 && heard.modulus <= HEARD_SHARES_MAX);
      assert.ok(Number.isInteger(heard.modulus) && Number.isInteger(heard.value));
      assert.ok(heard.value >= 0 && heard.value < heard.modulus);
    }
  }));
});
