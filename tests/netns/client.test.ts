// pk knock on the wire: what it sends, packet by packet, and what it opens.
//
//     client  veth0 ◄────────► veth0  server: an echo service on 2222, nothing on 7000…
//     pk knock, knock, ping            8000 open, 9000 dropped by its own nftables
//     tcpdump

import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { netnsTest, sideBySide } from "../support/cases.ts";
import {
  createLab,
  enter,
  FAMILIES,
  inside,
  IPV4,
  IPV6,
  must,
  nft,
  type Outcome,
  sleep,
} from "../support/netns.ts";
import { GUARDED, KNOCKS, PK, runPk, setStage, startPk } from "../support/pk.ts";
import { startCapture } from "../support/capture.ts";
import { startAgent } from "../support/agent.ts";
import { startConfigured } from "../support/pk_config.ts";

const OPEN = 8000;
const CLOSED = 7000;
const DROPPED = 9000;

/** Linux repeats a SYN after 1 s and again after 3 s. */
const REPEATS_MS = 3_500;

netnsTest("a TCP knock is one SYN, whatever answers, and nothing is repeated", async (t) => {
  await using lab = await createLab({ sources: 0 });
  await using server = startAgent(lab.server);
  await server.listen(OPEN);
  await nft(
    lab.server,
    `table inet host { chain input { type filter hook input priority 0;
       tcp dport ${DROPPED} drop; }; }`,
  );
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    await using capture = await startCapture(lab.client, `host ${family.server} and tcp`);
    const ports = [CLOSED, OPEN, DROPPED, CLOSED, OPEN, DROPPED];
    const outcome = await runPk(lab.client, "knock", family.server, ...ports.map(String));
    deepStrictEqual(outcome, { code: 0, stdout: "", stderr: "" });
    await sleep(REPEATS_MS);
    const packets = await capture.packets();
    const sent = packets.filter(({ to }) => ports.some((port) => to.endsWith(`.${port}`)));
    const syns = sent.filter(({ what }) => what.startsWith("Flags [S]"));
    deepStrictEqual(syns.map(({ to }) => Number(to.split(".").at(-1))), ports, "in this order");
    strictEqual(new Set(syns.map(({ from }) => from)).size, ports.length, "own source ports");
    // A host answers a SYN-ACK that nobody waits for with a reset; without it, it would be repeated.
    const others = sent.filter(({ what }) => !what.startsWith("Flags [S]"));
    strictEqual(others.length, 2, JSON.stringify(others));
    for (const { to, what } of others) {
      ok(to.endsWith(`.${OPEN}`), to);
      match(what, /^Flags \[R\.?\]/);
    }
    const answers = packets.filter(({ from }) => ports.some((port) => from.endsWith(`.${port}`)));
    strictEqual(answers.length, 4, "one answer of each port that answers, none repeated");
    const gaps = syns.slice(1).map(({ at }, index) => at - (syns[index]?.at ?? 0));
    ok(gaps.every((ms) => ms >= 4.5 && ms < 200), `5 ms apart: ${gaps}`);
  });
});

netnsTest("the portable way sends one SYN, too", async (t) => {
  await using lab = await createLab({ sources: 0 });
  await using server = startAgent(lab.server);
  await server.listen(OPEN);
  await nft(
    lab.server,
    `table inet host { chain input { type filter hook input priority 0;
       tcp dport ${DROPPED} drop; }; }`,
  );
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    await using capture = await startCapture(
      lab.client,
      `dst host ${family.server} and (tcp or udp)`,
    );
    const ports = [CLOSED, OPEN, DROPPED, CLOSED, OPEN, DROPPED];
    const program = new URL("../support/portable_knock.ts", import.meta.url).pathname;
    const steps = [...ports.map((port) => `tcp/${port}`), "udp/8123"];
    await must(
      ...enter(lab.client),
      Deno.execPath(),
      "run",
      "-A",
      program,
      family.server,
      ...steps,
    );
    await sleep(REPEATS_MS);
    const packets = await capture.packets();
    const syns = packets.filter(({ what }) => what.startsWith("Flags [S]"));
    deepStrictEqual(syns.map(({ to }) => Number(to.split(".").at(-1))), ports, "in this order");
    const datagrams = packets.filter(({ what }) => what.startsWith("UDP"));
    deepStrictEqual(datagrams.map(({ what }) => what), ["UDP, length 1"]);
  });
});

