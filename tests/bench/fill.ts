// Fills pk's table with sources in the middle of a sequence: as many forged ones at each stage as the
// stage may have. The last part of the table, of completed sequences, stays empty: those earn grants.

import { stageQuotas } from "../../src/knock/attempts.ts";
import type { Daemon } from "../support/pk.ts";
import { KNOCK_PORTS } from "./addresses.ts";
import { listener } from "./counters.ts";
import type { BenchLab } from "./lab.ts";

/** `--sources-max` for a million of them: one slot in 14 is for completed sequences. */
export const SLOTS_FOR_A_MILLION = 1_077_000;

/** Slower than what pk takes, so that no copy is lost. */
const SYNS_PER_SECOND = 80_000;
/** Of the copies, where the machine has other work. */
const LOST_MAX = 0.01;

/** Returns how many sources are in the table then. */
export async function fillTable(lab: BenchLab, pk: Daemon, slots: number): Promise<number> {
  const quotas = stageQuotas(slots, KNOCK_PORTS.length);
  const before = listener(pk.pid).drops;
  let from = 0;
  let sent = 0;
  // The most advanced first: who comes later passes through stages that are empty.
  for (let stage = KNOCK_PORTS.length - 1; stage >= 1; stage--) {
    const sources = quotas[stage] ?? 0;
    const ports = KNOCK_PORTS.slice(0, stage);
    const count = sources * stage;
    const shape = { family: "ipv4", sources, from, ports, wave: sources } as const;
    await lab.send({ ...shape, count, rate: SYNS_PER_SECOND });
    from += sources;
    sent += count;
  }
  const lost = listener(pk.pid).drops - before;
  if (lost > LOST_MAX * sent) throw new Error(`Cannot fill the table: ${lost} copies were lost`);
  return from - lost;
}
