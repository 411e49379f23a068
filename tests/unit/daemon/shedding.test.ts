// Which sources are heard, in floods that are played through the policy window by window.

import assert from "node:assert/strict";
import fc from "fast-check";
import { createShedding } from "../../../src/daemon/shedding.ts";
import { HEARD_MS, HEARD_SHARES_MAX, SHEDDING_WINDOW_MS } from "../../../src/limits.ts";

const SEED = 7;
/** Copies that a socket's buffer holds. */
const BUFFER = 30_000;

/**
 * A host that reads so many knocks a second. `evenly` come from everywhere, `heavy` from one source, which
 * is in one share of each round. Copies wait in a buffer; a loss is told by the next copy that is read.
 */
function play(capacity: number) {
  const shedding = createShedding(SEED, 0);
  let nowMs = 0, copied = 0, lost = 0, unheard = 0;
  let waiting = 0, lossUntold = 0;
  let windows = 0, losing = 0;
  return {
    shedding,
    /** What comes in a window. @returns whether another share is heard then. */
    window(evenly: number, heavy = 0, ms = SHEDDING_WINDOW_MS): boolean {
      const { heard } = shedding;
      const shares = heard?.modulus ?? 1;
      const isWithHeavy = heard === undefined || place(heard.seed, shares) === heard.value;
      const came = (evenly + heavy) * ms / 1000;
      const copies = evenly / shares * ms / 1000 + (isWithHeavy ? heavy * ms / 1000 : 0);
      unheard += came - copies;
      const room = BUFFER + capacity * ms / 1000 - waiting;
      const kept = Math.min(copies, room);
      lossUntold += copies - kept;
      const read = Math.min(waiting + kept, capacity * ms / 1000);
      waiting += kept - read;
      copied += read;
      if (read >= 1 && waiting < BUFFER) {
        copied += lossUntold;
        lost += lossUntold;
        lossUntold = 0;
      } else if (waiting >= BUFFER && lossUntold > 0) {
        // In a full buffer the gaps lie among the copies.
        copied += copies - kept;
        lost += copies - kept;
        lossUntold -= copies - kept;
      }
      windows++;
      if (copies - kept > copies * 0.1) losing++;
      nowMs += ms;
      return shedding.check(copied, lost, () => unheard, nowMs);
    },
    restart: () => shedding.restart(nowMs),
    /** The part of windows in which more than a tenth was lost. */
    get losing() {
      return losing / windows;
    },
    get nowMs() {
      return nowMs;
    },
  };
}

type Play = ReturnType<typeof play>;

/** In which share a source is. */
function place(seed: number, shares: number): number {
  return (Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) >>> 16) % shares;
}

function playFor(flood: Play, seconds: number, evenly: number, heavy = 0): void {
  for (let ms = 0; ms < seconds * 1000; ms += SHEDDING_WINDOW_MS) flood.window(evenly, heavy);
}

Deno.test("check() hears all where nothing is lost, and does not ask what is unheard", () => {
  const flood = play(100_000);
  playFor(flood, 60, 99_000);
  assert.equal(flood.shedding.heard, undefined);
  assert.equal(flood.shedding.dueMs, Infinity);
  const asked = () => assert.fail("asked");
  assert.equal(flood.shedding.check(1e9, 0, asked, flood.nowMs + SHEDDING_WINDOW_MS), false);
});

Deno.test("check() hears a share that can be read within a second of a flood", () => {
  const flood = play(100_000);
  playFor(flood, 1.5, 200_000);
  const { heard } = flood.shedding;
  assert.deepEqual([heard?.modulus, heard?.seed], [3, SEED]);
  assert.equal(flood.window(200_000), false);
});

Deno.test("check() hears every share for as long, one after the other", () => {
  const flood = play(100_000);
  playFor(flood, 60, 240_000);
  const turns: { value: number; modulus: number; atMs: number }[] = [];
  for (let window = 0; window < 2_000; window++) {
    if (!flood.window(240_000)) continue;
    const { value, modulus } = flood.shedding.heard ?? { value: 0, modulus: 1 };
    turns.push({ value, modulus, atMs: flood.nowMs });
  }
  let steady = 0;
  for (const [index, { value, modulus, atMs }] of turns.entries()) {
    const before = turns[index - 1];
    if (before === undefined || modulus < 3 || modulus !== before.modulus) continue;
    assert.deepEqual([value, atMs], [(before.value + 1) % modulus, before.atMs + HEARD_MS]);
    steady++;
  }
  assert.ok(steady > turns.length / 3, JSON.stringify(turns));
});

Deno.test("check() loses little of a flood that lasts, and tries larger shares rarely", () => {
  for (const rate of [130_000, 240_000, 700_000, 1_200_000]) {
    const flood = play(100_000);
    playFor(flood, 3_600, rate);
    assert.ok(flood.losing < 0.05, `${rate}: ${flood.losing}`);
  }
});