netnsTest("a UDP knock is what knock -u sends, an ICMP knock what ping -s sends", async (t) => {
  await using lab = await createLab({ sources: 0 });
  await allowPing(lab.client);
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const [icmp, header, byte] = family.name === "IPv4"
      ? ["icmp", 28, "-4"] as const
      : ["icmp6", 48, "-6"] as const;
    await using capture = await startCapture(
      lab.client,
      `dst host ${family.server} and (udp port 8123 or ${
        icmp === "icmp" ? "icmp[0] == 8" : "(icmp6 and ip6[40] == 128)"
      })`,
    );
    const pk = (...args: string[]) => succeeds(runPk(lab.client, "knock", ...args));
    await succeeds(inside(lab.client, "knock", byte, "-u", family.server, "8123"));
    await pk("-u", family.server, "8123");
    await pk(family.server, "8123:udp");
    await pk(byte, family.server, "udp/8123");
    for (const size of SIZES) {
      await inside(lab.client, "ping", "-q", "-c", "1", "-W", "1", "-s", size, family.server);
      await pk(family.server, `${icmp}/${size}`);
    }
    const packets = await capture.packets();
    const udp = packets.filter(({ what }) => what.startsWith("UDP"));
    strictEqual(udp.length, 4);
    strictEqual(new Set(udp.map(({ bytes }) => payloadOf(bytes, header))).size, 1);
    deepStrictEqual(udp.map(({ what }) => what), new Array(4).fill("UDP, length 1"));
    const pings = packets.filter(({ what }) => what.includes("echo request"));
    strictEqual(pings.length, 2 * SIZES.length, pings.map(({ what }) => what).join("\n"));
    for (let at = 0; at < pings.length; at += 2) {
      const [theirs, ours] = [pings[at], pings[at + 1]];
      const length = (what = "") => what.match(/length (\d+)/)?.[1];
      strictEqual(length(ours?.what), length(theirs?.what));
      // Where there is room, ping begins with the time: 16 bytes.
      const time = Number(SIZES[at / 2]) >= 16 ? 16 : 0;
      const pattern = (bytes = "") => payloadOf(bytes, header + time);
      strictEqual(pattern(ours?.bytes), pattern(theirs?.bytes));
    }
  });
});

netnsTest("pk knock opens a door, and --wait says so", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--rule-timer", "1s");
  const knocks = KNOCKS.map(String);
  for (const { name, server, client } of FAMILIES) {
    await t.step(name, async () => {
      const knock = (...args: string[]) => runPk(stage.lab.client, "knock", ...args);
      const wrong = await knock("--wait=2222", "--timeout", "1s", server, ...knocks.toReversed());
      strictEqual(wrong.code, 1);
      strictEqual(wrong.stdout, "");
      match(wrong.stderr, /tcp\/2222 .* did not open: no answer within 1s\. Look at the sequence/);
      const open = await knock("--wait=2222", "-v", server, ...knocks);
      strictEqual(open.code, 0, open.stderr);
      match(open.stdout, /^tcp\/2222 at \S+ is open, \d+(\.\d)? ms after the last knock\n$/);
      strictEqual(
        open.stderr,
        KNOCKS.map((port) => `pk: knocked tcp/${port} at ${server}\n`).join(""),
      );
      const [, ms] = open.stdout.match(/open, ([\d.]+) ms/) ?? [];
      ok(Number(ms) < 500, `its first SYN got in: ${ms} ms`);
      await pk.event("expired", { source: client });
      const json = await knock("--json", "--wait=tcp/2222", server, ...knocks);
      strictEqual(json.code, 0, json.stderr);
      const { openMs, knocks: sent, ...rest } = JSON.parse(json.stdout);
      deepStrictEqual(rest, { host: server, address: server, port: "tcp/2222", open: true });
      ok(openMs > 0 && openMs < 500, `${openMs}`);
      deepStrictEqual(
        sent.map(({ knock }: { knock: string }) => knock),
        knocks.map((port) => `tcp/${port}`),
      );
      await pk.event("expired", { source: client }, { nth: 2 });
      const [shut, none] = await Promise.all([
        knock("--json", "--wait=2222", "--timeout", "500ms", server, "7001"),
        knock("--json", server, "7001"),
      ]);
      strictEqual(shut.code, 1);
      strictEqual(JSON.parse(shut.stdout).open, false);
      strictEqual(none.code, 0);
      deepStrictEqual(Object.keys(JSON.parse(none.stdout)), ["host", "address", "knocks"]);
    });
  }
});

