// Capacity: SYNs a second to knock ports from 60,000 forged sources, without loss, each accepted and
// answered by the host. pk beside the kernel's own knock, in turns, with the same packets.
//
// The kernel's own knock is done in the softirq of whoever sends, so generator and knock share one
// processor, while pk is a second one's work. It is therefore measured once more with its packets
// steered to a second processor (RPS), which is the harder reference.
//
// The same with few sources, and with a million, for which pk gets a table that holds them.

import { must } from "../../support/netns.ts";
import type { Daemon } from "../../support/pk.ts";
import { FAMILIES, type FamilyName, INTERFACE } from "../addresses.ts";
import { counted, listener } from "../counters.ts";
import { fillTable, SLOTS_FOR_A_MILLION } from "../fill.ts";
import { COMPLETE, type Flood, PARTIAL, SAME_KNOCK } from "../flood.ts";
import { type BenchLab, createBenchLab, installKernelKnock, startPk } from "../lab.ts";
import { findLimit, type Limit } from "../limit.ts";
import { type LoadRun, offerTo } from "../load.ts";
import { enter } from "../network.ts";
import type { Options } from "../options.ts";
import type { Result, Target } from "../report.ts";
import { median } from "../statistics.ts";

const SOURCES = 60_000;
const FEW = 1_000;
const MANY = 1_000_000;

/** Of the kernel's own knock. */
const TARGET: Target = { atLeast: 0.75 };
/** Of pk's own figure at SOURCES. */
const MANY_TARGET: Target = { atLeast: 0.8 };

/** Mask of processor 1; the generator has processor 0. */
const SECOND_PROCESSOR = 2;
const PRECISION = 0.04;
/**
 * Turns for each repetition. A run takes a second or two, and other guests of a virtual machine's host slow single
 * ones down by half, those with two busy processors most: a median of three is still a matter of luck.
 */
const TURNS = 3;

export async function capacity(options: Options): Promise<Result[]> {
  await using kernelLab = await createBenchLab();
  await using pkLab = await createBenchLab();
  await installKernelKnock(kernelLab);
  const results: Result[] = [];
  const tell = (more: readonly Result[]) => {
    more.forEach(options.progress);
    results.push(...more);
  };
  /** pk's figure with SAME_KNOCK from SOURCES. */
  const usual = new Map<FamilyName, number>();
  {
    await using pk = await startPk(pkLab);
    for (const flood of [SAME_KNOCK, PARTIAL, COMPLETE]) {
      for (const family of FAMILIES) {
        const course = { kernelLab, pkLab, pk, flood, family, sources: SOURCES };
        const limits = await measure(course, options);
        if (flood === SAME_KNOCK) usual.set(family, median(limits.pk.map(({ rate }) => rate)));
        tell(compare(course, limits));
      }
    }
    for (const family of options.quick ? [] : FAMILIES) {
      const course = { kernelLab, pkLab, pk, flood: SAME_KNOCK, family, sources: FEW };
      tell(compare(course, await measure(course, options)));
    }
    if (await counted(kernelLab.network.server, "granted", "kernel_knock") === 0) {
      throw new Error("The kernel's own knock granted nothing");
    }
    tell([await judged(pkLab, pk)]);
  }
  {
    await using pk = await startPk(pkLab, "--sources-max", String(SLOTS_FOR_A_MILLION));
    await fillTable(pkLab, pk, SLOTS_FOR_A_MILLION);
    for (const family of FAMILIES) {
      const course = { kernelLab, pkLab, pk, flood: SAME_KNOCK, family, sources: MANY };
      const limits = await measure(course, options);
      const value = median(limits.pk.map(({ rate }) => rate));
      const reference = usual.get(family) ?? NaN;
      tell([...compare(course, limits), {
        scenario: "capacity",
        what: `${family}, ${SAME_KNOCK.name}, ${count(MANY)} sources beside ${count(SOURCES)}`,
        unit: "SYN/s",
        value,
        reference: { what: `${count(SOURCES)} sources`, value: reference },
        ratio: value / reference,
        target: MANY_TARGET,
        chart: "1,000,000 sources beside 60,000",
      }]);
    }
  }
  return results;
}

/** One line of the comparison. */
interface Course {
  readonly kernelLab: BenchLab;
  readonly pkLab: BenchLab;
  readonly pk: Daemon;
  readonly flood: Flood;
  readonly family: FamilyName;
  readonly sources: number;
}

/** The limits of all repetitions. */
interface Limits {
  readonly kernel: readonly Limit<LoadRun>[];
  readonly steered: readonly Limit<LoadRun>[];
  readonly pk: readonly Limit<LoadRun>[];
}

async function measure(course: Course, { repetitions, seconds }: Options): Promise<Limits> {
  const { kernelLab, pkLab, pk, flood, family, sources } = course;
  const load = { flood, family, sources, seconds };
  const kernel = offerTo(kernelLab, load);
  const daemon = offerTo(pkLab, { ...load, pkPid: pk.pid });
  await kernel(0); // compiled, allocated, sets filled: not counted
  await daemon(0);
  const limits = { kernel: [], steered: [], pk: [] } as Record<keyof Limits, Limit<LoadRun>[]>;
  for (let turn = 0; turn < repetitions * TURNS; turn++) {
    limits.kernel.push(await findLimit(kernel, PRECISION));
    await steer(kernelLab, SECOND_PROCESSOR);
    limits.steered.push(await findLimit(kernel, PRECISION));
    await steer(kernelLab, 0);
    limits.pk.push(await findLimit(daemon, PRECISION));
  }
  return limits;
}

function compare({ flood, family, sources }: Course, limits: Limits): Result[] {
  const what = `${family}, ${flood.name}, ${count(sources)} sources`;
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
      ...(flood === COMPLETE
        ? {}
        : { target: TARGET, chart: `${flood.name}, ${count(sources)} sources` }),
      detail: { sources, ratios, ...limits },
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

/** Ends pk: has it judged everything that was copied for it? */
async function judged(lab: BenchLab, pk: Daemon): Promise<Result> {
  const refused = await counted(lab.network.server, "refused");
  if (refused > 0) throw new Error(`${refused} SYNs went to the guarded port`);
  const copied = await counted(lab.network.server, "knocks") - listener(pk.pid).drops;
  pk.kill("SIGTERM");
  const { packets, granted } = await pk.event("stopping");
  await pk.ended();
  if (granted === 0) throw new Error("pk granted nothing");
  return {
    scenario: "capacity",
    what: "knocks that pk has judged, of those that the kernel counted and had room for",
    unit: "packets",
    value: Number(packets ?? NaN),
    reference: { what: "copied", value: copied },
    ratio: Number(packets ?? NaN) / copied,
    target: { atLeast: 1 },
    chart: "knocks judged, of those copied",
  };
}

/** Lets the processors of `mask` do the receiving (RPS); 0 leaves it to the sender's. */
async function steer(lab: BenchLab, mask: number): Promise<void> {
  const file = `/sys/class/net/${INTERFACE}/queues/rx-0/rps_cpus`;
  await must(...enter(lab.network.server), "sh", "-c", `echo ${mask} > ${file}`);
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
