// RotatingLock.step() on what clients and strangers do: time steps and their edges, replay, repeated
// packets, clocks that jump, and what a flood costs.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Port } from "../../../src/config/config.ts";
import { Secret } from "../../../src/config/secret.ts";
import { nodeCrypto } from "../../../src/crypto/node_crypto.ts";
import { RotatingLock, type RotatingLockOptions } from "../../../src/knock/rotating_lock.ts";
import { rotatingSequence } from "../../../src/knock/rotating_sequence.ts";
import type { PacketHeader, Source } from "../../../src/packet/header.ts";
import { countingCrypto } from "../../support/counting_crypto.ts";
import { ipv4, ipv6, syn } from "../../support/naive_machine.ts";

const STEP_MS = 30_000;
const TIME_STEP = 56_666_667;
const START_MS = TIME_STEP * STEP_MS;
const ALICE = ipv4(0xc0000201);
const MALLORY = ipv4(0xc6336401);

const parameters = {
  crypto: nodeCrypto,
  secret: new Secret(new TextEncoder().encode("12345678901234567890")),
  door: "admin",
  ports: { protocol: "tcp", first: 20000 as Port, last: 21023 as Port },
  knocks: 5,
} as const;

function sequenceAt(timeStep: number, source: Source | undefined = ALICE): number[] {
  return rotatingSequence({ ...parameters, source, timeStep });
}

/** A lock with a clock, and clients whose packets are all new. */
function scene(options: Partial<RotatingLockOptions> = {}) {
  const crypto = countingCrypto();
  const lock = new RotatingLock({
    ...parameters,
    crypto,
    stepMs: STEP_MS,
    withinMs: 10_000,
    bindSource: true,
    key: [0x0123_4567, 0x89ab_cdef],
    ...options,
  });
  const clock = { nowMs: 1000, unixMs: START_MS };
  let count = 0;
  const give = (packet: PacketHeader) => {
    const effect = lock.step(packet, clock);
    return effect === undefined ? undefined : { ...effect };
  };
  const packet = (port: number, source: Source = ALICE, fields: Partial<PacketHeader> = {}) => {
    count++;
    return syn({
      ...source,
      destinationPort: port,
      sourcePort: 1024 + count % 60_000,
      sequence: count,
      ...fields,
    });
  };
  const knock = (port: number, source?: Source, fields?: Partial<PacketHeader>) =>
    give(packet(port, source, fields));
  return {
    lock,
    clock,
    packet,
    give,
    knock,
    wait(ms: number) {
      clock.nowMs += ms;
      clock.unixMs += ms;
    },
    /** Stages that the knocks led to. */
    knockAll: (ports: readonly number[], source?: Source, fields?: Partial<PacketHeader>) =>
      ports.map((port) => knock(port, source, fields)?.stage ?? 0),
    takeHmacs() {
      const taken = crypto.hmacs;
      crypto.hmacs = 0;
      return taken;
    },
  };
}

const OPENED = [0, 2, 3, 4, 5];
const NOTHING = [0, 0, 0, 0, 0];

for (
  const [name, source] of [["IPv4", ALICE], ["IPv6", ipv6(0x20010db8, 0, 0, 1)]] as const
) {
  Deno.test(`RotatingLock opens to the sequence of its source, ${name}`, () => {
    const { knock } = scene();
    const effects = sequenceAt(TIME_STEP, source).map((port) => knock(port, source));
    const effect = { of: 5, timeStep: TIME_STEP, user: undefined };
    assert.deepEqual(effects, [
      undefined,
      ...[2, 3, 4, 5].map((stage) => ({ ...effect, stage })),
    ]);
  });
}

