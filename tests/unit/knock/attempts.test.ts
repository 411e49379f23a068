// The bounded table: who gives way in floods of forged first knocks, of sequences that stop short of
// the last knock, of whole ones, and from one IPv6 /64; and that the table agrees with itself after
// any stream.

import fc from "fast-check";
import assert from "node:assert/strict";
import { Attempts, NONE, stageQuotas } from "../../../src/knock/attempts.ts";
import { KnockMachine } from "../../../src/knock/machine.ts";
import { ATTEMPTS_PER_PREFIX_MAX, SOURCES_MAX, WITHIN_MS } from "../../../src/limits.ts";
import type { PacketHeader, Source } from "../../../src/packet/header.ts";
import { at, sequenceDoor } from "../../support/machines.ts";
import { ipv4, ipv6, syn } from "../../support/naive_machine.ts";

const KEY = [0x243f6a88, 0x85a308d3] as const;
const SEQUENCE = [80, 81, 82, 83, 84, 85, 86, 87];
const OPENED = SEQUENCE.length;
const FLOOD = 200_000;

// What 65,536 slots and eight knocks come to.
const STAGE_1 = 32_769;
const STAGE_N = 4_681;

const PREFIX = [0x20010db8, 0xffff0000] as const;
const real = ipv4(0xc0000201);
const forged = (index: number) => ipv4(0x0a000000 + index);
const inPrefix = (index: number) => ipv6(...PREFIX, 0x80000000, index);

Deno.test("stageQuotas() gives half to stage 1 and the rest to the others evenly", () => {
  assert.deepEqual([...stageQuotas(65_536, 8)], [0, STAGE_1, ...new Array(7).fill(STAGE_N)]);
  assert.deepEqual([...stageQuotas(65_536, 2)], [0, 32_768, 32_768]);
  assert.deepEqual([...stageQuotas(65_536, 10)], [0, 32_776, ...new Array(9).fill(3640)]);
});

Deno.test("stageQuotas() gives every stage a slot and uses each slot once", () => {
  for (let stages = 2; stages <= 10; stages++) {
    for (let slots = stages; slots < 100; slots++) {
      const [, ...quotas] = stageQuotas(slots, stages);
      assert.equal(quotas.reduce((sum, quota) => sum + quota, 0), slots);
      assert.ok(quotas.every((quota) => quota >= 1), `${slots} slots, ${stages} stages`);
    }
  }
});

Deno.test("forged first knocks push out nobody who pauses for less than the quota of stage 1", () => {
  const { knock, opens, machine } = newScene();
  knock(real, 80);
  for (let index = 0; index < STAGE_1 - 1; index++) knock(forged(index), 80);
  assert.equal(machine.attemptsAt(1), STAGE_1);
  assert.deepEqual(knock(real, 81), [2]);
  // From stage 2 on they do not matter at all.
  for (let index = 0; index < FLOOD; index++) knock(forged(index), 80);
  assert.ok(opens(real, SEQUENCE.slice(2)));
  assert.equal(machine.attemptsAt(1), STAGE_1);
});

Deno.test("as many forged first knocks as the quota of stage 1 push out the oldest", () => {
  const { knock } = newScene();
  knock(real, 80);
  for (let index = 0; index < STAGE_1; index++) knock(forged(index), 80);
  assert.deepEqual(knock(real, 81), []);
});

Deno.test("who knocks amid a flood of forged first knocks gets in, with 4,000 between any two", () => {
  const { knock, machine } = newScene();
  let index = 0;
  for (; index < FLOOD; index++) knock(forged(index), 80);
  const led = SEQUENCE.map((port) => {
    for (const end = index + 4000; index < end; index++) knock(forged(index), 80);
    return knock(real, port);
  });
  assert.deepEqual(led, SEQUENCE.map((_, stage) => [stage + 1]));
  assert.deepEqual(counts(machine), [STAGE_1, 0, 0, 0, 0, 0, 0, 1]);
});

for (let stage = 2; stage < OPENED; stage++) {
  Deno.test(`forged attempts that rest at stage ${stage} push out the oldest there and nobody else`, () => {
    const { knock, opens, machine } = newScene();
    // People who wait at every stage: of two at the flooded one, one goes on in time.
    const waiting = (at: number) => ipv4(0xc0000300 + at);
    for (let at = 1; at < OPENED; at++) {
      for (const port of SEQUENCE.slice(0, at)) knock(waiting(at), port);
    }
    for (const port of SEQUENCE.slice(0, stage)) knock(real, port);

    const flood = (from: number, to: number) => {
      for (let index = from; index < to; index++) {
        for (const port of SEQUENCE.slice(0, stage)) knock(forged(index), port);
      }
    };
    flood(0, STAGE_N - 1);
    assert.equal(machine.attemptsAt(stage), STAGE_N);
    assert.ok(opens(real, SEQUENCE.slice(stage)));
    flood(STAGE_N, 5 * STAGE_N);

    const others = counts(machine).map((count, at) => at + 1 === stage ? STAGE_N : count);
    assert.deepEqual(others, SEQUENCE.map((_, at) => at + 1 === stage ? STAGE_N : 1));
    for (let at = 1; at < OPENED; at++) {
      assert.equal(opens(waiting(at), SEQUENCE.slice(at)), at !== stage, `stage ${at}`);
    }
  });
}

