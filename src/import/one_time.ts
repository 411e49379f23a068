// knockd's file of one-time sequences to pk's: one sequence a line, those used up left out. Pure.

import { type Mistake, parseKnockdSequence } from "./knockd_grammar.ts";

/**
 * Converts the sequences that are not used yet.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { convertOneTime } from "./one_time.ts";
 * const converted = convertOneTime(" 1234,5678:udp\n#2345,6789\n");
 * assert.ok("text" in converted && converted.text === "tcp/1234, udp/5678\n");
 * ```
 */
export function convertOneTime(
  text: string,
): { readonly text: string } | { readonly mistakes: readonly Mistake[] } {
  const mistakes: Mistake[] = [];
  let converted = "";
  text.split("\n").forEach((raw, index) => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) return;
    const sequence = parseKnockdSequence(line);
    const steps = "steps" in sequence ? sequence.steps : [];
    if ("reason" in sequence) {
      mistakes.push({ line: index + 1, text: line, reason: sequence.reason });
    } else if (steps.length < 2 || steps.some(({ port }) => port === undefined)) {
      const reason = "a sequence is two or more ports from 1 to 65535";
      mistakes.push({ line: index + 1, text: line, reason });
    } else {
      converted += `${steps.map(({ protocol, port }) => `${protocol}/${port}`).join(", ")}\n`;
    }
  });
  return mistakes.length > 0 ? { mistakes } : { text: converted };
}
