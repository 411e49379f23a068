// What Valibot found wrong, as sentences for people. How the messages are meant is in shape.ts.

import type { BaseIssue } from "valibot";
import type { Path, Report } from "./document.ts";

/** What `pk secret` writes: never to be repeated. */
const LIKE_A_KEY = /^\s*([a-z2-7]{4}[-\s]?){8}$/i;

/** Characters of a value that a message repeats. */
const QUOTED_MAX = 60;

/** Sentences and places. `standsAt` is what the file says at a path. */
export function problemsOf(
  issues: readonly BaseIssue<unknown>[],
  standsAt: (path: Path) => unknown,
): Report[] {
  return issues.flatMap((issue) => problemsOfIssue(issue, [], standsAt));
}

function problemsOfIssue(
  issue: BaseIssue<unknown>,
  above: Path,
  standsAt: (path: Path) => unknown,
): Report[] {
  const path = [...above, ...(issue.path ?? []).map(({ key }) => key as string | number)];
  const meant = likeliest(issue.issues ?? []);
  if (meant.length > 0) return meant.flatMap((inner) => problemsOfIssue(inner, path, standsAt));
  const [words = "", hint] = wordsOf(issue).split("\n");
  const key = issue.path?.at(-1)?.origin === "key";
  if (key && issue.kind === "schema") {
    return [
      missing(issue) ? { path: path.slice(0, -1), at: "key", message: words, hint } : {
        path,
        at: "key",
        message: words,
        hint,
      },
    ];
  }
  const found = key ? issue.input : standsAt(path);
  // Whoever writes text where a map belongs may have written a secret.
  const value = typeof found === "string" && /\ba map\b/.test(words) ? "text" : valueText(found);
  const message = issue.kind === "schema"
    ? `Expected ${words}, not ${value}`
    : `Cannot use ${value}: ${words}`;
  return [{ path, at: key ? "key" : "value", message, hint }];
}

/** Schemas that say nothing are known by their type. */
const EXPECTED: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  boolean: "true or false",
  array: "a list",
};

function wordsOf({ message, type }: BaseIssue<unknown>): string {
  return message.startsWith("Invalid type:") ? EXPECTED[type] ?? message : message;
}

/**
 * Of what is wrong with a value that may be one of several types: that with the types whose outer form
 * it has.
 */
function likeliest(issues: readonly BaseIssue<unknown>[]): BaseIssue<unknown>[] {
  return issues.filter((issue) =>
    issue.path !== undefined || issue.kind !== "schema" || likeliest(issue.issues ?? []).length > 0
  );
}

function missing({ path }: BaseIssue<unknown>): boolean {
  const last = path?.at(-1);
  return last !== undefined && !Object.hasOwn(last.input as object, last.key as string);
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "this list";
  if (typeof value === "object") return "this map";
  if (typeof value !== "string") return String(value);
  if (LIKE_A_KEY.test(value)) return "this key";
  return JSON.stringify(value.length > QUOTED_MAX ? `${value.slice(0, QUOTED_MAX)}…` : value);
}
