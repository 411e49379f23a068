// Packets made to confuse: as a knock each counts or is ignored, and nothing of others changes; at the
// guarded door none gets an answer without a grant.
//
//     client  veth0 ◄────────────────► veth0  server: pk guards 2222 (a service listens)
//             hostile.py, for a net of                knocks 7000, 8000, 9000
//             forged peers behind it                  route to that net by the client
//
// Every case has three peers of its own. A victim knocks, all but the last; so does a bystander. Then
// the victim sends its last knock in the hostile form, then the bystander its own, then the victim its
// own once more in the plain form. So the victim always ends with a grant, and the order of the two in
// the log says whether the hostile form counted. The third, a stranger, never knocks: it sends the same
// form to the guarded port.
//
// What counts: a SYN, whole or put together by the kernel, whose lengths agree, from an address that a
// peer can have, to a watched port at an address of this host. What the kernel looks at after the
// rules only (TCP checksum, options, segments left) need not be right: whoever sends it from their own
// address knows the sequence, and a right one costs them nothing.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { enter, type Family, IPV4, IPV6, must, range } from "../support/netns.ts";
import { grants, GUARDED, KNOCKS, setStage, startPk } from "../support/pk.ts";
import { type Shot, startShooter } from "../support/hostile.ts";
import { netnsTest } from "../support/cases.ts";

interface Case {
  readonly name: string;
  /** In hostile.py; if not said, the case's name, or "plain" where the addresses are what is hostile. */
  readonly form?: string;
  readonly counts: boolean;
  /** With a grant, is it answered with SYN and ACK at the guarded port? Where it counts, unless. */
  readonly answered?: boolean;
  /** Another source than the victim's own: then the whole sequence comes from there. */
  readonly source?: string;
  readonly destination?: string;
}

const FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32 } as const;

/** A knock is a SYN: PSH and URG change nothing, FIN, RST and ACK make it something else. */
const FLAGS: readonly Case[] = range(64).map((n) => {
  const flags = n - 1;
  const names = Object.entries(FLAG).filter(([, bit]) => flags & bit).map(([name]) => name);
  const { FIN, SYN, RST, ACK } = FLAG;
  return {
    name: `flags: ${names.join(" ") || "none"}`,
    form: `flags 0x${flags.toString(16)}`,
    counts: (flags & (FIN | SYN | RST | ACK)) === SYN,
  };
});

const BOTH: readonly Case[] = [
  { name: "plain", counts: true },
  ...FLAGS,
  { name: "ECN", counts: true },
  { name: "ECE alone", counts: true },
  { name: "CWR alone", counts: true },
  { name: "reserved bits", counts: true },
  { name: "with data", counts: true },
  { name: "fast open, asking", counts: true },
  { name: "fast open, with data", counts: true },
  { name: "full options", counts: true },
  { name: "broken options", counts: true },
  { name: "urgent pointer", counts: true },
  { name: "acknowledgment", counts: true },
  { name: "no window", counts: true },
  // Offsets that lie about the header.
  { name: "offset 0", counts: false },
  { name: "offset 4", counts: false },
  { name: "offset behind the end", counts: false },
  { name: "cut after the ports", counts: false },
  { name: "cut after the flags", counts: false },
  { name: "cut before the end", counts: false },
  { name: "no TCP at all", counts: false },
  // Not verified: cards and veth leave the filling in until later, and pk sees packets before that.
  { name: "bad checksum", counts: true, answered: false },
  { name: "checksum 0", counts: true, answered: false },
  { name: "source port 0", counts: false },
  { name: "destination port 0", counts: false },
  { name: "ports alike", counts: true },
  // The same bytes in something else.
  { name: "UDP", counts: false },
  { name: "SCTP", counts: false },
  { name: "ICMP error", counts: false },
  { name: "GRE", counts: false },
  { name: "tunnel", counts: false },
  // Frames: IP says that it is for us, the frame that it is for all, or for somebody else.
  { name: "broadcast frame", counts: true, answered: false },
  { name: "another's frame", counts: false },
  { name: "bytes behind the end", counts: true },
  // Fragments: what the kernel puts together. Of a part given twice the first holds, as for the host;
  // parts that overlap otherwise end the packet.
  { name: "two fragments", counts: true },
  { name: "fragments backwards", counts: true },
  { name: "fragments doubled", counts: true },
  { name: "first fragment only", counts: false },
  { name: "last fragment only", counts: false },
  { name: "hole", counts: false },
  { name: "overlap", counts: false },
  { name: "overlap of the flags", counts: false },
  { name: "inner fragment", counts: false },
  { name: "ports twice, last watched", counts: false },
  { name: "empty fragment", counts: false },
  { name: "behind 65535", counts: false },
];