Deno.test("floods at all stages at once stay within the quotas", () => {
  const { knock, machine } = newScene();
  const quotas = [...stageQuotas(SOURCES_MAX, OPENED)].slice(1);
  for (let index = 0; index < 60_000; index++) {
    for (const port of SEQUENCE.slice(0, 1 + index % OPENED)) knock(forged(index), port);
    if (index % 1000 === 0) assertWithin(counts(machine), quotas);
  }
  assertWithin(counts(machine), quotas);
  // Who passes through a full stage leaves one slot less in use.
  assertWithin(quotas.slice(1), counts(machine).slice(1).map((count) => count + 1));
});

Deno.test("forged attempts that advance together push out only the oldest of the next stage", () => {
  const { knock, opens } = newScene();
  for (let index = 0; index < STAGE_1 - 2; index++) knock(forged(index), 80);
  const [early, late] = [ipv4(0xc0000211), ipv4(0xc0000212)];
  for (const source of [early, late]) knock(source, 80);
  knock(early, 81);
  // A burst of one knock each is all it takes to fill stage 2.
  for (let index = 0; index < STAGE_N; index++) knock(forged(index), 81);
  assert.ok(!opens(early, SEQUENCE.slice(2)));
  assert.ok(opens(late, SEQUENCE.slice(1)));
});

Deno.test("who knocks every 5 ms gets in, at 300,000 forged packets a second that know all but the last", () => {
  const { knock, machine } = newScene();
  const flood = 1500;
  const quotas = [...stageQuotas(SOURCES_MAX, OPENED)];
  // Every stage is full, and beside it waits all that a pause can bring to the next one.
  let next = 0;
  const waiting = SEQUENCE.map((_, stage) => {
    for (let index = 0; stage > 0 && index < (quotas[stage] ?? 0); index++, next++) {
      for (const port of SEQUENCE.slice(0, stage)) knock(forged(next), port);
    }
    return next - flood;
  });
  const led = SEQUENCE.map((port, at) => {
    const effects = knock(real, port);
    // In the pause every forged packet comes to the stage at which the real knocker now waits.
    for (let index = 0; index < flood && at < OPENED - 1; index++) {
      const source = at === 0 ? next++ : (waiting[at] ?? 0) + index;
      assert.deepEqual(knock(forged(source), port), [at + 1]);
    }
    return effects;
  });
  assert.deepEqual(led, SEQUENCE.map((_, stage) => [stage + 1]));
  assertWithin(counts(machine), quotas.slice(1));
});

Deno.test("completed sequences keep to their part, and the latest of them are remembered", () => {
  const { knock, repeat, machine } = newScene();
  const waiting = forged(1 << 20);
  knock(waiting, 80);
  const packets = Array.from({ length: 3 * STAGE_N }, (_, index) => {
    for (const port of SEQUENCE) knock(forged(index), port);
    return sequenceOf(forged(index), index);
  });
  assert.deepEqual(counts(machine), [1, 0, 0, 0, 0, 0, 0, STAGE_N]);
  const isKnown = (sequence: readonly PacketHeader[]) =>
    sequence.map(repeat).every((effects) => effects.length === 0);
  assert.ok(packets.slice(-STAGE_N).every(isKnown));
  assert.deepEqual(knock(waiting, 81), [2]);

  /** The packets with which `knock` opened. */
  function sequenceOf(source: Source, index: number): PacketHeader[] {
    return SEQUENCE.map((port, at) => packetOf(source, port, 2 + index * OPENED + at));
  }
});

Deno.test("one source that completes sequences again and again takes one slot", () => {
  const { opens, machine } = newScene();
  for (let index = 0; index < 1000; index++) assert.ok(opens(real, SEQUENCE));
  assert.deepEqual(counts(machine), [0, 0, 0, 0, 0, 0, 0, 1]);
});

