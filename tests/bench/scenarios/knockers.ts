// Real knockers in a flood: 200 knock-and-connects from fresh sources, 5 ms between knocks, one after
// the other, while forged SYNs come at 80 % of what pk takes of them (measured first), with the table
// as it is by default. Beside it knockd in the same floods, with its own client, where it is installed.
//
// Each knocker who did not get in with the first SYN is in the JSON, with whether pk had granted it
// and what was lost meanwhile: copies (the log socket was full), SYNs that were not held.

import { sleep } from "../../support/netns.ts";
import type { Daemon } from "../../support/pk.ts";
import { FAMILIES, type FamilyName } from "../addresses.ts";
import type { Background } from "../background.ts";
import { counted, holding, listener, memory } from "../counters.ts";
import { ALL_KNOCKS, FIRST_KNOCK, type Flood, GUARDED, PARTIAL, walk } from "../flood.ts";
import { type FreshSources, freshSources, summarise, visit } from "../knockers.ts";
import { type BenchLab, createBenchLab, startClient, startFlood, startPk } from "../lab.ts";
import { findLimit } from "../limit.ts";
import { offerTo } from "../load.ts";
import type { Options } from "../options.ts";
import { startKnockd } from "../peers/knockd.ts";
import { openedBy } from "../peers/peer.ts";
import { type Result, share } from "../report.ts";

const FLOODS = [FIRST_KNOCK, ALL_KNOCKS, GUARDED, PARTIAL] as const;
const SIZES = [60_000, 200_000, 1_000_000] as const;
const USUAL = SIZES[0];

const SHARE_OF_CAPACITY = 0.8;
const CAPACITY_PRECISION = 0.1;
const GAP_MS = 5;
/** How long a flood runs before the first knocker comes. */
const BEFORE_MS = 500;
/** Pauses in which nothing is sent, so that log lines and the last timeouts are over. */
const AFTER_MS = 300;
/** Nobody begins to knock later than so long after the first one. */
const WITHIN_MS = 25_000;

/** Knockers for knockd: each that it does not open to takes 3 s. */
const KNOCKD_KNOCKERS = 5;

export async function knockers(options: Options): Promise<Result[]> {
  const results: Result[] = [];
  const rates = new Map<Flood, number>();
  {
    await using lab = await createBenchLab();
    await using client = startClient(lab);
    await using pk = await startPk(lab);
    const fresh = freshSources();
    for (const flood of FLOODS) {
      for (const family of FAMILIES) {
        const rate = SHARE_OF_CAPACITY * await capacityOf(lab, pk, flood, family, options);
        if (family === "ipv4") rates.set(flood, rate);
        results.push({
          scenario: "knockers",
          what: `${family}, flood at ${flood.name}: the rate, ${SHARE_OF_CAPACITY} of capacity`,
          unit: "SYN/s",
          value: rate,
        });
        results.slice(-1).forEach(options.progress);
        for (const sources of options.quick ? [USUAL] : SIZES) {
          const course = { lab, client, pk, fresh, flood, family, sources, rate };
          const more = await play(course, options.connections);
          more.forEach(options.progress);
          results.push(...more);
        }
      }
    }
  }
  for (const [flood, rate] of rates) {
    const result = await playKnockd(flood, rate, options);
    if (!result) break;
    options.progress(result);
    results.push(result);
  }
  return results;
}

interface Course {
  readonly lab: BenchLab;
  readonly client: Background;
  readonly pk: Daemon;
  readonly fresh: FreshSources;
  readonly flood: Flood;
  readonly family: FamilyName;
  readonly sources: number;
  readonly rate: number;
}

async function capacityOf(
  lab: BenchLab,
  pk: Daemon,
  flood: Flood,
  family: FamilyName,
  { seconds }: Options,
): Promise<number> {
  const load = { flood, family, sources: USUAL, seconds: seconds / 2, pkPid: pk.pid };
  const offer = offerTo(lab, load);
  await offer(0);
  const { rate } = await findLimit(offer, CAPACITY_PRECISION);
  return rate;
}

async function play(course: Course, count: number): Promise<Result[]> {
  const { lab, client, pk, fresh, flood, family, sources, rate } = course;
  const before = await losses(lab, pk);
  await using flooding = startFlood(lab.send, walk(flood, family, sources), rate);
  await sleep(BEFORE_MS);
  const inFlood = await visit(client, fresh, { family, count, gapMs: GAP_MS, withinMs: WITHIN_MS });
  const sent = await flooding.stop();
  await sleep(AFTER_MS);
  const after = await losses(lab, pk);
  const summary = summarise(inFlood, pk);
  const what = `${family}, ${sources.toLocaleString("en-US")} sources flood ${flood.name}`;
  const detail = {
    ...summary,
    flood: { ...sent, wanted: rate },
    lostCopies: after.lostCopies - before.lostCopies,
    heldSyns: after.held - before.held,
    passedSyns: after.passed - before.passed,
    knocks: after.knocks - before.knocks,
    refused: after.refused - before.refused,
    privateMb: memory(pk.pid).privateMb,
  };
  const line = (name: string, value: number): Result => ({
    scenario: "knockers",
    what: `${what}: ${name}`,
    unit: "µs",
    value,
  });
  return [
    share("knockers", `${what}: got in`, "knockers", summary.in, count, {
      target: { atLeast: 1 },
      chart: `real knockers got in, flood at ${flood.name}`,
      detail,
    }),
    share("knockers", `${what}: with the first SYN`, "knockers", summary.firstSyn, count, {}),
    line("p50 from the last knock to connected", summary.p50Us),
    line("p99 from the last knock to connected", summary.p99Us),
  ];
}

/** What was lost of knocks and held SYNs so far, and what came. */
export async function losses(lab: BenchLab, pk: Daemon) {
  const { held, passed } = holding(pk.pid);
  return {
    lostCopies: listener(pk.pid).drops,
    held,
    passed,
    knocks: await counted(lab.network.server, "knocks"),
    refused: await counted(lab.network.server, "refused"),
  };
}

/** knockd in the same flood, started anew for each; undefined where it is not installed. */
async function playKnockd(
  flood: Flood,
  rate: number,
  options: Options,
): Promise<Result | undefined> {
  await using lab = await createBenchLab();
  await using client = startClient(lab);
  await using knockd = await startKnockd(lab);
  if (!knockd) return undefined;
  await using flooding = startFlood(lab.send, walk(flood, "ipv4", USUAL), rate);
  await sleep(BEFORE_MS);
  const count = options.quick ? 2 : KNOCKD_KNOCKERS;
  const opened = await openedBy(knockd, client, freshSources(), count);
  const { rate: sentRate } = await flooding.stop();
  const detail = { opened, rate: sentRate };
  return share(
    "knockers",
    `ipv4, ${USUAL.toLocaleString("en-US")} sources flood ${flood.name}, ${knockd.name}: got in`,
    "knockers",
    opened.filter((each) => each.connected).length,
    count,
    { detail },
  );
}