const V4: readonly Case[] = [
  // 13 bytes with more to come: the kernel cuts five off.
  { name: "odd fragment", counts: true },
  { name: "fragments of 8 bytes", counts: true },
  { name: "ports twice, first watched", counts: true },
  { name: "don't and more", counts: true },
  { name: "reserved flag", counts: true },
  { name: "NOP options", counts: true },
  { name: "40 bytes of options", counts: true },
  { name: "record route", counts: true },
  { name: "timestamp", counts: true },
  { name: "router alert", counts: true },
  { name: "loose source route", counts: true, answered: false },
  { name: "strict source route", counts: true, answered: false },
  { name: "option without length", counts: true, answered: false },
  { name: "option behind the end", counts: true, answered: false },
  { name: "header length 4", counts: false },
  { name: "header length 15", counts: false },
  { name: "version 6", counts: false },
  { name: "bad IP checksum", counts: false },
  { name: "total length 65535", counts: false },
  { name: "total length 20", counts: false },
  { name: "total length 39", counts: false },
  { name: "total length 0", counts: false },
  { name: "time to live 0", counts: true },
  { name: "AH", counts: false },
  { name: "ESP", counts: false },
  { name: "6in4", counts: false },
  { name: "source = destination", source: IPV4.server, counts: false },
  {
    name: "source = destination, ports too",
    form: "ports alike",
    source: IPV4.server,
    counts: false,
  },
  { name: "from loopback", source: "127.0.0.1", counts: false },
  { name: "from 0.0.0.0", source: "0.0.0.0", counts: false },
  { name: "from 255.255.255.255", source: "255.255.255.255", counts: false },
  { name: "from the net's broadcast address", source: "10.99.255.255", counts: false },
  { name: "from multicast", source: "224.0.0.1", counts: false },
  { name: "from class E", source: "240.0.0.1", counts: false },
  { name: "to 255.255.255.255", destination: "255.255.255.255", counts: false },
  { name: "to the net's broadcast address", destination: "10.99.255.255", counts: false },
  { name: "to the net itself", destination: "10.99.0.0", counts: false },
  { name: "to multicast", destination: "224.0.0.1", counts: false },
  { name: "to 0.0.0.0", destination: "0.0.0.0", counts: false },
  { name: "to another host", destination: "10.99.0.77", counts: false },
  { name: "to loopback", destination: "127.0.0.1", counts: true, answered: false },
];

const V6: readonly Case[] = [
  // RFC 8200, section 4.5: the first fragment has all headers, or the packet is none.
  { name: "fragments of 8 bytes", counts: false },
  { name: "odd fragment", counts: false },
  { name: "ports twice, first watched", counts: false },
  { name: "headers in two fragments", counts: false },
  { name: "atomic fragment", counts: true },
  { name: "hop-by-hop", counts: true },
  { name: "destination options", counts: true },
  { name: "routing, type 0, at its end", counts: true },
  { name: "routing, type 0, to go on", counts: true, answered: false },
  { name: "routing, type 2", counts: true, answered: false },
  { name: "routing, type 3", counts: true, answered: false },
  { name: "routing, type 4", counts: true, answered: false },
  { name: "routing, unknown type", counts: true, answered: false },
  { name: "AH", counts: false },
  { name: "AH that is too short", counts: false },
  { name: "ESP", counts: false },
  { name: "no next header", counts: false },
  { name: "nothing follows", counts: false },
  { name: "mobility", counts: false },
  { name: "HIP", counts: false },
  { name: "shim6", counts: false },
  { name: "experimental header", counts: false },
  { name: "all in the order of RFC 8200, with AH", counts: false },
  { name: "all but AH", counts: true },
  { name: "8 headers", counts: true },
  { name: "9 headers", counts: false, answered: true },
  { name: "150 headers", counts: false },
  // pk is handed the first 1,024 bytes of a packet, and the kernel takes no padding of this length.
  { name: "header of 512 bytes", counts: true, answered: false },
  { name: "header of 1,024 bytes", counts: false },
  { name: "hop-by-hop second", counts: false },
  { name: "hop-by-hop twice", counts: false },
  { name: "two fragment headers", counts: true, answered: false },
  { name: "header behind the end", counts: false },
  { name: "unknown option, discard", counts: true, answered: false },
  { name: "jumbo, a lie", counts: false },
  { name: "jumbo, too small", counts: false },
  { name: "payload length 0", counts: false },
  { name: "payload length 0, hop-by-hop", counts: false },
  { name: "payload length 65535", counts: false },
  { name: "payload length 19", counts: false },
  { name: "hop limit 0", counts: true },
  { name: "version 4", counts: false },
  { name: "4in6", counts: false },
  { name: "source = destination", source: IPV6.server, counts: false },
  {
    name: "source = destination, ports too",
    form: "ports alike",
    source: IPV6.server,
    counts: false,
  },
  { name: "from loopback", source: "::1", counts: false },
  { name: "from ::", source: "::", counts: false },
  { name: "from multicast", source: "ff02::1", counts: false },
  { name: "from an IPv4-mapped address", source: "::ffff:10.77.250.1", counts: false },
  { name: "to an IPv4-mapped address", destination: "::ffff:10.99.0.1", counts: false },
  { name: "to multicast", destination: "ff02::1", counts: false },
  { name: "to ::", destination: "::", counts: false },
  { name: "to another host", destination: "fd99::77", counts: false },
  { name: "to loopback", destination: "::1", counts: false },
];