Deno.test("one IPv6 /64 has so many attempts at most, whatever it sends, and pushes out nobody else", () => {
  const { knock, opens, machine } = newScene();
  const neighbour = ipv6(PREFIX[0], PREFIX[1] + 1, 0x80000000, 1);
  const people = [real, neighbour, ipv6(PREFIX[0], 0, 0, 1), ipv6(0, PREFIX[1], 0, 1)];
  for (const source of people) knock(source, 80);
  for (let index = 0; index < FLOOD; index++) {
    for (const port of SEQUENCE.slice(0, 1 + index % (OPENED - 1))) knock(inPrefix(index), port);
    if (index % 1000 === 0) {
      assert.ok(attempts(machine) <= people.length + ATTEMPTS_PER_PREFIX_MAX);
    }
  }
  assert.equal(attempts(machine), people.length + ATTEMPTS_PER_PREFIX_MAX);
  for (const source of people) assert.ok(opens(source, SEQUENCE.slice(1)));
});

Deno.test("one IPv6 /64 has so many completed sequences at most", () => {
  const { opens, machine } = newScene();
  for (let index = 0; index < 2000; index++) assert.ok(opens(inPrefix(index), SEQUENCE));
  assert.deepEqual(counts(machine), [0, 0, 0, 0, 0, 0, 0, ATTEMPTS_PER_PREFIX_MAX]);
});

Deno.test("the completed sequences of a /64 leave room for its attempts, and the other way round", () => {
  const { knock, opens, machine } = newScene();
  const max = ATTEMPTS_PER_PREFIX_MAX;
  for (let index = 0; index < max; index++) assert.ok(opens(inPrefix(index), SEQUENCE));
  for (let index = 0; index < max; index++) knock(inPrefix(index), 80);
  assert.deepEqual([machine.attemptsAt(1), machine.attemptsAt(OPENED)], [max, max]);
});

Deno.test("in a full /64 the least advanced gives way, the earliest of these first", () => {
  const { knock, opens } = newScene();
  const max = ATTEMPTS_PER_PREFIX_MAX;
  knock(inPrefix(1), 80);
  knock(inPrefix(1), 81);
  for (let index = 2; index <= max; index++) knock(inPrefix(index), 80);
  knock(inPrefix(max + 1), 80);
  assert.deepEqual(knock(inPrefix(2), 81), [], "the earliest at stage 1 is gone");
  assert.deepEqual(knock(inPrefix(3), 81), [2], "the second earliest is not");
  for (let index = 0; index < 10_000; index++) knock(inPrefix(1000 + index), 80);
  assert.ok(opens(inPrefix(1), SEQUENCE.slice(2)));
  assert.ok(opens(inPrefix(3), SEQUENCE.slice(2)));
});

Deno.test("in a full /64 the earliest gives way also among attempts of the same moment", () => {
  const { machine } = newScene();
  const step = (index: number, port: number) =>
    machine.step(packetOf(inPrefix(index), port, index * 100 + port), at(1000));
  for (let index = 0; index <= ATTEMPTS_PER_PREFIX_MAX; index++) step(index, 80);
  const on = Array.from({ length: ATTEMPTS_PER_PREFIX_MAX + 1 }, (_, index) => step(index, 81));
  assert.deepEqual(on, [0, ...new Array(ATTEMPTS_PER_PREFIX_MAX).fill(1)]);
});

Deno.test("in a full /64 an attempt whose time is over gives way before one that can go on", () => {
  const { knock, opens, wait } = newScene();
  for (let index = 0; index < ATTEMPTS_PER_PREFIX_MAX; index++) {
    for (const port of SEQUENCE.slice(0, 2 + index % 6)) knock(inPrefix(index), port);
  }
  wait(WITHIN_MS + 1);
  const people = [101, 102, 103].map(inPrefix);
  for (const port of SEQUENCE.slice(0, -1)) for (const source of people) knock(source, port);
  assert.deepEqual(people.map((source) => opens(source, SEQUENCE.slice(-1))), [true, true, true]);
});

Deno.test("the table tells sources apart by every part of the address", () => {
  const table = new Attempts({
    slots: 16_384,
    stages: 8,
    perPrefix: 16_384,
    lifetimeMs: WITHIN_MS,
    key: KEY,
  });
  const words = (at: number, value: number) => [0, 1, 2, 3].map((word) => word === at ? value : 0);
  const sources = Array.from({ length: 1000 }, (_, index) => index + 1).flatMap((value) => [
    ipv4(value),
    ...[0, 1, 2, 3].map((at) => {
      const [word0 = 0, word1 = 0, word2 = 0, word3 = 0] = words(at, value);
      return ipv6(word0, word1, word2, word3);
    }),
  ]);
  for (const source of sources) {
    assert.equal(table.findAttempt(source, 0), NONE);
    const slot = table.begin(source, 0, 0);
    assert.equal(table.findAttempt(source, 0), slot);
    assert.equal(table.findAttempt(source, 1), NONE);
  }
});

