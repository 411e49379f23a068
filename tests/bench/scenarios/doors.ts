// Doors: what many of them cost, and what floods do to those whose sequences change (door_floods.ts).
//
// Capacity with 1, 10 and 1,000 plain doors, each with knock ports of its own, side by side and in turns:
// forged SYNs in sequences up to the last knock of one door, and spread by chance over the ports of all.

import type { Daemon } from "../../support/pk.ts";
import { capacityLines, measureInTurns } from "../capacities.ts";
import { plainSequences, startPlainDoors } from "../doors.ts";
import { type Flood, PARTIAL } from "../flood.ts";
import { type BenchLab, createBenchLab } from "../lab.ts";
import { offerTo } from "../load.ts";
import type { Options } from "../options.ts";
import type { Result, Target } from "../report.ts";
import { doorFloods } from "./door_floods.ts";

const SOURCES = 60_000;
const COUNTS = [1, 10, 1_000] as const;
/** Of the figure with one door. */
const TARGET: Target = { atLeast: 0.8 };
const PRECISION = 0.05;
/** More and shorter turns than elsewhere: what is compared lies close together. */
const TURNS = 2;
const SHORTER = 2 / 3;

export async function doors(options: Options): Promise<Result[]> {
  return [...await manyDoors(options), ...await doorFloods(options)];
}

interface Place {
  readonly doors: number;
  readonly lab: BenchLab;
  readonly pk: Daemon;
}

export async function manyDoors(options: Options): Promise<Result[]> {
  await using undo = new AsyncDisposableStack();
  const places: Place[] = [];
  for (const doors of COUNTS) {
    const lab = undo.use(await createBenchLab());
    places.push({ doors, lab, pk: undo.use(await startPlainDoors(lab, doors)) });
  }
  const floods: readonly ((doors: number) => Flood)[] = [
    () => ({ ...PARTIAL, name: "flood at one" }),
    (doors) => ({ name: "flood spread over all", ports: plainSequences(doors).flat(), drawn: 1 }),
  ];
  const results: Result[] = [];
  for (const floodOf of floods) {
    const more = await compare(places, floodOf, options);
    more.forEach(options.progress);
    results.push(...more);
  }
  return results;
}

/** The capacity of each place beside that of the first one. */
async function compare(
  places: readonly Place[],
  floodOf: (doors: number) => Flood,
  { repetitions, seconds }: Options,
): Promise<Result[]> {
  const candidates = places.map(({ doors, lab, pk }) => {
    const flood = floodOf(doors);
    const load = { family: "ipv4", sources: SOURCES, seconds: seconds * SHORTER } as const;
    return {
      what: `${nameOf(doors)}, ${flood.name}`,
      offer: offerTo(lab, { ...load, flood, pkPid: pk.pid }),
    };
  });
  const capacities = await measureInTurns(candidates, TURNS * repetitions, PRECISION);
  return places.flatMap(({ doors }, index) => {
    const [one, capacity] = [capacities[0], capacities[index]];
    if (one === undefined || capacity === undefined) return [];
    const promise = { target: TARGET, chart: `${nameOf(doors)} beside one` };
    const beside = { what: nameOf(1), capacity: one, promise };
    return capacityLines("doors", capacity, index === 0 ? undefined : beside);
  });
}

function nameOf(doors: number): string {
  return `${doors.toLocaleString("en-US")} plain ${doors === 1 ? "door" : "doors"}`;
}
