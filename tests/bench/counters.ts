// What the kernel counts, read under /proc of a process in the namespace in question, or by nft: the
// copies of knocks, the host's answers, processor time and memory.

import { must } from "../support/netns.ts";
import { enter } from "./network.ts";

/** How pk's listener at the log group stands. */
export interface Listener {
  /** Bytes of copies that wait to be read. */
  readonly waitingBytes: number;
  /** Copies that found its buffer full: lost. */
  readonly drops: number;
}

/** The only listener at a log group in the namespace of `pid`. */
export function listener(pid: number): Listener {
  const groups = read(pid, "net/netfilter/nfnetlink_log").trim().split("\n");
  if (groups.length !== 1) throw new Error(`Cannot find exactly one log group: ${groups.length}`);
  const portId = groups[0]?.trim().split(/\s+/)[1];
  const NETFILTER = "12";
  const socket = read(pid, "net/netlink").split("\n").map((line) => line.trim().split(/\s+/))
    .find(([, protocol, port]) => protocol === NETFILTER && port === portId);
  return { waitingBytes: Number(socket?.[4]), drops: Number(socket?.[8]) };
}

/** What a counter of pk's table, or of another one, has counted, in packets. */
export async function counted(ns: string, counter: string, table = "pk"): Promise<number> {
  const text = await must(...enter(ns), "nft", "list", "counter", "inet", table, counter);
  return Number(/packets (\d+)/.exec(text)?.[1]);
}

/** How the queue of held SYNs stands. */
export interface Holding {
  readonly waiting: number;
  /** SYNs that found the queue or its socket full, and passed on without waiting. */
  readonly passed: number;
  /** SYNs held since the queue is there. */
  readonly held: number;
}

/** The only netfilter queue in the namespace of `pid`. */
export function holding(pid: number): Holding {
  const fields = read(pid, "net/netfilter/nfnetlink_queue").trim().split(/\s+/).map(Number);
  const [, , waiting = NaN, , , queueDropped = NaN, userDropped = NaN, held = NaN] = fields;
  return { waiting, passed: queueDropped + userDropped, held };
}

/** TCP resets that the host of `pid` has sent: its answers to SYNs for closed ports. */
export function resetsSent(pid: number): number {
  const [names = [], values = []] = read(pid, "net/snmp").split("\n")
    .filter((line) => line.startsWith("Tcp:")).map((line) => line.split(" "));
  return Number(values[names.indexOf("OutRsts")]);
}

/** Processor time of all threads of `pid`, in seconds (nanoseconds in the kernel). */
export function cpuSeconds(pid: number): number {
  let total = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
    total += Number(read(pid, `task/${name}/schedstat`).split(" ")[0]);
  }
  return total / 1e9;
}

export interface Memory {
  readonly residentMb: number;
  /** Pages it has written, which are its own; the rest of what is resident are pages of files. */
  readonly privateMb: number;
}

export function memory(pid: number): Memory {
  const text = read(pid, "smaps_rollup");
  const kb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]);
  const megabytes = (kilobytes: number) => Math.round(kilobytes / 102.4) / 10;
  return {
    residentMb: megabytes(kb("Rss")),
    privateMb: megabytes(kb("Private_Dirty")),
  };
}

function read(pid: number, file: string): string {
  return Deno.readTextFileSync(`/proc/${pid}/${file}`);
}
