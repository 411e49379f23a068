// What the kernel tells of tables, sets, elements and sockets: values of the promised types, or
// DecodeError.

import { hex } from "../../../src/bytes/hex.ts";
import { GRANT_KEY, parseGrant } from "../../../src/firewall/grant.ts";
import { readAttributes } from "../../../src/netlink/attribute.ts";
import { readMessages } from "../../../src/netlink/message.ts";
import { parseSession } from "../../../src/netlink/sock_diag.ts";
import { parseElements } from "../../../src/nftables/element.ts";
import { parseSetLayout } from "../../../src/nftables/set.ts";
import { parseTable } from "../../../src/nftables/table.ts";
import type { Source } from "../../../src/packet/header.ts";
import { type Bytes, nftablesAttributes, readCorpus } from "../corpus.ts";
import { fold } from "../digest.ts";
import type { Target } from "../harness.ts";
import { byteMutators, type Mutator } from "../mutate_bytes.ts";
import { netlinkMutators } from "../mutate_netlink.ts";
import { attempt, expect, VALUE_OUTCOMES, valueJudge } from "../oracle.ts";
import { lastOf, slowAttributes, uintBe } from "../slow_netlink.ts";
import { short } from "./netlink.ts";

/** Bytes that text may begin or end with, and that are no text. */
const TEXTS = [[0xef, 0xbb, 0xbf], [0xff, 0xfe], [0xc0, 0x80], [0], [0xed, 0xa0, 0x80], [
  0x2f,
  0x31,
]];

const changeText: Mutator = ({ bytes, length }, random) => {
  const text = random.pick(TEXTS);
  if (length >= text.length) bytes.set(text, random.below(length - text.length + 1));
};

const NOTHING = new Uint8Array();

const ofObjects = {
  capacity: 2_048,
  share: 3,
  seeds: short(nftablesAttributes),
  mutators: [...netlinkMutators(0), ...netlinkMutators(0), changeText, changeText, ...byteMutators],
  outcomes: VALUE_OUTCOMES,
};

export const table: Target = {
  ...ofObjects,
  name: "table",
  newJudge: () =>
    valueJudge((bytes) => parseTable(readAttributes(bytes)), (value, bytes) => {
      const { name, flags, comment, owner } = value;
      const list = slowAttributes(bytes) ?? [];
      expectText("name", name, upToZero(lastOf(list, 1)));
      if (comment !== undefined) expectText("comment", comment, slowComment(lastOf(list, 6)));
      expectUint("flags", flags, 32);
      if (owner !== undefined) expectUint("owner", owner, 32);
      const shape = fold(Math.min(name.length, 16), comment === undefined ? -1 : comment.length);
      return fold(shape, Math.min(flags, 16) * 2 + (owner === undefined ? 0 : 1));
    }),
};

export const set: Target = {
  ...ofObjects,
  name: "set",
  newJudge: () =>
    valueJudge((bytes) => parseSetLayout(readAttributes(bytes)), (layout, bytes) => {
      const { name, keyType, keyLength, size, timeout } = layout;
      expectText("name", name, upToZero(lastOf(slowAttributes(bytes) ?? [], 2)));
      expectUint("keyType", keyType, 32);
      expectUint("keyLength", keyLength, 32);
      if (size !== undefined) expectUint("size", size, 32);
      const shape = fold(Math.min(name.length, 16), Math.min(keyLength, 64));
      return fold(shape, (timeout ? 1 : 0) + (size === undefined ? 0 : 2));
    }),
};