Deno.test("RotatingLock tells IPv6 sources apart by every part of their address", () => {
  const { knock } = scene();
  const words = [0x20010db8, 1, 2, 3] as const;
  const sources = [0, 1, 2, 3].map((changed) => {
    const [word0 = 0, word1 = 0, word2 = 0, word3 = 0] = words.map((word, index) =>
      index === changed ? word + 0x100 : word
    );
    return ipv6(word0, word1, word2, word3);
  });
  const sequences = sources.map((source) => sequenceAt(TIME_STEP, source));
  // All at the same time, so that each knock of one lies between two of another.
  const stages = [0, 1, 2, 3, 4].map((index) =>
    sources.map((source, nth) => knock(sequences[nth]?.[index] as number, source)?.stage ?? 0)
  );
  assert.deepEqual(stages, OPENED.map((stage) => new Array(4).fill(stage)));
});

const moments: readonly [criterion: string, offsetMs: number, led: readonly number[]][] = [
  ["two steps early", -STEP_MS - 1, NOTHING],
  ["at the first moment of the step before", -STEP_MS, OPENED],
  ["at the last moment of the step before", -1, OPENED],
  ["at its first moment", 0, OPENED],
  ["at its last moment", STEP_MS - 1, OPENED],
  ["at the last moment of the step after", 2 * STEP_MS - 1, OPENED],
  ["two steps late", 2 * STEP_MS, NOTHING],
];
for (const [criterion, offsetMs, led] of moments) {
  Deno.test(`RotatingLock takes a step's sequence: ${criterion}`, () => {
    const { clock, knockAll } = scene();
    clock.unixMs = START_MS + offsetMs;
    assert.deepEqual(knockAll(sequenceAt(TIME_STEP)), led);
  });
}

Deno.test("RotatingLock forgets an attempt when its step leaves the window", () => {
  const { clock, wait, knockAll } = scene();
  const [first, second, ...rest] = sequenceAt(TIME_STEP) as [number, number, ...number[]];
  clock.unixMs = START_MS + 2 * STEP_MS - 1;
  assert.deepEqual(knockAll([first, second]), [0, 2]);
  wait(1);
  assert.deepEqual(knockAll(rest), [0, 0, 0]);
});

Deno.test("RotatingLock opens to no replay: not from elsewhere, not later", () => {
  const { wait, knockAll } = scene();
  const sequence = sequenceAt(TIME_STEP);
  assert.deepEqual(knockAll(sequence, MALLORY), NOTHING);
  assert.deepEqual(knockAll(sequence), OPENED);
  assert.deepEqual(knockAll(sequence, MALLORY), NOTHING);
  assert.deepEqual(knockAll(sequence, ipv6(0, 0, 0xffff, ALICE.word3)), OPENED, "the same source");
  assert.deepEqual(knockAll(sequence, ipv6(0, 0, 0, ALICE.word3)), NOTHING);
  wait(61_000);
  assert.deepEqual(knockAll(sequence), NOTHING);
  assert.deepEqual(knockAll(sequence, MALLORY), NOTHING);
});

Deno.test("RotatingLock without bound sources opens to whoever knocks", () => {
  const { wait, knockAll } = scene({ bindSource: false });
  const sequence = rotatingSequence({ ...parameters, source: undefined, timeStep: TIME_STEP });
  assert.deepEqual(knockAll(sequence), [1, 2, 3, 4, 5]);
  assert.deepEqual(knockAll(sequence, MALLORY), [1, 2, 3, 4, 5]);
  wait(61_000);
  assert.deepEqual(knockAll(sequence, MALLORY), NOTHING);
});

Deno.test("RotatingLock without bound sources derives a step once for all", () => {
  const { lock, knockAll, takeHmacs } = scene({ bindSource: false });
  const sequence = rotatingSequence({ ...parameters, source: undefined, timeStep: TIME_STEP });
  for (let source = 1; source < 200; source++) {
    knockAll(sequence, ipv4(source));
    lock.setBack(ipv4(source));
  }
  // Five of this step, the first of its neighbours, and what chance begins at these.
  assert(takeHmacs() <= 5 + 2 + 2 * 4);
});

