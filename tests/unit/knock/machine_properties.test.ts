// KnockMachine against the naive machine: the same effects and the same counts at every step of
// generated streams. With a table that never fills, the streams are about order, time and
// retransmissions; with a table of a few slots, about who gives way.

import fc from "fast-check";
import assert from "node:assert/strict";
import type { Door, Milliseconds, Step } from "../../../src/config/config.ts";
import { KnockMachine } from "../../../src/knock/machine.ts";
import { PROTOCOL, rulesOf } from "../../../src/knock/rules.ts";
import type { PacketHeader, Source } from "../../../src/packet/header.ts";
import { plainDoor, stepOf } from "../../support/configs.ts";
import { at } from "../../support/machines.ts";
import { ipv4, ipv6, type NaiveEffect, naiveMachine, syn } from "../../support/naive_machine.ts";

const KEY = [0x01234567, 0x89abcdef] as const;

/** What a source does next, seen from one door. */
type Event =
  /** The knock after the last one that the source sent to this door. */
  | { readonly does: "next" }
  /** The same port once more, as a new knock. */
  | { readonly does: "again" }
  /** An earlier packet of this source, unchanged; 0 is its latest. */
  | { readonly does: "retransmit"; readonly back: number }
  /** Earlier packets in the order in which they were sent. */
  | { readonly does: "retransmit all"; readonly back: number }
  /** Begins anew. */
  | { readonly does: "first" }
  /** Anything that may be watched or not. */
  | { readonly does: "stray"; readonly step: Step }
  /** The rest of the sequence, at once. */
  | { readonly does: "rest" };

interface Moment {
  readonly event: Event;
  readonly source: number;
  readonly door: number;
  readonly flags: number;
  /** Time before it: a while, or until the door's time since the first knock, and so much more. */
  readonly wait: { readonly ms: number } | { readonly untilEnd: number };
}

interface Universe {
  readonly steps: readonly Step[];
  readonly sources: readonly Source[];
}

const wide: Universe = {
  steps: [stepOf("tcp/80"), stepOf("tcp/32768"), stepOf("tcp/65535")],
  sources: [
    ipv4(0x0a000001),
    ipv4(0xdffffffe),
    ipv6(0, 0, 0, 0x0a000001),
    ipv6(0, 0, 0xffff, 0x0a000001),
    ipv6(0xfd000000, 0x80000000, 0xffffffff, 1),
    ipv6(0xfd000000, 0x80000000, 0xffffffff, 2),
  ],
};

/** Many sources for few slots: ten of IPv4, and three /64 with six addresses each. */
const crowded: Universe = {
  steps: [stepOf("tcp/80"), stepOf("tcp/81"), stepOf("tcp/82")],
  sources: [
    ...Array.from({ length: 10 }, (_, index) => ipv4(0xc0000200 + index)),
    ...Array.from(
      { length: 18 },
      (_, index) => ipv6(0x20010db8, index % 3, Math.floor(index / 9) * 0x80000000, index),
    ),
  ],
};

/** Knocks of every protocol, some of which one packet can be, and some with times of their own. */
const mixed: Universe = {
  ...wide,
  steps: [
    stepOf("tcp/80"),
    stepOf("tcp/80", { flags: { mask: 0x01, value: 0x01 } }),
    stepOf("tcp/80", { flags: { mask: 0x12, value: 0x02 } }),
    stepOf("udp/80"),
    stepOf("icmp/56"),
    stepOf("icmp6/56"),
    stepOf("tcp/81", { afterMs: 7 }),
    stepOf("udp/81", { beforeMs: 7 }),
    stepOf("udp/53", { afterMs: 0.5, beforeMs: 400 }),
  ],
};

