// Capacities that are held against each other: each is measured in turn and all of them again, so that
// noise of the machine meets all alike. Beside the rate the processor time of a SYN, which other
// programs falsify less.

import { findLimit, type Limit } from "./limit.ts";
import type { LoadRun } from "./load.ts";
import type { Result, Target } from "./report.ts";
import { median } from "./statistics.ts";

/** Something whose capacity is asked for: SYNs offered to it at a rate, 0 being flat out. */
export interface Candidate {
  readonly what: string;
  readonly offer: (rate: number) => Promise<LoadRun>;
}

export interface Capacity {
  readonly what: string;
  /** SYNs a second without loss: the median of the turns. */
  readonly rate: number;
  /** Nanoseconds of processor time for each SYN, flat out: of generator and pk the busier one. */
  readonly busierNs: number;
  /** Of pk alone. */
  readonly pkNs: number;
  readonly limits: readonly Limit<LoadRun>[];
}

/** The capacity of each candidate, by so many turns. */
export async function measureInTurns(
  candidates: readonly Candidate[],
  turns: number,
  precision: number,
): Promise<Capacity[]> {
  const limits = candidates.map((): Limit<LoadRun>[] => []);
  for (const { offer } of candidates) await offer(0); // compiled, tables filled: not counted
  for (let turn = 0; turn < turns; turn++) {
    for (const [index, { offer }] of candidates.entries()) {
      limits[index]?.push(await findLimit(offer, precision));
    }
  }
  return candidates.map(({ what }, index) => capacityOf(what, limits[index] ?? []));
}

function capacityOf(what: string, limits: readonly Limit<LoadRun>[]): Capacity {
  const flatOut = limits.flatMap(({ runs }) => runs.slice(0, 1));
  return {
    what,
    rate: median(limits.map(({ rate }) => rate)),
    busierNs: median(flatOut.map(({ generatorNs, pkNs = 0 }) => Math.max(generatorNs, pkNs))),
    pkNs: median(flatOut.map(({ pkNs = NaN }) => pkNs)),
    limits,
  };
}

/** The figures of a capacity; `beside` another one, with what was promised of the rate. */
export function capacityLines(
  scenario: string,
  { what, rate, busierNs, pkNs, limits }: Capacity,
  beside?: {
    readonly what: string;
    readonly capacity: Capacity;
    readonly promise?: { readonly target: Target; readonly chart: string };
  },
): Result[] {
  const line = (name: string, unit: string, value: number, other: number | undefined): Result => ({
    scenario,
    what: `${what}: ${name}`,
    unit,
    value,
    ...(beside === undefined || other === undefined
      ? {}
      : { reference: { what: beside.what, value: other }, ratio: value / other }),
  });
  return [
    {
      ...line("capacity", "SYN/s", rate, beside?.capacity.rate),
      ...beside?.promise,
      detail: limits,
    },
    line("time of the busier processor", "ns/SYN", busierNs, beside?.capacity.busierNs),
    line("pk's time", "ns/SYN", pkNs, beside?.capacity.pkNs),
  ];
}
