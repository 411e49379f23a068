// A file of one-time sequences: one a line, "tcp/7000, udp/8123, icmp/56". Blank lines and lines that
// begin with "#" say nothing: that is how used ones are crossed out. No message repeats a line.

import { SEQUENCE_PORTS_MIN, STEPS_MAX } from "../limits.ts";
import type { OneTimeSequence } from "./config.ts";
import { parseStep, stepText } from "./step.ts";

/** Sequences of one file. Each costs the machine a rule. */
export const ONE_TIME_MAX = 4_096;

export interface OneTimeLines {
  readonly sequences: readonly (OneTimeSequence & { readonly lineNumber: number })[];
  readonly wrong: readonly WrongLine[];
}

export interface WrongLine {
  /** From 1. */
  readonly lineNumber: number;
  readonly reason: string;
}

/**
 * Reads what is left of a file.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseOneTimeLines } from "./one_time.ts";
 * const { sequences } = parseOneTimeLines("# used\ntcp/7000, udp/8123\n");
 * assert.equal(sequences[0]?.lineNumber, 2);
 * assert.equal(sequences[0]?.steps.length, 2);
 * ```
 */
export function parseOneTimeLines(text: string): OneTimeLines {
  const sequences: OneTimeLines["sequences"][number][] = [];
  const wrong: WrongLine[] = [];
  const lines = new Map<string, number>();
  text.split("\n").forEach((ended, index) => {
    const line = ended.replace(/\r$/, "");
    const lineNumber = index + 1;
    if (line.trim() === "" || line.trimStart().startsWith("#")) return;
    const parsed = parseLine(line);
    if (typeof parsed === "string") return void wrong.push({ lineNumber, reason: parsed });
    const same = parsed.steps.map(stepText).join();
    const before = lines.get(same);
    lines.set(same, before ?? lineNumber);
    if (before !== undefined) {
      const reason = `It is the sequence of line ${before}, and each is for one time`;
      wrong.push({ lineNumber, reason });
    } else if (sequences.length === ONE_TIME_MAX) {
      wrong.push({ lineNumber, reason: `A file has ${ONE_TIME_MAX} unused sequences at most` });
    } else sequences.push({ ...parsed, lineNumber });
  });
  return { sequences, wrong };
}

/** The sequence, or what is wrong with it. */
function parseLine(line: string): OneTimeSequence | string {
  const parsed = line.split(",").map((part) => parseStep(part.trim()));
  const steps = parsed.flatMap((one) => "value" in one ? [one.value] : []);
  const bad = parsed.findIndex((one) => "reason" in one);
  if (bad >= 0) return `Knock ${bad + 1} is none: write tcp/7000, udp/8123 or icmp/56`;
  if (steps.length < SEQUENCE_PORTS_MIN || steps.length > STEPS_MAX) {
    return `A sequence has ${SEQUENCE_PORTS_MIN} to ${STEPS_MAX} knocks, this one ${steps.length}`;
  }
  const families = new Set(steps.map(({ protocol }) => protocol));
  if (families.has("icmp") && families.has("icmp6")) return MIXED_FAMILIES;
  return { line, steps };
}

/** A source has an address of one family. */
export const MIXED_FAMILIES = "Nobody can knock it: icmp is of IPv4, icmp6 of IPv6";
