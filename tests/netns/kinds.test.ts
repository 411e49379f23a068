// What the rules alone do with datagrams, echo requests and segments with flags: the ruleset stands in
// the server, no daemon runs, and the test grants with nft.
//
//     client: ping, python3 ── veth ──► server: the ruleset, echoing UDP servers

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { netnsTest } from "../support/cases.ts";
import { lines } from "../support/lines.ts";
import { createLab, enter, FAMILIES, inside, type Lab, must, nft } from "../support/netns.ts";

const TRANSACT = new URL("../support/transact.ts", import.meta.url).pathname;
const WAIT_SECONDS = 0.5;

netnsTest("each kind of knock is copied once for each packet, others are not", async (t) => {
  await using lab = await createLab({ sources: 0 });
  await install(lab, "a mixed sequence");
  for (const { name, server } of FAMILIES) {
    const [mine, other] = name === "IPv4" ? [56, 1_200] : [1_200, 56];
    const cases: readonly [what: string, knocks: number, act: () => Promise<unknown>][] = [
      ["pings with one identifier", 3, () => ping(lab, server, mine, 3)],
      ["pings with another length", 0, () => ping(lab, server, mine + 1, 1)],
      ["pings with the other family's length", 0, () => ping(lab, server, other, 1)],
      ["pings in fragments", name === "IPv4" ? 2 : 0, () => ping(lab, server, 3_000, 2)],
      ["datagrams from one port", 3, () => send(lab, server, 8_123, 3)],
      ["datagrams to another port", 0, () => send(lab, server, 8_124, 3)],
      ["a segment with the flags of a step", 1, () => segment(lab, server, 9_321, 0x01)],
      ["the same with a flag that is not asked", 1, () => segment(lab, server, 9_321, 0x21)],
      ["a segment with the flags of another step", 1, () => segment(lab, server, 9_322, 0x29)],
      ["a segment with other flags", 0, () => segment(lab, server, 9_321, 0x10)],
      ["a segment with flags at a port without", 0, () => segment(lab, server, 7_000, 0x01)],
    ];
    for (const [what, knocks, act] of cases) {
      await t.step(`${name}: ${what}`, async () => {
        const before = await count(lab, "knocks");
        await act();
        strictEqual(await count(lab, "knocks") - before, knocks);
      });
    }
  }
});

netnsTest("a UDP port opens by a grant, and what is established stays or is cut", async (t) => {
  await using lab = await createLab({ sources: 0 });
  await install(lab, "keep and cut");
  await using servers = new AsyncDisposableStack();
  const [kept, cut] = [51_820, 51_821];
  for (const { name, server, client } of FAMILIES) {
    const grants = name === "IPv4" ? "grants4" : "grants6";
    const element = (port: number, protocol = "udp") =>
      `inet pk ${grants} { ${client} . ${protocol} . ${port} }`;
    for (const port of [kept, cut]) servers.use(await spawn(lab.server, ECHO, server, `${port}`));

    await t.step(`${name}: without a grant it answers like a closed port`, async () => {
      const before = await count(lab, "refused");
      deepStrictEqual(await talk(lab, server, kept), ["refused"]);
      await nft(lab.server, `add element ${element(kept, "tcp")}`);
      deepStrictEqual(await talk(lab, server, kept), ["refused"]);
      strictEqual(await count(lab, "refused") - before, 2);
    });
    for (const [port, later] of [[kept, "echo"], [cut, "nothing"]] as const) {
      await t.step(`${name}: after the grant an old flow gets ${later}`, async () => {
        await nft(lab.server, `add element ${element(port)}`);
        const end = ["nsenter", `--net=/run/netns/${lab.server}`, "nft", "delete", "element"];
        const said = await talk(lab, server, port, [...end, ...element(port).split(" ")]);
        deepStrictEqual(said, ["echo", later]);
        deepStrictEqual(await talk(lab, server, port), ["refused"]);
      });
    }
  }
});

netnsTest(
  "a reload loses no packet of what is established, and lets nobody in",
  async () => {
    await using lab = await createLab({ sources: 0 });
    await install(lab, RELOADED[0]);
    const times = 10;
    const names = Array.from({ length: times }, () => RELOADED).flat();
    const [server, port] = ["10.99.0.1", "51820"];
    await using servers = new AsyncDisposableStack();
    servers.use(await spawn(lab.client, INTRUDER, server, port));
    const judge = servers.use(await spawn(lab.server, JUDGE, server, port, "10.99.0.2"));
    const deno = [Deno.execPath(), "run", "--frozen", "--allow-ffi", "--allow-env", TRANSACT];
    const { installed } = JSON.parse(await must(...enter(lab.server), ...deno, "reload", ...names));
    deepStrictEqual(
      new Set(installed.map((one: { transactions: number }) => one.transactions)),
      new Set([1]),
    );
    const { sent, lost, strangers } = JSON.parse(await judge.end());
    ok(sent > 500, `${sent} datagrams while it was reloaded`);
    deepStrictEqual({ lost, strangers }, { lost: 0, strangers: 0 });
    ok(await count(lab, "refused") > times, "the intruder was there");
  },
);

