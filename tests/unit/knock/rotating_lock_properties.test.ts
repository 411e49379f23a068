// RotatingLock against the naive lock, which judges everything at once and forgets nothing: whatever
// takes an attempt beyond its first knock does so in both. Streams of several sources with clocks of
// their own, a server whose clock jumps, few ports and so many chance hits, and tables so small
// that nearly nothing stays known.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Port } from "../../../src/config/config.ts";
import { Secret } from "../../../src/config/secret.ts";
import { nodeCrypto } from "../../../src/crypto/node_crypto.ts";
import { RotatingLock } from "../../../src/knock/rotating_lock.ts";
import type { PacketHeader } from "../../../src/packet/header.ts";
import { ipv4, ipv6, syn } from "../../support/naive_machine.ts";
import { naiveRotatingLock } from "../../support/naive_rotating.ts";

const sources = [
  ipv4(0x0a000001),
  ipv4(0xc0000201),
  ipv6(0, 0, 0, 0x0a000001),
  ipv6(0x20010db8, 1, 0, 1),
  ipv6(0x20010db8, 1, 0, 2),
];

const STEP_MS = 1000;

const moment = fc.record({
  source: fc.nat({ max: sources.length - 1 }),
  does: fc.oneof(
    { weight: 12, arbitrary: fc.constant("next" as const) },
    { weight: 3, arbitrary: fc.constant("rest" as const) },
    { weight: 2, arbitrary: fc.constant("again" as const) },
    { weight: 2, arbitrary: fc.constant("retransmit" as const) },
    { weight: 2, arbitrary: fc.constant("first" as const) },
    { weight: 2, arbitrary: fc.constant("stray" as const) },
    { weight: 1, arbitrary: fc.constant("decoy" as const) },
  ),
  /** Which time step the client takes for the current one, where it begins anew. */
  skew: fc.constantFrom(0, 0, 0, -1, 1, -2, 2),
  udp: fc.constantFrom(false, false, true),
  any: fc.nat(),
  waitMs: fc.constantFrom(0, 0, 1, 5, 5, 5, 100, 400, 700, 1000, 2500),
  jumpMs: fc.oneof(
    { weight: 20, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constantFrom(-5000, -1000, 1000, 3000, 3_000_000) },
  ),
});

const door = fc.record({
  size: fc.constantFrom(5, 8, 40),
  knocks: fc.integer({ min: 2, max: 5 }),
  bindSource: fc.boolean(),
  withinMs: fc.constantFrom(300, 1000, 10_000),
  portsKnownMax: fc.constantFrom(1, 4, 1024),
});

Deno.test("RotatingLock goes beyond the first knock whenever the naive one does", () => {
  let opened = 0;
  fc.assert(
    fc.property(door, fc.array(moment, { minLength: 20, maxLength: 80 }), (options, moments) => {
      const key = new Uint8Array(20).fill(options.size);
      const parameters = {
        ...options,
        door: "admin",
        ports: { protocol: "tcp", first: 20000 as Port, last: 20000 + options.size - 1 as Port },
        stepMs: STEP_MS,
      } as const;
      const naive = naiveRotatingLock({ ...parameters, key });
      const lock = new RotatingLock({
        ...parameters,
        crypto: nodeCrypto,
        secret: new Secret(key),
        key: [0x0123_4567, 0x89ab_cdef],
        attemptsMax: 1024,
        parkedMax: 1024,
        hmacsPerSecondMax: 1e9,
      });
      const plan = sources.map(() => ({ timeStep: 0, index: options.knocks }));
      let sent: PacketHeader[] = [];
      let nowMs = 5;
      let jumpedMs = 1_700_000_000_000;
      let count = 0;

      const step = (packet: PacketHeader) => {
        const time = { nowMs, unixMs: nowMs + jumpedMs };
        const expected = naive.step(packet, time);
        const effect = lock.step(packet, time);
        const stage = Math.max(0, ...expected.map((one) => one.stage));
        if (stage < 2) return assert(effect === undefined || effect.stage === 1);
        assert(effect !== undefined);
        assert.equal(effect.stage, stage);
        assert.equal(effect.of, options.knocks);
        assert(expected.some((one) => one.stage === stage && one.timeStep === effect.timeStep));
        if (stage === options.knocks) opened++;
      };

      for (const { source, does, skew, udp, any, waitMs, jumpMs } of moments) {
        const before = Math.floor((nowMs + jumpedMs) / STEP_MS);
        nowMs += waitMs;
        jumpedMs += jumpMs;
        const now = Math.floor((nowMs + jumpedMs) / STEP_MS);
        // What was sent in another time step is judged by other sequences.
        if (now !== before) sent = [];
        const from = sources[source] as typeof sources[number];
        const client = plan[source] as typeof plan[number];
        const knock = (port: number) => {
          count++;
          const packet = syn({
            ...from,
            protocol: udp ? 17 : 6,
            destinationPort: port,
            sourcePort: 1024 + count,
            sequence: udp ? 0 : count,
          });
          sent.push(packet);
          step(packet);
        };
        const next = () => {
          if (client.index >= options.knocks) {
            client.index = 0;
            client.timeStep = now + skew;
          }
          knock(naive.sequenceOf(from, client.timeStep)[client.index++] as number);
        };
        if (does === "next") next();
        else if (does === "rest") { do next(); while (client.index < options.knocks); }
        else if (does === "again" && client.index > 0) {
          knock(naive.sequenceOf(from, client.timeStep)[client.index - 1] as number);
        } else if (does === "retransmit" && sent.length > 0) {
          step(sent[any % sent.length] as PacketHeader);
        } else if (does === "first") {
          client.index = options.knocks;
          next();
        } else if (does === "stray") knock(20000 + any % options.size);
        else if (does === "decoy") {
          naive.setBack(from);
          lock.setBack(from);
        }
      }
    }),
    { numRuns: 200 },
  );
  assert(opened > 200, `only ${opened} sequences were completed`);
});
