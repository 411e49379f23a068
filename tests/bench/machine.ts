// What a packet costs the knock machine, in nanoseconds a step: at an empty, a half full and a full
// table, for IPv4 and IPv6, with one door and with ten, and where somebody does his worst. It needs
// no root and sends nothing: `deno run tests/bench/machine.ts`.
//
// Ordinary packets are measured in shuffled order over all sources, so that every step pays for the
// memory it has to fetch. Each figure is the median of several rounds of processor time, which does
// not count what other programs take.

import process from "node:process";
import type { Door } from "../../src/config/config.ts";
import { KnockMachine } from "../../src/knock/machine.ts";
import { ATTEMPTS_PER_PREFIX_MAX, SOURCES_MAX } from "../../src/limits.ts";
import { emptyHeader, type PacketHeader } from "../../src/packet/header.ts";
import { sequenceDoor } from "../support/machines.ts";
import { median } from "./statistics.ts";

const SEQUENCE = [80, 81, 82, 83, 84, 85, 86, 87];
const KEY = [0x6b8b4567, 0x327b23c6] as const;
const ROUNDS = 7;

/** Doors on ports of their own beside the one that is knocked at. */
function doorsOf(count: number): Door[] {
  return Array.from(
    { length: count },
    (_, door) => sequenceDoor(SEQUENCE.map((port) => port + door * 10)),
  );
}

function newMachine(doors: readonly Door[]): KnockMachine {
  return new KnockMachine({
    doors,
    sourcesMax: SOURCES_MAX,
    perPrefixMax: ATTEMPTS_PER_PREFIX_MAX,
    key: KEY,
  });
}

/** Writes source number `index` into the packet. */
type Address = (packet: PacketHeader, index: number) => void;

const ipv4: Address = (packet, index) => {
  packet.family = 4;
  packet.word0 = packet.word1 = packet.word2 = 0;
  packet.word3 = (0x0a000000 + index) >>> 0;
};
const ipv6: Address = (packet, index) => {
  packet.family = 6;
  packet.word0 = 0x20010db8;
  packet.word1 = index;
  packet.word2 = 0;
  packet.word3 = 1;
};
const onePrefix: Address = (packet, index) => {
  ipv6(packet, 0);
  packet.word3 = index;
};

const packet = { ...emptyHeader(), protocol: 6, flags: 2 };
let sequence = 0;
const time = { nowMs: 0, unixMs: 0 };

/** One packet that was never seen before. */
function knock(machine: KnockMachine, address: Address, index: number, port: number): number {
  address(packet, index);
  packet.destinationPort = port;
  packet.sourcePort = 1024 + (sequence & 0x7fff);
  packet.sequence = sequence = (sequence + 0x9e3779b1) >>> 0;
  return machine.step(packet, time);
}

/** Fills a share of every part of the table; returns how many sources are in it. */
function fill(machine: KnockMachine, address: Address, share: number): number {
  let source = 0;
  for (let stage = SEQUENCE.length; stage >= 1; stage--) {
    const part = Math.floor(SOURCES_MAX / 2 / (stage === 1 ? 1 : SEQUENCE.length - 1) * share);
    for (let count = 0; count < part; count++, source++) {
      for (const port of SEQUENCE.slice(0, stage)) knock(machine, address, source, port);
    }
  }
  return source;
}

/** Median nanoseconds a step of `steps` steps in a round. */
function measure(steps: number, round: (index: number) => void): number {
  const times = Array.from({ length: ROUNDS + 2 }, (_, index) => {
    const before = process.cpuUsage();
    round(index);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / steps * 1e3;
  });
  // The first two rounds are the compiler's.
  return median(times.slice(2));
}

/** Numbers from 0 in an order that no cache foresees. */
function shuffled(count: number): Uint32Array {
  const numbers = Uint32Array.from({ length: count }, (_, index) => index);
  let state = 1;
  for (let last = count - 1; last > 0; last--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const other = state % (last + 1);
    const kept = numbers[last] ?? 0;
    numbers[last] = numbers[other] ?? 0;
    numbers[other] = kept;
  }
  return numbers;
}

const STEPS = 200_000;
const STRANGERS = 1 << 20;
const order = shuffled(STEPS);

/** A packet to a knock port from somebody without an attempt: looked up in vain. */
function stranger(machine: KnockMachine, address: Address): number {
  return measure(STEPS, () => {
    for (const index of order) knock(machine, address, STRANGERS + index, 83);
  });
}

/** A first knock, and the wrong port that ends the attempt: the fill stays as it is. */
function comeAndGo(machine: KnockMachine, address: Address): number {
  return measure(STEPS, () => {
    for (let step = 0; step < STEPS / 2; step++) {
      const source = STRANGERS + (order[step] ?? 0);
      knock(machine, address, source, 80);
      knock(machine, address, source, 83);
    }
  });
}

