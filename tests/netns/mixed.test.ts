// Doors with knocks of every kind, and the clients that people have: Debian's knock, ping, nc and nping
// (nmap). Several doors at once, which do not disturb each other.
//
//     client  veth0 ◄────────► veth0  server: pk run, an echo service on TCP 2222 and 2223

import { ok, strictEqual } from "node:assert/strict";
import { enter, FAMILIES, type Family, inside, IPV4, IPV6, must } from "../support/netns.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { startDatagramEcho } from "../support/datagram_echo.ts";
import { getsIn, GUARDED, setStage, type Stage } from "../support/pk.ts";
import { startConfigured } from "../support/pk_config.ts";

const OTHER = 2223;
const UDP_SERVICE = 5353;

async function sh(stage: Stage, script: string): Promise<void> {
  await must(...enter(stage.lab.client), "sh", "-c", script);
}

netnsTest("tcp, udp and icmp steps in one sequence, knocked by nc and ping", async (t) => {
  await using stage = await setStage();
  await using pk = await startConfigured(
    stage.ns,
    `
doors:
  four: { opens: [tcp/${GUARDED}], knock: [tcp/7000, udp/8123, icmp/56, tcp/9321] }
  six: { opens: [tcp/${GUARDED}], knock: [udp/8123, icmp6/100, tcp/9321, icmp6/100] }
`,
  );
  await t.step("IPv4", async () => {
    const host = IPV4.server;
    strictEqual(await getsIn(stage.client, IPV4, IPV4.client), false, "before");
    const tcp = (port: number) => `nc -n -w 1 -z ${host} ${port} || true`;
    const udp = `printf x | nc -n -u -q 0 -w 1 ${host} 8123`;
    await sh(stage, `${tcp(7000)}; ${udp}; ping -n -q -c 1 -s 57 ${host}; ${tcp(9321)}`);
    strictEqual(await getsIn(stage.client, IPV4, IPV4.client), false, "a ping of another size");
    await sh(stage, `${tcp(7000)}; ${udp}; ping -n -q -c 1 -s 56 ${host}; ${tcp(9321)}`);
    await pk.event("granted", { source: IPV4.client, door: "four" });
    strictEqual(await getsIn(stage.client, IPV4, IPV4.client), true);
  });
  await t.step("IPv6", async () => {
    const host = IPV6.server;
    const ping = `ping -6 -n -q -c 1 -s 100 ${host}`;
    const udp = `printf x | nc -n -u -q 0 -w 1 ${host} 8123`;
    await sh(stage, `${udp}; ${ping}; nc -n -w 1 -z ${host} 9321 || true; ${ping}`);
    await pk.event("granted", { source: IPV6.client, door: "six" });
    strictEqual(await getsIn(stage.client, IPV6, IPV6.client), true);
  });
});

netnsTest("Debian's knock with TCP and UDP, both families", async (t) => {
  await using stage = await setStage();
  await using pk = await startConfigured(
    stage.ns,
    `doors: { ssh: { opens: [tcp/${GUARDED}], knock: [tcp/7000, udp/8123, tcp/9321] } }`,
  );
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    strictEqual(await getsIn(stage.client, family, family.client), false, "before");
    await inside(stage.lab.client, "knock", "-d", "5", family.server, "7000", "8123:udp", "9321");
    strictEqual(await getsIn(stage.client, family, family.client), true, "with the first SYN");
    await pk.event("granted", { source: family.client, door: "ssh", port: GUARDED });
  });
});

netnsTest("two pings with one id within five seconds are two knocks", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(
    stage.ns,
    `doors: { ssh: { opens: [tcp/${GUARDED}], knock: [icmp/56, icmp/56] } }`,
  );
  await sh(stage, `ping -n -q -c 2 -i 1 -s 56 ${IPV4.server}`);
  await pk.event("granted", { source: IPV4.client, door: "ssh" });
  strictEqual(await getsIn(stage.client, IPV4, IPV4.client), true);
});

netnsTest("datagrams to a service that answers are knocks, however often", async () => {
  await using stage = await setStage();
  await using _answering = await startDatagramEcho(stage.ns, 8123);
  await using pk = await startConfigured(
    stage.ns,
    `doors: { ssh: { opens: [tcp/${GUARDED}], knock: [udp/8123, udp/8123, udp/8123] } }`,
  );
  await sh(
    stage,
    `python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
for _ in range(3):
    s.sendto(b"x", ("${IPV4.server}", 8123))
    time.sleep(0.2)
    print(s.recv(100))
'`,
  );
  await pk.event("granted", { source: IPV4.client });
});

netnsTest("segments with chosen flags, by nping", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(
    stage.ns,
    `
doors:
  ssh:
    opens: [tcp/${GUARDED}]
    knock:
      - tcp/7000: { flags: [fin, "!syn"] }
      - tcp/8000: { flags: [syn, "!ack"] }
      - tcp/9000: { flags: [ack, psh] }
`,
  );
  const nping = (port: number, flags: string) =>
    `nping --tcp -c 1 -p ${port} --flags ${flags} ${IPV4.server} >/dev/null`;
  await sh(stage, [nping(7000, "syn"), nping(8000, "syn"), nping(9000, "ack")].join("; "));
  strictEqual(pk.seen("granted").length, 0, "other flags");
  await sh(stage, [nping(7000, "fin,ack"), nping(8000, "syn"), nping(9000, "ack,psh")].join("; "));
  await pk.event("granted", { source: IPV4.client });
  strictEqual(await getsIn(stage.client, IPV4, IPV4.client), true);
});

