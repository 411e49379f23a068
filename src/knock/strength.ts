// How hard a sequence is to guess, for the administrator who chooses it. The guesser is the one that
// doors meet: a port scan, which sends a SYN to every port once. Pure arithmetic.

import { type Endpoint, type Step, SYN_ONLY } from "../config/config.ts";

/** A kind of weakness, in words that end "The sequence ...". */
export type Weakness = string;

export interface Strength {
  readonly weaknesses: readonly Weakness[];
  /**
   * Scans of all ports in random order, each quick enough for the time allowed, of which one opens
   * the door; Infinity when none can.
   */
  readonly scans: number;
}

/** What everybody finds in tutorials and tries first. */
const WELL_KNOWN = [
  "7000,8000,9000",
  "9000,8000,7000",
  "1000,2000,3000",
  "1111,2222,3333",
  "1234,2345,3456",
  "123,234,345",
  "100,200,300,400",
  "80,81,82,83,84,85,86,87",
];

/** Ports that nmap takes before all others, whatever order it is told (nmap 7.93). */
const SCANNED_FIRST: ReadonlySet<number> = new Set(
  [21, 22, 23, 25, 53, 80, 110, 111, 113, 135, 139, 143, 199, 256, 443, 445, 554, 587, 993, 995]
    .concat([1025, 1720, 1723, 3306, 3389, 5900, 8080, 8888]),
);

/** Below this many scans a patient scanner is in. */
const SCANS_MIN = 1_000;
const PORTS_MIN = 4;

/**
 * The strength of a sequence of ports beside these decoys.
 *
 * A scan knocks on each port once, and a watched port out of turn sets it back. So it opens the door
 * only when the knocks follow each other in order with no decoy between: of the (k + m)! orders of k
 * knocks and m decoys, (m + 1)! are such.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { strengthOf } from "./strength.ts";
 * assert.equal(strengthOf([7391, 2044, 9120], []).scans, 6);
 * assert.equal(strengthOf([7391, 2044, 9120, 4467, 1853], [3000, 8000]).scans, 840);
 * ```
 */
export function strengthOf(sequence: readonly number[], decoys: readonly number[]): Strength {
  const repeats = new Set(sequence).size < sequence.length;
  let scans = 1;
  for (let count = 2; count <= sequence.length; count++) scans *= decoys.length + count;
  if (repeats) scans = Infinity;
  const steps = sequence.slice(1).map((port, index) => port - (sequence[index] ?? 0));
  const rises = scansInTurn(sequence, decoys);
  const falls = scansInTurn(sequence.map(mirrored), decoys.map(mirrored));
  const consecutive = steps.every((step) => Math.abs(step) === 1);
  const weaknesses: Weakness[] = [];
  if (WELL_KNOWN.includes(sequence.join())) weaknesses.push("is in tutorials");
  if (sequence.length < PORTS_MIN) weaknesses.push(`has only ${sequence.length} knocks`);
  if (consecutive) weaknesses.push("is made of neighbouring ports");
  const inTurn = Math.min(rises, falls);
  if (inTurn <= 2) {
    const order = `${rises <= falls ? "rising" : "falling"} order`;
    const many = inTurn === 1
      ? "a scan of all ports"
      : "two scans of all ports, one after the other,";
    weaknesses.push(`opens to ${many} in ${order}`);
  }
  if (sequence.some((port) => SCANNED_FIRST.has(port))) {
    weaknesses.push("has a port that scanners try first");
  }
  if (scans < SCANS_MIN) {
    weaknesses.push(`is hit by one in ${scans} scans of all ports in random order`);
  }
  return { weaknesses, scans };
}

/**
 * The strength of any sequence. Scans send datagrams as they send SYNs, one protocol after the other;
 * they send no echo requests of chosen sizes, and no segments that are chosen for their flags.
 */
export function strengthOfSteps(steps: readonly Step[], decoys: readonly Endpoint[]): Strength {
  const scanned = steps.every(({ protocol, flags }) =>
    protocol === "udp" || (protocol === "tcp" && flags.mask === SYN_ONLY.mask &&
      flags.value === SYN_ONLY.value)
  );
  const ports = steps.map(({ port }) => port);
  if (scanned && steps.every(({ protocol }) => protocol === steps[0]?.protocol)) {
    const same = decoys.filter(({ protocol }) => protocol === steps[0]?.protocol);
    return strengthOf(ports, same.map(({ port }) => port));
  }
  const changes = steps.filter((step, index) => step.protocol !== steps[index - 1]?.protocol);
  const scans = scanned && changes.length <= 2 ? factorial(steps.length) : Infinity;
  const few = steps.length < (scanned ? PORTS_MIN : 2);
  return { weaknesses: few ? [`has only ${steps.length} knocks`] : [], scans };
}

function factorial(count: number): number {
  return count <= 1 ? 1 : count * factorial(count - 1);
}

/**
 * Scans in rising order, one after the other, that open the door: 1 for a sequence that rises, 2 for
 * one that begins anew once, below where it began; Infinity for others, and where a decoy is met
 * between two knocks.
 */
function scansInTurn(sequence: readonly number[], decoys: readonly number[]): number {
  const [first = 0] = sequence;
  const last = sequence.at(-1) ?? 0;
  const falls = sequence.slice(1).filter((port, index) => port <= (sequence[index] ?? 0)).length;
  if (falls > 1 || (falls === 1 && last >= first)) return Infinity;
  const met = falls === 0
    ? decoys.some((decoy) => first < decoy && decoy < last)
    : decoys.some((decoy) => decoy > first || decoy < last);
  return met ? Infinity : falls + 1;
}

function mirrored(port: number): number {
  return 65_536 - port;
}