netnsTest(
  "a mixed door with delays opens to typed knocks, and to a profile that keeps them",
  async () => {
    await using stage = await setStage();
    await allowPing(stage.lab.client);
    await using _pk = await startConfigured(
      stage.ns,
      `doors:
  mixed:
    opens: [tcp/${GUARDED}]
    knock: [tcp/7000, udp/8123: { after: 200ms, before: 3s }, icmp/56]
    for: 1s
    weak: accepted`,
    );
    const knocked = await runPk(
      stage.lab.client,
      ...["knock", "-d", "250", "--wait=2222", IPV4.server, "7000", "8123:udp", "icmp/56"],
    );
    strictEqual(knocked.code, 0, knocked.stderr);
    await sleep(1_500);
    const profiles = await Deno.makeTempFile({ prefix: "pk-hosts-" });
    await Deno.writeTextFile(
      profiles,
      `hosts: { mixed: { host: ${IPV4.server}, opens: tcp/${GUARDED},
       knock: [tcp/7000, udp/8123: { after: 200ms, before: 3s }, icmp/56] } }`,
    );
    const profile = ["knock", "--wait", "--profiles", profiles, "mixed"];
    const kept = await runPk(stage.lab.client, ...profile);
    await Deno.remove(profiles);
    strictEqual(kept.code, 0, kept.stderr);
  },
);

netnsTest("pk knock needs no privilege, and no library but libc", async () => {
  await using lab = await createLab({ sources: 0 });
  const nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all".split(
    " ",
  );
  const trace = await Deno.makeTempFile({ prefix: "pk-strace-" });
  const strace = ["strace", "-D", "-f", "-qq", "-e", "trace=open,openat", "-o", trace];
  await Deno.chmod(trace, 0o666);
  await using capture = await startCapture(lab.client, `dst host ${IPV4.server} and tcp`);
  const knock = [PK, "knock", IPV4.server, "7000", "8123:udp", "9000"];
  await succeeds(inside(lab.client, ...nobody, ...strace, ...knock));
  const packets = await capture.packets();
  deepStrictEqual(packets.map(({ to }) => to), ["10.99.0.1.7000", "10.99.0.1.9000"]);
  for (let tries = 0; tries < 50 && !(await Deno.readTextFile(trace)).includes("libc"); tries++) {
    await sleep(20); // strace writes on after pk has ended
  }
  const opened = await Deno.readTextFile(trace);
  await Deno.remove(trace);
  match(opened, /libc\.so\.6/);
  doesNotMatch(opened, /libmnl|libnetfilter/);
  const ping = await inside(lab.client, ...nobody, PK, "knock", IPV4.server, "7000", "icmp/56");
  strictEqual(ping.code, 1, "a new namespace allows nobody ping sockets");
  match(ping.stderr, /ping_group_range.*ping -s 56 -c 1 10\.99\.0\.1/);
});

