// Latency: from sending the last knock until connect() to the guarded port returns, each time from a
// fresh source, beside a plain connect to an unguarded port of the same host in turns. Once as pk's
// own client knocks (5 ms between knocks) and once back to back.

import { FAMILIES, type FamilyName, GUARDED_PORT, KNOCK_PORTS, PLAIN_PORT } from "../addresses.ts";
import type { Background } from "../background.ts";
import type { Connected, ConnectOrder } from "../connector.ts";
import { inWithFirstSyn } from "../knockers.ts";
import { createBenchLab, startClient, startPk } from "../lab.ts";
import type { Options } from "../options.ts";
import { type Result, share } from "../report.ts";
import { percentile } from "../statistics.ts";

/** Times a plain connect, and milliseconds. */
const P50_TARGET = { atMost: 3 };
const P99_TARGET = { atMost: 5 };

/** Turns before those that count. */
const WARM_UP = 20;

export async function latency(options: Options): Promise<Result[]> {
  await using lab = await createBenchLab();
  await using _pk = await startPk(lab);
  await using client = startClient(lab);
  const results: Result[] = [];
  let source = 1;
  for (const family of FAMILIES) {
    for (const gapMs of [5, 0]) {
      const knocked: Connected[] = [];
      const plain: Connected[] = [];
      for (let turn = -WARM_UP; turn < options.connections; turn++) {
        const common = { family, source: source++, gapMs };
        const direct = await order(client, { ...common, knocks: [], port: PLAIN_PORT });
        const door = await order(client, { ...common, knocks: KNOCK_PORTS, port: GUARDED_PORT });
        if (turn < 0) continue;
        plain.push(direct);
        knocked.push(door);
      }
      results.push(...compare(family, gapMs, knocked, plain));
      results.slice(-3).forEach(options.progress);
    }
  }
  return results;
}

async function order(client: Background, order: ConnectOrder): Promise<Connected> {
  return await client.order(order) as Connected;
}

function compare(
  family: FamilyName,
  gapMs: number,
  knocked: readonly Connected[],
  plain: readonly Connected[],
): Result[] {
  const way = gapMs > 0 ? `knocks ${gapMs} ms apart` : "knocks back to back";
  const us = (all: readonly Connected[]) => all.map((each) => each.us);
  const what = (name: string) => `${family}, ${way}, ${name} from the last knock to connected`;
  const [p50, plainP50] = [percentile(us(knocked), 0.5), percentile(us(plain), 0.5)];
  const [p99, plainP99] = [percentile(us(knocked), 0.99), percentile(us(plain), 0.99)];
  const first = knocked.filter(inWithFirstSyn).length;
  return [
    {
      scenario: "latency",
      what: what("p50"),
      unit: "µs",
      value: p50,
      reference: { what: "plain connect", value: plainP50 },
      ratio: p50 / plainP50,
      target: P50_TARGET,
      chart: `p50 of a connect, ${way}, beside a plain one`,
      detail: { knocked: us(knocked), plain: us(plain) },
    },
    {
      scenario: "latency",
      what: what("p99"),
      unit: "ms",
      value: p99 / 1000,
      reference: { what: "plain connect", value: plainP99 / 1000 },
      target: P99_TARGET,
      chart: `p99 of a connect, ${way}`,
    },
    share(
      "latency",
      `${family}, ${way}, connected with the first SYN`,
      "connections",
      first,
      knocked.length,
      { target: { atLeast: 1 }, chart: `connected with the first SYN, ${way}` },
    ),
  ];
}