netnsTest("after and before: knocks at the wrong time lead back to the start", async (t) => {
  await using stage = await setStage();
  await using _pk = await startConfigured(
    stage.ns,
    `
doors:
  ssh:
    opens: [tcp/${GUARDED}]
    knock: [tcp/7000, { tcp/8000: { after: 300ms, before: 900ms } }, tcp/9000]
`,
  );
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const ports = [7000, 8000, 9000];
    for (
      const [n, middleMs, opens] of [[1, 50, false], [2, 500, true], [3, 1400, false]] as const
    ) {
      const source = family.source(n);
      const atMs = [0, middleMs, middleMs + 50];
      await stage.client.knock({ host: family.server, ports, source, atMs });
      strictEqual(await getsIn(stage.client, family, source), opens, `after ${middleMs} ms`);
    }
  });
});

netnsTest(
  "from: others may not try, doors at the same ports do not disturb each other",
  async (t) => {
    await using stage = await setStage();
    await stage.server.listen(OTHER);
    await using pk = await startConfigured(
      stage.ns,
      `
doors:
  one: { opens: [tcp/${GUARDED}], knock: [tcp/7000, tcp/8000, tcp/9000] }
  two:
    opens: [tcp/${OTHER}]
    knock: [tcp/7000, tcp/8000, tcp/9000]
    from: [10.99.1.4/30, "fd99::1:4/126"]
  three: { opens: [tcp/2224-2226], knock: [tcp/8000, tcp/7000, tcp/9000] }
`,
    );
    await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
      const knock = (source: string, ports: readonly number[]) =>
        stage.client.knock({ host: family.server, ports, source, gapMs: 5 });
      for (const [n, admitted] of [[1, false], [4, true], [7, true], [8, false]] as const) {
        const source = family.source(n);
        await knock(source, [7000, 8000, 9000]);
        await pk.event("granted", { source, door: "one" });
        const gets = await getsIn(stage.client, family, source, { port: OTHER });
        strictEqual(gets, admitted, `${source} at the door with "from"`);
        strictEqual(pk.seen("granted", { source, door: "three" }).length, 0);
      }
      const source = family.source(9);
      await knock(source, [8000, 7000, 9000]);
      await pk.event("granted", { source, door: "three", ports: "tcp/2224-2226" });
      strictEqual(await getsIn(stage.client, family, source), false);
    });
  },
);

netnsTest("a guarded UDP port: shut, open for who knocked, and its flow goes on", async (t) => {
  await using stage = await setStage();
  await using _answering = await startDatagramEcho(stage.ns, UDP_SERVICE);
  await using pk = await startConfigured(
    stage.ns,
    `doors: { dns: { opens: [udp/${UDP_SERVICE}], knock: [udp/7000, tcp/8000], for: 2s } }`,
  );
  const ask = async (family: Family, knocks: boolean, seconds = 0) => {
    const outcome = await inside(
      stage.lab.client,
      "python3",
      "-c",
      `
import socket, time
family = socket.AF_INET6 if ":" in "${family.server}" else socket.AF_INET
if ${knocks ? 1 : 0}:
    socket.socket(family, socket.SOCK_DGRAM).sendto(b"x", ("${family.server}", 7000))
    time.sleep(0.01)
    t = socket.socket(family)
    t.setblocking(False)
    t.connect_ex(("${family.server}", 8000))
    time.sleep(0.005)
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(0.8)
s.connect(("${family.server}", ${UDP_SERVICE}))
end = time.monotonic() + ${seconds}
while True:
    s.send(b"hello")
    s.recv(100)
    if time.monotonic() >= end: break
    time.sleep(0.2)
`,
    );
    return outcome.code === 0;
  };
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    strictEqual(await ask(family, false), false, "before");
    strictEqual(await ask(family, true, 4), true, "its first datagram, and beyond the grant's end");
    await pk.event("granted", { source: family.client, ports: `udp/${UDP_SERVICE}` });
    await pk.event("expired", { source: family.client });
    strictEqual(await ask(family, false), false, "a new flow after the end");
  });
});

netnsTest("a sequence of 32 steps opens, one of 31 of them does not", async () => {
  await using stage = await setStage();
  const ports = Array.from({ length: 32 }, (_, index) => 7000 + index * 7 % 32);
  await using _pk = await startConfigured(
    stage.ns,
    `doors: { ssh: { opens: [tcp/${GUARDED}], knock: [${
      ports.map((port) => `tcp/${port}`)
    }], weak: accepted } }`,
  );
  const host = IPV4.server;
  await stage.client.knock({ host, ports: ports.slice(1), source: IPV4.source(1), gapMs: 5 });
  strictEqual(await getsIn(stage.client, IPV4, IPV4.source(1)), false);
  await stage.client.knock({ host, ports, source: IPV4.source(1), gapMs: 5 });
  ok(await getsIn(stage.client, IPV4, IPV4.source(1)));
});
