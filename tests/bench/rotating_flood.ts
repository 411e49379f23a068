// How many people get into a rotating door under floods of forged knocks into its ports, and what a
// packet costs: deno run tests/bench/rotating_flood.ts. A simulation of RotatingLock alone, in
// simulated time, so that the shares do not depend on the machine; the microseconds do.
//
// The kinds of flood: every source once, every source twice at once, and a fixed number of sources.
// Real people, one every 10 ms, knock a right sequence once, 5 ms or 500 ms between two knocks.

import process from "node:process";
import type { Port } from "../../src/config/config.ts";
import { Secret } from "../../src/config/secret.ts";
import { nodeCrypto } from "../../src/crypto/node_crypto.ts";
import { RotatingLock } from "../../src/knock/rotating_lock.ts";
import { rotatingSequence } from "../../src/knock/rotating_sequence.ts";
import { emptyHeader, type PacketHeader, type Source } from "../../src/packet/header.ts";

const STEP_MS = 30_000;
const START_MS = 56_666_667 * STEP_MS;
const FLOOD_MS = 6_000;
const EVERY_MS = 10;

const parameters = {
  crypto: nodeCrypto,
  secret: new Secret(new Uint8Array(20).fill(7)),
  door: "admin",
  ports: { protocol: "tcp", first: 20000 as Port, last: 21023 as Port },
  knocks: 5,
} as const;

interface Knock {
  readonly atMs: number;
  readonly source: number;
  readonly port: number;
}

function sourceOf(word3: number): Source {
  return { family: 4, word0: 0, word1: 0, word2: 0, word3 };
}

/** Knocks of real people, in the order of time. */
function people(gapMs: number): Knock[] {
  const knocks: Knock[] = [];
  const lastMs = FLOOD_MS - 5 * gapMs;
  for (let atMs = 200, source = 1; atMs < lastMs; atMs += EVERY_MS, source++) {
    const timeStep = START_MS / STEP_MS;
    const sequence = rotatingSequence({ ...parameters, source: sourceOf(source), timeStep });
    sequence.forEach((port, index) => knocks.push({ atMs: atMs + index * gapMs, source, port }));
  }
  return knocks.sort((one, other) => one.atMs - other.atMs);
}

type Flood = (nth: number) => number;
const floods: Readonly<Record<string, Flood>> = {
  "each source once": (nth) => 0x0a00_0000 + nth,
  "each source twice": (nth) => 0x0a00_0000 + (nth >>> 1),
  "65,536 sources": (nth) => 0x0a00_0000 + (nth & 0xffff),
};

function simulate(flood: Flood, perSecond: number, gapMs: number) {
  let hmacs = 0;
  const crypto = {
    ...nodeCrypto,
    hmacSha256(key: Uint8Array) {
      const hmac = nodeCrypto.hmacSha256(key);
      return (message: Uint8Array) => (hmacs++, hmac(message));
    },
  };
  const lock = new RotatingLock({
    ...parameters,
    crypto,
    stepMs: STEP_MS,
    withinMs: 10_000,
    bindSource: true,
    key: [0x0123_4567, 0x89ab_cdef],
  });
  const real = people(gapMs);
  const begun = new Set(real.map((knock) => knock.source)).size;
  const packet: PacketHeader = { ...emptyHeader(), family: 4, protocol: 6, flags: 2 };
  const time = { nowMs: 0, unixMs: START_MS };
  let opened = 0;
  let next = 0;
  let random = 1;
  const give = (atMs: number, source: number, port: number) => {
    time.nowMs = atMs;
    time.unixMs = START_MS + atMs;
    packet.word3 = source;
    packet.destinationPort = port;
    packet.sequence++;
    const effect = lock.step(packet, time);
    if (effect !== undefined && effect.stage === effect.of && source < 0x0a00_0000) opened++;
  };
  const chance = () => {
    random = Math.imul(random, 1_664_525) + 1_013_904_223 | 0;
    return (random >>> 0) / 2 ** 32;
  };
  const from = process.cpuUsage();
  let count = 0;
  // At random times: a regular flood would always be before or always behind real people.
  for (let atMs = 0; atMs < FLOOD_MS; atMs += waitMs(chance(), perSecond)) {
    for (; next < real.length && (real[next] as Knock).atMs <= atMs; next++) {
      const knock = real[next] as Knock;
      give(atMs, knock.source, knock.port);
    }
    give(atMs, flood(count++), 20000 + Math.floor(chance() * 1024));
  }
  const took = process.cpuUsage(from);
  return {
    share: opened / begun,
    hmacsPerSecond: Math.round(hmacs / FLOOD_MS * 1000),
    microseconds: (took.user + took.system) / (count + real.length),
    unjudged: lock.takeUnjudged() / (count + real.length),
  };
}

/** Between two events that come at random, so many a second. */
function waitMs(chance: number, perSecond: number): number {
  return -Math.log(1 - chance) * 1000 / perSecond;
}

for (const [name, flood] of Object.entries(floods)) {
  for (const perSecond of [20_000, 100_000, 200_000, 400_000]) {
    for (const gapMs of [5, 500]) {
      const { share, hmacsPerSecond, microseconds, unjudged } = simulate(flood, perSecond, gapMs);
      console.log(
        `${name}, ${perSecond}/s, knocks ${gapMs} ms apart: ` +
          `${(share * 100).toFixed(1)} % get in, ${
            microseconds.toFixed(2)
          } us of processor a packet, ` +
          `${hmacsPerSecond} HMACs/s, ${(unjudged * 100).toFixed(1)} % unjudged`,
      );
    }
  }
}
