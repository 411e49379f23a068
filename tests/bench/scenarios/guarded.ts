// The guarded port: SYNs from 60,000 forged sources without a grant, flat out. pk beside what the kernel
// does at least for the same service: connection tracking, a set that has not got the source, drop.
// All of it is done in the softirq of whoever sends; no daemon takes part.

import { FAMILIES } from "../addresses.ts";
import { GUARDED } from "../flood.ts";
import { createBenchLab, installKernelKnock, startPk } from "../lab.ts";
import { type LoadRun, offerTo } from "../load.ts";
import type { Options } from "../options.ts";
import type { Result } from "../report.ts";
import { median } from "../statistics.ts";

const SOURCES = 60_000;
/** Short runs in turns: nothing has to be searched here. */
const TURNS_PER_REPETITION = 3;

export async function guarded(options: Options): Promise<Result[]> {
  await using kernelLab = await createBenchLab();
  await using pkLab = await createBenchLab();
  await installKernelKnock(kernelLab);
  await using pk = await startPk(pkLab);
  const results: Result[] = [];
  for (const family of FAMILIES) {
    const load = { flood: GUARDED, family, sources: SOURCES, seconds: options.seconds / 2 };
    const kernel = offerTo(kernelLab, load);
    const daemon = offerTo(pkLab, { ...load, pkPid: pk.pid });
    const runs: { kernel: LoadRun[]; pk: LoadRun[] } = { kernel: [], pk: [] };
    await kernel(0);
    await daemon(0);
    for (let turn = 0; turn < options.repetitions * TURNS_PER_REPETITION; turn++) {
      runs.kernel.push(await kernel(0));
      runs.pk.push(await daemon(0));
    }
    // What was lost on the way was not dropped by a rule, so it does not count.
    const rate = (of: readonly LoadRun[]) =>
      median(of.map((run) => run.rate * (1 - run.lost / run.offered)));
    const [value, reference] = [rate(runs.pk), rate(runs.kernel)];
    const result: Result = {
      scenario: "guarded",
      what: `${family}, SYNs to the guarded port without a grant`,
      unit: "SYN/s",
      value,
      reference: { what: "nft set, drop", value: reference },
      ratio: value / reference,
      target: { atLeast: 0.8 },
      chart: "SYNs without a grant, beside nft set and drop",
      detail: { sources: SOURCES, ...runs },
    };
    options.progress(result);
    results.push(result);
  }
  return results;
}
