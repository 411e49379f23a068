// One knock of a plain sequence in the file: text, or a map with the text as its one key.
//
//   - tcp/7000
//   - udp/8123: { after: 200ms, before: 3s }
//   - tcp/9321: { flags: [fin, "!syn"] }

import * as v from "valibot";
import { about, choice, map, mapOf, text } from "../../yaml/shape.ts";
import type { Step } from "../config.ts";
import { parseStep, STEP_PATTERN } from "../step.ts";
import { FLAG_WORDS, parseFlagWords } from "../tcp_flags.ts";
import { parseTime, TIME_PATTERN } from "../time.ts";

const EXPECTED = "a knock such as tcp/7000";

function time(description: string) {
  return text(parseTime, "a time such as 500ms", { description, pattern: TIME_PATTERN });
}

const options = map("A knock", {
  after: v.optional(
    time("At least so long after the knock before."),
  ),
  before: v.optional(
    time("At most so long after the knock before."),
  ),
  flags: v.optional(
    v.pipe(
      v.array(choice(...FLAG_WORDS), 'a list of TCP flags such as [fin, "!syn"]'),
      v.minLength(1, "there is one flag at least"),
      about(
        'TCP flags that the segment has, or with "!" has not. Without it, a SYN that begins a ' +
          "connection.",
      ),
      v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const parsed = parseFlagWords(dataset.value);
        if ("value" in parsed) return parsed.value;
        addIssue({ message: parsed.reason });
        return NEVER;
      }),
    ),
  ),
});

const stepKey = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    const parsed = parseStep(String(dataset.value));
    if ("reason" in parsed) addIssue({ message: parsed.reason });
  }),
  about("tcp/7000, udp/8123, icmp/56", STEP_PATTERN),
);

const withOptions = v.pipe(
  mapOf(stepKey, options, EXPECTED),
  v.minEntries(1, "a knock with options is a map with the knock as its key"),
  v.maxEntries(1, "each knock stands in an entry of its own"),
  v.rawTransform<Record<string, v.InferOutput<typeof options>>, Step>(
    ({ dataset, addIssue, NEVER }) => {
      const input = dataset.value;
      for (const [key, { after, before, flags }] of Object.entries(input)) {
        const parsed = parseStep(key);
        if ("reason" in parsed) return NEVER;
        const step = parsed.value;
        const wrong = flags !== undefined && step.protocol !== "tcp"
          ? `${step.protocol} has no TCP flags`
          : (after ?? 0) > (before ?? Infinity)
          ? "after is longer than before: no knock is in time"
          : undefined;
        if (wrong === undefined) {
          return {
            ...step,
            flags: flags ?? step.flags,
            afterMs: after ?? step.afterMs,
            beforeMs: before ?? step.beforeMs,
          };
        }
        addIssue({
          input: key,
          message: wrong,
          path: [{ type: "object", origin: "key", input, key, value: input[key] }],
        });
      }
      return NEVER;
    },
  ),
);

export const knockStep = v.union([
  text(parseStep, EXPECTED, {
    description: "A port, or an echo request with so many bytes: tcp/7000, udp/8123, icmp/56",
    pattern: STEP_PATTERN,
  }),
  withOptions,
], EXPECTED);