function doorOf({ steps, sources }: Universe): fc.Arbitrary<Door> {
  const prefixes = sources.slice(0, 2).flatMap((address) =>
    [0, 1, 31, 32].map((length) => ({ address, length }))
  );
  return fc.record({
    steps: fc.array(fc.constantFrom(...steps), { minLength: 2, maxLength: 6 }),
    withinMs: fc.constantFrom(50 as Milliseconds, 1000 as Milliseconds),
    from: fc.oneof(
      { weight: 8, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(fc.constantFrom(...prefixes), { maxLength: 2 }) },
    ),
  }).map((choices) => plainDoor(choices));
}

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 10, arbitrary: fc.constant({ does: "next" } as const) },
  { weight: 2, arbitrary: fc.constant({ does: "rest" } as const) },
  { weight: 2, arbitrary: fc.constant({ does: "again" } as const) },
  { weight: 1, arbitrary: fc.constant({ does: "first" } as const) },
  {
    weight: 5,
    arbitrary: fc.record({
      does: fc.constant("retransmit" as const),
      back: fc.integer({ min: 0, max: 25 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant("retransmit all" as const),
      back: fc.integer({ min: 0, max: 12 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant("stray" as const),
      step: fc.constantFrom(
        ...[80, 81, 82, 32768, 65535, 443].map((port) => stepOf(`tcp/${port}`)),
        stepOf("udp/443"),
        stepOf("icmp/80"),
      ),
    }),
  },
);

function moments({ sources }: Universe, maxLength: number): fc.Arbitrary<Moment[]> {
  const moment = fc.record({
    event,
    source: fc.nat(sources.length - 1),
    door: fc.nat(2),
    flags: fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom(0x02, 0xc2) },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xff }) },
    ),
    wait: fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom({ ms: 0 }, { ms: 0.5 }, { ms: 7 }) },
      {
        weight: 2,
        arbitrary: fc.constantFrom({ ms: 49 }, { ms: 400 }, { ms: 1001 }, { ms: 120_001 }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ untilEnd: fc.constantFrom(-0.001, 0, 0.001) }),
      },
    ),
  });
  return fc.array(moment, { minLength: 5, maxLength, size: "max" });
}

/** The packets and times that moments come to. */
function packetsOf(
  events: readonly Moment[],
  doors: readonly Door[],
  { sources }: Universe,
): { packet: PacketHeader; ms: number }[] {
  const stream: { packet: PacketHeader; ms: number }[] = [];
  const sent = sources.map((): PacketHeader[] => []);
  const positions = new Map<string, number>();
  const starts = new Map<string, number>();
  let ms = 1_000_000;

  for (const { event, source, door: anyDoor, flags, wait } of events) {
    const door = anyDoor % doors.length;
    const { steps = [], withinMs = 0 } = rulesOf(doors)[door] ?? {};
    const name = `${source} at ${door}`;
    const position = positions.get(name) ?? 0;
    const history = sent[source] ?? [];
    ms = "ms" in wait
      ? ms + wait.ms
      : Math.max(ms, (starts.get(name) ?? ms) + withinMs + wait.untilEnd);

    const send = (packet: PacketHeader) => stream.push({ packet, ms });
    const knock = ({ protocol, port: destinationPort, flags: { mask, value } }: Step) => {
      const number = stream.length + 1;
      const packet = syn({
        ...sources[source],
        protocol: PROTOCOL[protocol],
        destinationPort,
        sourcePort: 65535 - number,
        sequence: protocol === "udp" ? 0 : Math.imul(number, 0x9e3779b1) >>> 0,
        // Mostly flags that fit.
        flags: protocol === "tcp" ? flags < 0xfe ? flags & ~mask | value : flags : 0,
      });
      history.push(packet);
      send(packet);
    };
    const knockAt = (index: number) => {
      if (index === 0) starts.set(name, ms);
      positions.set(name, index + 1);
      knock(steps[index] as Step);
    };

    switch (event.does) {
      case "next":
        knockAt(position % steps.length);
        break;
      case "rest":
        for (let index = position % steps.length; index < steps.length; index++) knockAt(index);
        break;
      case "first":
        knockAt(0);
        break;
      case "again":
        knock(steps[Math.max(0, position - 1) % steps.length] as Step);
        break;
      case "retransmit":
        history.slice(-1 - event.back).slice(0, 1).forEach(send);
        break;
      case "retransmit all":
        history.slice(-1 - event.back).forEach(send);
        break;
      case "stray":
        knock(event.step);
        break;
    }
  }
  return stream;
}

