// Who is heard, where the kernel does not always do as it is asked.

import assert from "node:assert/strict";
import { createHearing } from "../../../src/daemon/hearing.ts";
import { KernelError } from "../../../src/errors.ts";
import type { SourceShare } from "../../../src/firewall/ruleset.ts";
import { HEARD_MS, SHEDDING_WINDOW_MS } from "../../../src/limits.ts";

const ENOMEM = 12;

/** A flood of which half is lost until a share is heard, and a kernel that can be told to refuse. */
function play() {
  const asked: (SourceShare | undefined)[] = [];
  const lines: string[] = [];
  let refuses = false;
  let [copied, lost, nowMs] = [0, 0, 0];
  /** What the kernel copies. */
  let inKernel: SourceShare | undefined;
  const hearing = createHearing({
    hear(heard) {
      asked.push(heard);
      if (refuses) throw new KernelError("change the rules", ENOMEM);
      inKernel = heard;
    },
    unheard: () => undefined,
    seed: 1,
    log: (_level, event) => void lines.push(event),
  }, 0);
  return {
    hearing,
    asked,
    lines,
    refuse: (now: boolean) => void (refuses = now),
    window(knocks: number) {
      nowMs += SHEDDING_WINDOW_MS;
      copied += knocks;
      if (inKernel === undefined) lost += knocks / 2;
      hearing.check({ copied, lost }, nowMs);
    },
    install: () => {
      inKernel = undefined;
      hearing.installed(nowMs);
    },
    get inKernel() {
      return inKernel;
    },
  };
}

Deno.test("check() tells when some are heard, and when all are again", () => {
  const flood = play();
  for (let window = 0; window < 3; window++) flood.window(50_000);
  assert.notEqual(flood.inKernel, undefined);
  assert.deepEqual(flood.lines, ["beyond capacity"]);
  for (let window = 0; window < 5; window++) flood.window(0);
  assert.equal(flood.inKernel, undefined);
  assert.deepEqual(flood.lines, ["beyond capacity", "all heard"]);
  assert.equal(flood.hearing.dueMs, Infinity);
});

Deno.test("check() asks for all until the kernel says so, where a share was refused", () => {
  const flood = play();
  flood.refuse(true);
  for (let window = 0; window < 20; window++) flood.window(50_000);
  assert.ok(flood.asked.length >= 4, "again and again");
  assert.notEqual(flood.asked[0], undefined);
  assert.deepEqual(flood.asked.slice(1), flood.asked.slice(1).map(() => undefined));
  assert.deepEqual(flood.lines, ["sources not chosen"]);
  flood.refuse(false);
  for (let window = 0; window < 5; window++) flood.window(0);
  assert.equal(flood.hearing.dueMs, Infinity);
});

Deno.test("check() leaves no share in the kernel, where the end of it was refused", () => {
  const flood = play();
  for (let window = 0; window < 3; window++) flood.window(50_000);
  flood.refuse(true);
  for (let window = 0; window < 10; window++) flood.window(0);
  assert.notEqual(flood.inKernel, undefined, "it stands there still");
  assert.ok(Number.isFinite(flood.hearing.dueMs), "and is thought of");
  assert.deepEqual(flood.lines, ["beyond capacity", "sources not chosen"]);
  flood.refuse(false);
  for (let window = 0; window < 5; window++) flood.window(0);
  assert.equal(flood.inKernel, undefined);
  assert.equal(flood.lines.at(-1), "all heard", "not before it was so");
});

Deno.test("installed() ends it, and the flood is noticed again later", () => {
  const flood = play();
  for (let window = 0; window < 3; window++) flood.window(50_000);
  flood.install();
  assert.deepEqual(flood.lines, ["beyond capacity", "all heard"]);
  for (let ms = 0; ms < 2 * HEARD_MS; ms += SHEDDING_WINDOW_MS) flood.window(50_000);
  assert.notEqual(flood.inKernel, undefined);
});

Deno.test("check() throws what is no refusal", () => {
  const error = new TypeError("a mistake");
  const hearing = createHearing({
    hear() {
      throw error;
    },
    unheard: () => undefined,
    seed: 1,
    log: () => {},
  }, 0);
  hearing.check({ copied: 50_000, lost: 25_000 }, SHEDDING_WINDOW_MS);
  assert.throws(
    () => hearing.check({ copied: 100_000, lost: 50_000 }, 2 * SHEDDING_WINDOW_MS),
    error,
  );
});
