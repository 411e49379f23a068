// Who gets in: the right knocks, in the right order, in time, from the same source, and nobody else.
// Every case uses a source of its own, all of them at once, over IPv4 and IPv6 alike.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)
//             many sources                    knocks 7000, 8000, 9000 (closed ports)

import { strictEqual } from "node:assert/strict";
import { FAMILIES, type Family, inside, IPV4, nft, sleep } from "../support/netns.ts";
import { getsIn, grants, GUARDED, KNOCKS, setStage, type Stage, startPk } from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";

interface Case {
  readonly name: string;
  readonly ports: readonly number[];
  readonly atMs?: readonly number[];
  readonly opens: boolean;
}

const CASES: readonly Case[] = [
  { name: "right order", ports: [7000, 8000, 9000], opens: true },
  { name: "right order, slow but in time", ports: KNOCKS, atMs: [0, 4500, 9000], opens: true },
  { name: "right order, 10.4 s in all", ports: KNOCKS, atMs: [0, 5200, 10_400], opens: false },
  { name: "wrong order", ports: [7000, 9000, 8000], opens: false },
  { name: "reversed", ports: [9000, 8000, 7000], opens: false },
  { name: "incomplete", ports: [7000, 8000], opens: false },
  { name: "only the last", ports: [9000], opens: false },
  { name: "last missing, then the last of another order", ports: [8000, 9000, 7000], opens: false },
  { name: "a wrong watched port in between", ports: [7000, 8000, 7000, 9000], opens: false },
  { name: "anew after a wrong one", ports: [7000, 9000, 7000, 8000, 9000], opens: true },
  { name: "anew from the wrong one", ports: [7000, 8000, 7000, 8000, 9000], opens: true },
  { name: "a new knock at the stage passed", ports: [7000, 7000, 8000, 9000], opens: true },
  { name: "an unwatched port in between", ports: [7000, 7777, 8000, 9000], opens: true },
];

netnsTest("knocking opens for the right sequence only", async (t) => {
  await using stage = await setStage({ sources: 40 });
  await using pk = await startPk(stage.ns);
  const cases = FAMILIES.flatMap((family) =>
    CASES.map((one, index) => ({ ...one, family, source: family.source(index + 1) }))
  );
  await sideBySide(t, cases, (one) => `${one.family.name}: ${one.name}`, async (one) => {
    const { family, source, ports, atMs = ports.map((_, index) => index * 20) } = one;
    strictEqual(await getsIn(stage.client, family, source), false, "open before any knock");
    await stage.client.knock({ host: family.server, ports, source, atMs });
    strictEqual(await getsIn(stage.client, family, source), one.opens);
    if (one.opens) await pk.event("granted", { source });
    strictEqual(pk.seen("granted", { source }).length, one.opens ? 1 : 0);
  });
  for (const family of FAMILIES) {
    strictEqual(
      await getsIn(stage.client, family, family.source(40)),
      false,
      "a source that did not",
    );
  }
});

netnsTest("Debian's knock opens the port for its own source only", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns);
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    strictEqual(await getsIn(stage.client, family, family.client), false, "open before any knock");
    const option = family === IPV4 ? "-4" : "-6";
    const knock = ["knock", option, "-d", "5", family.server, ...KNOCKS.map(String)];
    const { code, stderr } = await inside(stage.lab.client, ...knock);
    strictEqual(code, 0, stderr);
    strictEqual(await getsIn(stage.client, family, family.client), true);
    strictEqual(await getsIn(stage.client, family, family.source(1)), false, "another source");
    const granted = await pk.event("granted", { source: family.client });
    strictEqual(granted.port, GUARDED);
    strictEqual(granted.timeoutMs, 20_000);
  });
});

netnsTest("sources never disturb each other", async (t) => {
  await using stage = await setStage();
  await using _pk = await startPk(stage.ns);
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const [right, also, wrong] = [family.source(1), family.source(2), family.source(3)];
    for (
      const [source, port] of [
        ...[[right, 7000], [also, 7000], [wrong, 7000], [right, 8000], [wrong, 9000]] as const,
        ...[[also, 8000], [wrong, 8000], [also, 9000], [wrong, 9000], [right, 9000]] as const,
      ]
    ) await stage.client.knock({ host: family.server, ports: [port], source });
    strictEqual(await getsIn(stage.client, family, right), true, "interleaved, first");
    strictEqual(await getsIn(stage.client, family, also), true, "interleaved, second");
    strictEqual(await getsIn(stage.client, family, wrong), false, "interleaved, wrong order");
  });
});

netnsTest("a port may occur twice in a sequence", async (t) => {
  await using stage = await setStage();
  await using _pk = await startPk(stage.ns, "--port-seq", "7000,7000,8000");
  await dropKnocks(stage);
  const cases = [
    { name: "both knocks", ports: [7000, 7000, 8000], opens: true },
    { name: "one knock", ports: [7000, 8000], opens: false },
    { name: "one knock, repeated by the kernel", ports: [7000, 8000], hold: true, opens: false },
  ];
  const all = FAMILIES.flatMap((family) =>
    cases.map((one, index) => ({ ...one, family, source: family.source(index + 1) }))
  );
  await sideBySide(t, all, (one) => `${one.family.name}: ${one.name}`, async (one) => {
    const { family, source, ports, hold = false } = one;
    // Held open for 1.5 s: time for the kernel to repeat the first knock once.
    const gapMs = hold ? 1500 : 10;
    await stage.client.knock({ host: family.server, ports, source, gapMs, hold });
    strictEqual(await getsIn(stage.client, family, source), one.opens);
  });
});

netnsTest("sockets held open on a default-drop host get in, and renew nothing", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--rule-timer", "3000");
  await dropKnocks(stage);
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const source = family.source(1);
    await stage.client.knock({
      host: family.server,
      ports: KNOCKS,
      source,
      gapMs: 700,
      hold: true,
    });
    strictEqual(await getsIn(stage.client, family, source), true);
    // The kernel repeats the three SYNs each second, so that a whole sequence of repetitions arrives.
    await sleep(4500);
    strictEqual(await getsIn(stage.client, family, source), false, "open after its time");
    strictEqual(pk.seen("granted", { source }).length, 1);
    strictEqual((await grants(stage.ns)).filter((grant) => grant.source === source).length, 0);
  });
});

netnsTest("a service on a knock port is as it was", async (t) => {
  await using stage = await setStage();
  await using _pk = await startPk(stage.ns);
  await stage.server.listen(8000);
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family: Family) => {
    const source = family.source(1);
    const result = await stage.client.connect({
      host: family.server,
      port: 8000,
      source,
      timeoutMs: 700,
    });
    strictEqual(result.connected, true);
    if (result.connected) strictEqual(await stage.client.echo(result.session, "hello"), true);
    const closed = { host: family.server, port: 9000, source, timeoutMs: 700 };
    const refused = await stage.client.connect(closed);
    strictEqual("error" in refused && refused.error, "ECONNREFUSED", "a closed knock port answers");
  });
});

/** The firewall of a careful host: drops what is not allowed, and with it the knocks. */
function dropKnocks({ ns }: Stage): Promise<void> {
  return nft(
    ns,
    `table inet host { chain input { type filter hook input priority 0; policy drop;
       iif lo accept; ct state established,related accept; meta l4proto ipv6-icmp accept;
       tcp dport ${GUARDED} accept; }; }`,
  );
}
