// Valibot schemas as files for people need them: a map is no list, every unknown key is told with the
// one that was probably meant, and a message says what is expected. Their messages are fragments that
// issues.ts makes sentences of:
//
//   of a schema       what is expected:  "a list of ports"      Expected a list of ports, not 22
//   of a check        the reason:        "a port is 1 to 65535" Cannot use "tcp/0": a port is …
//   about a key       a whole sentence, a line break, and the hint

import * as v from "valibot";
import { nearest } from "./nearest.ts";

/** What parsing a text comes to: the value, or why it is none. */
export type Parsed<T> = { readonly value: T } | { readonly reason: string };

/** A map with these keys and no others. The noun begins sentences: "A door". */
export function map<const E extends v.ObjectEntries>(
  noun: string,
  entries: E,
): v.StrictObjectSchema<E, undefined> {
  const keys = Object.keys(entries);
  const known = `${noun} has: ${keys.join(", ")}.`;
  const message = ({ path }: v.BaseIssue<unknown>) => {
    const missing = path?.at(-1)?.key;
    return missing === undefined ? "a map" : `Missing key "${String(missing)}"\n${known}`;
  };
  const schema = v.strictObject(entries);
  const inner = v.object(entries, message);
  return {
    ...schema,
    "~run"(dataset, config) {
      const { value } = dataset;
      if (!isRecord(value)) return refused(dataset, config, "a map");
      const result = inner["~run"](dataset, config);
      const issues: v.BaseIssue<unknown>[] = [...result.issues ?? []];
      for (const key of Object.keys(value).filter((key) => !Object.hasOwn(entries, key))) {
        const meant = nearest(key, keys);
        const hint = meant === undefined ? known : `${known} Did you mean "${meant}"?`;
        issues.push(keyIssue(value, key, `Unknown key "${key}"\n${hint}`));
      }
      if (issues.length === 0) return result;
      return { typed: false, value: result.value, issues } as never;
    },
  };
}

/** A map from names to values of one kind. */
export function mapOf<
  const K extends v.GenericSchema<string, string>,
  const V extends v.GenericSchema<unknown, unknown>,
>(key: K, value: V, expected: string): v.RecordSchema<K, V, string> {
  const schema = v.record(key, value, expected);
  return {
    ...schema,
    "~run"(dataset, config) {
      if (!isRecord(dataset.value)) return refused(dataset, config, expected);
      return schema["~run"](dataset, config);
    },
  };
}

/** One of a few words. */
export function choice<const O extends readonly string[]>(
  ...options: O
): v.PicklistSchema<O, (issue: v.BaseIssue<unknown>) => string> {
  return v.picklist(options, ({ input }) => {
    const meant = typeof input === "string" ? nearest(input, options) : undefined;
    const words = `${options.slice(0, -1).join(", ")} or ${options.at(-1)}`;
    return meant === undefined ? words : `${words}\nDid you mean "${meant}"?`;
  });
}

/**
 * Text that a function understands.
 *
 * @param expected what it is, with an example: "a time such as 20s".
 */
export function text<T>(parse: (text: string) => Parsed<T>, expected: string, tells: About) {
  return v.pipe(
    v.string(expected),
    // Before the transformation: what comes after it is not about the text.
    v.metadata(tells),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      const parsed = parse(dataset.value);
      if ("value" in parsed) return parsed.value;
      addIssue({ message: parsed.reason });
      return NEVER;
    }),
  );
}

/** A whole number within bounds. */
export function count(min: number, max: number) {
  const expected = `a number from ${min} to ${max}`;
  const reason = `this is a number from ${min} to ${max}`;
  return v.pipe(
    v.number(expected),
    v.integer(reason),
    v.minValue(min, reason),
    v.maxValue(max, reason),
  );
}

/** For editors: what a value is. */
export function about<T>(description: string, pattern?: string): v.MetadataAction<T, About> {
  return v.metadata({ description, ...(pattern === undefined ? {} : { pattern }) });
}

/** What editors tell of a value. */
export interface About {
  readonly description: string;
  /** Of text: a regular expression as ECMA-262 has it. */
  readonly pattern?: string;
  readonly [key: string]: unknown;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(
  dataset: v.UnknownDataset,
  config: v.Config<v.BaseIssue<unknown>>,
  expected: string,
): never {
  // A schema that takes nothing says that it does not take this.
  return v.never(expected)["~run"](dataset, config) as never;
}

function keyIssue(input: Record<string, unknown>, key: string, message: string) {
  const path: [v.ObjectPathItem] = [
    { type: "object", origin: "key", input, key, value: input[key] },
  ];
  return {
    kind: "schema",
    type: "strict_object",
    input: input[key],
    expected: "never",
    received: `"${key}"`,
    message,
    path,
  } as const satisfies v.BaseIssue<unknown>;
}
