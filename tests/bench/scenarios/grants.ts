// Grants: what one more costs where 100,000 stand, what a full set does, and what the rules cost the
// bulk traffic of a connection that is in.
//
// The time to write one is measured in pk's own code, from the call to the kernel's ack, since from
// outside it cannot be told from everything else. The time of a whole knock at that fill stands
// beside it. The grants are earned by forged sources with complete sequences.

import type { Filter } from "../../../src/config/config.ts";
import { must, sleep } from "../../support/netns.ts";
import type { Background } from "../background.ts";
import { BULK_PORT, FAMILIES, type FamilyName, GUARDED_PORT, KNOCK_PORTS } from "../addresses.ts";
import type { BulkOrder, BulkSent } from "../bulk.ts";
import type { Connected } from "../connector.ts";
import { counted } from "../counters.ts";
import { COMPLETE, walk } from "../flood.ts";
import type { FillOrder, Written } from "../grant_writer.ts";
import { freshSources, inWithFirstSyn, summarise, visit } from "../knockers.ts";
import {
  type BenchLab,
  createBenchLab,
  loadRuleset,
  program,
  startClient,
  startPk,
} from "../lab.ts";
import { createNetwork, enter } from "../network.ts";
import type { Options } from "../options.ts";
import { type Result, share } from "../report.ts";
import { median, percentile } from "../statistics.ts";

const GRANTS = 100_000;
const TIMED = 1_000;
const WRITE_TARGET = { atMost: 200 };
/** SYNs a second that earn the grants: slower than what pk takes. */
const EARN_RATE = 40_000;
const KNOCKERS = 100;
const REFUSED_KNOCKERS = 3;

const BULK_TARGET = { atLeast: 0.97 };
/** Where a connection's memory lies is worth 2 %, so that it takes several to compare hosts. */
const BULK_ROUNDS = 12;
/** Many short turns: what disturbs the machine lasts longer than one of them. */
const BULK_TURNS = 30;
const BULK_SECONDS = 0.02;
/** The fresh source of the bulk connection. */
const SOURCE = 1;

/** What a stateful firewall costs: connection tracking, and one rule that asks it. */
const STATEFUL = `
table inet stateful {
  chain input {
    type filter hook input priority 0;
    ct state established accept
  }
}
`;

/** With a stateful firewall, as most have, which tracks connections already, and without any. */
const BULK_HOSTS: readonly { readonly firewall: boolean; readonly filter?: Filter }[] = [
  { firewall: true },
  { firewall: true, filter: "stateful" },
  { firewall: false },
  { firewall: false, filter: "stateless" },
  { firewall: false, filter: "stateful" },
];

export async function grants(options: Options): Promise<Result[]> {
  const results: Result[] = [];
  const tell = (more: readonly Result[]) => {
    more.forEach(options.progress);
    results.push(...more);
  };
  tell(await writing());
  tell(await fullSet(options));
  for (const family of FAMILIES) tell(await bulk(family, options));
  return results;
}

/** One more grant, in pk's own code. */
async function writing(): Promise<Result[]> {
  await using network = await createNetwork();
  await using writer = program(network.server, "grant_writer.ts", {
    permissions: ["--allow-ffi", "--allow-env"],
  });
  const order = async (one: FillOrder) => await writer.order(one) as Written;
  const empty = await order({ grants: 0, more: TIMED });
  const full = await order({ grants: GRANTS, more: TIMED });
  if (empty.refused + full.refused > 0) throw new Error("The kernel refused grants");
  const line = (name: string, percent: number): Result => ({
    scenario: "grants",
    what: `one more where ${GRANTS.toLocaleString("en-US")} stand, ${name}`,
    unit: "µs",
    value: percentile(full.us, percent),
    reference: { what: "none stand", value: percentile(empty.us, percent) },
  });
  return [
    { ...line("p50", 0.5), target: WRITE_TARGET, chart: "one more grant beside 100,000, p50" },
    line("p99", 0.99),
  ];
}