Deno.test("RotatingLock keeps the steps of one source apart", () => {
  const { knock } = scene();
  const steps = [TIME_STEP - 1, TIME_STEP + 1].map((timeStep) => sequenceAt(timeStep));
  const current = sequenceAt(TIME_STEP);
  // The current one is knocked; from the neighbours comes nothing that a knock of it would undo.
  assert(steps.every((ports) => ports.every((port) => !current.includes(port))));
  assert.deepEqual(current.map((port) => knock(port)?.stage ?? 0), OPENED);
  for (const [index, timeStep] of [TIME_STEP - 1, TIME_STEP + 1].entries()) {
    const effects = (steps[index] as number[]).map((port) => knock(port));
    assert.equal(effects.at(-1)?.timeStep, timeStep);
    assert.equal(effects.at(-1)?.stage, 5);
  }
});

Deno.test("RotatingLock does not go on with an attempt of another step in the same lane", () => {
  const { wait, knockAll } = scene({ withinMs: 1_000_000 });
  const begun = sequenceAt(TIME_STEP).slice(0, 3);
  assert.deepEqual(knockAll(begun), [0, 2, 3]);
  wait(3 * STEP_MS);
  assert.deepEqual(knockAll(sequenceAt(TIME_STEP).slice(3)), [0, 0]);
  assert.deepEqual(knockAll(sequenceAt(TIME_STEP + 3).slice(3)), [0, 0]);
  assert.deepEqual(knockAll(sequenceAt(TIME_STEP + 3)), [1, 2, 3, 4, 5]);
});

Deno.test("RotatingLock ignores repeated segments, also of what is completed", () => {
  const { wait, packet, give } = scene();
  const packets = sequenceAt(TIME_STEP).map((port) => packet(port));
  const again = (upTo: number) => packets.slice(0, upTo).map((one) => give(one)?.stage ?? 0);
  for (const [index, one] of packets.entries()) {
    give(one);
    // A second packet judges the first, even if it is the same.
    assert.deepEqual(again(index + 1), index === 0 ? [1] : new Array(index + 1).fill(0));
  }
  wait(20_000);
  assert.deepEqual(again(5), NOTHING);
});

Deno.test("RotatingLock ignores datagrams of a completed sequence that come again", () => {
  const { packet, give } = scene();
  const udp = { protocol: 17, sequence: 0, sourcePort: 5000 };
  const packets = sequenceAt(TIME_STEP).map((port) => packet(port, ALICE, udp));
  assert.deepEqual(packets.map((one) => give(one)?.stage ?? 0), OPENED);
  assert.deepEqual(packets.map((one) => give(one)?.stage ?? 0), NOTHING);
});

Deno.test("RotatingLock takes equal datagrams of later steps for new ones", () => {
  // Ten ports of eleven: every sequence has most of its ports in common with every other.
  const options = { ports: { ...parameters.ports, last: 20010 as Port }, knocks: 10 } as const;
  const { wait, packet, give } = scene(options);
  const udp = { protocol: 17, sequence: 0, sourcePort: 5000 };
  for (let times = 0; times < 4; times++) {
    const timeStep = TIME_STEP + times * 3;
    const sequence = rotatingSequence({ ...parameters, ...options, source: ALICE, timeStep });
    const stages = sequence.map((port) => give(packet(port, ALICE, udp))?.stage ?? 0);
    assert.equal(stages.at(-1), 10, `step ${timeStep}`);
    wait(3 * STEP_MS);
  }
});

Deno.test("RotatingLock ignores a second connection to the port just knocked", () => {
  const { knockAll } = scene();
  const doubled = sequenceAt(TIME_STEP).flatMap((port) => [port, port]);
  assert.deepEqual(knockAll(doubled), [0, 1, 2, 0, 3, 0, 4, 0, 5, 0]);
});

Deno.test("RotatingLock takes a source back to the start at a wrong port", () => {
  const { knockAll } = scene();
  const [a, b, c, d, e] = sequenceAt(TIME_STEP) as [number, number, number, number, number];
  assert.deepEqual(knockAll([a, b, d, c, d, e]), [0, 2, 0, 0, 0, 0]);
  assert.deepEqual(knockAll([a, b, a, b, c, d, e]), [1, 2, 1, 2, 3, 4, 5]);
});

