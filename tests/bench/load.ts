// A run of load: SYNs offered to a lab at a rate, and what became of them. Nothing is lost when each
// SYN has met its end: those to closed ports were answered by the host, those to the guarded port
// were counted as refused; and when each copy that pk's table made found room in the daemon's socket.
// pk's rate counts the time until the last copy has been read, so that a long buffer does not make it
// look faster.

import { sleep } from "../support/netns.ts";
import type { FamilyName } from "./addresses.ts";
import { counted, cpuSeconds, listener, resetsSent } from "./counters.ts";
import { type Flood, isKnocks, walk } from "./flood.ts";
import type { BenchLab } from "./lab.ts";
import type { Run } from "./limit.ts";

/** A run with the processor time that each SYN took. */
export interface LoadRun extends Run {
  /** Of the generator: what it does itself, and what the kernel does in its name. */
  readonly generatorNs: number;
  /** Of pk, likewise; absent where the kernel knocks alone. */
  readonly pkNs?: number;
}

export interface Load {
  readonly flood: Flood;
  readonly family: FamilyName;
  readonly sources: number;
  /** Length of a run. */
  readonly seconds: number;
  /** Absent where the kernel knocks alone. */
  readonly pkPid?: number;
}

/** The nf_tables table in whose place a lab has pk's or the kernel's own knock. */
const TABLES = { pk: "pk", kernel: "kernel_knock" } as const;

/** How to offer a load to a lab at a rate; 0 is flat out. */
export function offerTo(lab: BenchLab, { flood, family, sources, seconds, pkPid }: Load) {
  let flatOutRate = 150_000;
  return async (rate: number): Promise<LoadRun> => {
    const count = Math.round((rate || flatOutRate) * seconds);
    const before = await snapshot(lab, pkPid);
    const sent = await lab.send({ ...walk(flood, family, sources), count, rate });
    if (rate === 0) flatOutRate = sent.rate;
    const idleAtMs = pkPid === undefined ? sent.endedMs : await emptied(pkPid);
    await sleep(20); // the last answers
    const after = await snapshot(lab, pkPid);
    const took = sent.seconds + Math.max(0, idleAtMs - sent.endedMs) / 1000;
    const met = after.met - before.met;
    const copied = after.copied - before.copied;
    return {
      rate: sent.sent / took,
      offeredRate: sent.rate,
      offered: sent.sent,
      lost: sent.sent - Math.min(met, pkPid !== undefined && isKnocks(flood) ? copied : Infinity),
      generatorNs: Math.round((after.generatorCpu - before.generatorCpu) * 1e9 / sent.sent),
      ...(pkPid === undefined
        ? {}
        : { pkNs: Math.round((after.pkCpu - before.pkCpu) * 1e9 / sent.sent) }),
    };
  };
}

async function snapshot(lab: BenchLab, pkPid: number | undefined) {
  const ns = lab.network.server;
  const table = pkPid === undefined ? TABLES.kernel : TABLES.pk;
  const met = resetsSent(lab.hostPid) + await counted(ns, "refused", table);
  const generatorCpu = cpuSeconds(lab.generatorPid);
  if (pkPid === undefined) return { met, generatorCpu, copied: 0, pkCpu: 0 };
  const pkCpu = cpuSeconds(pkPid);
  const copied = await counted(ns, "knocks", table) - listener(pkPid).drops;
  return { met, generatorCpu, copied, pkCpu };
}

/** Waits until pk has read everything; returns when that was, in milliseconds since the epoch. */
async function emptied(pid: number): Promise<number> {
  const giveUp = performance.now() + 5000;
  for (;;) {
    const now = performance.timeOrigin + performance.now();
    if (listener(pid).waitingBytes === 0) return now;
    if (performance.now() > giveUp) throw new Error("pk left copies unread for 5 s");
    await sleep(1);
  }
}