/** A case over one family, with its peers. */
interface Trial extends Case {
  readonly form: string;
  readonly family: Family;
  readonly victim: string;
  readonly bystander: string;
  readonly stranger: string;
}

const TRIALS: readonly Trial[] = [
  ...withPeers(IPV4, [...BOTH, ...V4]),
  ...withPeers(IPV6, [...BOTH, ...V6]),
];

netnsTest("a hostile packet is a knock or none, and changes nothing of others", async (t) => {
  await using stage = await setStage();
  await routePeers(stage.ns);
  await using pk = await startPk(stage.ns, "--rule-timer", "60s");
  await using shooter = await startShooter(stage.lab.client, stage.ns);
  const tableBefore = await table(stage.ns);
  const framesBefore = await framesReceived(stage.ns);

  const { answers, frames } = await shooter.send(TRIALS.flatMap(knocksOf), 200);
  await pk.event("granted", { source: TRIALS.at(-1)?.victim });
  const order = pk.seen("granted").map(({ source }) => `${source}`);
  const doors = await shooter.send(TRIALS.flatMap(callsOf), 500);

  let [first, call] = [0, 0];
  for (const trial of TRIALS) {
    const strangers = answers[first];
    const [bent, ...plain] = doors.answers.slice(call, call + callsOf(trial).length);
    first += knocksOf(trial).length;
    call += callsOf(trial).length;
    await t.step(`${trial.family.name}: ${trial.name}`, () => {
      strictEqual(outcome(order, trial), trial.counts ? "counts" : "ignored");
      strictEqual(strangers, null, "the stranger's form at the guarded port: no answer");
      deepStrictEqual(plain, ["SA", "SA", null], "then victim, bystander, and not the stranger");
      if (trial.answered ?? trial.counts) {
        ok(bent?.startsWith("SA"), `the form, with a grant: ${bent}`);
      }
    });
  }

  await t.step("every frame arrived", async () => {
    const received = await framesReceived(stage.ns) - framesBefore;
    ok(received >= frames + doors.frames, `${received} of ${frames + doors.frames}`);
  });
  await t.step("grants for those who knocked, and for nobody else", async () => {
    const expected = TRIALS.flatMap(({ victim, bystander }) => [victim, bystander]);
    const found = (await grants(stage.ns)).map(({ source }) => source);
    deepStrictEqual(found.filter((source) => !expected.includes(source)), [], "nobody else");
    deepStrictEqual(expected.filter((source) => !found.includes(source)), [], "all of them");
  });
  await t.step("nothing else in the table changed, and nothing was an error", async () => {
    strictEqual(await table(stage.ns), tableBefore);
    deepStrictEqual(pk.events.filter(({ level }) => level === "error"), []);
    pk.kill("SIGTERM");
    strictEqual(await pk.ended(), 0);
  });
});

