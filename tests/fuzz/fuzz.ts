// deno task fuzz [--seconds 60] [--inputs N] [--only NAME] [--seed N] [FINDING.hex…]
//
// Changes known inputs and looks what the decoders make of them, for so long or so many inputs in
// all; what it finds is written to findings/ and replayed by the unit tests from then on. With files
// it replays only these.
//
// No fuzzer of the npm registry runs here: @jazzer.js/core (4.0.0) comes as an addon for a newer
// glibc than Debian 12 has (2.38), and it instruments what node's require() loads, which the modules
// that Deno imports never pass, so that it would be blind. So inputs are kept for the way they took.

import { parseArgs } from "node:util";
import { readEntries } from "./corpus.ts";
import {
  findingName,
  findingText,
  replay,
  type Result,
  runTarget,
  type Target,
} from "./harness.ts";
import { targets } from "./targets/all.ts";
import type { Watched } from "./watchdog.ts";

const FINDINGS = new URL("findings/", import.meta.url);
const PROGRESS_MS = 10_000;

const options = read();
if (options === undefined) Deno.exitCode = 2;
else if (options.files.length > 0) replayFiles(options.files);
else fuzz(options);

interface Options {
  readonly seconds: number | undefined;
  readonly inputs: number | undefined;
  readonly seed: number;
  readonly chosen: readonly Target[];
  readonly files: readonly string[];
}

function read(): Options | undefined {
  try {
    const string = { type: "string" } as const;
    const { values, positionals } = parseArgs({
      args: Deno.args,
      options: { seconds: string, inputs: string, only: string, seed: string },
      allowPositionals: true,
    });
    const number = (name: "seconds" | "inputs" | "seed") => {
      const value = values[name] === undefined ? undefined : Number(values[name]);
      if (value === undefined || (Number.isFinite(value) && value >= 0)) return value;
      throw new TypeError(`Cannot use --${name} ${values[name]}: a number is needed`);
    };
    const only = values.only?.split(",");
    const chosen = targets.filter(({ name }) => only?.includes(name) ?? true);
    if (chosen.length < (only?.length ?? 1)) {
      throw new TypeError(`No such target: ${only}. There are ${targets.map(({ name }) => name)}`);
    }
    const inputs = number("inputs");
    return {
      seconds: number("seconds") ?? (inputs === undefined ? 60 : undefined),
      inputs,
      seed: number("seed") ?? crypto.getRandomValues(new Uint32Array(1))[0] as number,
      chosen,
      files: positionals,
    };
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    return undefined;
  }
}

function fuzz({ seconds, inputs, seed, chosen }: Options): void {
  console.log(`seed ${seed}`);
  console.log(row(["target", "inputs", "inputs/s", "outcomes", "ways", "findings"]));
  const shares = chosen.reduce((sum, { share }) => sum + share, 0);
  const results: Result[] = [];
  const at = new Int32Array(new SharedArrayBuffer(8));
  const watchdog = new Worker(new URL("watchdog.ts", import.meta.url), { type: "module" });
  watchdog.postMessage({ at, names: chosen.map(({ name }) => name), seed } satisfies Watched);
  for (const [index, target] of chosen.entries()) {
    at[0] = index;
    const result = runTarget(target, {
      seed,
      ...(seconds === undefined ? {} : { seconds: seconds / chosen.length }),
      ...(inputs === undefined ? {} : { inputs: Math.ceil(inputs * target.share / shares) }),
      onProgress: progress(target.name),
      at: at.subarray(1),
    });
    results.push(result);
    console.log(row(cells(result)));
    for (const finding of result.findings) {
      Deno.mkdirSync(FINDINGS, { recursive: true });
      const name = findingName(finding);
      Deno.writeTextFileSync(new URL(name, FINDINGS), findingText(finding, seed));
      console.log(`  ${finding.problem}\n  again: deno task fuzz tests/fuzz/findings/${name}`);
    }
  }
  watchdog.terminate();
  const total = results.reduce((sum, result) => sum + result.inputs, 0);
  const found = results.reduce((sum, { findings }) => sum + findings.length, 0);
  console.log(row(["all", count(total), "", "", "", String(found)]));
  for (const { target, outcomes } of results) {
    console.log(`${target}: ${[...outcomes].map(([name, n]) => `${name} ${count(n)}`).join(", ")}`);
  }
  if (found > 0) Deno.exitCode = 1;
}

/** A line now and then, for a person who waits. */
function progress(name: string): (inputs: number) => void {
  if (!Deno.stderr.isTerminal()) return () => {};
  let toldMs = performance.now();
  return (inputs) => {
    if (performance.now() - toldMs < PROGRESS_MS) return;
    toldMs = performance.now();
    console.error(`${name}: ${count(inputs)} inputs`);
  };
}

function cells({ target, inputs, seconds, outcomes, ways, findings }: Result): string[] {
  const perSecond = count(Math.round(inputs / seconds));
  return [target, count(inputs), perSecond, outcomes.size, ways, findings.length].map(String);
}

function row([name = "", ...others]: readonly string[]): string {
  return name.padEnd(14) + others.map((cell) => cell.padStart(12)).join("");
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}

function replayFiles(files: readonly string[]): void {
  for (const file of files) {
    const name = file.replace(/^.*\//, "");
    const target = targets.find((one) => name.startsWith(`${one.name}-`));
    if (target === undefined) {
      console.error(`Cannot tell the target of ${file} by its name`);
      Deno.exitCode = 2;
      continue;
    }
    const problem = replay(target, readEntries(new URL(file, `file://${Deno.cwd()}/`)));
    console.log(`${file}: ${problem ?? "nothing is wrong with it any more"}`);
    if (problem !== undefined) Deno.exitCode = 1;
  }
}
