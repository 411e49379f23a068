// Stories about knocks, told in letters. A letter is a new knock at that port, `~3` is the third knock
// of the story sent once more, `+500` lets 500 ms pass, `C@2` comes from source 2. What each packet
// led to: the stage, `!` for an opened door, `.` for nothing. The same story must have the same end
// in every world: with numbers with and without their highest bits, for IPv4 and IPv6.

import { KnockMachine } from "../../src/knock/machine.ts";
import type { PacketHeader, Source } from "../../src/packet/header.ts";
import { at, sequenceDoor } from "./machines.ts";
import { ipv4, ipv6, syn } from "./naive_machine.ts";

export const KEY = [0x03020100, 0x87060504] as const;
const WITHIN_MS = 10_000;

export interface Story {
  readonly criterion: string;
  /** Letters of the door's ports in order; several doors are kept apart by `|`. */
  readonly doors: string;
  readonly told: string;
  /** With several doors each effect bears the number of its door: `0:1+1:1`. */
  readonly led: string;
}

/** What is told must not depend on these. */
export interface World {
  readonly name: string;
  readonly sources: readonly Source[];
  port(letter: number): number;
  sourcePort(packet: number): number;
  sequence(packet: number): number;
}

export const worlds: readonly World[] = [
  {
    name: "IPv4",
    sources: [ipv4(0x0a000001), ipv4(0x0a000002), ipv4(0x0a010001)],
    port: (letter) => 80 + letter,
    sourcePort: (packet) => 1024 + packet,
    sequence: (packet) => packet * 1000,
  },
  {
    name: "IPv4 with the highest bits set",
    sources: [ipv4(0xdfffffff), ipv4(0xdffffffe), ipv4(0xcfffffff)],
    port: (letter) => 65535 - letter,
    sourcePort: (packet) => 65535 - packet,
    sequence: (packet) => 0xffffffff - packet,
  },
  {
    name: "one source port for all",
    sources: [ipv4(0x80000000), ipv4(0x00000080), ipv4(0x80000080)],
    port: (letter) => 32767 + letter,
    sourcePort: () => 40000,
    sequence: (packet) => 0x7ffffffe + packet,
  },
  {
    name: "one sequence number for all",
    sources: [ipv4(1 << 24), ipv4(1 << 25), ipv4(1 << 26)],
    port: (letter) => 1 + letter,
    sourcePort: (packet) => 32766 + packet,
    sequence: () => 0x80000000,
  },
  {
    name: "IPv6 of one /64",
    sources: [1, 2, 0xffffffff].map((word3) => ipv6(0xfd770000, 0, 0, word3)),
    port: (letter) => 80 + letter,
    sourcePort: (packet) => 1024 + packet,
    sequence: (packet) => 0xfffffff0 + packet,
  },
  {
    name: "IPv4, IPv6 with the same words, IPv4-mapped",
    sources: [ipv4(0xc0000201), ipv6(0, 0, 0, 0xc0000201), ipv6(0, 0, 0xffff, 0xc0000201)],
    port: (letter) => 32760 + letter,
    sourcePort: (packet) => 50000 - packet,
    sequence: (packet) => packet,
  },
];

/** A machine with a door for each string of letters. */
export function newMachine(doors: readonly string[], port = (letter: number) => 80 + letter) {
  return new KnockMachine({
    doors: doors.map((letters) =>
      sequenceDoor([...letters].map((letter) => port(indexOf(letter))), WITHIN_MS)
    ),
    sourcesMax: 1024,
    perPrefixMax: 64,
    key: KEY,
  });
}

function indexOf(letter: string): number {
  return letter.charCodeAt(0) - "A".charCodeAt(0);
}

/** What each packet of the story leads to. */
export function tell({ doors, told }: Story, world: World): string {
  const sequences = doors.replaceAll(" ", "").split("|");
  const machine = newMachine(sequences, world.port);
  const sent: PacketHeader[] = [];
  const led: string[] = [];
  // Not from 0: no time is special.
  let nowMs = 123_456;
  for (const word of told.split(" ")) {
    if (word.startsWith("+")) {
      nowMs += Number(word);
      continue;
    }
    const [what = "", source = "1"] = word.split("@");
    const from = world.sources[Number(source) - 1];
    const again = what.startsWith("~") ? sent[Number(what.slice(1)) - 1] : undefined;
    const packet = {
      ...again ?? newKnock(what, sent.length, world),
      ...(again && source === "1" ? {} : from),
    };
    if (!again) sent.push(packet);
    led.push(effects(machine, machine.step(packet, at(nowMs)), sequences.length > 1));
  }
  return led.join(" ");
}

function newKnock(letter: string, packet: number, world: World): PacketHeader {
  return syn({
    destinationPort: world.port(indexOf(letter)),
    sourcePort: world.sourcePort(packet),
    sequence: world.sequence(packet) >>> 0,
  });
}

function effects(machine: KnockMachine, count: number, named: boolean): string {
  const each = Array.from({ length: count }, (_, index) => {
    const { door, stage, of } = machine.effect(index);
    return `${named ? `${door}:` : ""}${stage === of ? "!" : stage}`;
  });
  return each.join("+") || ".";
}
