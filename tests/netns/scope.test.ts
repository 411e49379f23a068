// What pk looks at and what it leaves alone: loopback and routed traffic are not its business, every
// address of the host is, and no option, extension header or fragment slips past.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222       veth1 ◄────► veth0  behind: 2222
//             10.99.0.2               10.99.0.1                10.98.0.1        10.98.0.2
//             fd99::2                 fd99::1, fe80::…         fd98::1          fd98::2

import { ok, strictEqual } from "node:assert/strict";
import { type Agent, type Options, startAgent } from "../support/agent.ts";
import {
  enter,
  FAMILIES,
  type Family,
  IPV4,
  IPV6,
  type Lab,
  must,
  nft,
  sleep,
} from "../support/netns.ts";
import { getsIn, GUARDED, KNOCKS, setStage, startPk } from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";

netnsTest("loopback is never touched", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--log-level", "debug");
  const hosts = ["127.0.0.1", "127.1.2.3", "::1", ...FAMILIES.map(({ server }) => server)];
  await sideBySide(t, hosts, (host) => host, async (host) => {
    const result = await stage.server.connect({ host, port: GUARDED, timeoutMs: 700 });
    ok(result.connected);
    strictEqual(await stage.server.echo(result.session, "hello"), true);
    await stage.server.knock({ host, ports: KNOCKS });
  });
  strictEqual(pk.events.filter(({ event }) => /knock|granted|refused/.test(event)).length, 0);
});

netnsTest("every address of the host is guarded, link-local too", async () => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns);
  const [host, source] = await Promise.all([
    linkLocal(stage.lab.server),
    linkLocal(stage.lab.client),
  ]);
  const ends = { host: `${host}%veth0`, source: `${source}%veth0` };
  const to = { ...ends, port: GUARDED, timeoutMs: 700 };
  strictEqual((await stage.client.connect(to)).connected, false, "before the knocks");
  await stage.client.knock({ ...ends, ports: KNOCKS, gapMs: 5 });
  strictEqual((await stage.client.connect(to)).connected, true, "after the knocks");
  await pk.event("granted", { source });
});

netnsTest("IP options and extension headers neither hide knocks nor SYNs", async (t) => {
  await using stage = await setStage();
  await using _pk = await startPk(stage.ns);
  const cases: readonly { family: Family; options: Options; source: string }[] = [
    { family: IPV4, options: "ipv4-options", source: IPV4.source(1) },
    { family: IPV6, options: "destination-options", source: IPV6.source(1) },
    { family: IPV6, options: "hop-by-hop", source: IPV6.source(2) },
  ];
  await sideBySide(t, cases, ({ options }) => options, async ({ family, options, source }) => {
    const to = { host: family.server, port: GUARDED, source, options, timeoutMs: 700 };
    strictEqual((await stage.client.connect(to)).connected, false, "before the knocks");
    await stage.client.knock({ host: family.server, ports: KNOCKS, source, options, gapMs: 5 });
    strictEqual((await stage.client.connect(to)).connected, true, "after the knocks");
  });
});

netnsTest("a SYN in tiny fragments needs a grant like every other", async () => {
  await using stage = await setStage();
  await using _pk = await startPk(stage.ns);
  const source = IPV4.source(1);
  const syn = { host: IPV4.server, port: GUARDED, source, firstBytes: 8, timeoutMs: 700 };
  strictEqual(await stage.client.fragmentedSyn(syn), false, "before the knocks");
  await stage.client.knock({ host: IPV4.server, ports: KNOCKS, source, gapMs: 5 });
  strictEqual(await stage.client.fragmentedSyn(syn), true, "after the knocks");
});

netnsTest("routed traffic passes, a port published by DNAT is guarded", async (t) => {
  await using stage = await setStage();
  await using behind = await addBehind(stage.lab);
  await behind.listen(GUARDED);
  await behind.listen(8080);
  for (const [family, to] of [["ip", "10.98.0.2"], ["ip6", "[fd98::2]"]]) {
    await nft(
      stage.ns,
      `table ${family} containers { chain publish { type nat hook prerouting priority -100;
         iifname veth0 fib daddr type local tcp dport ${GUARDED} dnat to ${to}:8080; }; }`,
    );
  }
  await using _pk = await startPk(stage.ns);
  const routed = { IPv4: "10.98.0.2", IPv6: "fd98::2" };
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const source = family.client;
    const host = routed[family.name];
    const through = await stage.client.connect({ host, port: GUARDED, source, timeoutMs: 700 });
    strictEqual(through.connected, true, "a host behind this one");
    strictEqual(await getsIn(stage.client, family, source), false, "published, before the knocks");
    await stage.client.knock({ host: family.server, ports: KNOCKS, source, gapMs: 5 });
    const before = (await behind.peers(8080)).length;
    strictEqual(await getsIn(stage.client, family, source), true, "published, after the knocks");
    // The container's service notes a peer when it accepts, which may be after the client is connected.
    const answered = async () => (await behind.peers(8080)).length !== before;
    for (let tries = 0; tries < 50 && !await answered(); tries++) await sleep(20);
    ok(await answered(), "it was the container that answered");
  });
});

/** The link-local address of a namespace's veth0. */
async function linkLocal(ns: string): Promise<string> {
  const text = await must(
    ...enter(ns),
    "ip",
    "-6",
    "-o",
    "addr",
    "show",
    "dev",
    "veth0",
    "scope",
    "link",
  );
  const address = text.match(/fe80::[0-9a-f:]+/)?.[0];
  ok(address, text);
  return address;
}

/** A third namespace behind the server, which forwards: as a container, or a host in a network. */
async function addBehind(lab: Lab): Promise<Agent> {
  const ns = await lab.add("b");
  await must(
    ..."ip link add veth1 netns".split(" "),
    lab.server,
    ..."type veth peer name veth0 netns".split(" "),
    ns,
  );
  const at = (where: string, line: string) => must(...enter(where), "ip", ...line.split(" "));
  for (
    const [where, link, v4, v6] of [
      [lab.server, "veth1", "10.98.0.1/16", "fd98::1/64"],
      [ns, "veth0", "10.98.0.2/16", "fd98::2/64"],
    ] as const
  ) {
    await at(where, `addr add ${v4} dev ${link}`);
    await at(where, `addr add ${v6} dev ${link} nodad`);
    await at(where, `link set ${link} up`);
  }
  for (const family of ["-4", "-6"]) {
    const [to, server] = family === "-4"
      ? ["10.98.0.0/16", IPV4.server]
      : ["fd98::/64", IPV6.server];
    const back = family === "-4" ? "10.98.0.1" : "fd98::1";
    await at(lab.client, `${family} route add ${to} via ${server}`);
    await at(ns, `${family} route add default via ${back}`);
  }
  const forward =
    "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
  await must(...enter(lab.server), "sh", "-c", forward);
  return startAgent(ns);
}