Deno.test("RotatingLock gives a sequence its time, which begins with the first knock", () => {
  const [first, second, ...rest] = sequenceAt(TIME_STEP) as [number, number, ...number[]];
  for (const [lateMs, led] of [[0, [3, 4, 5]], [1, [0, 0, 0]]] as const) {
    const { wait, knockAll } = scene();
    assert.deepEqual(knockAll([first]), [0]);
    wait(5_000);
    assert.deepEqual(knockAll([second]), [2]);
    wait(5_000 + lateMs);
    assert.deepEqual(knockAll(rest), led);
  }
});

Deno.test("RotatingLock gives a first knock that comes again its time anew", () => {
  const [first, ...rest] = sequenceAt(TIME_STEP) as [number, ...number[]];
  const { wait, knockAll } = scene();
  assert.deepEqual(knockAll([first, first]), [0, 1]);
  wait(9_000);
  assert.deepEqual(knockAll([first]), [0]);
  wait(9_000);
  assert.deepEqual(knockAll(rest), [2, 3, 4, 5]);
});

Deno.test("RotatingLock.setBack() forgets attempts and first knocks", () => {
  const { lock, knockAll } = scene();
  const [first, ...rest] = sequenceAt(TIME_STEP) as [number, ...number[]];
  knockAll([first]);
  lock.setBack(ALICE);
  assert.deepEqual(knockAll(rest), [0, 0, 0, 0]);
  assert.deepEqual(knockAll([first, ...rest.slice(0, 2)]), [1, 2, 3]);
  lock.setBack(ALICE);
  assert.deepEqual(knockAll(rest.slice(2)), [0, 0]);
});

Deno.test("RotatingLock follows a clock that jumps, and opens to no step out of its window", () => {
  const { clock, knockAll } = scene();
  for (const timeStep of [TIME_STEP, TIME_STEP + 1_000_000, 5, 0, TIME_STEP, 2 ** 33 + 99]) {
    clock.unixMs = timeStep * STEP_MS;
    clock.nowMs += 200_000;
    assert.equal(knockAll(sequenceAt(timeStep)).at(-1), 5, `step ${timeStep}`);
    assert.equal(knockAll(sequenceAt(timeStep + 2)).at(-1), 0, `step ${timeStep}`);
  }
});

Deno.test("RotatingLock spends nothing on sources that knock once", () => {
  const { lock, knock, takeHmacs } = scene();
  for (let source = 1; source <= 5000; source++) knock(20000 + source % 1024, ipv4(source));
  assert.equal(takeHmacs(), 0);
  assert.equal(lock.takeUnjudged(), 0);
});

Deno.test("RotatingLock spends one HMAC a step on a source that goes on knocking", () => {
  const { knock, takeHmacs } = scene();
  const first = sequenceAt(TIME_STEP)[0] as number;
  for (let port = 20000; port < 21024; port++) if (port !== first) knock(port);
  // Neighbours may begin an attempt by chance.
  const hmacs = takeHmacs();
  assert(hmacs >= 3 && hmacs <= 5, `${hmacs}`);
});

Deno.test("RotatingLock spends nothing more on a first knock that is replayed over and over", () => {
  const { knockAll, takeHmacs } = scene();
  const first = sequenceAt(TIME_STEP)[0] as number;
  knockAll([first, 20000, first, 20000]);
  takeHmacs();
  for (let times = 0; times < 100; times++) knockAll([first, 20000]);
  assert.equal(takeHmacs(), 0);
});

/** Spoofed sources that knock twice each, so that they have to be judged. */
function flood({ knock }: ReturnType<typeof scene>, from: number, count: number): void {
  for (let source = from; source < from + count; source++) {
    knock(20000, ipv4(source));
    knock(20001, ipv4(source));
  }
}

