// Latency: from sending the last knock until connect() to the guarded port returns, each time from a
// fresh source, beside a plain connect to an unguarded port of the same host in turns. Once as pk's
// own client knocks (5 ms between knocks) and once back to back.

import { type FamilyName, GUARDED_PORT, KNOCK_PORTS, PLAIN_PORT } from "../addresses.ts";
import type { Background } from "../background.ts";
import type { Connected, ConnectOrder } from "../connector.ts";
import { createBenchLab, program, startPk } from "../lab.ts";
import type { Options } from "../options.ts";
import type { Result } from "../report.ts";
import { percentile } from "../statistics.ts";

/** A connect that took longer lost its first SYN: the kernel repeats it after 1 s. */
const FIRST_SYN_US = 500_000;

/** Turns before those that count. */
const WARM_UP = 20;

export async function latency(options: Options): Promise<Result[]> {
  await using lab = await createBenchLab();
  await using _pk = await startPk(lab);
  await using client = program(lab.network.client, "connector.ts", ["--allow-ffi"], 0);
  const results: Result[] = [];
  let source = 1;
  for (const family of ["ipv4", "ipv6"] as const) {
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
  const line = (name: string, share: number): Result => {
    const [value, reference] = [percentile(us(knocked), share), percentile(us(plain), share)];
    return {
      scenario: "latency",
      what: `${family}, ${way}, ${name} from the last knock to connected`,
      unit: "µs",
      value,
      reference: { what: "plain connect", value: reference },
      ratio: value / reference,
    };
  };
  const first = knocked.filter((each) => each.connected && each.us < FIRST_SYN_US).length;
  return [
    { ...line("p50", 0.5), detail: { knocked: us(knocked), plain: us(plain) } },
    line("p99", 0.99),
    {
      scenario: "latency",
      what: `${family}, ${way}, connected with the first SYN`,
      unit: "connections",
      value: first,
      reference: { what: "tried", value: knocked.length },
      ratio: first / knocked.length,
      target: { atLeast: 1 },
    },
  ];
}
