// parsePacket(): against the slow parser, at both places, with a bound on its reads.

import type { PacketHeader } from "../../../src/packet/header.ts";
import { emptyHeader } from "../../../src/packet/header.ts";
import { PARSE_NAMES, type ParseOutcome } from "../../../src/packet/outcome.ts";
import { parsePacket } from "../../../src/packet/parse.ts";
import { readCorpus } from "../corpus.ts";
import type { Judge, Target } from "../harness.ts";
import { byteMutators } from "../mutate_bytes.ts";
import { packetMutators, restoreVersion, setLengths } from "../mutate_packets.ts";
import { CountingView, fail } from "../oracle.ts";
import { slowParse } from "../slow_packet.ts";

export type Parse = (
  view: DataView,
  offset: number,
  length: number,
  header: PacketHeader,
) => ParseOutcome;

/** Fixed part, source, TCP, and three reads for each of nine extension headers. */
const READS_MAX = 48;
/** Counting is slower: one input in so many. */
const COUNTED = 32;

export function packetTarget(version: 4 | 6, parse: Parse = parsePacket): Target {
  return {
    name: `packet${version}`,
    capacity: 1_536,
    share: 16,
    seeds: () => readCorpus("packet").filter(([first = 0]) => first >> 4 === version),
    mutators: [...packetMutators, ...byteMutators],
    finish(arena, random) {
      restoreVersion(arena, version, random);
      if (random.once(4)) setLengths(arena);
    },
    outcomes: PARSE_NAMES,
    newJudge: () => packetJudge(parse),
  };
}

export function packetJudge(parse: Parse): Judge {
  const front = emptyHeader();
  const back = emptyHeader();
  let counter: CountingView | undefined;
  let judged = 0;
  return (arena) => {
    const { view, length } = arena;
    const outcome = parse(view, 0, length, front);
    const again = parse(view, arena.back, length, back);
    const name = PARSE_NAMES[outcome];
    if (outcome !== again) fail(`reads outside: ${name}, or ${PARSE_NAMES[again]} elsewhere`);
    const slow = slowParse(arena.front());
    if (name !== slow.outcome) fail(`${name}, but the slow parser says ${slow.outcome}`);
    const { header } = slow;
    if (header !== undefined) {
      if (!equals(header, front)) failHeader(header, front, "front");
      if (!equals(header, back)) failHeader(header, back, "back");
    }
    if (judged++ % COUNTED === 0) {
      if (counter?.buffer !== view.buffer) counter = new CountingView(view.buffer);
      counter.reads = 0;
      parse(counter, 0, length, front);
      if (counter.reads > READS_MAX) fail(`${counter.reads} reads for one packet`);
    }
    return outcome | slow.way << 8;
  };
}

function equals(a: PacketHeader, b: PacketHeader): boolean {
  return a.family === b.family && a.word0 === b.word0 && a.word1 === b.word1 &&
    a.word2 === b.word2 && a.word3 === b.word3 && a.protocol === b.protocol &&
    a.sourcePort === b.sourcePort && a.destinationPort === b.destinationPort &&
    a.sequence === b.sequence && a.flags === b.flags;
}

function failHeader(expected: PacketHeader, header: PacketHeader, place: string): never {
  const names = Object.keys(expected) as (keyof PacketHeader)[];
  const name = names.find((one) => expected[one] !== header[one]) ?? "family";
  fail(`${name} at the ${place} is ${header[name]}, the slow parser says ${expected[name]}`);
}
