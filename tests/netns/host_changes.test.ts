// What changes around a running pk: interfaces and addresses come and go, the clock is set, descriptors
// are few, and several start at the same moment.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)
//             veth1 ◄────────► veth1  comes while pk runs, goes, comes again with other addresses

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { netnsTest, sideBySide } from "../support/cases.ts";
import {
  enter,
  FAMILIES,
  type Family,
  inside,
  IPV4,
  IPV6,
  must,
  range,
  ruleset,
  sleep,
} from "../support/netns.ts";
import {
  type Daemon,
  flags,
  getsIn,
  grants,
  KNOCKS,
  PK,
  spawnPk,
  type Stage,
  startPk,
} from "../support/pk.ts";
import { hardwareAddress, knocksIn, pin, setQuietStage } from "../support/quiet_stage.ts";

/** Debian's package libfaketime. */
const FAKETIME = `/usr/lib/${Deno.build.arch}-linux-gnu/faketime/libfaketimeMT.so.1`;
const hasFaketime = await Deno.stat(FAKETIME).then(() => true, () => false);
const TIMER_MS = 1500;
const DAY_MS = 86_400_000;
const STARTS = 5;

netnsTest("interfaces and addresses come and go: knocks count at every address", async (t) => {
  await using stage = await setQuietStage();
  await using _pk = await startPk(stage.ns);
  for (const net of [98, 97]) {
    await addLink(stage, net);
    await sideBySide(t, moved(net), ({ server }) => server, (family) => opens(stage, family));
    if (net === 98) await must(...enter(stage.ns), "ip", "link", "delete", "veth1");
  }
  const [, ...entering] = enter(stage.ns);
  const change = (line: string) => must("nsenter", ...entering, "ip", ...line.split(" "));
  await change("addr del 10.97.0.1/24 dev veth1");
  await change("addr add 10.97.0.3/24 dev veth1");
  await change("addr del fd97::1/64 dev veth1");
  await change("addr add fd97::3/64 dev veth1 nodad");
  const changed = moved(97).map((family) => ({
    ...family,
    server: family.server.replace(/1$/, "3"),
    source: (n: number) => family.source(2 + n),
  }));
  await sideBySide(t, changed, ({ server }) => server, (family) => opens(stage, family));
  await change("link set veth0 down");
  await change("link set veth0 up");
  await change("addr replace fd99::1/64 dev veth0 nodad"); // IPv6 addresses go with the link
  const neighbours = FAMILIES.flatMap(({ source }) => [source(1), source(2)]);
  await pin(stage.ns, neighbours, await hardwareAddress(stage.lab.client));
  await sideBySide(t, FAMILIES, ({ server }) => server, (family) => opens(stage, family));
});

netnsTest(
  "the clock set back and forth by a day changes nothing but the log's times",
  async (t) => {
    await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
      await using stage = await setQuietStage();
      const clock = await Deno.makeTempFile({ prefix: "pk-clock-" });
      try {
        await Deno.writeTextFile(clock, "+0\n");
        const faked = ["FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1", `LD_PRELOAD=${FAKETIME}`];
        const wrap = ["env", `FAKETIME_TIMESTAMP_FILE=${clock}`, ...faked];
        await using pk = spawnPk(stage.ns, flags("--rule-timer", `${TIMER_MS}`), wrap);
        await pk.event("ready", {}, { timeoutMs: 30_000 });
        for (const [index, shiftS] of [-86_400, 86_400, 0].entries()) {
          const source = family.source(1 + index);
          const knock = { host: family.server, source, gapMs: 5 };
          await stage.client.knock({ ...knock, ports: KNOCKS.slice(0, -1) });
          await sleep(50);
          await Deno.writeTextFile(clock, `${shiftS < 0 ? "" : "+"}${shiftS}\n`);
          const lastAt = await stage.client.knock({ ...knock, ports: KNOCKS.slice(-1) });
          strictEqual(await getsIn(stage.client, family, source), true, `${shiftS} s: knocked`);
          const granted = await pk.event("granted", { source });
          const off = Date.parse(granted.time) - lastAt - shiftS * 1000;
          ok(Math.abs(off) < DAY_MS / 24, `the log's clock is ${off} ms off`);
          await pk.event("expired", { source });
          const openMs = Date.now() - lastAt;
          ok(Math.abs(openMs - TIMER_MS) < 1000, `${shiftS} s: open for ${openMs} ms`);
          strictEqual(await getsIn(stage.client, family, source), false, "after its time");
          strictEqual((await grants(stage.ns)).length, 0);
        }
        await stops(pk);
      } finally {
        await Deno.remove(clock);
      }
    });
  },
  { ignore: !hasFaketime },
);

