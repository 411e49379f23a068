// The whole way of a packet: message, packet, machine. Beside it goes another way of the same words:
// slow decoder, slow parser, naive machine. Both must come to the same effects, packet after packet.

import { KnockMachine, type KnockRule } from "../../../src/knock/machine.ts";
import { decodeLogMessage, emptyLoggedPacket, LOGGED } from "../../../src/nflog/log_message.ts";
import { emptyHeader } from "../../../src/packet/header.ts";
import { PARSE } from "../../../src/packet/outcome.ts";
import { parsePacket } from "../../../src/packet/parse.ts";
import { naiveMachine } from "../../support/naive_machine.ts";
import type { Arena } from "../arena.ts";
import { readCorpus } from "../corpus.ts";
import { digest, fold } from "../digest.ts";
import type { Judge, Target } from "../harness.ts";
import { byteMutators, type Mutator } from "../mutate_bytes.ts";
import { netlinkMutators } from "../mutate_netlink.ts";
import { expect } from "../oracle.ts";
import type { Random } from "../random.ts";
import { lastOf, slowMessage } from "../slow_netlink.ts";
import { slowParse } from "../slow_packet.ts";
import { LOG_TYPE } from "./messages.ts";

const PORTS = [80, 443, 65_535] as const;
const [A, B, C] = PORTS;
const UNWATCHED = [22, 81, 8080];
const WITHIN_MS = 10_000;
const RULES: readonly KnockRule[] = [[A, B], [A, B, C], [C, A, B, A], [B, B, A, C, A]]
  .map((sequence) => ({ sequence, withinMs: WITHIN_MS }));
const STAGES = 5;
/** Few, so that all bounds are met. */
const SLOTS = 64;
const PER_PREFIX = 4;
const KEY = [0x03020100, 0x87060504] as const;
/** Time between two packets, chosen by their bytes so that a replay has the same. */
const STEPS_MS = [0, 0, 0, 0, 0, 1, 1, 2, 5, 10, 50, 200, 1_000, 3_000, 10_001, 130_000];

const OUTCOMES = ["no packet", "no TCP", "nothing", "knock", "opened"] as const;

/** Half of the slots for stage 1, the rest in equal parts. */
function quota(stage: number): number {
  const share = Math.floor(SLOTS / 2 / (STAGES - 1));
  return stage === 1 ? SLOTS - share * (STAGES - 1) : share;
}

