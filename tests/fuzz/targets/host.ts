// Other programs' firewalls: a match of xtables against the kernel's own arithmetic, and whole dumps of
// rulesets, of which nothing but obstacles, DecodeError or KernelError may come.

import { LITTLE_ENDIAN } from "../../../src/bytes/endian.ts";
import type { Answer } from "../../../src/firewall/host/known_bytes.ts";
import type { Newcomer } from "../../../src/firewall/host/newcomer.ts";
import { matchHolds } from "../../../src/firewall/host/xtables.ts";
import { findObstacles } from "../../../src/firewall/host_firewall.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { readMessages } from "../../../src/netlink/message.ts";
import { parseListedRule } from "../../../src/nftables/listing/objects.ts";
import { datagram, message, socketTo } from "../../support/fake_kernel.ts";
import { type Dumped, kernelWith, readCaptured } from "../../support/host_firewall_golden.ts";
import { Arena } from "../arena.ts";
import { type Bytes, readCorpus } from "../corpus.ts";
import { digest, fold } from "../digest.ts";
import type { Judge, Target } from "../harness.ts";
import { byteMutators, type Mutator } from "../mutate_bytes.ts";
import { netlinkMutators } from "../mutate_netlink.ts";
import { expect, VALUE_OUTCOMES, valueJudge } from "../oracle.ts";
import { kernelMatches, packetsOf } from "../slow_xtables.ts";

const PORT = 22;
const RULE = 0xa06;
const GOLDEN = ["cases.txt", "ufw.txt", "firewalld.txt"] as const;

// An input of `match` is the match's number, the newcomer as bits, its port, and the struct.
const KINDS = [
  ["tcp", 0],
  ["multiport", 1],
  ["conntrack", 3],
  ["addrtype", 1],
  ["state", 0],
  ["conntrack", 2],
  ["multiport", 0],
  ["comment", 0],
  ["recent", 1],
] as const;
const NEWCOMER = { IPV6: 1, UNTRACKED: 2, ANY_PORT: 4 } as const;
const INFO = 4;

const chooseMatch: Mutator = ({ bytes, length }, random) => {
  if (length > 0) bytes[0] = random.below(KINDS.length);
};

const chooseNewcomer: Mutator = ({ bytes, length }, random) => {
  if (length > 1) bytes[1] = random.below(8);
};

/** Ports are compared: one that stands in the struct, or beside it. */
const meetPort: Mutator = ({ view, length }, random) => {
  if (length < INFO + 2) return;
  const at = INFO + 2 * random.below(Math.min(length - INFO, 34) >> 1);
  view.setUint16(2, view.getUint16(at, LITTLE_ENDIAN) + random.below(3) - 1);
};

export const match: Target = {
  name: "match",
  capacity: 320,
  share: 3,
  seeds: () =>
    [
      ...["match", "listing"].flatMap(readCorpus).flatMap(readMessages),
      ...goldenRulesets().flat(),
    ].flatMap(matchesIn),
  mutators: [
    ...byteMutators,
    ...byteMutators.map(() => meetPort),
    chooseMatch,
    ...Array.from({ length: 4 }, () => chooseNewcomer),
  ],
  outcomes: ["yes", "no", "maybe"] satisfies Answer[],
  newJudge: matchJudge,
};

function matchJudge(): Judge {
  return (arena) => {
    const [input, again] = [arena.front(), arena.atBack()];
    const [chosen = 0, bits = 0, high = 0, low = 0] = input;
    const [name, revision] = KINDS[chosen % KINDS.length] as typeof KINDS[number];
    const newcomer: Newcomer = {
      family: (bits & NEWCOMER.IPV6) === 0 ? 4 : 6,
      tracked: (bits & NEWCOMER.UNTRACKED) === 0,
      port: (bits & NEWCOMER.ANY_PORT) === 0 ? high << 8 | low : undefined,
    };
    const info = input.subarray(INFO);
    const answer = matchHolds(newcomer, name, revision, info);
    const other = matchHolds(newcomer, name, revision, again.subarray(INFO));
    expect(answer === other, () => `reads outside: ${answer}, or ${other} elsewhere`);
    const outcome = match.outcomes.indexOf(answer);
    expect(outcome !== -1, () => `an answer that is none: ${answer}`);
    let matching = 0;
    for (const packet of packetsOf(newcomer, info)) {
      const matches = kernelMatches(name, revision, info, packet);
      if (matches === undefined) break;
      expect(
        answer === "maybe" || matches === (answer === "yes"),
        () =>
          `${name} ${revision} says ${answer}, the kernel does not for ${JSON.stringify(packet)}`,
      );
      if (matches) matching++;
    }
    const shape = digest([chosen % KINDS.length, bits & 7, Math.min(info.length, 64), matching]);
    return outcome | fold(shape, ((info[0] ?? 0) & 7) * 16 + ((info[1] ?? 0) & 15)) << 8;
  };
}

