// Beyond capacity: two generators send flat out, one on each processor. Even half of one is enough for
// pk to read everything, so it is given a lower priority, by which it gets a sixth: what is lost says
// how far beyond that is. pk must stay alive and small, keep the port shut, count what it lost, and
// work as before within 2 s after the flood. How many real knockers get in meanwhile is told without a
// promise: at the first try, with 5 ms between knocks and with 100 ms, and of those who go on knocking.

import { must, sleep } from "../../support/netns.ts";
import type { Daemon } from "../../support/pk.ts";
import { type FamilyName, freshAddress, GUARDED_PORT } from "../addresses.ts";
import type { Background } from "../background.ts";
import type { Connected } from "../connector.ts";
import { counted, listener, memory } from "../counters.ts";
import { FIRST_KNOCK, type Flood, PARTIAL, walk } from "../flood.ts";
import {
  type FreshSources,
  freshSources,
  inWithFirstSyn,
  summarise,
  type Visit,
  visit,
} from "../knockers.ts";
import { createBenchLab, startClient, startFlood, startGenerator, startPk } from "../lab.ts";
import type { Options } from "../options.ts";
import { type Result, share } from "../report.ts";
import { median } from "../statistics.ts";
import type { Sent } from "../generator.ts";

const COURSES: readonly { readonly flood: Flood; readonly family: FamilyName }[] = [
  { flood: FIRST_KNOCK, family: "ipv4" },
  { flood: PARTIAL, family: "ipv4" },
  { flood: PARTIAL, family: "ipv6" },
];
const SOURCES = 60_000;
/** The second generator's sources begin here. */
const SECOND_FROM = 1_000_000;
const SECOND_PROCESSOR = 1;
/** nice(1): a weight of 215 beside the second generator's 1024. */
const NICENESS = 7;

const BEFORE_MS = 1_000;
/** Nobody begins to knock later than so long after the first one of the same kind. */
const WITHIN_MS = 12_000;
const QUICK_KNOCKERS = 50;
/** Knockers with 100 ms between knocks, and how many of them are on their way at once. */
const SLOW_KNOCKERS = 40;
const SLOW_AT_ONCE = 4;
/** Knockers who knock again until they are in. */
const PERSISTENT_KNOCKERS = 12;
/** Beyond that it would not be the first SYN any more. */
const GIVE_UP_MS = 500;
/** Some thirty seconds. */
const ATTEMPTS_MAX = 55;
/** Sources that connect without a knock; each gives up after 3 s. */
const FORGERS = 3;

/** Private memory that the flood may cost: buffers and garbage, whatever its length. */
const GROWTH_TARGET = { atMost: 32 };
const RECOVERY_TARGET = { atMost: 2 };
const RECOVERY_GIVE_UP_MS = 10_000;
/** Their addresses follow each other: were a share of the sources still unheard, it would have some. */
const RECOVERED_KNOCKERS = 16;
const KNOCKERS_AFTER = 20;

export async function overload(options: Options): Promise<Result[]> {
  const results: Result[] = [];
  for (const course of options.quick ? COURSES.slice(1, 2) : COURSES) {
    const more = await play(course.flood, course.family, options);
    more.forEach(options.progress);
    results.push(...more);
  }
  return results;
}

