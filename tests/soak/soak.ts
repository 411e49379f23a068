// deno task soak [--minutes 10]: pk under a steady flood of forged knocks, with real knockers all the
// while, in network namespaces of its own. Prints its memory and processor time every 10 s. Ends with 1
// when its memory grows: the line through the second half must be flat; or when a knocker did not get
// in, or a copy was lost. Needs root and `deno task build`; always ends by itself.

import { parseArgs } from "node:util";
import { FAMILIES } from "../bench/addresses.ts";
import { cpuSeconds, listener, memory } from "../bench/counters.ts";
import { fillTable } from "../bench/fill.ts";
import { ALL_KNOCKS, FIRST_KNOCK, type Flood, PARTIAL, walk } from "../bench/flood.ts";
import { freshSources, inWithFirstSyn, type Knocker, visit } from "../bench/knockers.ts";
import { type BenchLab, createBenchLab, startClient, startPk } from "../bench/lab.ts";
import { SOURCES_MAX } from "../../src/limits.ts";
import { root, sleep } from "../support/netns.ts";
import { PK } from "../support/pk.ts";
import { slope } from "./fit.ts";

/** The flood: all its kinds in turn, both families, a second each. */
const FLOODS: readonly Flood[] = [FIRST_KNOCK, ALL_KNOCKS, PARTIAL];
const SOURCES = 200_000;
const SYNS_PER_SECOND = 20_000;
const CHUNK_SECONDS = 1;

/**
 * Real knockers come so often, 5 ms between knocks; their grants end after 20 s. V8 lets garbage grow by
 * 8 MB before it collects it: they have to leave so much that this happens many times.
 */
const KNOCKER_EVERY_MS = 50;

const SAMPLE_MS = 10_000;
/** How much the fitted line may rise from the middle to the end. */
const TOLERANCE_MB = 1;

const MINUTES_MIN = 1, MINUTES_MAX = 24 * 60;

interface Sample {
  readonly seconds: number;
  readonly privateMb: number;
  readonly residentMb: number;
  /** Of one processor, since the sample before. */
  readonly cpuPercent: number;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" } } });
  const minutes = Number(values.minutes);
  if (!(minutes >= MINUTES_MIN && minutes <= MINUTES_MAX)) {
    return fail(`Cannot soak for "${values.minutes}" minutes: from ${MINUTES_MIN} to a day`, 2);
  }
  if (!root) return fail("Cannot make network namespaces: run the soak as root", 1);
  if (!await Deno.stat(PK).then(() => true, () => false)) {
    return fail(`Cannot find ${PK}: run \`deno task build\` first`, 1);
  }

  await using lab = await createBenchLab();
  await using client = startClient(lab);
  await using pk = await startPk(lab);
  // What it may touch is touched before the first sample: a table that fills is no leak.
  await fillTable(lab, pk, SOURCES_MAX);
  const endMs = performance.now() + minutes * 60_000;
  const [sent, knockers, samples] = await Promise.all([
    flood(lab, endMs),
    knock(client, endMs),
    watch(pk.pid, endMs),
  ]);
  const lost = listener(pk.pid).drops;
  pk.kill("SIGTERM");
  const stopping = await pk.event("stopping");
  await pk.ended();

  const inside = knockers.filter(inWithFirstSyn).length;
  const half = samples.slice(Math.floor(samples.length / 2));
  const mbPerSecond = slope(half.map(({ seconds, privateMb }) => ({ x: seconds, y: privateMb })));
  const riseMb = mbPerSecond * minutes * 60 / 2;
  console.log(
    `${sent} SYNs sent, ${lost} copies lost; ${inside} of ${knockers.length} knockers in with the ` +
      `first SYN; memory of the second half rises by ${riseMb.toFixed(2)} MB ` +
      `(${(mbPerSecond * 3600).toFixed(2)} MB an hour; at most ${TOLERANCE_MB} MB)`,
  );
  const problems = [
    ...(riseMb <= TOLERANCE_MB ? [] : ["memory grows"]),
    ...(inside === knockers.length ? [] : ["knockers did not get in"]),
    ...(lost === 0 && stopping.lost === 0 ? [] : ["copies were lost"]),
  ];
  return problems.length === 0 ? 0 : fail(`Missed: ${problems.join(", ")}`, 1);
}

/** Returns how many SYNs were sent. */
async function flood(lab: BenchLab, endMs: number): Promise<number> {
  let sent = 0;
  for (let turn = 0; performance.now() < endMs; turn++) {
    const flood = FLOODS[turn % FLOODS.length] ?? FIRST_KNOCK;
    const family = FAMILIES[Math.floor(turn / FLOODS.length) % FAMILIES.length] ?? "ipv4";
    const count = SYNS_PER_SECOND * CHUNK_SECONDS;
    const order = { ...walk(flood, family, SOURCES), count, rate: SYNS_PER_SECOND };
    sent += (await lab.send(order)).sent;
  }
  return sent;
}

async function knock(client: ReturnType<typeof startClient>, endMs: number): Promise<Knocker[]> {
  const knockers: Knocker[] = [];
  // A source may come again after its grant has ended: there are 60,000, 20 s are long over.
  let fresh = freshSources();
  for (let turn = 0; performance.now() < endMs; turn++) {
    if (turn % 60_000 === 0) fresh = freshSources();
    const family = FAMILIES[turn % FAMILIES.length] ?? "ipv4";
    knockers.push(...await visit(client, fresh, { family, count: 1, gapMs: 5, withinMs: 1_000 }));
    await sleep(KNOCKER_EVERY_MS);
  }
  return knockers;
}

async function watch(pid: number, endMs: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startMs = performance.now();
  let [cpu, cpuMs] = [cpuSeconds(pid), startMs];
  for (let due = startMs + SAMPLE_MS; due <= endMs + SAMPLE_MS / 2; due += SAMPLE_MS) {
    await sleep(due - performance.now());
    const [now, nowMs] = [cpuSeconds(pid), performance.now()];
    const cpuPercent = (now - cpu) / (nowMs - cpuMs) * 100_000;
    [cpu, cpuMs] = [now, nowMs];
    const sample = { seconds: Math.round((nowMs - startMs) / 1000), ...memory(pid), cpuPercent };
    samples.push(sample);
    console.log(
      `${String(sample.seconds).padStart(6)} s  private ${sample.privateMb.toFixed(1)} MB  ` +
        `resident ${sample.residentMb.toFixed(1)} MB  processor ${cpuPercent.toFixed(1)} %`,
    );
  }
  return samples;
}

function fail(text: string, code: number): number {
  console.error(text);
  return code;
}

if (import.meta.main) Deno.exitCode = await main();
