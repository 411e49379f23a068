// deno task bench: every figure that pk claims, measured on the compiled program in network
// namespaces of its own, beside a reference measured in the same run. Prints a table, writes
// results.json and results.svg into docs/bench/, ends with 1 when a target is missed. Needs root and
// `deno task build`. Peers are measured where they are installed.

import { parseArgs } from "node:util";
import { root } from "../support/netns.ts";
import { PK } from "../support/pk.ts";
import { chart } from "./chart.ts";
import type { Options } from "./options.ts";
import { isMet, machine, type Result, table } from "./report.ts";
import { capacity } from "./scenarios/capacity.ts";
import { doors } from "./scenarios/doors.ts";
import { grants } from "./scenarios/grants.ts";
import { guarded } from "./scenarios/guarded.ts";
import { idle } from "./scenarios/idle.ts";
import { knockers } from "./scenarios/knockers.ts";
import { latency } from "./scenarios/latency.ts";
import { memory } from "./scenarios/memory.ts";
import { overload } from "./scenarios/overload.ts";
import { peers } from "./scenarios/peers.ts";

const SCENARIOS: Readonly<Record<string, (options: Options) => Promise<Result[]>>> = {
  idle,
  latency,
  capacity,
  guarded,
  doors,
  knockers,
  overload,
  grants,
  memory,
  peers,
};

const NAMES = Object.keys(SCENARIOS).join();

const HELP = `deno task bench [--only ${NAMES}]
                [--quick] [--repetitions 3] [--connections 200] [--out docs/bench]

About three quarters of an hour; with --quick ten minutes, and rougher. PK_BINARY names another executable than dist/pk.
On a machine with other work, put the bench before it:
    setsid -w sh -c 'echo -19 > /proc/self/autogroup; deno task bench'`;

const NOTE =
  "Generator, kernel and pk share the processors of one machine, and others may use it " +
  "too: ratios within one run count, single figures do not.";

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      only: { type: "string", default: NAMES },
      quick: { type: "boolean", default: false },
      repetitions: { type: "string" },
      connections: { type: "string" },
      out: { type: "string", default: "docs/bench" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return say(HELP, 0);
  const { quick, out } = values;
  const chosen = values.only.split(",");
  const unknown = chosen.find((name) => !Object.hasOwn(SCENARIOS, name));
  if (unknown !== undefined) return say(`Cannot find a scenario "${unknown}"\n${HELP}`, 2);
  if (!root) return say("Cannot make network namespaces: run the bench as root", 1);
  if (!await exists(PK)) return say(`Cannot find ${PK}: run \`deno task build\` first`, 1);

  const options: Options = {
    quick,
    repetitions: Number(values.repetitions ?? (quick ? 1 : 3)),
    connections: Number(values.connections ?? (quick ? 40 : 200)),
    seconds: quick ? 1 : 1.5,
    progress: (result) => console.error(table([result]).split("\n").at(-1)),
  };
  const before = machine();
  const results: Result[] = [];
  const tookSeconds: Record<string, number> = {};
  for (const name of chosen) {
    const startMs = performance.now();
    results.push(...await SCENARIOS[name]?.(options) ?? []);
    tookSeconds[name] = Math.round((performance.now() - startMs) / 1000);
  }
  const date = new Date().toISOString();
  const report = { date, note: NOTE, before, after: machine(), tookSeconds, results };
  await Deno.mkdir(out, { recursive: true });
  await Deno.writeTextFile(`${out}/results.json`, JSON.stringify(report, null, 1) + "\n");
  await Deno.writeTextFile(`${out}/results.svg`, chart(results, date.slice(0, 10)));
  console.log(`${table(results)}\n\n${NOTE}`);
  console.log(JSON.stringify({ ...report.after, tookSeconds }));
  console.log(`Written: ${out}/results.json, ${out}/results.svg`);
  return results.some((result) => isMet(result) === false) ? 1 : 0;
}

function say(text: string, code: number): number {
  (code === 0 ? console.log : console.error)(text);
  return code;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

if (import.meta.main) Deno.exitCode = await main();
