// deno task bench: every figure that pk claims, measured on the compiled program in network
// namespaces of its own, beside a reference measured in the same run. Prints a table, writes
// docs/bench/results.json, ends with 1 when a target is missed. Needs root and `deno task build`.

import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../support/netns.ts";
import { PK } from "../support/pk.ts";
import type { Options } from "./options.ts";
import { isMet, machine, type Result, table } from "./report.ts";
import { capacity } from "./scenarios/capacity.ts";
import { idle } from "./scenarios/idle.ts";
import { latency } from "./scenarios/latency.ts";

const SCENARIOS: Readonly<Record<string, (options: Options) => Promise<Result[]>>> = {
  idle,
  latency,
  capacity,
};

const HELP = `deno task bench [--only idle,latency,capacity] [--repetitions 3] [--connections 200]
                [--json docs/bench/results.json]

PK_BINARY names another executable than dist/pk. On a machine with other work, put the bench before it:
    setsid -w sh -c 'echo -19 > /proc/self/autogroup; deno task bench'`;

const NOTE =
  "Generator, kernel and pk share the processors of one machine, and others may use it " +
  "too: ratios within one run count, single figures do not.";

async function main(): Promise<number> {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      only: { type: "string", default: Object.keys(SCENARIOS).join() },
      repetitions: { type: "string", default: "3" },
      connections: { type: "string", default: "200" },
      json: { type: "string", default: "docs/bench/results.json" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return say(HELP, 0);
  if (!root) return say("Cannot make network namespaces: run the bench as root", 1);
  if (!await exists(PK)) return say(`Cannot find ${PK}: run \`deno task build\` first`, 1);

  const options: Options = {
    repetitions: Number(values.repetitions),
    connections: Number(values.connections),
    progress: (result) => result && console.error(table([result]).split("\n").at(-1)),
  };
  const before = machine();
  const results: Result[] = [];
  for (const name of values.only.split(",")) {
    const scenario = SCENARIOS[name];
    if (!scenario) return say(`Cannot find a scenario "${name}"\n${HELP}`, 2);
    results.push(...await scenario(options));
  }
  const report = { date: new Date().toISOString(), note: NOTE, before, after: machine(), results };
  await Deno.mkdir(dirname(values.json), { recursive: true });
  await Deno.writeTextFile(values.json, JSON.stringify(report, null, 1) + "\n");
  console.log(
    `${table(results)}\n\n${NOTE}\n${JSON.stringify(report.after)}\nWritten: ${values.json}`,
  );
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
