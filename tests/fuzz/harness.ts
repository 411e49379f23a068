// Runs a target: takes an input that is known, changes it, has it judged, and keeps it where it took
// a way that none before took. That is the coverage this fuzzer goes by: what a target tells of the
// way through the decoder (outcome, headers passed, place and kind of an error).

import { hex } from "../../src/bytes/hex.ts";
import { Arena } from "./arena.ts";
import type { Bytes } from "./corpus.ts";
import type { Mutator } from "./mutate_bytes.ts";
import { Random } from "./random.ts";

/** Judges the input of the arena; throws for a finding. The low byte of the way is the outcome. */
export type Judge = (arena: Arena) => number;

export interface Target {
  readonly name: string;
  /** Most bytes of an input. */
  readonly capacity: number;
  /** Its part of a run that is counted in inputs, for slow ones less. */
  readonly share: number;
  /** Inputs that one judge sees, for those with a memory: it is replayed with all of them. */
  readonly episode?: number;
  readonly seeds: () => readonly Bytes[];
  readonly mutators: readonly Mutator[];
  /** The last change, after all mutators. */
  readonly finish?: (arena: Arena, random: Random) => void;
  /** Names of outcomes, at their numbers. */
  readonly outcomes: readonly string[];
  readonly newJudge: () => Judge;
}

export interface Finding {
  readonly target: string;
  readonly problem: string;
  /** The inputs of the episode in order; the last is the one that was judged. */
  readonly inputs: readonly Bytes[];
  /** How many inputs of the run lay before the last. */
  readonly after: number;
}

export interface RunOptions {
  readonly seed: number;
  /** Ends the run after so many inputs, */
  readonly inputs?: number;
  /** or after so much time. */
  readonly seconds?: number;
  /** Called now and then. */
  readonly onProgress?: (inputs: number) => void;
  /** Its first number is that of the input at hand, for whoever watches from another thread. */
  readonly at?: Int32Array;
}

export interface Result {
  readonly target: string;
  readonly inputs: number;
  readonly seconds: number;
  /** How often each outcome was seen. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Different ways that inputs took. */
  readonly ways: number;
  readonly findings: readonly Finding[];
}

const FINDINGS_MAX = 10;
const KEPT_MAX = 4_096;
/** Few, so that slow targets keep to their time, too. */
const INPUTS_PER_LOOK = 64;

export function runTarget(target: Target, options: RunOptions): Result {
  const { seed, inputs: inputsMax = Infinity, seconds = Infinity, at = new Int32Array(1) } =
    options;
  const random = new Random(seed ^ nameNumber(target.name));
  const seeds = target.seeds();
  const kept: Bytes[] = [];
  const seen = new Uint8Array(65_536);
  const counts = new Float64Array(256);
  const findings: Finding[] = [];
  const problems = new Set<string>();
  const arena = new Arena(target.capacity);
  const { episode = 1, mutators } = target;
  let judge = target.newJudge();
  let told: Bytes[] = [];
  const pick = () => kept.length > 0 && random.once(2) ? random.pick(kept) : random.pick(seeds);

  // Most of what is thrown here is expected, and stacks cost more than all the rest.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const begun = performance.now();
  let inputs = 0;
  let ways = 0;
  for (; inputs < inputsMax && findings.length < FINDINGS_MAX; inputs++) {
    if (inputs % INPUTS_PER_LOOK === 0 && inputs > 0) {
      if (performance.now() - begun > seconds * 1_000) break;
      options.onProgress?.(inputs);
    }
    if (inputs % episode === 0 && episode > 1) {
      judge = target.newJudge();
      told = [];
    }
    at[0] = inputs;
    arena.load(pick());
    // Each seed once as it is, then one change or more.
    if (inputs >= seeds.length) {
      do random.pick(mutators)(arena, random, pick()); while (!random.once(3));
      target.finish?.(arena, random);
    } else {
      arena.load(seeds[inputs] as Bytes);
    }
    arena.seal();
    if (episode > 1) told.push(arena.front().slice());
    try {
      const way = judge(arena);
      const outcome = way & 0xff;
      counts[outcome] = (counts[outcome] as number) + 1;
      const place = (way ^ way >>> 16) & 0xffff;
      if (seen[place] === 0) {
        seen[place] = 1;
        ways++;
        if (kept.length < KEPT_MAX) kept.push(arena.front().slice());
        else kept[random.below(KEPT_MAX)] = arena.front().slice();
      }
    } catch (error) {
      const problem = describe(error);
      if (!problems.has(kindOf(problem))) {
        problems.add(kindOf(problem));
        const last = arena.front().slice();
        findings.push({
          target: target.name,
          problem,
          inputs: episode > 1 ? told : [shrink(target, last, problem)],
          after: inputs,
        });
      }
      judge = target.newJudge();
      told = [];
    }
  }
  Error.stackTraceLimit = stackTraceLimit;
  const outcomes = new Map(target.outcomes.flatMap((name, index) => {
    const count = counts[index] as number;
    return count > 0 ? [[name, count] as const] : [];
  }));
  const elapsed = (performance.now() - begun) / 1_000;
  return { target: target.name, inputs, seconds: elapsed, outcomes, ways, findings };
}

