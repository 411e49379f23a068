// What the kernel counts, read under /proc of a process in the namespace in question: the queue, the
// daemon's netlink socket, the host's answers, processor time and memory.

/** One queue of /proc/net/netfilter/nfnetlink_queue, with the overruns of its listener's socket. */
export interface Queue {
  /** Packets that wait for a verdict. */
  readonly waiting: number;
  /** The last id given: as many packets as were queued. */
  readonly lastId: number;
  /**
   * Packets that got an id and then found the listener's socket full. With fail-open the queue's
   * own file does not count them; the socket's line in /proc/net/netlink does.
   */
  readonly overruns: number;
}

/** The only queue in the namespace of `pid`. */
export function queue(pid: number): Queue {
  const fields = read(pid, "net/netfilter/nfnetlink_queue").trim().split(/\s+/);
  if (fields.length !== 9) {
    throw new Error(`Cannot find exactly one queue, but ${fields.length / 9}`);
  }
  const [, portId, waiting, , , , , lastId] = fields;
  const NETFILTER = "12";
  const socket = read(pid, "net/netlink").split("\n").map((line) => line.trim().split(/\s+/))
    .find(([, protocol, pid]) => protocol === NETFILTER && pid === portId);
  return { waiting: Number(waiting), lastId: Number(lastId), overruns: Number(socket?.[8]) };
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
