// Where a scenario is played: a network with a generator and a host in it, and pk or the kernel's own
// knock on the server's side.
//
// Which processor does what, where there are two: the generator is pinned to processor 0, and the
// kernel's part of each packet (nf_tables, copies, the host's answer) is done there in its name, as a
// network card's queue would be served by one processor. A client that knocks while floods come is
// pinned there too, with the priority of real time: it stands for a machine of its own, so it must
// neither wait for the generator nor take time from pk. pk and everything else run where the
// scheduler puts them, which is processor 1 while a flood goes on.

import { type Lab, must } from "../support/netns.ts";
import { type Daemon, spawnPk } from "../support/pk.ts";
import { GUARDED_PORT, KNOCK_PORTS, PLAIN_PORT } from "./addresses.ts";
import { type Background, background } from "./background.ts";
import type { Walk } from "./flood.ts";
import type { Order, Sent } from "./generator.ts";
import { kernelKnock } from "./kernel_knock.ts";
import { createNetwork, enter } from "./network.ts";

export interface BenchLab extends AsyncDisposable {
  readonly network: Lab;
  /** A process in the server's namespace: its /proc tells what the kernel counts there. */
  readonly hostPid: number;
  readonly generatorPid: number;
  readonly send: (order: Order) => Promise<Sent>;
}

export async function createBenchLab(): Promise<BenchLab> {
  await using undo = new AsyncDisposableStack();
  const network = undo.use(await createNetwork());
  const generator = undo.use(startGenerator(network.client, 0));
  const host = undo.use(
    program(network.server, "host.ts", {
      permissions: ["--allow-net"],
      args: [GUARDED_PORT, PLAIN_PORT].map(String),
    }),
  );
  await host.order({});
  const keep = undo.move();
  return {
    network,
    hostPid: host.pid,
    generatorPid: generator.pid,
    send: async (order) => await generator.order(order) as Sent,
    [Symbol.asyncDispose]: () => keep.disposeAsync(),
  };
}

export interface ProgramOptions {
  /** Deno's. */
  readonly permissions: readonly string[];
  readonly args?: readonly string[];
  /** The processor it is pinned to. */
  readonly cpu?: number;
  /** Goes before all ordinary programs. */
  readonly realtime?: boolean;
}

/** Starts a program of the bench in a namespace. */
export function program(ns: string, file: string, options: ProgramOptions): Background {
  const { permissions, args = [], cpu, realtime = false } = options;
  const path = new URL(file, import.meta.url).pathname;
  const priority = realtime ? ["chrt", "--fifo", "1"] : [];
  const deno = [Deno.execPath(), "run", "--frozen", ...permissions, path, ...args];
  return background([...enter(ns, cpu), ...priority, ...deno]);
}

/** A generator of floods in the client's namespace. */
export function startGenerator(ns: string, cpu: number): Background {
  return program(ns, "generator.ts", { permissions: ["--allow-ffi"], cpu });
}

/** A connecting client in the client's namespace. */
export function startClient(lab: BenchLab): Background {
  const options = { permissions: ["--allow-ffi"], cpu: 0, realtime: true };
  return program(lab.network.client, "connector.ts", options);
}

/** pk as a user starts it, ready; `flags` may name another guarded port. */
export async function startPk(lab: BenchLab, ...flags: readonly string[]): Promise<Daemon> {
  const port = flags.includes("--port-dest") ? [] : ["--port-dest", String(GUARDED_PORT)];
  const usual = ["--port-seq", KNOCK_PORTS.join(), ...port, "--log-format", "json"];
  const daemon = spawnPk(lab.network.server, [...usual, ...flags]);
  await daemon.event("ready", {}, { timeoutMs: 10_000 });
  return daemon;
}

/** The kernel's own knock in place of pk. */
export async function installKernelKnock(lab: BenchLab): Promise<void> {
  await loadRuleset(lab.network.server, kernelKnock(2 ** 20));
}

/** Loads nft text that may be long. */
export async function loadRuleset(ns: string, text: string): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".nft" });
  try {
    await Deno.writeTextFile(file, text);
    await must(...enter(ns), "nft", "-f", file);
  } finally {
    await Deno.remove(file);
  }
}

/** A flood that goes on. */
export interface Flooding extends AsyncDisposable {
  /** Ends it; what was sent in all. */
  stop(): Promise<Sent>;
}

const CHUNK_SECONDS = 0.25;
/** SYNs of a chunk of a flood without a rate. */
const FLAT_OUT_CHUNK = 30_000;
/** No flood lasts longer, whatever happens to who should stop it. */
const FLOOD_SECONDS_MAX = 120;

/** Starts a flood at a rate (0 is flat out) that goes on until it is stopped. */
export function startFlood(send: BenchLab["send"], walk: Walk, rate: number): Flooding {
  const count = rate === 0 ? FLAT_OUT_CHUNK : Math.ceil(rate * CHUNK_SECONDS);
  const order = { ...walk, count, rate };
  let stopped = false;
  const flowing = (async () => {
    const chunks: Sent[] = [];
    // One order is always waiting behind the one that is carried out, so that there are no pauses.
    let next = send(order);
    let seconds = 0;
    while (!stopped && seconds < FLOOD_SECONDS_MAX) {
      const current = next;
      next = send(order);
      const sent = await current;
      chunks.push(sent);
      seconds += sent.seconds;
    }
    chunks.push(await next);
    const sent = chunks.reduce((sum, chunk) => sum + chunk.sent, 0);
    const took = chunks.reduce((sum, chunk) => sum + chunk.seconds, 0);
    return { sent, seconds: took, rate: sent / took, endedMs: chunks.at(-1)?.endedMs ?? 0 };
  })();
  const stop = () => {
    stopped = true;
    return flowing;
  };
  return {
    stop,
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}