/** What is wrong with the inputs of a finding, or undefined when nothing is. */
export function replay(target: Target, inputs: readonly Uint8Array[]): string | undefined {
  const judge = target.newJudge();
  const arena = new Arena(target.capacity);
  try {
    for (const input of inputs) {
      arena.load(input);
      arena.seal();
      judge(arena);
    }
  } catch (error) {
    return describe(error);
  }
  return undefined;
}

/** The text of a finding's file. */
export function findingText({ target, problem, inputs, after }: Finding, seed: number): string {
  return [
    `# target ${target}`,
    ...problem.split("\n").map((line) => `# ${line}`),
    `# found by: deno task fuzz --only ${target} --seed ${seed} --inputs ${after + 1}`,
    ...inputs.map(hex),
    "",
  ].join("\n");
}

/** A finding's name: the same for the same inputs. */
export function findingName({ target, inputs }: Finding): string {
  const text = inputs.map(hex).join();
  let sum = 0;
  for (let at = 0; at < text.length; at++) sum = Math.imul(sum, 31) + text.charCodeAt(at) >>> 0;
  return `${target}-${sum.toString(16).padStart(8, "0")}.hex`;
}

/** As few and as plain bytes as show the same kind of problem. */
function shrink(target: Target, input: Bytes, problem: string): Bytes {
  const shows = (bytes: Uint8Array) => {
    const found = replay(target, [bytes]);
    return found !== undefined && kindOf(found) === kindOf(problem);
  };
  let best = input;
  for (let step = Math.max(1, best.length >> 1); step >= 1; step >>= 1) {
    while (best.length > step && shows(best.subarray(0, best.length - step))) {
      best = best.slice(0, best.length - step);
    }
  }
  for (let at = 0; at < best.length; at++) {
    const plainer = best.slice();
    plainer[at] = 0;
    if (best[at] !== 0 && shows(plainer)) best = plainer;
  }
  return best;
}

/** Findings that differ only in numbers and quoted texts are one. */
function kindOf(problem: string): string {
  return problem.replace(/"(\\.|[^"])*"/g, '""').replace(/\d+/g, "#");
}

/** With the place in our source, where the stack was kept: on replay. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const [, place] = /\/(src\/[^)\n]*)/.exec(error.stack ?? "") ?? [];
  return `${error.name}: ${error.message}${place === undefined ? "" : `\nat ${place}`}`;
}

function nameNumber(name: string): number {
  let sum = 0;
  for (let at = 0; at < name.length; at++) sum = Math.imul(sum, 31) + name.charCodeAt(at) | 0;
  return sum >>> 0;
}
