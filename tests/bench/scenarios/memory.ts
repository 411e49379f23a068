// What pk's memory is with a million sources in its table, which is made for them; and what garbage the
// log lines of many grants leave there for a while, which only those can cause who know the sequence.

import { KNOCK_PORTS } from "../addresses.ts";
import { memory as memoryOf } from "../counters.ts";
import { fillTable, SLOTS_FOR_A_MILLION } from "../fill.ts";
import { COMPLETE, walk } from "../flood.ts";
import { createBenchLab, startPk } from "../lab.ts";
import type { Options } from "../options.ts";
import type { Result } from "../report.ts";

const TARGET = { atMost: 150 };
const GRANTS = 50_000;
/** SYNs a second that earn them. */
const EARN_RATE = 40_000;

export async function memory(options: Options): Promise<Result[]> {
  await using lab = await createBenchLab();
  await using pk = await startPk(lab, "--sources-max", String(SLOTS_FOR_A_MILLION));
  const empty = memoryOf(pk.pid);
  const sources = await fillTable(lab, pk, SLOTS_FOR_A_MILLION);
  const full = memoryOf(pk.pid);
  const order = { ...walk(COMPLETE, "ipv4", GRANTS), count: GRANTS * KNOCK_PORTS.length };
  await lab.send({ ...order, rate: EARN_RATE });
  const granted = memoryOf(pk.pid);
  const line = { scenario: "memory", unit: "MB" };
  const results: Result[] = [
    {
      ...line,
      what: `private memory with ${sources.toLocaleString("en-US")} sources in the table`,
      value: full.privateMb,
      reference: { what: "empty", value: empty.privateMb },
      target: TARGET,
      chart: "private memory, 1,000,000 sources in the table",
      detail: { slots: SLOTS_FOR_A_MILLION, empty, full },
    },
    {
      ...line,
      what: `the same right after ${GRANTS.toLocaleString("en-US")} grants in ten seconds`,
      value: granted.privateMb,
      detail: granted,
    },
  ];
  results.forEach(options.progress);
  return results;
}
