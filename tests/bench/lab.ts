// Where a scenario is played: a network with a generator and a host in it, and pk or the kernel's own
// knock on the server's side. The generator is pinned to processor 0, as a network card's queue
// would be; everything else runs where the scheduler puts it.

import { type Lab, must } from "../support/netns.ts";
import { type Daemon, spawnPk } from "../support/pk.ts";
import { GUARDED_PORT, KNOCK_PORTS, PLAIN_PORT } from "./addresses.ts";
import { type Background, background } from "./background.ts";
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
  const generator = undo.use(program(network.client, "generator.ts", ["--allow-ffi"], 0));
  const ports = [GUARDED_PORT, PLAIN_PORT].map(String);
  const host = undo.use(program(network.server, "host.ts", ["--allow-net"], undefined, ports));
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

/** Starts a program of the bench in a namespace. */
export function program(
  ns: string,
  file: string,
  permissions: readonly string[],
  cpu?: number,
  args: readonly string[] = [],
): Background {
  const path = new URL(file, import.meta.url).pathname;
  return background([...enter(ns, cpu), Deno.execPath(), "run", ...permissions, path, ...args]);
}

/** pk as a user starts it, ready. */
export async function startPk(lab: BenchLab, ...flags: readonly string[]): Promise<Daemon> {
  const ports = ["--port-seq", KNOCK_PORTS.join(), "--port-dest", String(GUARDED_PORT)];
  const daemon = spawnPk(lab.network.server, [...ports, "--log-format", "json", ...flags]);
  await daemon.event("ready", {}, { timeoutMs: 10_000 });
  return daemon;
}

/** The kernel's own knock in place of pk. */
export async function installKernelKnock(lab: BenchLab): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".nft" });
  try {
    await Deno.writeTextFile(file, kernelKnock(2 ** 20));
    await must(...enter(lab.network.server), "nft", "-f", file);
  } finally {
    await Deno.remove(file);
  }
}

/** How often the last stage of the kernel's own knock was reached. */
export async function kernelGranted(lab: BenchLab): Promise<number> {
  const text = await must(...enter(lab.network.server), "nft", "list", "counters");
  return Number(/packets (\d+)/.exec(text)?.[1]);
}
