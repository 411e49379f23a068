// The whole way of a packet: message, packet, machine. Beside it goes another way of the same words:
// slow decoder, slow parser, naive machine. Both must come to the same effects, packet after packet.

import type { Door, Step } from "../../../src/config/config.ts";
import { KnockMachine } from "../../../src/knock/machine.ts";
import { PROTOCOL, rulesOf } from "../../../src/knock/rules.ts";
import { decodeLogMessage, emptyLoggedPacket, LOGGED } from "../../../src/nflog/log_message.ts";
import { emptyHeader, type PacketHeader } from "../../../src/packet/header.ts";
import { isKnock } from "../../../src/packet/outcome.ts";
import { parsePacket } from "../../../src/packet/parse.ts";
import { endpoint, plainDoor, stepOf } from "../../support/configs.ts";
import { at as atTime } from "../../support/machines.ts";
import { ipv4, ipv6, naiveMachine } from "../../support/naive_machine.ts";
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

/** TCP and UDP ports and bytes of pings alike. */
const PORTS = [80, 443, 65_535] as const;
const BYTES = 56;
const DECOYS = ["tcp/22", "tcp/81", "udp/8080"];
const UNWATCHED = [22, 81, 8080];
const FIN = { mask: 0x03, value: 0x01 };
const FROM4 = [ipv4(0xc0000200), 28] as const;
const FROM6 = [ipv6(0x20010db8, 0, 0, 0), 64] as const;

/** Sequences of every kind that begin with, contain and end with what others do. */
const DOORS: readonly Door[] = [
  plainDoor({ steps: ["tcp/80", "tcp/443"] }),
  plainDoor({ steps: ["tcp/80", "udp/443", "tcp/65535"] }),
  plainDoor({ steps: ["tcp/65535", stepOf("tcp/80", { flags: FIN }), "tcp/443", "tcp/80"] }),
  plainDoor({ steps: ["tcp/443", "tcp/443", "tcp/80", "tcp/65535", "tcp/80"] }),
  plainDoor({ steps: ["udp/80", `icmp/${BYTES}`, `icmp/${BYTES}`] }),
  plainDoor({ steps: [`icmp6/${BYTES}`, "udp/80", "tcp/80"] }),
  plainDoor({
    steps: ["udp/443", stepOf("udp/443", { afterMs: 2, beforeMs: 1_000 }), "tcp/443"],
    from: [FROM4, FROM6].map(([address, length]) => ({ address, length })),
  }),
];
const RULES = rulesOf(DOORS);
/** Rules that begin with tcp/80. */
const SHARED = 2;
const STAGES = 5;
/** Few, so that all bounds are met. */
const SLOTS = 64;
const ALL_SLOTS = SLOTS * SHARED;
const PER_PREFIX = 4;
const KEY = [0x03020100, 0x87060504] as const;
/** Time between two packets, chosen by their bytes so that a replay has the same. */
const STEPS_MS = [
  ...Array.from({ length: 48 }, (_, index) => index % 3),
  ...[5, 5, 10, 10, 50, 50, 200, 200, 1_000, 1_000, 1_001, 3_000, 3_000, 5_000, 10_001, 130_000],
];

const OUTCOMES = ["no packet", "no knock", "nothing", "stage", "opened"] as const;

/** Half of the slots for stage 1, the rest in equal parts. */
function quota(stage: number): number {
  const share = Math.floor(ALL_SLOTS / 2 / (STAGES - 1));
  return stage === 1 ? ALL_SLOTS - share * (STAGES - 1) : share;
}