netnsTest("descriptors: 1,000 are enough, with 16 it says so and changes nothing", async () => {
  await using stage = await setQuietStage();
  const { code, stderr } = await inside(stage.ns, "prlimit", "--nofile=16", PK, ...flags());
  strictEqual(code, 1);
  const [line, ...others] = withoutWarnings(stderr.trim().split("\n"));
  deepStrictEqual(others, []);
  match(line ?? "", /EMFILE/);
  strictEqual(await ruleset(stage.ns), "");

  await using pk = spawnPk(stage.ns, flags(), ["prlimit", "--nofile=1000"]);
  await pk.event("ready", {}, { timeoutMs: 30_000 });
  for (const family of FAMILIES) await opens(stage, family);
  await stops(pk);
});

netnsTest(
  `${STARTS} started at the same moment: one lives, the others say who has it`,
  async (t) => {
    const cases = ["where none ran before", "where one was killed"];
    await using stage = await setQuietStage();
    let before: string | undefined;
    for (const name of cases) {
      await t.step(name, async () => {
        await using all = new AsyncDisposableStack();
        const daemons = range(STARTS).map(() => all.use(spawnPk(stage.ns, flags())));
        const winners = await Promise.all(daemons.map((pk) =>
          Promise.race([
            pk.event("ready", {}, { timeoutMs: 30_000 }).then(() => true, () => false),
            pk.ended(30_000).then(() => false),
          ])
        ));
        strictEqual(winners.filter(Boolean).length, 1, "daemons that live");
        const winner = daemons[winners.indexOf(true)] as Daemon;
        for (const loser of daemons.filter((pk) => pk !== winner)) {
          strictEqual(await loser.ended(), 1);
          const [line, ...others] = withoutWarnings(loser.log);
          deepStrictEqual(others, []);
          match(line ?? "", new RegExp(`process ${winner.pid}\\b`));
        }
        const rules = (await ruleset(stage.ns)).replace(/^\s*elements = \{[^}]*\}\n/gm, "");
        strictEqual(rules, before ?? rules);
        before = rules;
        for (const family of FAMILIES) await opens(stage, family);
      });
    }
  },
);

/** Source 1 gets in after a knock, source 2 without one does not. */
async function opens({ client }: Stage, family: Family): Promise<void> {
  strictEqual(await knocksIn(client, family, 1), true, `${family.source(1)} knocked`);
  strictEqual(
    await getsIn(client, family, family.source(2), { timeoutMs: 300 }),
    false,
    "without a grant",
  );
}

/** One more link between client and server, in a net of its own. */
async function addLink(stage: Stage, net: number): Promise<void> {
  const { server, client } = stage.lab;
  await must(
    ..."ip link add veth1 netns".split(" "),
    server,
    ..."type veth peer name veth1 netns".split(" "),
    client,
  );
  const numbers = [...moved(net)].map(({ source }) => [1, 2, 3, 4].map(source));
  for (
    const [ns, hosts] of [[server, [moved(net).map((f) => f.server)]], [client, numbers]] as const
  ) {
    for (const address of hosts.flat()) {
      const prefix = address.includes(":") ? [`${address}/64`, "nodad"] : [`${address}/24`];
      const [head = "", ...flags] = prefix;
      await must(...enter(ns), "ip", "addr", "add", head, "dev", "veth1", ...flags);
    }
    await must(...enter(ns), "ip", "link", "set", "veth1", "up");
  }
  await pinMoved(stage, net);
  // Until the link-local address is there, IPv6 drops what it needs to find neighbours.
  for (const ns of [server, client]) {
    const show = ["-6", "addr", "show", "dev", "veth1", "scope", "link", "-tentative"];
    for (let tries = 0; tries < 250; tries++) {
      if ((await must(...enter(ns), "ip", ...show)).includes("fe80:")) break;
      await sleep(20);
    }
  }
}

/** The neighbours on that link, those to come included. */
async function pinMoved({ lab: { server, client } }: Stage, net: number): Promise<void> {
  const sources = moved(net).flatMap(({ source }) => [1, 2, 3, 4].map(source));
  const servers = moved(net).flatMap((family) => [family.server, family.server.replace(/1$/, "3")]);
  await pin(server, sources, await hardwareAddress(client, "veth1"), "veth1");
  await pin(client, servers, await hardwareAddress(server, "veth1"), "veth1");
}

/** The two families with the addresses of another net. */
function moved(net: number): Family[] {
  return [
    {
      ...IPV4,
      server: `10.${net}.0.1`,
      client: `10.${net}.0.11`,
      source: (n) => `10.${net}.0.1${n}`,
    },
    { ...IPV6, server: `fd${net}::1`, client: `fd${net}::11`, source: (n) => `fd${net}::1${n}` },
  ];
}

/** Of what is wrong with the flags these tests know. */
function withoutWarnings(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.includes('"level":"warning"'));
}

async function stops(pk: Daemon): Promise<void> {
  pk.kill("SIGTERM");
  strictEqual(await pk.ended(), 0);
}