Deno.test("check() hears all again within a second after a flood", () => {
  const flood = play(100_000);
  playFor(flood, 20, 500_000);
  assert.notEqual(flood.shedding.heard, undefined);
  playFor(flood, 1, 0);
  assert.equal(flood.shedding.heard, undefined);
});

Deno.test("check() takes no larger share before the turn is over", () => {
  const flood = play(100_000);
  playFor(flood, 20, 700_000);
  while (!flood.window(700_000));
  const { modulus } = flood.shedding.heard ?? assert.fail();
  for (let ms = SHEDDING_WINDOW_MS; ms < HEARD_MS; ms += SHEDDING_WINDOW_MS) {
    assert.equal(flood.window(300_000), false);
  }
  assert.equal(flood.window(300_000), true);
  assert.ok((flood.shedding.heard?.modulus ?? 0) < modulus);
});

Deno.test("check() stays with a turn where every share is too much", () => {
  const flood = play(10_000);
  playFor(flood, 10, 1_000_000);
  let changes = 0;
  for (let ms = 0; ms < 60_000; ms += SHEDDING_WINDOW_MS) if (flood.window(1_000_000)) changes++;
  assert.equal(changes, 60_000 / HEARD_MS);
});

Deno.test("check() keeps nobody out for one source that is too much by itself", () => {
  for (
    const [heavy, evenly] of [[120_000, 0], [200_000, 0], [400_000, 0], [150_000, 100_000]] as const
  ) {
    const flood = play(100_000);
    /** Milliseconds in which a person was heard and little was lost. */
    const heardMs = new Map(Array.from({ length: 64 }, (_, person) => [person, 0]));
    for (let window = 0; window < 2_400; window++) {
      const { heard } = flood.shedding;
      const before = flood.losing * window;
      flood.window(evenly, heavy);
      if (flood.losing * (window + 1) > before + 0.5) continue;
      for (const [person, ms] of heardMs) {
        const { seed = 0, modulus = 1, value = 0 } = heard ?? {};
        const share = place(Math.imul(person + 1, 0x01000193) ^ seed, modulus);
        if (share === value) heardMs.set(person, ms + SHEDDING_WINDOW_MS);
      }
    }
    assert.ok(Math.min(...heardMs.values()) > 10_000, `${heavy}: ${[...heardMs.values()]}`);
  }
});

Deno.test("check() sheds for no burst, no lone loss and no process that was stopped", () => {
  const burst = play(100_000);
  for (let second = 0; second < 60; second++) {
    burst.window(1_000_000, 0);
    playFor(burst, 0.75, 0);
    assert.equal(burst.shedding.heard, undefined);
  }
  const lone = createShedding(SEED, 0);
  for (let window = 1; window <= 100; window++) {
    lone.check(window * 50_000, window * 49_999, () => 0, window * SHEDDING_WINDOW_MS);
    assert.equal(lone.heard, undefined);
  }
  const stopped = play(100_000);
  stopped.window(1_000_000, 0, 60_000);
  playFor(stopped, 5, 50_000);
  assert.equal(stopped.shedding.heard, undefined);
});

Deno.test("check() finds a smaller capacity than before, whatever it was", () => {
  const shedding = createShedding(SEED, 0);
  let copied = 0, lost = 0, window = 0;
  const step = (read: number, more: number) => {
    copied += read + more;
    lost += more;
    shedding.check(copied, lost, () => 0, ++window * SHEDDING_WINDOW_MS);
  };
  for (let times = 0; times < 8; times++) step(100_000, 100_000);
  for (let times = 0; times < 40; times++) step(0, 0);
  const shares = () => shedding.heard?.modulus ?? 1;
  assert.equal(shares(), 1);
  for (let times = 0; times < 8; times++) step(15_000, 60_000);
  assert.ok(shares() > 3);
});

Deno.test("check() goes on where nobody knows how many were unheard, or they are counted anew", () => {
  for (const unheard of [() => undefined, () => 0]) {
    const shedding = createShedding(SEED, 0);
    for (let window = 1; window <= 3; window++) {
      shedding.check(window * 50_000, window * 25_000, unheard, window * SHEDDING_WINDOW_MS);
    }
    assert.notEqual(shedding.heard, undefined);
    for (let window = 4; window <= 8; window++) {
      shedding.check(150_001, 75_000, unheard, window * SHEDDING_WINDOW_MS);
    }
    assert.equal(shedding.heard, undefined);
  }
});

Deno.test("restart() hears all, looks no more for as long as a turn, and sheds then as before", () => {
  const flood = play(100_000);
  playFor(flood, 10, 240_000);
  flood.restart();
  assert.equal(flood.shedding.heard, undefined);
  for (let ms = SHEDDING_WINDOW_MS; ms < HEARD_MS; ms += SHEDDING_WINDOW_MS) {
    assert.equal(flood.window(240_000), false);
  }
  const lossesSoFar = flood.losing * flood.nowMs;
  playFor(flood, 600, 240_000);
  assert.ok(flood.losing * flood.nowMs - lossesSoFar < 0.05 * 600_000);
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
