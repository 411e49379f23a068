// Floods into doors whose sequences change. One pk has a plain, a rotating and an encrypted door of 100
// users: the capacity of floods into each, beside that of the plain one, and real people at the flooded
// door and at others while the flood goes on at 80 % of it. Who is not in with one sequence knocks once
// more, with the next time step, as PROTOCOL.md has it for a door that is flooded beyond its budget.

import { sleep } from "../../support/netns.ts";
import type { Background } from "../background.ts";
import { type Capacity, capacityLines, measureInTurns } from "../capacities.ts";
import {
  ENCRYPTED_PORTS,
  type KindsOfDoors,
  ROTATING_PORTS,
  startKindsOfDoors,
  USERS,
} from "../doors.ts";
import { type Flood, PARTIAL, walk } from "../flood.ts";
import { type FreshSources, freshSources, type Knocks, summarise, visit } from "../knockers.ts";
import { type BenchLab, createBenchLab, startClient, startFlood } from "../lab.ts";
import { offerTo } from "../load.ts";
import type { Options } from "../options.ts";
import { type Result, share } from "../report.ts";
import { losses } from "./knockers.ts";

const SCENARIO = "doors";
const FAMILY = "ipv4";
const SOURCES = 60_000;
const MANY_SOURCES = 1_000_000;

type Kind = "plain" | "rotating" | "encrypted";

/** A flood into a door. */
interface Course {
  readonly kind: Kind;
  readonly flood: Flood;
  readonly sources: number;
}

const ONCE = { name: "each source once", drawn: 1 };
const TWICE = { name: "each source twice", drawn: 2, wave: 1 };
/** So many as make a message. */
const SIXTEEN_TIMES = { name: "each source sixteen times", drawn: 16, wave: 1 };

const PLAIN: Course = { kind: "plain", flood: PARTIAL, sources: SOURCES };
const COURSES: readonly Course[] = [
  PLAIN,
  { kind: "rotating", flood: { ...ONCE, ports: ROTATING_PORTS }, sources: SOURCES },
  { kind: "rotating", flood: { ...ONCE, ports: ROTATING_PORTS }, sources: MANY_SOURCES },
  { kind: "rotating", flood: { ...TWICE, ports: ROTATING_PORTS }, sources: MANY_SOURCES },
  { kind: "encrypted", flood: { ...ONCE, ports: ENCRYPTED_PORTS }, sources: SOURCES },
  { kind: "encrypted", flood: { ...ONCE, ports: ENCRYPTED_PORTS }, sources: MANY_SOURCES },
  { kind: "encrypted", flood: { ...SIXTEEN_TIMES, ports: ENCRYPTED_PORTS }, sources: MANY_SOURCES },
];

const SHARE_OF_CAPACITY = 0.8;
const PRECISION = 0.1;
const PEOPLE = 100;
const QUICK_PEOPLE = 20;
const GAP_MS = 5;
const ATTEMPTS_MAX = 2;
/** How long a flood runs before the first one knocks. */
const BEFORE_MS = 500;
/** In which nothing is sent, so that log lines and the last timeouts are over. */
const AFTER_MS = 300;
/** Nobody begins to knock later than so long after the first one. */
const WITHIN_MS = 40_000;

export async function doorFloods(options: Options): Promise<Result[]> {
  await using lab = await createBenchLab();
  await using client = startClient(lab);
  const doors = await startKindsOfDoors(lab);
  await using _pk = doors.pk;
  const { seconds, repetitions } = options;
  const capacities = await measureInTurns(
    COURSES.map((course) => {
      const load = { ...course, family: FAMILY, seconds, pkPid: doors.pk.pid } as const;
      return { what: `flood into ${nameOf(course)}`, offer: offerTo(lab, load) };
    }),
    repetitions,
    PRECISION,
  );
  const results: Result[] = [];
  const tell = (more: readonly Result[]) => {
    more.forEach(options.progress);
    results.push(...more);
  };
  const plain = capacities[COURSES.indexOf(PLAIN)];
  const fresh = freshSources();
  for (const [index, course] of COURSES.entries()) {
    const capacity = capacities[index];
    if (plain === undefined || capacity === undefined) continue;
    const beside = { what: "the plain door", capacity: plain };
    tell(capacityLines(SCENARIO, capacity, course === PLAIN ? undefined : beside));
    tell(await play({ lab, client, doors, fresh, course, capacity }, options));
  }
  return results;
}

interface Scene {
  readonly lab: BenchLab;
  readonly client: Background;
  readonly doors: KindsOfDoors;
  readonly fresh: FreshSources;
  readonly course: Course;
  readonly capacity: Capacity;
}

/** The flood at its share of the capacity, with people at the flooded door and then at others. */
async function play(scene: Scene, { quick }: Options): Promise<Result[]> {
  const { lab, course, capacity } = scene;
  const others: readonly Kind[] = course === PLAIN ? ["rotating", "encrypted"] : ["plain"];
  const rate = SHARE_OF_CAPACITY * capacity.rate;
  await using flooding = startFlood(lab.send, walk(course.flood, FAMILY, course.sources), rate);
  await sleep(BEFORE_MS);
  const results: Result[] = [];
  for (const kind of [course.kind, ...others]) {
    results.push(...await visitDoor(scene, kind, quick ? QUICK_PEOPLE : PEOPLE));
  }
  const sent = await flooding.stop();
  await sleep(AFTER_MS);
  return [...results, {
    scenario: SCENARIO,
    what: `${capacity.what}: as it was sent beside people`,
    unit: "SYN/s",
    value: sent.rate,
    reference: { what: `${SHARE_OF_CAPACITY} of capacity`, value: rate },
    ratio: sent.rate / rate,
  }];
}

/** People at a door, while the flood goes on. */
async function visitDoor(scene: Scene, kind: Kind, count: number): Promise<Result[]> {
  const { lab, client, doors: { pk, rotating, encrypted }, fresh, course, capacity } = scene;
  const knocks: Partial<Record<Kind, Knocks>> = { rotating, encrypted };
  const before = await losses(lab, pk);
  const people = await visit(client, fresh, {
    family: FAMILY,
    count,
    gapMs: GAP_MS,
    withinMs: WITHIN_MS,
    attemptsMax: ATTEMPTS_MAX,
    knocks: knocks[kind],
  });
  const after = await losses(lab, pk);
  const summary = summarise(people, pk);
  const detail = {
    ...summary,
    lostCopies: after.lostCopies - before.lostCopies,
    heldSyns: after.held - before.held,
    passedSyns: after.passed - before.passed,
  };
  const what = `${capacity.what}, people at the ${kind} door`;
  return [
    share(SCENARIO, `${what}: got in`, "people", summary.in, count, {
      target: { atLeast: 1 },
      chart: kind === course.kind
        ? `people got in, flood into the ${kind} door`
        : `people got in at the ${kind} door, flood into another`,
      detail,
    }),
    share(SCENARIO, `${what}: with the first SYN`, "people", summary.firstSyn, count, {}),
    share(SCENARIO, `${what}: knocked twice`, "people", summary.again, count, {}),
  ];
}

function nameOf({ kind, flood, sources }: Course): string {
  const door = kind === "encrypted" ? `the encrypted door of ${USERS} users` : `the ${kind} door`;
  return `${door}, ${flood.name}, ${sources.toLocaleString("en-US")} sources`;
}
