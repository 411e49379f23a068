// Tells when the kernel's table of tracked connections is nearly full. A full one drops what begins a
// connection, whatever service of this host it is for; and on a host that tracked nothing before, it is
// pk that has begun it. The files are those of the kernel's Documentation/networking/nf_conntrack-sysctl.rst.

import { readTextFile } from "../../ffi/file.ts";
import type { Filter } from "../config/config.ts";
import { TRACKING_CALM_SHARE, TRACKING_FULL_SHARE, WATCHDOG_MS } from "../limits.ts";
import type { Log } from "./log.ts";

export interface TrackingWatch {
  /** Looks, when it is time to. It is told once, and again only after the table has become emptier. */
  check(filter: Filter, nowMs: number): void;
}

/** The connections of this network namespace that are tracked, and how many may be. */
export interface Tracked {
  readonly count: number;
  readonly max: number;
}

/**
 * Looks for the first time.
 *
 * @param connections this host's live ones: of each a packet comes sooner or later, and is tracked then.
 * @param read asks the kernel; undefined where it tracks nothing, or without a limit.
 */
export function watchTracking(
  { filter, connections }: { readonly filter: Filter; readonly connections: number },
  log: Log,
  startMs: number,
  read: () => Tracked | undefined = readTracked,
): TrackingWatch {
  let lookedMs = startMs;
  let told = false;

  const look = (now: Filter, coming: number) => {
    const { count = 0, max = Infinity } = read() ?? {};
    const tracked = Math.max(count, coming);
    if (tracked < max * TRACKING_CALM_SHARE) told = false;
    if (tracked < max * TRACKING_FULL_SHARE || told) return;
    told = true;
    log("warning", "connection tracking nearly full", {
      tracked,
      max,
      hint: `${FULL}${now === "stateful" ? `, ${STATELESS}` : ""}`,
    });
  };

  look(filter, filter === "stateful" ? connections : 0);
  return {
    check(now, nowMs) {
      if (nowMs < lookedMs + WATCHDOG_MS) return;
      lookedMs = nowMs;
      look(now, 0);
    },
  };
}

const FULL = "when it is full, this host drops new connections to any of its services: raise " +
  "net.netfilter.nf_conntrack_max";
const STATELESS = "or take the stateless filter if nothing but pk needs connection tracking";

function readTracked(): Tracked | undefined {
  const [count = NaN, max = NaN] = ["count", "max"].map((name) =>
    Number.parseInt(readTextFile(`/proc/sys/net/netfilter/nf_conntrack_${name}`) ?? "", 10)
  );
  return count >= 0 && max > 0 ? { count, max } : undefined;
}
