// The programs that pk is measured beside, where they are installed. Each guards the same port with
// the same nf_tables set or with its own firewall, as its manual says, and is knocked at from a fresh
// source each time.

import { must, run } from "../../support/netns.ts";
import { freshAddress, GUARDED_PORT, KNOCK_PORTS } from "../addresses.ts";
import type { Background } from "../background.ts";
import type { Connected, TryOrder } from "../connector.ts";
import type { FreshSources } from "../knockers.ts";
import type { BenchLab } from "../lab.ts";
import { enter } from "../network.ts";

export interface Peer extends AsyncDisposable {
  /** Its name and version. */
  readonly name: string;
  readonly pid: number;
  /** Runs its own client for a source, to its end; where there is none, ports are knocked at as for pk. */
  readonly knock?: (source: string) => Promise<void>;
}

/** How often a knocker of a peer tries to connect, and for how long: a SYN each time. */
const TRY_EVERY_MS = 2;
const TRY_FOR_MS = 3_000;

/** Between knocks. */
const GAP_MS = 5;

/**
 * Knocks and connects in turn. Connecting is tried anew every 2 ms, which is the best that a client can
 * do; the time counts from the last knock, or from the end of the peer's own client.
 */
export async function openedBy(
  peer: Peer,
  client: Background,
  fresh: FreshSources,
  count: number,
): Promise<Connected[]> {
  const opened: Connected[] = [];
  while (opened.length < count) {
    const source = fresh();
    await peer.knock?.(freshAddress("ipv4", source));
    const order: TryOrder = {
      family: "ipv4",
      source,
      knocks: peer.knock ? [] : KNOCK_PORTS,
      gapMs: GAP_MS,
      port: GUARDED_PORT,
      sinceMs: performance.timeOrigin + performance.now(),
      everyMs: TRY_EVERY_MS,
      forMs: TRY_FOR_MS,
    };
    const connected = await client.order(order);
    opened.push(connected as Connected);
  }
  return opened;
}

/** Runs a peer's client in the client's namespace. */
export async function runClient(lab: BenchLab, ...command: string[]): Promise<void> {
  await must(...enter(lab.network.client), ...command);
}

/** The version of a Debian package, or undefined where it is not installed. */
export async function versionOf(name: string): Promise<string | undefined> {
  try {
    const format = "${db:Status-Status} ${Version}";
    const [status, version] = (await run("dpkg-query", "-W", "-f", format, name)).stdout.split(" ");
    return status === "installed" ? version : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined; // not Debian
    throw error;
  }
}

/** Starts a peer's daemon in the server's namespace. */
export function startDaemon(lab: BenchLab, ...command: string[]): Deno.ChildProcess {
  const [program = "", ...args] = [...enter(lab.network.server), ...command];
  return new Deno.Command(program, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
}

/** Ends a daemon by its pid, whether it still runs or not. */
export async function endDaemon(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // TypeError: it has ended before
  }
  await child.status;
}