/** A set as full as it may be, filled through the network. */
async function fullSet({ connections }: Options): Promise<Result[]> {
  await using lab = await createBenchLab();
  await using client = startClient(lab);
  const count = Math.min(connections, KNOCKERS);
  const max = GRANTS + count + 1;
  await using pk = await startPk(lab, "--grants-max", String(max), "--rule-timer", "1h");
  const fresh = freshSources();
  const family = "ipv4";
  const one = { family, gapMs: 5, withinMs: 60_000 } as const;

  const [first] = await visit(client, fresh, { ...one, count: 1 });
  await earn(lab, GRANTS);
  const atFill = summarise(await visit(client, fresh, { ...one, count }), pk);
  const standing = await openGrants(lab);
  const refused = await visit(client, fresh, { ...one, count: REFUSED_KNOCKERS });
  await sleep(1_500); // the throttled lines
  const failures = pk.seen("grant failed").length;
  const again = await client.order({
    family,
    source: 1,
    knocks: [],
    gapMs: 0,
    port: GUARDED_PORT,
  }) as Connected;
  const standingAfter = await openGrants(lab);

  const scenario = "grants";
  const fill = `${max.toLocaleString("en-US")} stand, which is all that may`;
  return [
    share(scenario, "grants that stand after complete sequences", "grants", standing, max),
    {
      scenario,
      what: `p50 from the last knock to connected where ${GRANTS.toLocaleString("en-US")} stand`,
      unit: "µs",
      value: atFill.p50Us,
      detail: atFill,
    },
    share(scenario, "in with the first SYN at that fill", "knockers", atFill.firstSyn, count),
    share(
      scenario,
      `${fill}: knockers refused`,
      "knockers",
      refused.filter((each) => !each.connected).length,
      REFUSED_KNOCKERS,
    ),
    share(scenario, `${fill}: lines "grant failed"`, "lines", failures, REFUSED_KNOCKERS, {
      target: { atLeast: 1 },
      detail: pk.seen("grant failed").slice(0, 3),
    }),
    share(scenario, `${fill}: not evicted`, "grants", standingAfter, standing, {
      target: { atLeast: 1 },
      chart: "grants kept when the set is full",
      detail: { knocksCounted: await counted(lab.network.server, "knocks") },
    }),
    share(
      scenario,
      `${fill}: the first one still gets in`,
      "connects",
      first?.connected && inWithFirstSyn(again) ? 1 : 0,
      1,
    ),
  ];
}

/** Complete sequences of forged sources, one each. */
async function earn(lab: BenchLab, count: number): Promise<void> {
  const order = { ...walk(COMPLETE, "ipv4", count), count: count * KNOCK_PORTS.length };
  await lab.send({ ...order, rate: EARN_RATE });
  await sleep(500);
}

/** How many grants of IPv4 stand in the kernel. */
async function openGrants(lab: BenchLab): Promise<number> {
  const ns = lab.network.server;
  const text = await must(...enter(ns), "nft", "-j", "list", "set", "inet", "pk", "grants4");
  return JSON.parse(text).nftables[1].set.elem?.length ?? 0;
}

/**
 * A granted connection through pk's rules beside one without pk: on a host that tracks connections
 * already, and on a bare one, where pk switches that on unless its filter is stateless. What is promised
 * is beside the same treatment without pk.
 */
