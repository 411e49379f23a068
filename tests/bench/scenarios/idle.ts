// What pk costs when nothing happens: time from exec to `ready`, processor time and memory while it
// waits. Each start finds the rules of the one before and adopts them, but the first.

import { sleep } from "../../support/netns.ts";
import { cpuSeconds, memory } from "../counters.ts";
import { createBenchLab, startPk } from "../lab.ts";
import type { Options } from "../options.ts";
import type { Result } from "../report.ts";
import { median } from "../statistics.ts";

const STARTS = 7;
const SETTLE_MS = 2_000;
const IDLE_MS = 10_000;
const PRIVATE_TARGET = { atMost: 25 };

export async function idle(options: Options): Promise<Result[]> {
  await using lab = await createBenchLab();
  const startsMs: number[] = [];
  for (let start = 0; start < STARTS; start++) {
    const from = performance.now();
    await using pk = await startPk(lab);
    startsMs.push(performance.now() - from);
    pk.kill("SIGTERM");
    await pk.ended();
  }
  await using pk = await startPk(lab);
  await sleep(SETTLE_MS);
  const before = cpuSeconds(pk.pid);
  await sleep(IDLE_MS);
  const cpuMs = (cpuSeconds(pk.pid) - before) * 1000;
  const { residentMb, privateMb } = memory(pk.pid);
  const results: Result[] = [
    {
      ...line("start: exec to ready, median", "ms", median(startsMs)),
      detail: { startsMs, first: "installs", later: "adopt", includes: "ip netns exec" },
    },
    line(`processor time in ${IDLE_MS / 1000} s`, "ms", cpuMs),
    line("resident memory", "MB", residentMb),
    {
      ...line("private memory", "MB", privateMb),
      target: PRIVATE_TARGET,
      chart: "private memory, idle",
    },
  ];
  results.forEach(options.progress);
  return results;
}

function line(what: string, unit: string, value: number): Result {
  return { scenario: "idle", what, unit, value };
}