function knockJudge(): Judge {
  const rules = RULES;
  const machine = new KnockMachine({
    rules,
    sourcesMax: SLOTS,
    perPrefixMax: PER_PREFIX,
    key: KEY,
  });
  // Decoys only set back, so they may have any end, but no bound may give way.
  const decoyed = new KnockMachine({
    rules,
    decoys: UNWATCHED,
    sourcesMax: SLOTS,
    perPrefixMax: PER_PREFIX,
    key: KEY,
  });
  const naive = naiveMachine(rules, { slots: SLOTS, perPrefix: PER_PREFIX });
  const header = emptyHeader();
  const place = emptyLoggedPacket();
  let nowMs = 123_456;
  // As the gatekeeper does, but for the mark, which sets copies of refused SYNs aside.
  return (arena) => {
    const bytes = arena.front();
    nowMs += STEPS_MS[digest(bytes) & 15] as number;
    const found = decodeLogMessage(arena.view, 0, arena.length, place) === LOGGED.packet;
    const outcome = found
      ? parsePacket(arena.view, place.payloadOffset, place.payloadLength, header)
      : undefined;
    const count = outcome === PARSE.tcp ? machine.step(header, nowMs) : 0;

    const other = slowMessage(bytes, LOG_TYPE);
    const payload = lastOf(other.attributes, 9) ?? new Uint8Array();
    const slow = found ? slowParse(payload).header : undefined;
    const expected = slow === undefined ? [] : naive.step(slow, nowMs);
    const port = slow?.destinationPort;
    expect((slow !== undefined) === (outcome === PARSE.tcp), () => "TCP on one way only");
    expect(
      count === 0 || PORTS.some((watched) => watched === port),
      () => `an effect of port ${port}, which is not watched`,
    );
    expect(count === expected.length, () => `${count} effects, expected ${expected.length}`);
    const others = outcome === PARSE.tcp ? decoyed.step(header, nowMs) : 0;
    expect(others === 0 || PORTS.some((watched) => watched === port), () => `a decoy's effect`);
    let way = count;
    let opened = false;
    for (let index = 0; index < count; index++) {
      const { door, stage, of } = machine.effect(index);
      const { door: door2, stage: stage2, of: of2 } = expected[index] ??
        { door: -1, stage: 0, of: 0 };
      expect(
        door === door2 && stage === stage2 && of === of2,
        () => `door ${door}: ${stage} of ${of}, expected door ${door2}: ${stage2} of ${of2}`,
      );
      const sequence = rules[door]?.sequence ?? [];
      expect(sequence[stage - 1] === port, () => `stage ${stage} of door ${door} by port ${port}`);
      expect(of === sequence.length, () => `door ${door} has ${sequence.length} knocks, not ${of}`);
      opened ||= stage === of;
      way = fold(way, door * 16 + stage);
    }
    for (let stage = 1; stage <= STAGES; stage++) {
      const attempts = machine.attemptsAt(stage);
      const withDecoys = decoyed.attemptsAt(stage);
      expect(withDecoys <= quota(stage), () => `${withDecoys} attempts at stage ${stage}, decoys`);
      expect(attempts <= quota(stage), () => `${attempts} attempts at stage ${stage}`);
      way = fold(way, attempts >> 2);
    }
    const result = !found ? 0 : outcome !== PARSE.tcp ? 1 : count === 0 ? 2 : opened ? 4 : 3;
    return result | way << 8;
  };
}

/** Turns the packet into a knock, from one of a few sources, mostly. */
const knock: Mutator = (arena, random) => {
  const { view, bytes } = arena;
  if (decodeLogMessage(view, 0, arena.length, located) !== LOGGED.packet) return;
  const { payloadOffset: at, payloadLength } = located;
  if (payloadLength < 40) return;
  const four = (bytes[at] as number) >> 4 === 4;
  const tcp = at + (four ? ((bytes[at] as number) & 15) * 4 : 40);
  if (tcp + 20 > at + payloadLength || bytes[at + (four ? 9 : 6)] !== 6) return;
  setSource(arena, at, four, random);
  view.setUint16(tcp, 40_000 + random.below(3));
  view.setUint16(tcp + 2, random.once(8) ? random.pick(UNWATCHED) : random.pick(PORTS));
  // Few numbers, so that packets come again.
  view.setUint32(tcp + 4, random.once(2) ? random.below(8) : random.next());
  bytes[tcp + 13] = random.once(16) ? random.next() : 2;
};

const located = emptyLoggedPacket();

function setSource({ view }: Arena, at: number, four: boolean, random: Random): void {
  const host = random.once(2) ? random.below(4) : random.below(80);
  if (four) {
    view.setUint32(at + 12, 0xc0000200 + host);
    return;
  }
  // Four hosts to one prefix or many to another.
  view.setUint32(at + 8, 0x20010db8);
  view.setUint32(at + 12, random.below(4) * random.below(20));
  view.setUint32(at + 16, 0);
  view.setUint32(at + 20, host);
}

export const knockWay: Target = {
  name: "knock",
  capacity: 2_048,
  share: 1,
  episode: 4_096,
  seeds: () => readCorpus("log_message"),
  mutators: [
    ...Array.from({ length: 3 * byteMutators.length }, () => knock),
    ...netlinkMutators(20),
    ...byteMutators,
  ],
  outcomes: OUTCOMES,
  newJudge: knockJudge,
};
