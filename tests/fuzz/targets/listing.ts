// Other programs' tables, chains, rules and sets, and what else the kernel tells about them: values of
// the promised kind, or DecodeError.

import { type Message, readMessages } from "../../../src/netlink/message.ts";
import { messageAttributes } from "../../../src/netlink/nfnetlink.ts";
import { parseConnection } from "../../../src/netlink/sock_diag.ts";
import { parseCounter } from "../../../src/nftables/counter_object.ts";
import { parseAuthor } from "../../../src/nftables/generation.ts";
import { REGISTER_BYTES } from "../../../src/nftables/listing/expression.ts";
import {
  type ListedRule,
  parseGeneration,
  parseListedChain,
  parseListedElements,
  parseListedRule,
  parseListedSet,
  parseListedTable,
} from "../../../src/nftables/listing/objects.ts";
import { type Bytes, netlinkDatagrams, readCorpus } from "../corpus.ts";
import { digest, fold } from "../digest.ts";
import type { Target } from "../harness.ts";
import { byteMutators, type Mutator } from "../mutate_bytes.ts";
import { netlinkMutators } from "../mutate_netlink.ts";
import { expect, VALUE_OUTCOMES, valueJudge } from "../oracle.ts";

/** The second byte of a message's payload, which is always 0 and read by nobody, chooses one. */
const DECODERS: readonly ((message: Message) => unknown)[] = [
  parseListedRule,
  parseListedTable,
  parseListedChain,
  parseListedSet,
  parseListedElements,
  parseGeneration,
  parseConnection,
  (message) => parseCounter(messageAttributes(message)),
  (message) => parseAuthor(messageAttributes(message)),
];
const RULES = 0;

const chooseDecoder: Mutator = ({ bytes, length }, random) => {
  if (length > 1) bytes[1] = random.once(2) ? RULES : random.below(DECODERS.length);
};

export const listing: Target = {
  name: "listing",
  capacity: 2_048,
  share: 4,
  seeds: () =>
    [...readCorpus("listing"), ...netlinkDatagrams()].flatMap(readMessages).flatMap(seedsOf),
  mutators: [...netlinkMutators(4), ...netlinkMutators(4), chooseDecoder, ...byteMutators],
  outcomes: VALUE_OUTCOMES,
  newJudge: () =>
    valueJudge((bytes) => decoderOf(bytes)(messageOf(bytes)), (value, bytes) => {
      const chosen = (bytes[1] ?? 0) % DECODERS.length;
      if (chosen === RULES) return checkRule(value as ListedRule);
      const length = Array.isArray(value) ? Math.min(value.length, 8) : 9;
      return fold(chosen, length * 64 + (digest(value) & 63));
    }),
};

/** Registers are places in the register file. */
function checkRule(rule: ListedRule): number {
  let shape = Math.min(rule.length, 8);
  for (const expression of rule) {
    shape = digest(expression.kind, shape);
    for (const name of ["at", "from", "to"] as const) {
      const place = (expression as unknown as Readonly<Record<string, unknown>>)[name];
      if (place === undefined) continue;
      const holds = Number.isInteger(place) && Number(place) >= 0 && Number(place) < REGISTER_BYTES;
      expect(holds, () => `${expression.kind} ${name} ${place}`);
    }
  }
  return shape;
}

function decoderOf([, chosen = 0]: Bytes): (message: Message) => unknown {
  return DECODERS[chosen % DECODERS.length] ?? parseListedRule;
}

function messageOf(payload: Bytes): Message {
  return { type: 0xa00, flags: 2, sequence: 1, port: 0, payload };
}

/** Each message for its own decoder, as far as the type tells it. */
function seedsOf({ type, payload }: Message): Bytes[] {
  if (payload.length < 4 || payload.length > 1_024) return [];
  const seed = payload.slice();
  seed[1] = CHOSEN.get(type) ?? 0;
  return [seed];
}

/** Type of the kernel's answer, index of the decoder. */
const CHOSEN = new Map([
  [0xa00, 1],
  [0xa03, 2],
  [0xa06, RULES],
  [0xa09, 3],
  [0xa0c, 4],
  [0xa0f, 8],
  [0xa12, 7],
  [20, 6],
]);
