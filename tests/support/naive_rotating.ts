// Rotating sequences and their lock once more, from the words of PROTOCOL.md and as plainly as can
// be: whole sequences, everything judged at once, nothing forgotten, no budget. Never used outside
// of tests.

import { createHmac } from "node:crypto";
import type { PortRange } from "../../src/config/config.ts";
import { addressBytes } from "../../src/packet/address.ts";
import type { PacketHeader, Source } from "../../src/packet/header.ts";
import { REPEATED_MS } from "../../src/limits.ts";
import type { EventTime } from "../../src/knock/lock.ts";

export interface NaiveParameters {
  readonly key: Uint8Array;
  readonly door: string;
  readonly ports: PortRange;
  readonly knocks: number;
}

export function naiveSequence(
  { key, door, ports, knocks, timeStep, source }: NaiveParameters & {
    readonly timeStep: number;
    readonly source: Readonly<Source> | undefined;
  },
): number[] {
  const free: number[] = [];
  for (let port: number = ports.first; port <= ports.last; port++) free.push(port);
  const step = new Uint8Array(8);
  new DataView(step.buffer).setBigUint64(0, BigInt(timeStep));
  const address = source === undefined ? [] : [...addressBytes(source)];
  const mapped = address.length === 16 && address.slice(0, 10).every((byte) => byte === 0) &&
    address[10] === 255 && address[11] === 255;
  const seen = mapped ? address.slice(12) : address;
  const family = seen.length === 0 ? 0 : seen.length === 4 ? 4 : 6;
  return Array.from({ length: knocks }, (_, index) => {
    const name = new TextEncoder().encode(door);
    const digest = createHmac("sha256", key).update("pk-rotating-1")
      .update(new Uint8Array([name.length, ...name, ...step, index, family, ...seen])).digest();
    const value = digest.readUInt32BE((digest[31] as number) & 15) & 0x7fff_ffff;
    return free.splice(value % free.length, 1)[0] as number;
  });
}

export interface NaiveLockOptions extends NaiveParameters {
  readonly stepMs: number;
  readonly withinMs: number;
  readonly bindSource: boolean;
}

export interface NaiveLockEffect {
  readonly stage: number;
  readonly timeStep: number;
}

interface Attempt {
  readonly source: string;
  readonly timeStep: number;
  taken: number;
  sinceMs: number;
  packets: string[];
}

export function naiveRotatingLock(options: NaiveLockOptions) {
  const { stepMs, withinMs, bindSource, knocks } = options;
  const attempts = new Map<string, Attempt>();
  const completed = new Map<string, { packets: string[]; sinceMs: number }>();

  const sequences = new Map<string, number[]>();
  const sequenceOf = (from: Readonly<Source>, timeStep: number) => {
    const source = bindSource ? from : undefined;
    const name = `${source === undefined ? "" : nameOf(source)} ${timeStep}`;
    const known = sequences.get(name) ?? naiveSequence({ ...options, timeStep, source });
    sequences.set(name, known);
    return known;
  };

  const stepOne = (
    packet: Readonly<PacketHeader>,
    timeStep: number,
    nowMs: number,
  ): number => {
    const sequence = sequenceOf(packet, timeStep);
    const port = packet.destinationPort;
    const source = nameOf(packet);
    const name = `${source} ${timeStep}`;
    const knock = knockOf(packet);
    const before = completed.get(name);
    if (before?.packets.includes(knock) && nowMs - before.sinceMs <= REPEATED_MS) return 0;
    const attempt = attempts.get(name);
    if (attempt !== undefined && nowMs - attempt.sinceMs <= withinMs) {
      if (attempt.packets.includes(knock)) return 0;
      if (port === sequence[attempt.taken]) {
        attempt.packets.push(knock);
        attempt.taken++;
        if (attempt.taken < knocks) return attempt.taken;
        attempts.delete(name);
        const packets = [...before?.packets ?? [], ...attempt.packets];
        completed.set(name, { packets, sinceMs: nowMs });
        return knocks;
      }
      if (port === sequence[attempt.taken - 1]) {
        attempt.packets.push(knock);
        if (attempt.taken === 1) attempt.sinceMs = nowMs;
        return 0;
      }
    }
    attempts.delete(name);
    if (port !== sequence[0]) return 0;
    attempts.set(name, { source, timeStep, taken: 1, sinceMs: nowMs, packets: [knock] });
    return 1;
  };

  /** Is it a segment of any attempt, or completed sequence, of its source? */
  const isRepeated = (packet: Readonly<PacketHeader>, nowMs: number) =>
    packet.protocol === 6 && (
      [...attempts.values()].some((one) =>
        one.source === nameOf(packet) && one.packets.includes(knockOf(packet)) &&
        nowMs - one.sinceMs <= withinMs
      ) ||
      [...completed].some(([name, one]) =>
        name.startsWith(`${nameOf(packet)} `) && one.packets.includes(knockOf(packet)) &&
        nowMs - one.sinceMs <= REPEATED_MS
      )
    );

  return {
    /** Everything it led to, of every time step. */
    step(packet: Readonly<PacketHeader>, { nowMs, unixMs }: EventTime): NaiveLockEffect[] {
      const now = Math.floor(unixMs / stepMs);
      for (const [name, { source, timeStep }] of attempts) {
        if (source === nameOf(packet) && Math.abs(timeStep - now) > 1) attempts.delete(name);
      }
      if (isRepeated(packet, nowMs)) return [];
      return [now - 1, now, now + 1]
        .map((timeStep) => ({ timeStep, stage: stepOne(packet, timeStep, nowMs) }))
        .filter(({ stage }) => stage > 0);
    },
    sequenceOf,
    setBack(source: Readonly<Source>): void {
      for (const [name, attempt] of attempts) {
        if (attempt.source === nameOf(source)) attempts.delete(name);
      }
    },
  };
}

function nameOf({ family, word0, word1, word2, word3 }: Readonly<Source>): string {
  return [family, word0, word1, word2, word3].join();
}

function knockOf({ sourcePort, destinationPort, sequence }: Readonly<PacketHeader>): string {
  return [sourcePort, destinationPort, sequence].join();
}
