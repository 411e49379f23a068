// Guarded UDP ports: whatever address a datagram comes in by, it needs a grant; a flow that came in
// while somebody had taken the table away ends; and what this host itself has begun is answered.
//
//     client  veth0 ◄────────► veth0  server: pk run, a service on UDP 5555 at every address
//             10.99.0.2               10.99.0.1, 10.99.255.255, 224.0.0.1, 255.255.255.255
//             fd99::2                 fd99::1, ff02::1, and as a router fd99:: (anycast)

import { ok, strictEqual } from "node:assert/strict";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { startDatagramEcho } from "../support/datagram_echo.ts";
import { enter, FAMILIES, inside, IPV4, IPV6, must, nft, sleep } from "../support/netns.ts";
import { setStage, type Stage } from "../support/pk.ts";
import { startConfigured } from "../support/pk_config.ts";

const PORT = 5555;
const KNOCK = "[tcp/7153, tcp/2918, tcp/8461, tcp/9307]";
const KNOCKS = ["7153", "2918", "8461", "9307"];

/** Sends for some seconds, ten times a second; prints when the last answer came, from the start. */
const ASK = `
import socket, sys, time
to, port, own, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
six = ":" in to
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"veth0")
if six: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
if own: s.bind(("", own))
peer = (to, port, 0, socket.if_nametoindex("veth0")) if six else (to, port)
s.settimeout(0.1)
start, last, count = time.monotonic(), -1, 0
while time.monotonic() - start < seconds:
    s.sendto(b"x", peer)
    try:
        s.recvfrom(100)
        last, count = time.monotonic() - start, count + 1
        time.sleep(0.1)
    except OSError: pass
print(count, last)
`;

interface Answers {
  readonly count: number;
  /** Seconds from the start; -1 where none came. */
  readonly last: number;
}

async function ask(
  ns: string,
  to: string,
  { port = PORT, own = 0, seconds = 0.5 } = {},
): Promise<Answers> {
  const args = [to, port, own, seconds].map(String);
  const text = await must(...enter(ns), "python3", "-c", ASK, ...args);
  const [count = NaN, last = NaN] = text.trim().split(" ").map(Number);
  return { count, last };
}

const DOORS = {
  "keep": `doors: { d: { opens: [udp/${PORT}], knock: ${KNOCK}, for: 1s } }`,
  "cut, stateless":
    `doors: { d: { opens: [udp/${PORT}], knock: ${KNOCK}, for: 1s, then: cut } }\nfilter: stateless`,
};

for (const [title, doors] of Object.entries(DOORS)) {
  netnsTest(`a datagram needs a grant, whatever address it comes in by: ${title}`, async (t) => {
    await using stage = await setStage();
    await must(
      ...enter(stage.ns),
      "sh",
      "-c",
      "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
    );
    await using _services = await startDatagramEcho(stage.ns, PORT);
    const ways = [
      IPV4.server,
      "10.99.255.255",
      "255.255.255.255",
      "224.0.0.1",
      IPV6.server,
      "ff02::1",
      "fd99::",
    ];
    const answered = async () => {
      const found: string[] = [];
      for (const way of ways) if ((await ask(stage.lab.client, way)).count > 0) found.push(way);
      return found;
    };
    ok((await answered()).length >= 5, "without pk they are answered, most of them");
    await using pk = await startConfigured(stage.ns, doors);
    strictEqual((await answered()).join(), "", "without a grant");
    ok(pk.seen("refused").length > 0);
    await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
      await inside(stage.lab.client, "knock", "-d", "5", family.server, ...KNOCKS);
      ok((await ask(stage.lab.client, family.server)).count > 0, "with a grant");
    });
  });
}

/** As on a host with a firewall of its own, which goes on tracking while pk's table is away. */
const TRACKING = "table inet host { chain input { type filter hook input priority 0; " +
  "ct state established accept; }; }";

for (const command of ["delete table inet pk", `flush ruleset; ${TRACKING}`]) {
  netnsTest(
    `no owner: a flow that came in meanwhile ends: nft ${command.slice(0, 13)}`,
    async () => {
      await using stage = await setStage();
      await using _services = await startDatagramEcho(stage.ns, PORT);
      await nft(stage.ns, TRACKING);
      await using pk = await startConfigured(
        stage.ns,
        `doors: { d: { opens: [udp/${PORT}], knock: ${KNOCK}, for: 60s } }\ntable-owner: false`,
      );
      const granted = IPV6.server;
      await inside(stage.lab.client, "knock", "-d", "5", granted, ...KNOCKS);
      await pk.event("granted");
      const asking = FAMILIES.map(({ server }) => ask(stage.lab.client, server, { seconds: 4 }));
      await sleep(500);
      // While pk is stopped nobody puts the table back: time enough to come in.
      pk.kill("SIGSTOP");
      await nft(stage.ns, command);
      await sleep(1_000);
      pk.kill("SIGCONT");
      await pk.event("restored");
      const [intruder, friend] = await Promise.all(asking);
      ok(intruder !== undefined && intruder.count > 0, "it came in");
      ok(intruder.last < 3, `the last answer after ${intruder.last} s`);
      ok(friend !== undefined && friend.last > 3.5, "with a grant it goes on");
      await pk.event("cut", { source: IPV4.client, protocol: "udp", port: PORT });
    },
  );
}

netnsTest("cut: what this host has begun from such a port is answered", async (t) => {
  await using stage = await setStage();
  await using _services = await startDatagramEcho(stage.lab.client, PORT);
  await stage.client.listen(PORT);
  await using _pk = await startConfigured(
    stage.ns,
    `doors: { d: { opens: [udp/${PORT}, tcp/${PORT}], knock: ${KNOCK}, then: cut } }`,
  );
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    ok((await ask(stage.ns, family.client, { own: PORT })).count > 0, "datagrams");
    strictEqual(await connects(stage, family.client), true, "a connection");
    strictEqual((await ask(stage.lab.client, family.server)).count, 0, "newcomers");
  });
});

/** From the guarded port of the server to the same port of the client. */
async function connects({ server }: Stage, host: string): Promise<boolean> {
  const result = await server.connect({ host, port: PORT, sourcePort: PORT, timeoutMs: 900 });
  return result.connected && await server.echo(result.session, "hello");
}
