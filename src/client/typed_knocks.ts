// Knocks as they are typed: `7000`, `8123:udp` as the `knock` client has them, and `udp/8123` as pk's
// own files have them. Pure.

import type { Step, Transport } from "../config/config.ts";
import type { Parsed } from "../config/parsed.ts";
import { parseStep } from "../config/step.ts";
import { STEPS_MAX } from "../limits.ts";

/**
 * A sequence.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseKnocks } from "./typed_knocks.ts";
 * assert.deepEqual(parseKnocks(["7000", "8123:udp"]), parseKnocks(["tcp/7000", "udp/8123"]));
 * assert.deepEqual(parseKnocks(["7000", "8123:tcp"], "udp"), parseKnocks(["udp/7000", "tcp/8123"]));
 * ```
 *
 * @param otherwise the protocol of knocks that name none.
 */
export function parseKnocks(
  texts: readonly string[],
  otherwise: Transport = "tcp",
): Parsed<readonly Step[]> {
  if (texts.length > STEPS_MAX) {
    return { reason: `a sequence has at most ${STEPS_MAX} knocks, and these are ${texts.length}` };
  }
  const steps: Step[] = [];
  for (const text of texts) {
    const parsed = parseStep(ownSpelling(text, otherwise));
    if ("reason" in parsed) return { reason: `${JSON.stringify(text)}: ${parsed.reason}` };
    steps.push(parsed.value);
  }
  return { value: steps };
}

function ownSpelling(text: string, otherwise: Transport): string {
  const [, number, protocol = otherwise] = /^(-?\d+)(?::(.*))?$/.exec(text) ?? [];
  return number === undefined ? text : `${protocol.toLowerCase()}/${number}`;
}