async function bulk(family: FamilyName, { repetitions }: Options): Promise<Result[]> {
  const rates = BULK_HOSTS.map((): number[] => []);
  for (let round = 0; round < BULK_ROUNDS * repetitions; round++) {
    (await bulkRates(family)).forEach((more, host) => rates[host]?.push(...more));
  }
  const [tracking = [], both = [], bare = [], stateless = [], stateful = []] = rates;
  const beside = (
    what: string,
    pk: readonly number[],
    reference: string,
    without: readonly number[],
  ): Result => {
    // What disturbs the machine disturbs all of a turn, so the turns' own ratios say more than medians.
    const ratios = pk.map((rate, turn) => rate / (without[turn] ?? NaN));
    const rounds = pk.length / BULK_TURNS;
    const ratiosOfRounds = Array.from(
      { length: rounds },
      (_, round) => median(ratios.slice(round * BULK_TURNS, (round + 1) * BULK_TURNS)),
    );
    return {
      scenario: "grants",
      what: `${family}, bulk TCP of a granted connection, ${what}`,
      unit: "MB/s",
      value: median(pk),
      reference: { what: reference, value: median(without) },
      ratio: median(ratios),
      detail: { ratiosOfRounds },
    };
  };
  const promised = (result: Result, chart: string): Result => ({
    ...result,
    target: BULK_TARGET,
    chart: `bulk TCP beside ${chart}`,
  });
  return [
    promised(
      beside("host with a firewall", both, "no pk", tracking),
      "no pk, host with a firewall",
    ),
    promised(
      beside("bare host, filter stateless", stateless, "no pk", bare),
      "no pk, bare host, filter stateless",
    ),
    promised(
      beside("bare host, filter stateful", stateful, "connection tracking alone", tracking),
      "connection tracking alone, bare host",
    ),
    // Connection tracking is part of it, which no rules of pk can make cheaper.
    beside("bare host, filter stateful", stateful, "no pk, nothing tracked", bare),
  ];
}

/** What each of the hosts takes in each turn, in MB/s: of a new connection each. */
async function bulkRates(family: FamilyName): Promise<number[][]> {
  await using undo = new AsyncDisposableStack();
  const hosts: { source: Background; rates: number[] }[] = [];
  for (const { firewall, filter } of BULK_HOSTS) {
    const lab = undo.use(await createBenchLab());
    if (firewall) await loadRuleset(lab.network.server, STATEFUL);
    const flags = ["--port-dest", String(BULK_PORT), ...(filter ? ["--filter", filter] : [])];
    if (filter) undo.use(await startPk(lab, ...flags));
    const source = undo.use(await startBulk(lab, family));
    if (filter) await letIn(lab, family);
    hosts.push({ source, rates: [] });
  }
  const order: BulkOrder = { family, source: SOURCE, seconds: BULK_SECONDS };
  const inTurn = [...hosts];
  for (let turn = -1; turn < BULK_TURNS; turn++) {
    // Each goes first in turn, and comes after each other one.
    if (turn % inTurn.length === 0) inTurn.reverse();
    inTurn.push(...inTurn.splice(0, 1));
    for (const { source, rates } of inTurn) {
      const { bytesPerSecond } = await source.order(order) as BulkSent;
      if (turn >= 0) rates.push(bytesPerSecond / 1e6);
    }
  }
  return hosts.map(({ rates }) => rates);
}

/** Knocks for the bulk connection's source. */
async function letIn(lab: BenchLab, family: FamilyName): Promise<void> {
  await using client = startClient(lab);
  const knock = { family, source: SOURCE, knocks: KNOCK_PORTS, gapMs: 5, port: BULK_PORT };
  const { connected } = await client.order(knock) as Connected;
  if (!connected) throw new Error("Cannot get in to the bulk port");
}

/** A sink on the server's side and a source on the client's, on a processor each. */
async function startBulk({ network: { client, server } }: BenchLab, family: FamilyName) {
  await using undo = new AsyncDisposableStack();
  const permissions = ["--allow-ffi"];
  const sink = undo.use(
    program(server, "bulk.ts", { permissions, cpu: 1, args: ["sink", family] }),
  );
  await sink.order({}); // the answer says that it listens
  const source = undo.use(program(client, "bulk.ts", { permissions, cpu: 0, args: ["source"] }));
  const keep = undo.move();
  return { ...source, [Symbol.asyncDispose]: () => keep.disposeAsync() };
}