Deno.test("RotatingLock keeps to its budget and counts what it has not judged", () => {
  const world = scene({ hmacsPerSecondMax: 1000 });
  flood(world, 1, 2000);
  // A burst of 200: up to half for the neighbours, a quarter kept for attempts under way.
  const hmacs = world.takeHmacs();
  assert(hmacs >= 148 && hmacs <= 152, `${hmacs}`);
  const unjudged = world.lock.takeUnjudged();
  assert(unjudged > 1900 && unjudged < 2000, `${unjudged}`);
  assert.equal(world.lock.takeUnjudged(), 0);
  world.wait(100);
  flood(world, 10_000, 2000);
  const later = world.takeHmacs();
  assert(later >= 98 && later <= 102, `${later}`);
});

Deno.test("RotatingLock lets an attempt under way go on when newcomers spend the budget", () => {
  const world = scene({ hmacsPerSecondMax: 1000 });
  const [first, second, ...rest] = sequenceAt(TIME_STEP) as [number, number, ...number[]];
  assert.deepEqual(world.knockAll([first, second]), [0, 2]);
  flood(world, 1, 2000);
  assert.deepEqual(world.knockAll(sequenceAt(TIME_STEP, MALLORY), MALLORY), NOTHING);
  assert.deepEqual(world.knockAll(rest), [3, 4, 5]);
});

Deno.test("RotatingLock judges those whose clock is right before the others", () => {
  const world = scene({ hmacsPerSecondMax: 1000 });
  // Spends what is there for the neighbours, but not all of what is there for the current step.
  flood(world, 1, 90);
  const openedAt = (timeStep: number) =>
    Array.from({ length: 20 }, (_, nth) => ipv4(0xc6336400 + nth)).filter((source) =>
      world.knockAll(sequenceAt(timeStep, source), source).at(-1) === 5
    ).length;
  assert.equal(openedAt(TIME_STEP + 1), 0);
  assert(openedAt(TIME_STEP) >= 1);
});

Deno.test("RotatingLock gives everybody the same chance when there are too many", () => {
  const world = scene({ hmacsPerSecondMax: 1000 });
  // A flood that takes every token at the moment it comes would leave none to people.
  let opened = 0;
  for (let nth = 0; nth < 200; nth++) {
    const people = ipv4(0xc6330000 + nth);
    const sequence = sequenceAt(TIME_STEP, people);
    for (let ms = 0; ms < 5; ms++) {
      world.wait(1);
      flood(world, nth * 10 + ms * 2 + 1, 2);
      if (world.knock(sequence[ms] as number, people)?.stage === 5) opened++;
    }
  }
  // 2,000 sources of the flood and 200 people a second, each in need of an HMAC, then of 4 more.
  assert(opened > 30, `${opened}`);
});

Deno.test("RotatingLock takes any packet at any time", () => {
  const number = fc.nat({ max: 0xffff_ffff });
  const header = fc.record({
    family: fc.constantFrom(4 as const, 6 as const),
    word0: number,
    word1: number,
    word2: number,
    word3: fc.constantFrom(0, 1, 0xffff_ffff),
    protocol: fc.constantFrom(6, 17),
    sourcePort: fc.nat({ max: 0xffff }),
    destinationPort: fc.integer({ min: 20000, max: 20003 }),
    sequence: number,
    flags: fc.nat({ max: 0xff }),
  });
  const at = fc.oneof(fc.nat(), fc.integer({ min: -1e15, max: 1e15 }));
  const tiny = { attemptsMax: 8, parkedMax: 2, portsKnownMax: 2, hmacsPerSecondMax: 100 };
  fc.assert(fc.property(fc.array(fc.tuple(header, at), { maxLength: 60 }), (packets) => {
    const ports = { ...parameters.ports, last: 20003 as Port };
    const { clock, give } = scene({ ...tiny, ports, knocks: 3 });
    for (const [packet, unixMs] of packets) {
      clock.nowMs++;
      clock.unixMs = unixMs;
      const effect = give(packet);
      if (effect === undefined) continue;
      assert(effect.stage >= 1 && effect.stage <= 3);
      const now = Math.floor(unixMs / STEP_MS);
      assert(Math.abs(effect.timeStep - now) <= 1);
    }
  }));
});