/** Effects and counts at every step; how often a door opened. */
function compare(
  stream: readonly { packet: PacketHeader; ms: number }[],
  doors: readonly Door[],
  sourcesMax: number,
  perPrefixMax: number,
  naive = naiveMachine(rulesOf(doors), { slots: sourcesMax, perPrefix: perPrefixMax }),
): number {
  let machine = new KnockMachine({ doors, sourcesMax, perPrefixMax, key: KEY });
  const stages = Math.max(...rulesOf(doors).map(({ steps }) => steps.length));
  let opened = 0;
  stream.forEach(({ packet, ms }, index) => {
    const expected = naive.step(packet, ms);
    const effects: NaiveEffect[] = Array.from(
      { length: machine.step(packet, at(ms)) },
      (_, index) => {
        const { door, stage, of } = machine.effect(index);
        return { door, stage, of };
      },
    );
    assert.deepEqual(
      effects,
      expected,
      `packet ${index}: ${JSON.stringify({ effects, expected })}`,
    );
    for (let stage = 1; stage <= stages; stage++) {
      assert.equal(machine.attemptsAt(stage), naive.attemptsAt(stage), `packet ${index}: ${stage}`);
    }
    opened += expected.filter(({ stage, of }) => stage === of).length;
    // A new machine that takes over from this one goes on as if nothing had been; only the order of
    // attempts that began in the same moment, by which they give way, is another.
    if (sourcesMax >= 64 && index % 7 === 6) {
      machine = new KnockMachine({ doors, sourcesMax, perPrefixMax, key: KEY, previous: machine });
    }
  });
  return opened;
}

Deno.test("step() does what the naive machine does, with several doors, sources and retransmissions", () => {
  let opened = 0;
  fc.assert(
    fc.property(
      fc.array(doorOf(wide), { minLength: 1, maxLength: 3 }),
      moments(wide, 80),
      (doors, events) => {
        const stream = packetsOf(events, doors, wide);
        opened += compare(stream, doors, 256, 256, naiveMachine(rulesOf(doors)));
      },
    ),
    { numRuns: 2000 },
  );
  assert.ok(opened > 2000, `only ${opened} doors opened: the streams say too little`);
});

Deno.test("step() does what the naive machine does, with knocks of every protocol and their times", () => {
  let opened = 0;
  fc.assert(
    fc.property(
      fc.array(doorOf(mixed), { minLength: 1, maxLength: 3 }),
      moments(mixed, 80),
      (doors, events) => {
        const stream = packetsOf(events, doors, mixed);
        opened += compare(stream, doors, 256, 256, naiveMachine(rulesOf(doors)));
      },
    ),
    { numRuns: 2000 },
  );
  assert.ok(opened > 1000, `only ${opened} doors opened: the streams say too little`);
});

Deno.test("step() does what the naive machine does, with one source and one door", () => {
  let opened = 0;
  fc.assert(
    fc.property(
      doorOf(wide),
      moments({ ...wide, sources: wide.sources.slice(0, 1) }, 60),
      (door, events) => {
        const stream = packetsOf(events, [door], wide);
        opened += compare(stream, [door], 64, 64, naiveMachine(rulesOf([door])));
      },
    ),
    { numRuns: 3000 },
  );
  assert.ok(opened > 3000, `only ${opened} doors opened: the streams say too little`);
});

Deno.test("step() gives way as the naive machine does, where the table is full", () => {
  let opened = 0;
  fc.assert(
    fc.property(
      fc.array(doorOf(crowded), { minLength: 1, maxLength: 3 }),
      moments(crowded, 120),
      fc.integer({ min: 10, max: 48 }),
      fc.integer({ min: 1, max: 6 }),
      (doors, events, slots, perPrefix) => {
        opened += compare(packetsOf(events, doors, crowded), doors, slots, perPrefix);
      },
    ),
    { numRuns: 1500 },
  );
  assert.ok(opened > 1000, `only ${opened} doors opened: the streams say too little`);
});