/** A packet from somebody in the table, who knocks at the first port again; at 0 % it is one source. */
function known(machine: KnockMachine, address: Address, sources: number): number {
  // Those of stage 1 were filled in last.
  const first = Math.floor(sources / 2);
  return measure(STEPS, () => {
    for (const index of order) {
      knock(machine, address, first + index % Math.max(1, sources - first), 80);
    }
  });
}

const rows: string[][] = [["packets", "family", "doors", "0 %", "50 %", "100 %"]];
for (const [family, address] of [["IPv4", ipv4], ["IPv6", ipv6]] as const) {
  for (const count of [1, 10, 1_000]) {
    const machines = [0, 0.5, 1].map((share) => {
      const machine = newMachine(doorsOf(count));
      return { machine, sources: fill(machine, address, share) };
    });
    const line = (what: string, cost: (one: typeof machines[number]) => number) =>
      rows.push([
        what,
        family,
        String(count),
        ...machines.map((one) => cost(one).toFixed(0)),
      ]);
    line("not in the table", ({ machine }) => stranger(machine, address));
    line("first knock, wrong port", ({ machine }) => comeAndGo(machine, address));
    line("knock repeated", ({ machine, sources }) => known(machine, address, sources));
  }
}

/** Somebody does his worst: nanoseconds a step. */
const worst: string[][] = [["worst cases", "ns a step"]];
const bad = (what: string, ns: number) => worst.push([what, ns.toFixed(0)]);

{
  const machine = newMachine(doorsOf(1));
  fill(machine, ipv4, 1);
  let next = STRANGERS;
  bad(
    "first knocks from ever new IPv4 sources, each evicts",
    measure(STEPS, () => {
      for (let step = 0; step < STEPS; step++) knock(machine, ipv4, next++, 80);
    }),
  );
  bad(
    "whole sequences but for the last knock from ever new IPv4 sources",
    measure(STEPS, () => {
      for (let step = 0; step < STEPS; step += 7, next++) {
        for (let port = 80; port < 87; port++) knock(machine, ipv4, next, port);
      }
    }),
  );
  bad(
    "whole sequences from ever new IPv4 sources",
    measure(STEPS, () => {
      for (let step = 0; step < STEPS; step += 8, next++) {
        for (let port = 80; port < 88; port++) knock(machine, ipv4, next, port);
      }
    }),
  );
  bad(
    "whole sequences again and again from one IPv4 source",
    measure(STEPS, () => {
      for (let step = 0; step < STEPS; step += 8) {
        for (let port = 80; port < 88; port++) knock(machine, ipv4, 0, port);
      }
    }),
  );
  ipv4(packet, next++);
  packet.destinationPort = 80;
  bad(
    "one packet again and again",
    measure(STEPS, () => {
      for (let step = 0; step < STEPS; step++) machine.step(packet, time);
    }),
  );
}
{
  const machine = newMachine(doorsOf(1));
  let next = 0;
  bad(
    "first knocks from ever new addresses of one IPv6 /64",
    measure(STEPS, () => {
      for (let step = 0; step < STEPS; step++) {
        time.nowMs += 0.001;
        knock(machine, onePrefix, next++, 80);
      }
    }),
  );
  bad(
    "wrong ports from ever new addresses of that /64",
    measure(STEPS, () => {
      for (let step = 0; step < STEPS; step++) knock(machine, onePrefix, next++, 83);
    }),
  );
}
for (const length of [8, 2]) {
  const ports = SEQUENCE.slice(0, length);
  const machine = newMachine([sequenceDoor(ports)]);
  let next = 0;
  for (; next < SOURCES_MAX; next++) {
    for (const port of ports) knock(machine, onePrefix, next, port);
  }
  const count = machine.attemptsAt(length);
  const few = 2_000;
  bad(
    `wrong ports from one /64 that has completed ${count} sequences of ${length} ports`,
    measure(few, () => {
      for (let step = 0; step < few; step++) knock(machine, onePrefix, next++, 81);
    }),
  );
  bad(
    `whole sequences of ${length} ports from that /64`,
    measure(few, () => {
      for (let step = 0; step < few; step += length, next++) {
        for (const port of ports) knock(machine, onePrefix, next, port);
      }
    }),
  );
}
{
  const shared = Array.from({ length: 10 }, () => sequenceDoor(SEQUENCE));
  const machine = newMachine(shared);
  let next = 0;
  bad(
    "first knocks from ever new IPv4 sources, ten doors with the same ports",
    measure(STEPS, () => {
      for (let step = 0; step < STEPS; step++) knock(machine, ipv4, next++, 80);
    }),
  );
}

for (const table of [rows, worst]) {
  const widths = table[0]?.map((_, column) =>
    Math.max(...table.map((row) => row[column]?.length ?? 0))
  );
  for (const row of table) {
    console.log(
      row.map((cell, column) =>
        /^\d+$/.test(cell)
          ? cell.padStart(widths?.[column] ?? 0)
          : cell.padEnd(widths?.[column] ?? 0)
      ).join("  "),
    );
  }
  console.log();
}