const RELOADED = ["keep and cut", "all kinds of doors"] as const;

/** Talks with a peer from the guarded port until it is told to end; counts what comes from others. */
const JUDGE = `
import json, select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
t = socket.create_server((sys.argv[1], 22))
peer = (sys.argv[3], 40000)
print("listens", flush=True)
sent = lost = strangers = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    s.sendto(b"%d" % sent, peer)
    sent += 1
    while True:
        ready = select.select([s, t], [], [], ${WAIT_SECONDS})[0]
        if not ready:
            lost += 1
            break
        if t in ready:
            t.accept()
            strangers += 1
        elif s.recvfrom(99)[1] == peer:
            break
        else:
            strangers += 1
print(json.dumps({"sent": sent, "lost": lost, "strangers": strangers}))
`;

/** Answers as the peer, and meanwhile tries to get in from other ports. */
const INTRUDER = `
import select, socket, sys
target = (sys.argv[1], int(sys.argv[2]))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 40000))
print("listens", flush=True)
while True:
    s.sendto(*s.recvfrom(99))
    if select.select([s], [], [], 0)[0]:
        continue
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"let me in", target)
    with socket.socket() as c:
        c.setblocking(False)
        c.connect_ex((sys.argv[1], 22))
`;

/** Echoes each datagram. */
const ECHO = `
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
print("listens", flush=True)
while True:
    data, peer = s.recvfrom(2048)
    s.sendto(data, peer)
`;

/** Says once, and again from the same socket after a command: what came back each time. */
const TALK = `
import socket, subprocess, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], int(sys.argv[2])))
s.settimeout(${WAIT_SECONDS})
def say():
    try:
        s.send(b"hello")
        return "echo" if s.recv(99) == b"hello" else "else"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "nothing"
print(say())
if len(sys.argv) > 3:
    subprocess.run(sys.argv[3:], check=True)
    print(say())
`;

/** A segment with these flags; nobody looks at its checksum before connection tracking. */
const SEGMENT = `
import socket, struct, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_RAW, 6)
tcp = struct.pack("!HHIIBBHHH", 40000, int(sys.argv[2]), 1, 0, 0x50, int(sys.argv[3]), 99, 0, 0)
s.sendto(tcp, (sys.argv[1], 0))
`;

const SEND = `
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(sys.argv[3])):
    s.sendto(b"", (sys.argv[1], int(sys.argv[2])))
`;

async function install(lab: Lab, name: string): Promise<void> {
  const deno = [Deno.execPath(), "run", "--frozen", "--allow-ffi", "--allow-env", TRANSACT];
  await must(...enter(lab.server), ...deno, "install", name);
}

/** So many with one identifier, 0.2 s apart. */
async function ping(lab: Lab, server: string, bytes: number, times: number): Promise<void> {
  const options = ["-q", "-i", "0.2", "-c", `${times}`, "-s", `${bytes}`];
  await must(...enter(lab.client), "ping", ...options, server);
}

async function send(lab: Lab, server: string, port: number, times: number): Promise<void> {
  await must(...enter(lab.client), "python3", "-c", SEND, server, `${port}`, `${times}`);
}

async function segment(lab: Lab, server: string, port: number, flags: number): Promise<void> {
  await must(...enter(lab.client), "python3", "-c", SEGMENT, server, `${port}`, `${flags}`);
}

interface Spawned extends AsyncDisposable {
  /** Tells it to end; what it said. */
  end(): Promise<string>;
}

/** Runs a program that says when it listens, until the end of the scope. */
async function spawn(ns: string, program: string, ...args: string[]): Promise<Spawned> {
  const [enterNs, ...entering] = enter(ns);
  const child = new Deno.Command(enterNs, {
    args: [...entering, "python3", "-c", program, ...args],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const said = lines(child.stdout);
  await said.next();
  return {
    async end() {
      await child.stdin.close();
      return (await said.next()).value ?? "";
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill();
      } catch {
        // It has ended.
      }
      await said.return(undefined);
      await child.status;
    },
  };
}

/** What came back, before and after the command. */
async function talk(
  lab: Lab,
  server: string,
  port: number,
  between: readonly string[] = [],
): Promise<string[]> {
  const command = ["python3", "-c", TALK, server, `${port}`, ...between];
  return (await must(...enter(lab.client), ...command)).trim().split("\n");
}

async function count(lab: Lab, name: string): Promise<number> {
  const { stdout } = await inside(lab.server, "nft", "list", "counter", "inet", "pk", name);
  return Number(/packets (\d+)/.exec(stdout)?.[1]);
}