function knockJudge(): Judge {
  const options = { doors: DOORS, sourcesMax: SLOTS, perPrefixMax: PER_PREFIX, key: KEY };
  const machine = new KnockMachine(options);
  // Decoys only set back, so they may have any end, but no bound may give way.
  const decoyed = new KnockMachine({ ...options, decoys: DECOYS.map(endpoint) });
  const naive = naiveMachine(RULES, { slots: SLOTS, perPrefix: PER_PREFIX });
  const header = emptyHeader();
  const place = emptyLoggedPacket();
  let nowMs = 123_456;
  // As the gatekeeper does, but for the mark, which sets copies of refused SYNs aside.
  return (arena) => {
    const bytes = arena.front();
    nowMs += STEPS_MS[digest(bytes) & 63] as number;
    const found = decodeLogMessage(arena.view, 0, arena.length, place) === LOGGED.packet;
    const outcome = found
      ? parsePacket(arena.view, place.payloadOffset, place.payloadLength, header)
      : undefined;
    const knock = outcome !== undefined && isKnock(outcome);
    const count = knock ? machine.step(header, atTime(nowMs)) : 0;

    const other = slowMessage(bytes, LOG_TYPE);
    const payload = lastOf(other.attributes, 9) ?? new Uint8Array();
    const slow = found ? slowParse(payload).header : undefined;
    const expected = slow === undefined ? [] : naive.step(slow, nowMs);
    expect((slow !== undefined) === knock, () => "a knock on one way only");
    expect(count === expected.length, () => `${count} effects, expected ${expected.length}`);
    const others = knock ? decoyed.step(header, atTime(nowMs)) : 0;
    const decoy = slow !== undefined && DECOYS.includes(endpointOf(slow));
    expect(knock === false || decoyed.isDecoy(header) === decoy, () => "a decoy that is none");
    expect(others === 0 || !decoy, () => "a decoy's effect");
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
      const steps = RULES[door]?.steps ?? [];
      const step = steps[stage - 1];
      expect(
        slow !== undefined && step !== undefined && canBe(slow, step),
        () => `stage ${stage} of door ${door} by ${slow && endpointOf(slow)}`,
      );
      expect(of === steps.length, () => `door ${door} has ${steps.length} knocks, not ${of}`);
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
    const result = !found ? 0 : !knock ? 1 : count === 0 ? 2 : opened ? 4 : 3;
    return result | way << 8;
  };
}

function canBe(packet: PacketHeader, { protocol, port, flags }: Step): boolean {
  return PROTOCOL[protocol] === packet.protocol && port === packet.destinationPort &&
    (protocol !== "tcp" || (packet.flags & flags.mask) === flags.value);
}

function endpointOf({ protocol, destinationPort }: PacketHeader): string {
  const name = Object.entries(PROTOCOL).find(([, number]) => number === protocol)?.[0];
  return `${name}/${destinationPort}`;
}

/** Turns the packet into a knock of any protocol, from one of a few sources, mostly. */
const knock: Mutator = (arena, random) => {
  const { view, bytes } = arena;
  if (decodeLogMessage(view, 0, arena.length, located) !== LOGGED.packet) return;
  const { payloadOffset: at, payloadLength } = located;
  if (payloadLength < 40) return;
  const four = (bytes[at] as number) >> 4 === 4;
  const upper = at + (four ? ((bytes[at] as number) & 15) * 4 : 40);
  if (upper + 20 > at + payloadLength) return;
  const protocol = at + (four ? 9 : 6);
  // No other headers between.
  if (![1, 6, 17, 58].includes(bytes[protocol] as number)) return;
  setSource(arena, at, four, random);
  setLength(arena, at, four, upper - at, UPPER_BYTES);
  const port = random.once(8) ? random.pick(UNWATCHED) : random.pick(PORTS);
  switch (random.below(4)) {
    case 0:
      bytes[protocol] = 17;
      view.setUint16(upper, 40_000 + random.below(3));
      view.setUint16(upper + 2, port);
      view.setUint16(upper + 4, 8 + random.below(8));
      return;
    case 1:
      bytes[protocol] = four ? 1 : 58;
      view.setUint16(upper, four ? 0x0800 : 0x8000);
      view.setUint16(upper + 4, random.below(3));
      view.setUint16(upper + 6, random.below(3));
      if (random.once(8)) setLength(arena, at, four, upper - at, random.below(200));
      return;
    default:
      bytes[protocol] = 6;
      view.setUint16(upper, 40_000 + random.below(3));
      view.setUint16(upper + 2, port);
      // Few numbers, so that packets come again.
      view.setUint32(upper + 4, random.once(2) ? random.below(8) : random.next());
      bytes[upper + 12] = 0x50;
      bytes[upper + 13] = random.once(8) ? random.pick([1, 0x11, random.next()]) : 2;
  }
};

/** Bytes behind the IP header: of a ping that counts, and enough for TCP. */
const UPPER_BYTES = 8 + BYTES;

/** What the IP header says of the length; the rest need not have been captured. */
function setLength(
  { view }: Arena,
  at: number,
  four: boolean,
  headerBytes: number,
  upperBytes: number,
): void {
  if (four) view.setUint16(at + 2, headerBytes + upperBytes);
  else view.setUint16(at + 4, upperBytes);
}

const located = emptyLoggedPacket();

function setSource({ view }: Arena, at: number, four: boolean, random: Random): void {
  const host = random.once(4) ? random.below(80) : random.below(2);
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
