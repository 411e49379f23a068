// --filter stateless: what begins a connection is judged as ever, everything else passes, and nothing
// on this host tracks connections because of pk.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)
//             many sources                    knocks 7000, 8000, 9000

import { ok, strictEqual } from "node:assert/strict";
import { enter, FAMILIES, type Family, IPV4, must, ruleset } from "../support/netns.ts";
import { getsIn, GUARDED, KNOCKS, setStage, type Stage, startPk } from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";

netnsTest(
  "stateless: a grant lets in, its connections and older ones live on, nothing is tracked",
  async (t) => {
    await using stage = await setStage();
    const older = await Promise.all(FAMILIES.map((family) => opened(stage, family, 3)));
    await using pk = await startPk(stage.ns, "--filter", "stateless", "--rule-timer", "2000");
    await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
      const [host, source] = [family.server, family.source(1)];
      strictEqual(await getsIn(stage.client, family, source), false, "before the knocks");
      await stage.client.knock({ host, ports: KNOCKS, source, gapMs: 5 });
      const session = await opened(stage, family, 1);
      await pk.event("expired", { source });
      strictEqual(await stage.client.echo(session, "after the grant has ended"), true);
      strictEqual(await getsIn(stage.client, family, source), false, "a new one");
      const [old] = older.slice(FAMILIES.indexOf(family));
      strictEqual(await stage.client.echo(old ?? 0, "older than pk"), true);
    });
    strictEqual(await tracked(stage.ns), 0);
    ok(!/\bct\b/.test(await ruleset(stage.ns)));
  },
);

netnsTest(
  "stateless and stateful in turn: connections are tracked or not, and live on",
  async () => {
    await using stage = await setStage();
    const session = await opened(stage, IPV4, 1);
    for (const filter of ["stateless", "stateful", "stateless"]) {
      await using pk = await startPk(stage.ns, "--filter", filter);
      strictEqual(await stage.client.echo(session, filter), true);
      strictEqual(/\bct\b/.test(await ruleset(stage.ns)), filter === "stateful", filter);
      strictEqual(await getsIn(stage.client, IPV4, IPV4.source(2)), false, "without a grant");
      pk.kill("SIGTERM");
      strictEqual(await pk.ended(), 0);
    }
  },
);

netnsTest("stateless: a SYN in tiny fragments gets nobody in", async () => {
  await using stage = await setStage();
  await using _pk = await startPk(stage.ns, "--filter", "stateless");
  const source = IPV4.source(1);
  const syn = { host: IPV4.server, port: GUARDED, source, firstBytes: 8, timeoutMs: 700 };
  strictEqual(await stage.client.fragmentedSyn(syn), false, "before the knocks");
  await stage.client.knock({ host: IPV4.server, ports: KNOCKS, source, gapMs: 5 });
  strictEqual(await getsIn(stage.client, IPV4, source), true, "after the knocks");
  strictEqual(await stage.client.fragmentedSyn(syn), false, "its flags are in the second fragment");
});

netnsTest("stateless: where listeners always send cookies, it says so", async () => {
  await using stage = await setStage();
  const setting = "/proc/sys/net/ipv4/tcp_syncookies";
  for (const [cookies, filter] of [[2, "stateless"], [1, "stateless"], [2, "stateful"]] as const) {
    await must(...enter(stage.ns), "sh", "-c", `echo ${cookies} > ${setting}`);
    await using pk = await startPk(stage.ns, "--filter", filter);
    const expected = cookies === 2 && filter === "stateless" ? 1 : 0;
    strictEqual(pk.seen("guessed cookies").length, expected, `${cookies}, ${filter}`);
    pk.kill("SIGTERM");
    strictEqual(await pk.ended(), 0);
  }
});

async function opened(stage: Stage, family: Family, n: number): Promise<number> {
  const [host, source] = [family.server, family.source(n)];
  const made = await stage.client.connect({ host, port: GUARDED, source, timeoutMs: 3000 });
  ok(made.connected, `${source} connects`);
  return made.session;
}

/** Connections that connection tracking has in a namespace; where its module is not loaded, none. */
async function tracked(ns: string): Promise<number> {
  const file = "/proc/sys/net/netfilter/nf_conntrack_count";
  return Number(await must(...enter(ns), "sh", "-c", `if [ -e ${file} ]; then cat ${file}; fi`));
}