async function play(flood: Flood, family: FamilyName, { quick }: Options): Promise<Result[]> {
  await using lab = await createBenchLab();
  await using second = startGenerator(lab.network.client, SECOND_PROCESSOR);
  await using pk = await startPk(lab);
  await renice(pk.pid, NICENESS);
  await using clients = new AsyncDisposableStack();
  const client = clients.use(startClient(lab));
  const slow = Array.from({ length: SLOW_AT_ONCE }, () => clients.use(startClient(lab)));
  const fresh = freshSources();
  await visit(client, fresh, { family, count: KNOCKERS_AFTER, gapMs: 5, withinMs: WITHIN_MS });
  const idleMb = memory(pk.pid).privateMb;

  const course = walk(flood, family, SOURCES);
  await using first = startFlood(lab.send, course, 0);
  await using other = startFlood(
    async (order) => await second.order(order) as Sent,
    { ...course, from: SECOND_FROM },
    0,
  );
  await sleep(BEFORE_MS);
  const unknocked = await shut(client, fresh, family);
  const quickOnes = await visit(client, fresh, {
    family,
    count: quick ? QUICK_KNOCKERS / 5 : QUICK_KNOCKERS,
    gapMs: 5,
    withinMs: WITHIN_MS,
    giveUpMs: GIVE_UP_MS,
  });
  const atOnce = async (count: number, more: Pick<Visit, "gapMs" | "attemptsMax">) => {
    const each = { family, count: count / SLOW_AT_ONCE, withinMs: WITHIN_MS, giveUpMs: GIVE_UP_MS };
    return (await Promise.all(slow.map((one) => visit(one, fresh, { ...each, ...more })))).flat();
  };
  const slowOnes = await atOnce(quick ? SLOW_KNOCKERS / 5 : SLOW_KNOCKERS, { gapMs: 100 });
  const persistent = await atOnce(PERSISTENT_KNOCKERS, { gapMs: 5, attemptsMax: ATTEMPTS_MAX });
  const floodMb = memory(pk.pid).privateMb;
  const [sent, sentToo] = await Promise.all([first.stop(), other.stop()]);
  const endedMs = Math.max(sent.endedMs, sentToo.endedMs);

  const recovery = await recovered(client, fresh, family, endedMs);
  const after = await visit(client, fresh, {
    family,
    count: KNOCKERS_AFTER,
    gapMs: 5,
    withinMs: WITHIN_MS,
  });
  const lostCopies = listener(pk.pid).drops;
  const knocks = await counted(lab.network.server, "knocks");
  const forged = forgedGrants(pk, family);
  pk.kill("SIGTERM");
  const stopping = await pk.event("stopping");
  const code = await pk.ended();

  const what = `${family}, twice flat out at ${flood.name}`;
  const offered = sent.sent + sentToo.sent;
  const rate = sent.rate + sentToo.rate;
  const shares = pk.seen("beyond capacity").map(({ heard }) => heard);
  const detail = {
    rate,
    offered,
    knocks,
    lostCopies,
    shares,
    stopping,
    idleMb,
    floodMb,
    unknocked,
  };
  const scenario = "overload";
  const line = (name: string, unit: string, value: number): Result => ({
    scenario,
    what: `${what}: ${name}`,
    unit,
    value,
  });
  return [
    { ...line("offered", "SYN/s", rate), detail },
    share(scenario, `${what}: knocks that passed by unread`, "copies", lostCopies, knocks, {}),
    share(
      scenario,
      `${what}: passed by as pk counts them`,
      "copies",
      Number(stopping.lost),
      knocks,
      {},
    ),
    share(scenario, `${what}: pk ended as asked`, "times", code === 0 ? 1 : 0, 1, {
      target: { atLeast: 1 },
      chart: "alive beyond capacity",
    }),
    share(
      scenario,
      `${what}: connects without a knock that were refused`,
      "connects",
      unknocked.filter((each) => !each.connected).length,
      unknocked.length,
      { target: { atLeast: 1 }, chart: "shut beyond capacity" },
    ),
    { ...line("grants to forged sources", "grants", forged), target: { atMost: 0 } },
    {
      ...line("private memory that the flood took", "MB", floodMb - idleMb),
      target: GROWTH_TARGET,
      chart: "memory taken beyond capacity",
    },
    {
      ...line("from its end until a knocker is in with the first SYN", "s", recovery),
      target: RECOVERY_TARGET,
      chart: "works again after the flood",
    },
    share(
      scenario,
      `${what}: afterwards, with the first SYN`,
      "knockers",
      after.filter(inWithFirstSyn).length,
      KNOCKERS_AFTER,
      { target: { atLeast: 1 }, chart: "real knockers got in, after the flood" },
    ),
    ...([
      ["real knockers, 5 ms apart, got in", quickOnes],
      ["real knockers, 100 ms apart, got in", slowOnes],
      ["real knockers who knock again for 30 s got in", persistent],
    ] as const).map(([name, all]) => {
      const detail = summarise(all, pk);
      const [inside, tried] = [detail.in, detail.tried];
      return share(scenario, `${what}: ${name}`, "knockers", inside, tried, { detail });
    }),
    {
      ...line(
        "the half of them was in after",
        "tries",
        median(persistent.map((one) => one.attempts)),
      ),
    },
  ];
}

/** Gives all threads of a process another priority. */
async function renice(pid: number, niceness: number): Promise<void> {
  const threads = Array.from(Deno.readDirSync(`/proc/${pid}/task`), ({ name }) => name);
  await must("renice", "-n", String(niceness), "-p", ...threads);
}

/** Connects from sources that have not knocked. */
async function shut(
  client: Background,
  fresh: FreshSources,
  family: FamilyName,
): Promise<Connected[]> {
  const all: Connected[] = [];
  for (let forger = 0; forger < FORGERS; forger++) {
    const order = { family, source: fresh(), knocks: [], gapMs: 0, port: GUARDED_PORT };
    all.push(await client.order(order) as Connected);
  }
  return all;
}

/** Seconds from the end of the flood until the first of many in a row was in with the first SYN. */
async function recovered(
  client: Background,
  fresh: FreshSources,
  family: FamilyName,
  floodEndedMs: number,
): Promise<number> {
  for (let inARow = 0, firstMs = 0;;) {
    const one = { family, count: 1, gapMs: 5, withinMs: 1_000, giveUpMs: GIVE_UP_MS };
    const [knocker] = await visit(client, fresh, one);
    const tookMs = Date.now() - floodEndedMs;
    inARow = knocker && inWithFirstSyn(knocker) ? inARow + 1 : 0;
    if (inARow === 1) firstMs = tookMs;
    if (inARow === RECOVERED_KNOCKERS) return firstMs / 1000;
    if (tookMs > RECOVERY_GIVE_UP_MS) return Infinity;
  }
}

/** Grants to sources that are none of the fresh ones. */
function forgedGrants(pk: Daemon, family: FamilyName): number {
  const start = freshAddress(family, 0).replace(/0(\.0)?$/, "");
  return pk.seen("granted").filter(({ source }) => !String(source).startsWith(start)).length;
}
