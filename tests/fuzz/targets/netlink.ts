// What a netlink socket brings: attributes, messages, acks, and a whole conversation. Only DecodeError
// and KernelError may be thrown, and the attributes are those of a slow reader.

import { LITTLE_ENDIAN } from "../../../src/bytes/endian.ts";
import { KernelError, TransactionError } from "../../../src/errors.ts";
import {
  getNested,
  getText,
  getU32be,
  getU64be,
  listAttributes,
} from "../../../src/netlink/attribute.ts";
import { NLM_F, NLMSG } from "../../../src/netlink/constants.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { type Message, readAck, readMessages } from "../../../src/netlink/message.ts";
import { messageAttributes, messageFamily } from "../../../src/netlink/nfnetlink.ts";
import { type Bytes, netlinkDatagrams, nftablesAttributes } from "../corpus.ts";
import { fold } from "../digest.ts";
import type { Target } from "../harness.ts";
import { byteMutators } from "../mutate_bytes.ts";
import { changeMessageHeader, netlinkMutators, putMessageLengthRight } from "../mutate_netlink.ts";
import { attempt, expect, VALUE_OUTCOMES, valueJudge } from "../oracle.ts";
import { type SlowAttribute, slowAttributes } from "../slow_netlink.ts";

const CAPACITY = 2_048;
/** nlmsghdr and nfgenmsg. */
const ATTRIBUTES = 20;

/** So many of one input make its way. */
const TOLD = 4;

const ofValues = { capacity: CAPACITY, outcomes: VALUE_OUTCOMES };

/** Attributes nested two deep, and each read as every kind of value. */
export const attributes: Target = {
  ...ofValues,
  name: "attributes",
  share: 4,
  seeds: short(nftablesAttributes),
  mutators: [...netlinkMutators(0), ...byteMutators],
  newJudge: () =>
    valueJudge(
      listAttributes,
      check,
      (bytes) => expect(slowAttributes(bytes) === undefined, () => "refused for no reason"),
    ),
};

function check(
  list: readonly (readonly [type: number, payload: Uint8Array])[],
  bytes: Bytes,
): number {
  const slow = slowAttributes(bytes);
  expect(slow !== undefined, () => "a list, but the slow reader finds an impossible length");
  const known = slow ?? [];
  expect(known.length === list.length, () => `${list.length} attributes of ${known.length}`);
  let shape = Math.min(list.length, 16);
  list.forEach(([type, payload], index) => {
    const [slowType, content] = known[index] as SlowAttribute;
    expect(
      type === slowType && payload.length === content.length &&
        payload.byteOffset === content.byteOffset,
      () => `attribute ${index} is not the slow reader's`,
    );
    if (index < TOLD) shape = fold(shape, Math.min(type, 32) * 64 + Math.min(payload.length, 32));
  });
  const map = new Map(list);
  // One of them as every kind of value: refusals cost most of the time.
  const type = list[bytes.length % list.length]?.[0];
  if (type !== undefined) {
    expect(attempt(() => getU32be(map, type)) !== undefined, () => "no u32");
    expect(attempt(() => getU64be(map, type)) !== undefined, () => "no u64");
    expect(typeof getText(map, type) === "string", () => "no text");
    const nested = attempt(() => getNested(map, type));
    if (nested instanceof Map) shape = fold(shape, Math.min(nested.size, 8));
  }
  return shape;
}

/** A datagram as whoever watches nf_tables reads it, acks included. */
export const messages: Target = {
  ...ofValues,
  name: "messages",
  share: 4,
  seeds: short(netlinkDatagrams),
  mutators: datagramMutators(),
  finish(arena, random) {
    if (random.once(2)) putMessageLengthRight(arena, random, new Uint8Array());
  },
  newJudge: () =>
    valueJudge(readMessages, (list, bytes) => {
      let shape = Math.min(list.length, 16);
      let at = 0;
      list.forEach((message, index) => {
        expect(
          message.payload.byteOffset === bytes.byteOffset + at + 16,
          () => `payload at ${message.payload.byteOffset}, message at ${at}`,
        );
        at += (16 + message.payload.length + 3) & ~3;
        messageFamily(message);
        const inside = attempt(() =>
          isEnd(message) ? readAck(message) : messageAttributes(message)
        );
        if (index >= TOLD) return;
        shape = fold(shape, Math.min(message.type, 4096) * 2 + (inside instanceof Error ? 1 : 0));
      });
      expect(at === bytes.length || at - bytes.length < 4, () => `${at} of ${bytes.length} read`);
      return shape;
    }),
};

/** The first four bytes are type and flags, the rest is the payload. */
export const ack: Target = {
  ...ofValues,
  name: "ack",
  share: 4,
  seeds: () =>
    netlinkDatagrams().flatMap(readMessages).filter(isEnd).map(({ type, flags, payload }) =>
      Uint8Array.of(type, 0, flags & 0xff, flags >> 8, ...payload)
    ),
  mutators: [...netlinkMutators(24), ...byteMutators],
  newJudge: () =>
    valueJudge((bytes) => {
      const [type = 0, high = 0, low = 0, flags = 0] = bytes;
      return readAck({
        type: type % 2 === 0 ? NLMSG.NLMSG_ERROR : NLMSG.NLMSG_DONE,
        flags: high ^ low | flags << 8,
        sequence: 1,
        port: 0,
        payload: bytes.subarray(4),
      });
    }, ({ errno, message }, bytes) => {
      const slow = new DataView(bytes.buffer, bytes.byteOffset + 4).getInt32(0, LITTLE_ENDIAN);
      expect(errno + slow === 0, () => `errno ${errno} for ${slow}`);
      new KernelError("try", errno, message);
      return fold(Math.min(Math.abs(errno), 200), message?.length ?? -1);
    }),
};

/** The kernel answers a dump, a question or a transaction, by its length, with this one datagram. */
export const conversation: Target = {
  ...ofValues,
  name: "conversation",
  share: 2,
  seeds: short(netlinkDatagrams),
  mutators: datagramMutators(),
  newJudge: () => valueJudge(converse, (answer) => Math.min(answer.length, 8)),
};

const QUESTION = {
  what: "ask",
  type: 0xa01,
  header: Uint8Array.of(1, 0, 0, 0),
  attributes: [],
};

function converse(bytes: Uint8Array): readonly Message[] {
  let left = 1;
  const kernel = openConversation({
    send: () => {},
    receive: () => left-- > 0 ? bytes : undefined,
  });
  const request = { ...QUESTION, flags: bytes.length % 3 === 0 ? NLM_F.NLM_F_DUMP : 0 };
  if (bytes.length % 3 < 2) return kernel.ask(request);
  try {
    kernel.transact([request, request, request]);
  } catch (error) {
    if (error instanceof TransactionError) {
      const { refused, errno } = error;
      expect(refused.size > 0 && errno !== 0, () => `errno ${errno}, refused ${refused.size}`);
    }
    throw error;
  }
  return [];
}

/** Types that end an answer; NLMSG_DONE has an errno, too. */
function isEnd({ type }: Message): boolean {
  return type === NLMSG.NLMSG_ERROR || type === NLMSG.NLMSG_DONE;
}

export function datagramMutators(): Target["mutators"] {
  return [
    ...netlinkMutators(ATTRIBUTES),
    changeMessageHeader,
    changeMessageHeader,
    putMessageLengthRight,
    ...byteMutators,
  ];
}

/** Only what fits. */
export function short(seeds: () => Bytes[]): () => Bytes[] {
  return () => seeds().filter(({ length }) => length <= CAPACITY / 2);
}