netnsTest("one address, chosen once: no other family is tried", async (t) => {
  await using lab = await createLab({ sources: 0 });
  const hosts = await Deno.makeTempFile({ prefix: "pk-hosts-" });
  await Deno.writeTextFile(hosts, FAMILIES.map(({ server }) => `${server} both.test\n`).join(""));
  // A name server is nowhere to be found: what the hosts file does not have is unknown.
  const withHosts = `mount --bind ${hosts} /etc/hosts && exec "$@"`;
  const knock = (...args: string[]) =>
    inside(
      lab.client,
      ..."unshare --mount --propagation private sh -c".split(" "),
      withHosts,
      "sh",
      PK,
      "knock",
      ...args,
    );
  for (const [flag, family] of [["-4", IPV4], ["-6", IPV6], ["--json", undefined]] as const) {
    await t.step(flag, async () => {
      await using capture = await startCapture(lab.client, "tcp[tcpflags] & tcp-syn != 0 or ip6");
      const outcome = await succeeds(knock(flag, "both.test", "7000", "8000"));
      const syns = (await capture.packets()).filter(({ what }) => what.startsWith("Flags [S]"));
      const chosen = family?.server ?? JSON.parse(outcome.stdout).address;
      deepStrictEqual(syns.map(({ to }) => to), [`${chosen}.7000`, `${chosen}.8000`]);
    });
  }
  const unknown = await knock("nosuch.test", "7000");
  strictEqual(unknown.code, 1);
  match(unknown.stderr, /nosuch\.test/);
  await Deno.remove(hosts);
});

netnsTest("link-local addresses open doors, with their interface", async () => {
  await using stage = await setStage();
  await using _pk = await startPk(stage.ns);
  const shown = await must(
    ...enter(stage.ns),
    ..."ip -6 -o addr show dev veth0 scope link".split(" "),
  );
  const [address = ""] = shown.match(/fe80::[0-9a-f:]+/) ?? [];
  const knock = (host: string) =>
    runPk(stage.lab.client, "knock", "--wait=2222", host, ...KNOCKS.map(String));
  strictEqual((await knock(`${address}%veth0`)).code, 0);
  const without = await knock(address);
  strictEqual(without.code, 1);
  match(without.stderr, /%interface/);
  match((await knock(`${address}%nowhere`)).stderr, /Cannot find the interface nowhere/);
});

netnsTest("what cannot be knocked ends with one clear line", async (t) => {
  await using lab = await createLab({ sources: 0 });
  const cases: readonly { args: string[]; code: number; says: RegExp }[] = [
    { args: ["203.0.113.1", "7000"], code: 1, says: /203\.0\.113\.1: no route \(ENETUNREACH\)/ },
    { args: ["2001:db8::1", "7000:udp"], code: 1, says: /2001:db8::1: no route \(ENETUNREACH\)/ },
    { args: ["10.99.0.1", "0"], code: 2, says: /"0": .*1 to 65535/ },
    { args: ["10.99.0.1", "7000:sctp"], code: 2, says: /"7000:sctp"/ },
    { args: ["10.99.0.1", ...new Array(33).fill("80")], code: 2, says: /32 knocks.*33/ },
    { args: ["-6", "10.99.0.1", "80"], code: 2, says: /IPv4.*-6/ },
    { args: ["2001:db8::1", "7000", "icmp/56"], code: 2, says: /IPv4\. Use icmp6 instead/ },
    { args: ["-d", "x", "10.99.0.1", "80"], code: 2, says: /-d "x"/ },
    { args: ["--wait", "10.99.0.1", "80"], code: 2, says: /--wait=22/ },
    { args: ["--profiles", "/nowhere", "server"], code: 1, says: /no file \/nowhere/ },
  ];
  await sideBySide(t, cases, ({ args }) => args.slice(0, 3).join(" "), async (one) => {
    const { code, stdout, stderr } = await runPk(lab.client, "knock", ...one.args);
    deepStrictEqual([code, stdout], [one.code, ""], stderr);
    match(stderr, one.says);
    match(stderr, /^pk: error: [^\n]*\n$/);
  });
});

/** Payloads of echo requests. */
const SIZES = ["0", "1", "15", "16", "56", "1400"] as const;

/** What comes after so many bytes of a packet. */
function payloadOf(bytes: string, header: number): string {
  return bytes.slice(2 * header);
}

async function succeeds(running: Promise<Outcome>): Promise<Outcome> {
  const outcome = await running;
  strictEqual(outcome.code, 0, outcome.stderr);
  return outcome;
}

/** Ping sockets are for the groups that this names; a new namespace has none. */
async function allowPing(ns: string): Promise<void> {
  await must(...enter(ns), "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647");
}