/** The matches of a rule, each asked about several newcomers. */
function matchesIn({ type, payload }: Dumped): Bytes[] {
  if (type !== RULE) return [];
  const rule = parseListedRule({ type, payload, flags: 2, sequence: 1, port: 0 });
  return rule.flatMap((expression) => {
    if (expression.kind !== "xt" || expression.of !== "match") return [];
    const { name, revision, info } = expression;
    const chosen = KINDS.findIndex(([one, number]) => one === name && number === revision);
    if (chosen === -1) return [];
    return [0, 1, 2, 4].map((bits) => Uint8Array.of(chosen, bits, 0, PORT, ...info));
  });
}

const NLMSGHDR_BYTES = 16;
/** nlmsghdr and nfgenmsg. */
const ATTRIBUTES = 20;
const scratch = new Arena(8_192);
const insideMutators = [...netlinkMutators(ATTRIBUTES), ...byteMutators];

/** Changes one of the messages, so that the others are still found. */
const changeMessage: Mutator = (arena, random, other) => {
  const spans = spansOf(arena.front());
  if (spans.length === 0) return;
  const [start, end] = random.pick(spans);
  const rest = arena.bytes.slice((end + 3) & ~3, arena.length);
  scratch.load(arena.bytes.subarray(start, end));
  random.pick(insideMutators)(scratch, random, other);
  const { length } = scratch;
  const restAt = start + ((length + 3) & ~3);
  if (length < NLMSGHDR_BYTES || restAt + rest.length > arena.capacity) return;
  scratch.view.setUint32(0, length, LITTLE_ENDIAN);
  arena.resize(restAt + rest.length);
  arena.bytes.set(scratch.front(), start);
  arena.bytes.set(rest, restAt);
};

/** Where messages begin and end. */
function spansOf(bytes: Uint8Array): (readonly [start: number, end: number])[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const spans: [number, number][] = [];
  for (let at = 0; at + NLMSGHDR_BYTES <= bytes.length;) {
    const end = at + view.getUint32(at, LITTLE_ENDIAN);
    if (end < at + NLMSGHDR_BYTES || end > bytes.length) break;
    spans.push([at, end]);
    at = (end + 3) & ~3;
  }
  return spans;
}

/** A ruleset as the kernel dumps it, in one datagram. */
export const hostFirewall: Target = {
  name: "host_firewall",
  capacity: 8_192,
  share: 0.3,
  seeds: () =>
    goldenRulesets()
      .map((dumped) => datagram(...dumped.map((one) => message(one.type, 0, 0, one.payload))))
      .filter(({ length }) => length <= 4_096)
      .map((bytes) => bytes.slice()),
  mutators: [changeMessage],
  outcomes: VALUE_OUTCOMES,
  newJudge: () =>
    valueJudge(obstaclesIn, (obstacles) => {
      for (const { port, table, chain, hint } of obstacles) {
        expect(port === PORT && table !== "" && hint !== "", () => `an obstacle at ${chain}`);
      }
      return digest(obstacles);
    }),
};

function obstaclesIn(bytes: Bytes) {
  const dumped = spansOf(bytes).flatMap(([start, end]) => readMessages(bytes.subarray(start, end)));
  return findObstacles(openConversation(socketTo(kernelWith(dumped))), [PORT]) ?? [];
}

function goldenRulesets(): (readonly Dumped[])[] {
  return GOLDEN.flatMap((file) => [...readCaptured(file).values()]).map(({ messages }) => messages);
}
