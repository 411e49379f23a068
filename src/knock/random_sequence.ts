// Plain sequences made by chance, and strong: with decoys, hard to hit by scans in any order. Pure:
// chance is a parameter.

import { blockedPorts } from "../config/browser_ports.ts";
import { strengthOf } from "./strength.ts";

/** A whole number from 0 to below `bound`, all equally likely. */
export type RandomBelow = (bound: number) => number;

export interface RandomSequence {
  readonly ports: readonly number[];
  readonly decoys: readonly number[];
  /** Scans of all ports in random order of which one opens the door. */
  readonly scans: number;
}

/** Fewer knocks are weak, and a page or a person is slow with more. */
export const RANDOM_KNOCKS = { min: 4, default: 5, max: 32 } as const;

/** What `strengthOf` asks of a sequence. */
const SCANS_MIN = 1_000;

/** Unprivileged, and below the ports that Linux gives to outgoing connections (32768). */
const FIRST = 1_024;
const LAST = 32_767;

/** Other services' ports above 1023: often open, and often tried. */
const SERVICES: ReadonlySet<number> = new Set(
  [1080, 1194, 1433, 1434, 1521, 1701, 1812, 1883, 2049, 2082, 2083, 2181, 2222, 2375, 2376, 2379]
    .concat([2380, 3000, 3128, 3260, 3478, 4000, 4369, 4433, 4443, 4444, 4500, 4567, 5000, 5001])
    .concat([5060, 5061, 5201, 5222, 5269, 5353, 5432, 5555, 5601, 5666, 5672, 5683, 5800, 5901])
    .concat([5984, 5985, 5986, 6000, 6379, 6443, 6660, 6661, 6667, 6697, 7000, 7001, 7070, 7474])
    .concat([7777, 8000, 8001, 8008, 8009, 8081, 8082, 8086, 8088, 8090, 8123, 8181, 8200, 8333])
    .concat([8443, 8500, 8600, 8765, 8883, 9000, 9001, 9042, 9090, 9091, 9092, 9093, 9100, 9200])
    .concat([9300, 9418, 9443, 9987, 9999, 10000, 10250, 11211, 15672, 19132, 25565, 27015, 27017])
    .concat([31337, 32400]),
);

/**
 * A strong sequence with its decoys.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { randomSequence } from "./random_sequence.ts";
 * let state = 1;
 * const below = (bound: number) => (state = state * 48271 % 0x7fffffff) % bound;
 * const { ports, decoys, scans } = randomSequence(5, false, below);
 * assert.equal(ports.length, 5);
 * assert.ok(decoys.length > 0 && scans >= 1000);
 * ```
 *
 * @param knocks 4 to 32.
 * @param browser without ports that browsers block.
 */
export function randomSequence(
  knocks: number,
  browser: boolean,
  below: RandomBelow,
): RandomSequence {
  // Most draws are strong; a source of chance that never gives one is broken.
  for (let draws = 0; draws < 10_000; draws++) {
    const ports = drawPorts(knocks, [], browser, below);
    const decoys: number[] = [];
    while (strengthOf(ports, decoys).scans < SCANS_MIN) {
      decoys.push(...drawPorts(1, decoys.concat(ports), false, below));
    }
    const { weaknesses, scans } = strengthOf(ports, decoys);
    // Rising and falling also without decoys, of which a server may have none.
    if (weaknesses.length === 0 && turns(ports) >= 2) return { ports, decoys, scans };
  }
  throw new RangeError(`Cannot draw a strong sequence of ${knocks} ports by chance`);
}

/** Ports that differ, from each other and from others, and are no neighbours. */
function drawPorts(
  count: number,
  others: readonly number[],
  browser: boolean,
  below: RandomBelow,
): number[] {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = FIRST + below(LAST - FIRST + 1);
    if (SERVICES.has(port) || (browser && blockedPorts([port]).length > 0)) continue;
    if (ports.concat(others).some((other) => Math.abs(other - port) <= 1)) continue;
    ports.push(port);
  }
  return ports;
}

/** How often a sequence changes between rising and falling. */
function turns(ports: readonly number[]): number {
  const rises = ports.slice(1).map((port, index) => port > (ports[index] ?? 0));
  return rises.slice(1).filter((rise, index) => rise !== rises[index]).length;
}
