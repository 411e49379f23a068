// Capacity: SYNs a second to knock ports from 60,000 forged sources, without loss, each accepted and
// answered by the host. pk beside the kernel's own knock, in turns, with the same packets.
//
// The kernel's own knock is done in the softirq of whoever sends, so generator and knock share one
// processor, while pk is a second one's work. It is therefore measured once more with its packets
// steered to a second processor (RPS), which is the harder reference.
//
// Without loss means for both: the host has answered every SYN; and for pk also: every SYN got an id
// in the queue and found room in the daemon's socket. pk's rate counts the time until the queue is
// empty again, so that a long queue does not make it look faster.

import { must } from "../../support/netns.ts";
import { type FamilyName, INTERFACE, KNOCK_PORTS } from "../addresses.ts";
import { cpuSeconds, queue, resetsSent } from "../counters.ts";
import type { Order } from "../generator.ts";
import {
  type BenchLab,
  createBenchLab,
  installKernelKnock,
  kernelGranted,
  startPk,
} from "../lab.ts";
import { findLimit, type Limit, type Run } from "../limit.ts";
import { enter } from "../network.ts";
import type { Result } from "../report.ts";
import { median } from "../statistics.ts";
import type { Options } from "../options.ts";

/** A kind of flood: how the sources walk along the knock ports. */
interface Flood {
  readonly name: string;
  readonly ports: readonly number[];
  readonly wave: number;
  readonly target?: { readonly atLeast: number };
}

const SOURCES = 60_000;

/** As many as pk can have at each stage when its table is full (limits.ts, stageQuotas). */
const WAVE = 4_096;

const TARGET = { atLeast: 0.6 };

const FLOODS: readonly Flood[] = [
  {
    name: "sequences up to the last knock",
    ports: KNOCK_PORTS.slice(0, -1),
    wave: WAVE,
    target: TARGET,
  },
  {
    name: "all sources at the same knock",
    ports: KNOCK_PORTS,
    wave: SOURCES,
    target: TARGET,
  },
  // Only somebody who knows the sequence can do this: one SYN in eight earns a grant.
  { name: "complete sequences", ports: KNOCK_PORTS, wave: WAVE },
];
const FAMILIES = ["ipv4", "ipv6"] as const;

/** Mask of processor 1; the generator has processor 0. */
const SECOND_PROCESSOR = 2;
const RUN_SECONDS = 2;
const PRECISION = 0.04;

export async function capacity(options: Options): Promise<Result[]> {
  await using kernelLab = await createBenchLab();
  await using pkLab = await createBenchLab();
  await installKernelKnock(kernelLab);
  await using pk = await startPk(pkLab);
  const results: Result[] = [];
  for (const flood of FLOODS) {
    for (const family of FAMILIES) {
      const kernel = offerTo(kernelLab, flood, family);
      const daemon = offerTo(pkLab, flood, family, pk.pid);
      await kernel(0); // compiled, allocated, sets filled: not counted
      await daemon(0);
      const limits: Limits = { kernel: [], steered: [], pk: [] };
      for (let repetition = 0; repetition < options.repetitions; repetition++) {
        limits.kernel.push(await findLimit(kernel, PRECISION));
        await steer(kernelLab, SECOND_PROCESSOR);
        limits.steered.push(await findLimit(kernel, PRECISION));
        await steer(kernelLab, 0);
        limits.pk.push(await findLimit(daemon, PRECISION));
      }
      const compared = compare(flood, family, limits);
      compared.forEach(options.progress);
      results.push(...compared);
    }
  }
  if (await kernelGranted(kernelLab) === 0) {
    throw new Error("The kernel's own knock granted nothing");
  }
  const { lastId, overruns } = queue(pk.pid);
  pk.kill("SIGTERM");
  const { packets, granted } = await pk.event("stopping");
  if (granted === 0) throw new Error("pk granted nothing");
  results.push({
    scenario: "capacity",
    what: "packets that pk has judged, of those that got an id",
    unit: "packets",
    value: Number(packets ?? NaN),
    reference: { what: "ids", value: lastId - overruns },
    ratio: Number(packets ?? NaN) / (lastId - overruns),
    target: { atLeast: 1 },
  });
  return results;
}

/** The limits of all repetitions. */
interface Limits {
  readonly kernel: Limit<LoadRun>[];
  readonly steered: Limit<LoadRun>[];
  readonly pk: Limit<LoadRun>[];
}