Deno.test("the table finds what was put into it and nothing else, after any stream", () => {
  const STAGES = 4;
  const sources = [
    ...[1, 2, 3, 0x80000001].map(ipv4),
    ...[1, 2, 3, 0x80000001].map((word3) => ipv6(0, 0, 0, word3)),
    ...[1, 2, 3, 4, 5].map((word3) => ipv6(...PREFIX, 0, word3)),
  ];
  const operation = fc.record({
    source: fc.nat(sources.length - 1),
    door: fc.nat(1),
    does: fc.constantFrom("begin", "begin", "advance", "advance", "open", "remove"),
  });
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 120, size: "max" }),
      fc.integer({ min: STAGES, max: 20 }),
      (operations, slots) => {
        const table = new Attempts({
          slots,
          stages: STAGES,
          perPrefix: 3,
          lifetimeMs: 50,
          key: KEY,
        });
        const quotas = stageQuotas(slots, STAGES);
        operations.forEach(({ source: index, door, does }, nowMs) => {
          const source = sources[index] ?? real;
          const slot = table.findAttempt(source, door);
          if (slot === NONE) {
            if (does === "begin") table.begin(source, door, nowMs);
          } else if (does === "remove") {
            table.remove(slot);
          } else if (does === "open" || table.stage(slot) === STAGES - 1) {
            table.open(slot, table.findOpened(source, door), nowMs);
          } else if (does === "advance") {
            table.advance(slot, table.stage(slot) + 1);
          }
          assertConsistent(table, quotas);
        });
      },
    ),
    { numRuns: 500 },
  );

  /** Every entry is found once, at the stage whose count it is in. */
  function assertConsistent(table: Attempts, quotas: Int32Array): void {
    const found = new Set<number>();
    const stages = new Array<number>(STAGES + 1).fill(0);
    const prefix = { attempts: 0, opened: 0 };
    for (const source of sources) {
      for (const door of [0, 1]) {
        const [attempt, opened] = [table.findAttempt(source, door), table.findOpened(source, door)];
        for (const slot of [attempt, opened].filter((slot) => slot !== NONE)) {
          assert.ok(!found.has(slot), `slot ${slot} is found twice`);
          found.add(slot);
          const stage = table.stage(slot);
          assert.equal(stage === STAGES, slot === opened);
          stages[stage] = (stages[stage] ?? 0) + 1;
          if (source.word0 === PREFIX[0]) prefix[stage === STAGES ? "opened" : "attempts"]++;
        }
      }
    }
    assert.deepEqual(stages.map((_, stage) => table.count(stage)), stages);
    assertWithin(stages, [...quotas]);
    assertWithin(Object.values(prefix), [3, 3]);
  }
});

function packetOf(source: Source, destinationPort: number, number: number): PacketHeader {
  const fresh = {
    sourcePort: 1024 + number % 60_000,
    sequence: Math.imul(number, 0x9e3779b1) >>> 0,
  };
  return syn({ ...source, ...fresh, destinationPort });
}

/** A machine as the daemon has it, and new knocks 1 µs apart. */
function newScene() {
  const machine = new KnockMachine({
    doors: [sequenceDoor(SEQUENCE, WITHIN_MS)],
    sourcesMax: SOURCES_MAX,
    perPrefixMax: ATTEMPTS_PER_PREFIX_MAX,
    key: KEY,
  });
  let nowMs = 1000;
  let number = 0;
  const repeat = (packet: PacketHeader) =>
    Array.from(
      { length: machine.step(packet, at(nowMs)) },
      (_, index) => machine.effect(index).stage,
    );
  const knock = (source: Source, port: number) => {
    nowMs += 0.001;
    return repeat(packetOf(source, port, ++number));
  };
  return {
    machine,
    /** Stages that a new knock led to. */
    knock,
    /** Stages that this very packet led to. */
    repeat,
    /** Knocks at these ports: is the door open then? */
    opens: (source: Source, ports: readonly number[]) =>
      ports.map((port) => knock(source, port)).at(-1)?.[0] === OPENED,
    wait: (ms: number) => {
      nowMs += ms;
    },
  };
}

function counts(machine: KnockMachine): number[] {
  return SEQUENCE.map((_, index) => machine.attemptsAt(index + 1));
}

function attempts(machine: KnockMachine): number {
  return counts(machine).slice(0, -1).reduce((sum, count) => sum + count, 0);
}

function assertWithin(values: readonly number[], limits: readonly number[]): void {
  assert.ok(
    values.every((value, index) => value <= (limits[index] ?? 0)),
    `${values} of ${limits}`,
  );
}
