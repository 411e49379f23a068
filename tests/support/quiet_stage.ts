// A stage whose hosts know each other's hardware addresses for good. The kernel has one table of
// neighbours for all namespaces, 1,024 entries: a flood from many addresses elsewhere on the machine
// fills it, and packets that need a new entry are dropped. Permanent entries do not count.

import type { Agent } from "./agent.ts";
import { enter, FAMILIES, type Family, must, range } from "./netns.ts";
import { getsIn, KNOCKS, setStage, type Stage } from "./pk.ts";

/** As `setStage`, for tests that measure time or count losses. */
export async function setQuietStage({ sources = 20 } = {}): Promise<Stage> {
  await using undo = new AsyncDisposableStack();
  const stage = undo.use(await setStage({ sources }));
  const { server, client } = stage.lab;
  const theirs = FAMILIES.flatMap((
    family,
  ) => [family.client, ...range(sources).map(family.source)]);
  await pin(server, theirs, await hardwareAddress(client));
  await pin(client, FAMILIES.map((family) => family.server), await hardwareAddress(server));
  undo.move();
  return stage;
}

/**
 * Does a source get in with its first SYN after a knock? On a machine that is too busy a packet may be
 * lost or late, so it is tried again, as a person would.
 */
export async function knocksIn(
  client: Agent,
  family: Family,
  n: number,
  { tries = 3, timeoutMs = 900 } = {},
): Promise<boolean> {
  const source = family.source(n);
  for (let left = tries; left > 0; left--) {
    await client.knock({ host: family.server, ports: KNOCKS, source, gapMs: 5 });
    if (await getsIn(client, family, source, { timeoutMs })) return true;
  }
  return false;
}

/** The hardware address of an interface. */
export async function hardwareAddress(ns: string, device = "veth0"): Promise<string> {
  return JSON.parse(await must(...enter(ns), "ip", "-j", "link", "show", "dev", device))[0].address;
}

/** Tells a namespace for good behind which hardware address these are. */
export async function pin(
  ns: string,
  addresses: readonly string[],
  hardware: string,
  device = "veth0",
): Promise<void> {
  const lines = addresses.map((address) =>
    `neigh replace ${address} lladdr ${hardware} dev ${device} nud permanent`
  );
  const batch = `ip -batch - <<'END'\n${lines.join("\n")}\nEND`;
  await must(...enter(ns), "sh", "-c", batch);
}