function compare(flood: Flood, family: FamilyName, limits: Limits): Result[] {
  const what = `${family}, ${flood.name}`;
  const rates = (of: keyof Limits) => limits[of].map((limit) => limit.rate);
  const costs = (of: keyof Limits) => limits[of].map((limit) => busier(limit.runs[0]));
  const beside = (name: string, of: keyof Limits) => ({
    scenario: "capacity",
    what,
    unit: "SYN/s",
    value: median(rates("pk")),
    reference: { what: name, value: median(rates(of)) },
    ratio: median(rates("pk")) / median(rates(of)),
  });
  const ratios = rates("pk").map((rate, turn) => rate / (rates("kernel")[turn] ?? NaN));
  return [
    {
      ...beside("nft sets", "kernel"),
      ...(flood.target ? { target: flood.target } : {}),
      detail: { sources: SOURCES, ratios, ...limits },
    },
    beside("nft sets, second processor", "steered"),
    {
      scenario: "capacity",
      what: `${what}: time of the busier processor, flat out`,
      unit: "ns/SYN",
      value: median(costs("pk")),
      reference: { what: "nft sets", value: median(costs("kernel")) },
      ratio: median(costs("pk")) / median(costs("kernel")),
    },
  ];
}

/** Of generator and pk, each with a processor, the busier one: it bounds the rate. */
function busier(run: LoadRun | undefined): number {
  return Math.max(run?.generatorNs ?? NaN, run?.pkNs ?? 0);
}

/** A run with the processor time that each SYN took. */
interface LoadRun extends Run {
  /** Of the generator: what it does itself, and what the kernel does in its name. */
  readonly generatorNs: number;
  /** Of pk, likewise; absent where the kernel knocks alone. */
  readonly pkNs?: number;
}

/** How to offer a flood to a lab at a rate; 0 is flat out. */
function offerTo(lab: BenchLab, flood: Flood, family: FamilyName, pkPid?: number) {
  let flatOutRate = 150_000;
  return async (rate: number): Promise<LoadRun> => {
    const count = Math.round((rate || flatOutRate) * RUN_SECONDS);
    const order: Order = {
      family,
      sources: SOURCES,
      ports: flood.ports,
      wave: flood.wave,
      count,
      rate,
    };
    const before = snapshot(lab, pkPid);
    const sent = await lab.send(order);
    if (rate === 0) flatOutRate = sent.rate;
    const idleAtMs = pkPid === undefined ? sent.endedMs : await emptied(pkPid);
    await sleep(20); // the last answers
    const after = snapshot(lab, pkPid);
    const seconds = sent.seconds + Math.max(0, idleAtMs - sent.endedMs) / 1000;
    const answered = after.answered - before.answered;
    const queued = after.queued - before.queued;
    return {
      rate: sent.sent / seconds,
      offeredRate: sent.rate,
      offered: sent.sent,
      lost: sent.sent - Math.min(answered, pkPid === undefined ? Infinity : queued),
      generatorNs: Math.round((after.generatorCpu - before.generatorCpu) * 1e9 / sent.sent),
      ...(pkPid === undefined
        ? {}
        : { pkNs: Math.round((after.pkCpu - before.pkCpu) * 1e9 / queued) }),
    };
  };
}

/** Lets the processors of `mask` do the receiving (RPS); 0 leaves it to the sender's. */
async function steer(lab: BenchLab, mask: number): Promise<void> {
  const file = `/sys/class/net/${INTERFACE}/queues/rx-0/rps_cpus`;
  await must(...enter(lab.network.server), "sh", "-c", `echo ${mask} > ${file}`);
}

function snapshot(lab: BenchLab, pkPid: number | undefined) {
  const answered = resetsSent(lab.hostPid);
  const generatorCpu = cpuSeconds(lab.generatorPid);
  if (pkPid === undefined) return { answered, generatorCpu, queued: 0, pkCpu: 0 };
  const { lastId, overruns } = queue(pkPid);
  return { answered, generatorCpu, queued: lastId - overruns, pkCpu: cpuSeconds(pkPid) };
}

/** Waits until nothing waits in pk's queue; returns when that was. */
async function emptied(pid: number): Promise<number> {
  const giveUp = performance.now() + 5000;
  for (;;) {
    const now = performance.timeOrigin + performance.now();
    if (queue(pid).waiting === 0) return now;
    if (performance.now() > giveUp) throw new Error("pk left packets waiting for 5 s");
    await sleep(1);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