/** With the grants that the elements are, were they in the sets of grants. */
export const elements: Target = {
  ...ofObjects,
  name: "elements",
  newJudge: () =>
    valueJudge((bytes) => parseElements(readAttributes(bytes)), (list, bytes) => {
      const slow = slowAttributes(lastOf(slowAttributes(bytes) ?? [], 3) ?? NOTHING) ?? [];
      expect(list.length === slow.length, () => `${list.length} elements of ${slow.length}`);
      let shape = Math.min(list.length, 8);
      for (const [index, element] of list.entries()) {
        const { key, timeoutMs = 0 } = element;
        const inside = slowAttributes(slow[index]?.[1] ?? NOTHING) ?? [];
        const slowKey = lastOf(slowAttributes(lastOf(inside, 1) ?? NOTHING) ?? [], 1) ?? NOTHING;
        const slowMs = lastOf(inside, 5)?.subarray(0, 8);
        expect(hex(key) === hex(slowKey), () => `key "${hex(key)}" for "${hex(slowKey)}"`);
        expect(
          element.timeoutMs === (slowMs && Number(BigInt(`0x${hex(slowMs)}`))),
          () => `timeoutMs ${element.timeoutMs} for "${hex(slowMs ?? NOTHING)}"`,
        );
        expect(key.buffer !== bytes.buffer, () => "a key that changes with the buffer");
        expect(Number.isFinite(timeoutMs) && timeoutMs >= 0, () => `timeoutMs ${timeoutMs}`);
        shape = fold(shape, Math.min(key.length, 32) * 2 + (timeoutMs > 0 ? 1 : 0));
        for (const name of Object.keys(GRANT_KEY) as (keyof typeof GRANT_KEY)[]) {
          const grant = attempt(() => parseGrant(name, element));
          if (grant === undefined || grant instanceof Error) continue;
          expectUint("port", grant.port, 16);
          const number = key[name === "grants4" ? 4 : 16];
          const protocol = number === 6 ? "tcp" : number === 17 ? "udp" : undefined;
          expect(grant.protocol === protocol, () => `protocol ${number} as ${grant.protocol}`);
          expectSource(grant.source);
          expect(grant.source.family === (name === "grants4" ? 4 : 6), () => `family in ${name}`);
          shape = fold(shape, grant.source.family);
        }
      }
      return shape;
    }),
};

export const session: Target = {
  name: "session",
  capacity: 1_024,
  share: 3,
  seeds: () => readCorpus("sock_diag").flatMap(readMessages).map(({ payload }) => payload.slice()),
  mutators: byteMutators,
  outcomes: VALUE_OUTCOMES,
  newJudge: () =>
    valueJudge(sessionOf, ({ port, sourcePort, source }, bytes) => {
      const [slowPort, slowSourcePort, words] = slowSession(bytes);
      expect(port === slowPort, () => `port ${port} for ${slowPort}`);
      expect(sourcePort === slowSourcePort, () => `source port ${sourcePort}`);
      expectSource(source);
      const four = bytes[0] === 2 ? words[0] : words[3];
      const { family, word0, word1, word2, word3 } = source;
      const same = family === 4
        ? word3 === four
        : words.join() === [word0, word1, word2, word3].join();
      expect(same && (family === 4 || bytes[0] !== 2), () => `source of family ${family}`);
      const mapped = source.family === 6 && source.word0 === 0 && source.word1 === 0 &&
        source.word2 === 0xffff;
      expect(!mapped, () => "an IPv4-mapped source, which is never one of a packet");
      return fold(source.family, Number(source.word0 === 0) + Number(source.word3 === 0) * 2);
    }),
};

function sessionOf(payload: Bytes) {
  return parseSession({ type: 20, flags: 2, sequence: 1, port: 0, payload });
}

/** struct inet_diag_msg: ports at 4, the peer's address at 24, in network order. */
function slowSession(bytes: Uint8Array): [port: number, sourcePort: number, words: number[]] {
  const [port, sourcePort] = [4, 6].map((at) => uintBe(bytes.subarray(at, at + 2)));
  const words = [24, 28, 32, 36].map((at) => uintBe(bytes.subarray(at, at + 4)));
  return [port ?? 0, sourcePort ?? 0, words];
}

function expectSource(source: Readonly<Source>): void {
  const { family, word0, word1, word2, word3 } = source;
  for (const word of [word0, word1, word2, word3]) expectUint("word", word, 32);
  if (family === 4) {
    expect(word0 === 0 && word1 === 0 && word2 === 0, () => "IPv4 with more than one word");
  }
}

function expectUint(name: string, value: number, bits: number): void {
  const holds = Number.isInteger(value) && value >= 0 && value < 2 ** bits;
  expect(holds, () => `${name} is ${value}`);
}

/** Text must say what the bytes do: another name or comment must not look like ours. */
function expectText(what: string, text: string, bytes: Uint8Array): void {
  if (text.includes("\ufffd")) return;
  const said = new TextEncoder().encode(text);
  const same = said.length === bytes.length && said.every((byte, at) => byte === bytes[at]);
  expect(same, () => `${what} ${JSON.stringify(text)} for the bytes "${hex(bytes)}"`);
}

function upToZero(bytes: Uint8Array = NOTHING): Uint8Array {
  return bytes.subarray(0, bytes.includes(0) ? bytes.indexOf(0) : bytes.length);
}

/** The first part of type 0, without one closing zero: type, length, so many bytes, and again. */
function slowComment(userdata: Uint8Array = NOTHING): Uint8Array {
  const [type, length = 0] = userdata;
  const value = userdata.subarray(2, 2 + length);
  if (type === 0) return value.at(-1) === 0 ? value.subarray(0, -1) : value;
  return userdata.length < 2 ? userdata : slowComment(userdata.subarray(2 + length));
}