netnsTest("--filter stateless: no form of a SYN gets in without a grant", async (t) => {
  await using stage = await setStage();
  await routePeers(stage.ns);
  await using pk = await startPk(stage.ns, "--rule-timer", "60s", "--filter", "stateless");
  await using shooter = await startShooter(stage.lab.client, stage.ns);
  const atTheDoor = (trial: Trial, form: string, source: string): Shot => {
    const destination = trial.destination ?? trial.family.server;
    return { form, source, destination, port: GUARDED };
  };
  const strangers = await shooter.send(
    TRIALS.map((trial) => atTheDoor(trial, trial.form, trial.source ?? trial.stranger)),
    500,
  );
  for (const [index, trial] of TRIALS.entries()) {
    const answer = strangers.answers[index] ?? null;
    await t.step(`${trial.family.name}: ${trial.name}`, () => {
      // A segment that begins nothing passes to the host, which knows no connection: a reset.
      ok(answer === null || answer.startsWith("R"), `answered with ${answer}`);
      if (trial.counts) strictEqual(answer, null, "a SYN is refused in silence");
    });
  }
  await t.step("with a grant a SYN gets in", async () => {
    for (const family of [IPV4, IPV6]) {
      const source = family.source(9);
      const syn = { form: "plain", source, destination: family.server };
      await shooter.send(KNOCKS.map((port) => ({ ...syn, port })), 0);
      await pk.event("granted", { source });
      const { answers } = await shooter.send([{ ...syn, port: GUARDED }], 500);
      deepStrictEqual(answers, ["SA"]);
    }
    strictEqual(pk.seen("granted").length, 2);
  });
});

function withPeers(family: Family, cases: readonly Case[]): Trial[] {
  const peer = family === IPV4
    ? (net: number, n: number) => `10.77.${net}.${n}`
    : (net: number, n: number) => `fd77:0:0:${net.toString(16)}::${n}`;
  return cases.map((one, index) => ({
    ...one,
    form: one.form ?? (one.source || one.destination ? "plain" : one.name),
    family,
    victim: peer(index + 1, 1),
    bystander: peer(index + 1, 2),
    stranger: peer(index + 1, 3),
  }));
}

/** The stranger at the door, then the knocks of victim and bystander as told on top. */
function knocksOf(trial: Trial): Shot[] {
  const { family, form, source, victim, bystander, stranger } = trial;
  const bent = { form, destination: trial.destination ?? family.server };
  const knocks = (peer: string, ports: readonly number[]) =>
    ports.map((port) => ({ form: "plain", source: peer, destination: family.server, port }));
  return [
    { ...bent, source: source ?? stranger, port: GUARDED },
    ...knocks(victim, KNOCKS.slice(0, -1)),
    ...knocks(bystander, KNOCKS.slice(0, -1)),
    ...KNOCKS.slice(source ? 0 : -1).map((port) => ({ ...bent, source: source ?? victim, port })),
    ...knocks(bystander, KNOCKS.slice(-1)),
    ...knocks(victim, KNOCKS.slice(-1)),
  ];
}

/** At the door: the form from the victim, who has a grant now, then plain SYNs of all three. */
function callsOf(trial: Trial): Shot[] {
  const { family, form, victim, bystander, stranger, destination } = trial;
  const call = { form: "plain", destination: family.server, port: GUARDED };
  return [
    { ...call, form, source: victim, destination: destination ?? family.server },
    ...[victim, bystander, stranger].map((source) => ({ ...call, source })),
  ];
}

/** What the form did, from the order in which sources got their grants. */
function outcome(order: readonly string[], { source, victim, bystander }: Trial): string {
  const [first, second] = [order.indexOf(victim), order.indexOf(bystander)];
  if (second < 0) return "takes the bystander's knocks away";
  if (first < 0) return "takes the victim's knocks away";
  if (source && order.includes(source)) return "counts";
  return first < second ? "counts" : "ignored";
}

/** Sends the server's answers for the forged peers to the client, which drops what it gets of them. */
async function routePeers(ns: string): Promise<void> {
  await must(...enter(ns), ..."ip route add 10.77.0.0/16 via".split(" "), IPV4.client);
  await must(...enter(ns), ..."ip route add fd77::/48 via".split(" "), IPV6.client);
}

async function framesReceived(ns: string): Promise<number> {
  const show = await must(...enter(ns), ..."ip -j -s link show dev veth0".split(" "));
  return JSON.parse(show)[0].stats64.rx.packets;
}

/** The table of pk without what counts, and without what stands for a time in its sets. */
async function table(ns: string): Promise<string> {
  const list = await must(...enter(ns), ..."nft -j --stateless list table inet pk".split(" "));
  const objects: { counter?: unknown; set?: { name: string; elem?: unknown } }[] =
    JSON.parse(list).nftables;
  for (const { set } of objects) if (/^(grants|finishing)/.test(set?.name ?? "")) delete set?.elem;
  return JSON.stringify(objects.filter(({ counter }) => !counter), null, 1);
}
