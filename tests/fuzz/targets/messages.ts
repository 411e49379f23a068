// decodePacketMessage() and decodeLogMessage(): against a slow decoder, at both places, with what
// they point at inside the message.

import { LITTLE_ENDIAN } from "../../../src/bytes/endian.ts";
import { decodeLogMessage, emptyLoggedPacket, LOGGED } from "../../../src/nflog/log_message.ts";
import {
  decodePacketMessage,
  emptyQueuedPacket,
  QUEUE,
} from "../../../src/nfqueue/packet_message.ts";
import { readCorpus, readGolden } from "../corpus.ts";
import { digest, fold } from "../digest.ts";
import type { Judge, Target } from "../harness.ts";
import { byteMutators } from "../mutate_bytes.ts";
import { changeMessageHeader, netlinkMutators, putMessageLengthRight } from "../mutate_netlink.ts";
import { CountingView, expect } from "../oracle.ts";
import { allHave, lastOf, type SlowAttribute, slowMessage, uintBe } from "../slow_netlink.ts";

export const LOG_TYPE = 4 << 8;
const QUEUE_TYPE = 3 << 8;
const ATTRIBUTES = 20;
/** Counting is slower: one input in so many. */
const COUNTED = 16;

interface Message<T extends object> {
  /** nlmsg_type. */
  readonly type: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly decode: (view: DataView, offset: number, length: number, out: T) => number;
  readonly empty: () => T;
  /** The fields of these attributes, offsets from the message; undefined where one is lacking. */
  readonly expected: (attributes: readonly SlowAttribute[]) => T | undefined;
}

function messageTarget<T extends object>(
  name: string,
  message: Message<T>,
  seeds: Target["seeds"],
): Target {
  return {
    name,
    capacity: 2_048,
    share: 6,
    seeds,
    mutators: [
      ...netlinkMutators(ATTRIBUTES),
      ...netlinkMutators(ATTRIBUTES),
      changeMessageHeader,
      putMessageLengthRight,
      ...byteMutators,
    ],
    finish: (arena, random) => {
      if (!random.once(4)) putMessageLengthRight(arena, random, new Uint8Array());
      if (random.once(8) || arena.length < 6) return;
      arena.view.setUint16(4, message.type, LITTLE_ENDIAN);
    },
    outcomes: Object.keys(message.outcomes),
    newJudge: () => messageJudge(message),
  };
}

export function messageJudge<T extends object>(message: Message<T>): Judge {
  const { type, decode, empty, expected } = message;
  const front = empty();
  const back = empty();
  const outcomes = Object.keys(message.outcomes);
  let counter: CountingView | undefined;
  let judged = 0;
  return (arena) => {
    const { view, length } = arena;
    const outcome = decode(view, 0, length, front);
    const again = decode(view, arena.back, length, back);
    const name = outcomes[outcome];
    expect(name !== undefined, () => `an outcome without a name: ${outcome}`);
    expect(outcome === again, () => `reads outside: ${name}, or ${outcomes[again]} elsewhere`);

    const slow = slowMessage(arena.front(), type);
    const fields = slow.outcome === "packet" ? expected(slow.attributes) : undefined;
    const lacking = slow.outcome === "packet" && fields === undefined;
    const slowName = lacking ? "malformed" : slow.outcome;
    expect(name === slowName, () => `${name}, but the slow decoder says ${slowName}`);
    if (fields !== undefined) {
      expectFields(front, fields, 0);
      expectFields(back, fields, arena.back);
    }
    if (judged++ % COUNTED === 0) {
      if (counter?.buffer !== view.buffer) counter = new CountingView(view.buffer);
      counter.reads = 0;
      decode(counter, 0, length, front);
      const { reads } = counter;
      expect(reads <= 4 + length, () => `${reads} reads for ${length} bytes`);
    }
    const types = slow.attributes.slice(0, 4).map(([one]) => Math.min(one, 24));
    return outcome | digest(types, fold(0, Math.min(slow.attributes.length, 16))) << 8;
  };
}

function expectFields<T extends object>(decoded: T, fields: T, offset: number): void {
  for (const [name, value] of Object.entries(decoded)) {
    const relative = name === "payloadOffset" ? value - offset : value;
    const expected = fields[name as keyof T];
    expect(
      relative === expected,
      () => `${name} is ${relative}, the slow decoder says ${expected}`,
    );
  }
}

export const queueMessage = messageTarget(
  "queue_message",
  {
    type: QUEUE_TYPE,
    outcomes: QUEUE,
    decode: decodePacketMessage,
    empty: emptyQueuedPacket,
    expected(attributes) {
      const header = lastOf(attributes, 1);
      if (header === undefined || !allHave(attributes, 1, 7)) return undefined;
      if (!allHave(attributes, 3, 4)) return undefined;
      const mark = lastOf(attributes, 3);
      const payload = lastOf(attributes, 10);
      return {
        id: uintBe(header.subarray(0, 4)),
        mark: mark === undefined ? 0 : uintBe(mark.subarray(0, 4)),
        payloadOffset: payload?.byteOffset ?? 0,
        payloadLength: payload?.length ?? 0,
      };
    },
  },
  () => [...readCorpus("queue_message"), ...readGolden("nfqueue")],
);

export const logMessage = messageTarget(
  "log_message",
  {
    type: LOG_TYPE,
    outcomes: LOGGED,
    decode: decodeLogMessage,
    empty: emptyLoggedPacket,
    expected(attributes) {
      const sequence = lastOf(attributes, 12);
      if (sequence === undefined || !allHave(attributes, 12, 4)) return undefined;
      const payload = lastOf(attributes, 9);
      return {
        sequence: uintBe(sequence.subarray(0, 4)),
        mark: lastOf(attributes, 10)?.[0] ?? 0,
        payloadOffset: payload?.byteOffset ?? 0,
        payloadLength: payload?.length ?? 0,
      };
    },
  },
  () => readCorpus("log_message"),
);
