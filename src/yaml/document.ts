// A YAML file (1.2, core schema) as typed values, or all that is wrong with it at once, each problem
// with its place in the text. Pure: text in, values or a ConfigError out.

import * as v from "valibot";
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from "yaml";
import { ConfigError, type Problem } from "../errors.ts";
import { problemsOf } from "./issues.ts";
import { positionsIn } from "./position.ts";

/** Bytes of a file: more than any has that a person keeps. */
export const FILE_BYTES_MAX = 1024 * 1024;

/** Nodes that all uses of one anchor may come to ("billion laughs"). */
const ALIASES_MAX = 10_000;

/** Keys of maps and indexes of lists, from the root on. */
export type Path = readonly (string | number)[];

/** A type that a value is read as: a Valibot schema, best made of what is in shape.ts. */
export type Schema = v.GenericSchema<unknown, unknown>;

/** What is wrong at a path. */
export interface Report {
  readonly path: Path;
  /** Is it the key that is wrong, or what it stands for? */
  readonly at?: "key" | "value";
  readonly message: string;
  readonly hint?: string | undefined;
}

/** A file that is YAML, whatever it says. Collects what is wrong with it. */
export interface YamlDocument {
  /** The values as they stand there. */
  readonly value: unknown;
  /** What stands at a path as the schema's type; undefined, and reported, where it is none. */
  check<const S extends Schema>(schema: S, path?: Path): v.InferOutput<S> | undefined;
  /** The same without a report, for what was checked as part of a whole. */
  quietly<const S extends Schema>(schema: S, path: Path): v.InferOutput<S> | undefined;
  report(problem: Report): void;
  /** A problem in a file that this one names. */
  reportElsewhere(problem: Problem): void;
  /** Line of what stands at the path, from 1. */
  lineOf(path: Path): number;
  /** @throws {ConfigError} with everything that was reported, in the order of the text. */
  finish(): void;
}

/**
 * Reads a whole file as one type.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import * as v from "valibot";
 * import { parseYaml } from "./document.ts";
 * import { map } from "./shape.ts";
 * const Host = map("A host", { address: v.string(), port: v.optional(v.number(), 22) });
 * assert.deepEqual(parseYaml("address: example.org", "host.yaml", Host), {
 *   address: "example.org",
 *   port: 22,
 * });
 * assert.throws(() => parseYaml("adress: example.org", "host.yaml", Host), /Did you mean "address"/);
 * ```
 *
 * @throws {ConfigError} with all problems.
 */
export function parseYaml<const S extends Schema>(
  text: string | Uint8Array,
  file: string,
  schema: S,
): v.InferOutput<S> {
  const document = openYaml(text, file);
  const value = document.check(schema);
  document.finish();
  return value as v.InferOutput<S>;
}

/**
 * Reads a file as YAML.
 *
 * @throws {ConfigError} where it is not UTF-8 text of YAML, with all problems.
 */
export function openYaml(content: string | Uint8Array, file: string): YamlDocument {
  const text = typeof content === "string" ? boundedText(content, file) : decode(content, file);
  const position = positionsIn(text);
  const problems: Problem[] = [];
  const add = (message: string, hint: string | undefined, [start, end]: readonly number[]) => {
    problems.push({ file, message, hint, ...position(start ?? 0, end ?? start ?? 0) });
  };
  const finish = () => {
    if (problems.length > 0) throw new ConfigError(file, problems.sort(inOrder(file)));
  };
  const tree = parseTree(text, add);
  finish();
  const lineAt = (offset: number) => position(offset, offset).line;
  const value = valueOf(tree, lineAt, add);
  finish();
  const place = ({ path, at }: Pick<Report, "path" | "at">) => placeOf(tree, path, at ?? "value");
  const report = (problem: Report) => add(problem.message, problem.hint, place(problem));
  return {
    value,
    check: (schema, path = []) => {
      const result = v.safeParse(schema, at(value, path));
      if (result.success) return result.output;
      const standsAt = (inner: Path) => at(value, [...path, ...inner]);
      for (const problem of problemsOf(result.issues, standsAt)) {
        report({ ...problem, path: [...path, ...problem.path] });
      }
      return undefined;
    },
    quietly: (schema, path) => {
      const result = v.safeParse(schema, at(value, path));
      return result.success ? result.output : undefined;
    },
    report,
    reportElsewhere: (problem) => void problems.push(problem),
    lineOf: (path) => lineAt(place({ path })[0] ?? 0),
    finish,
  };
}

type Add = (message: string, hint: string | undefined, range: readonly number[]) => void;

/**
 * Bytes as text.
 *
 * @throws {ConfigError} where they are too many, or not UTF-8.
 */
function decode(bytes: Uint8Array, file: string): string {
  if (bytes.length > FILE_BYTES_MAX) throw tooLarge(file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    const text = new TextDecoder().decode(bytes);
    const wrong = Math.max(0, text.indexOf("\ufffd"));
    const message = "This is not UTF-8 text";
    const hint = "Save the file in the encoding UTF-8";
    throw new ConfigError(file, [
      { file, message, hint, ...positionsIn(text)(wrong, wrong + 1) },
    ]);
  }
}

function boundedText(text: string, file: string): string {
  if (text.length > FILE_BYTES_MAX) throw tooLarge(file);
  return text.replace(/^\ufeff/, "");
}

function tooLarge(file: string): ConfigError {
  const message = `The file is larger than ${FILE_BYTES_MAX} bytes`;
  const hint = "Is this the right file?";
  return new ConfigError(file, [{ file, line: 1, column: 1, message, hint, excerpt: undefined }]);
}

function parseTree(text: string, add: Add): Document {
  let tree: Document;
  try {
    // Equal keys are looked for below: the package compares each with each.
    tree = parseDocument(text, { prettyErrors: false, stringKeys: true, uniqueKeys: false });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    add("Lists and maps are nested too deeply", "A few levels are enough", [0, 0]);
    return parseDocument("");
  }
  const told = new Set<number>();
  for (const { message, pos, code } of tree.errors) {
    if (told.has(pos[0])) continue;
    told.add(pos[0]);
    const { words = lowerFirst(message), hint } = SYNTAX[code] ?? {};
    add(`This is not YAML: ${words}`, hint, pos);
  }
  for (const { pos } of tree.warnings) {
    const tag = text.slice(...pos).match(/^!\S*/)?.[0]?.replace(/[\],}]+$/, "");
    if (tag === undefined) continue;
    add(`${tag} is a tag in YAML, not text`, `Write it in quotes: "${tag}"`, pos);
  }
  if (tree.errors.length === 0 && tree.contents === null) {
    add("The file is empty", undefined, [0, 0]);
  }
  return tree;
}

/** What the package's errors need beside its words, or instead of them. */
const SYNTAX: Readonly<Record<string, { readonly words?: string; readonly hint?: string }>> = {
  TAB_AS_INDENT: { hint: "Indent with blanks" },
  BAD_INDENT: { hint: "What belongs together begins in the same column" },
  MULTIPLE_DOCS: { words: "there is more than one document", hint: "Take the line --- away" },
  MULTILINE_IMPLICIT_KEY: { hint: "Is there a colon missing after a key?" },
  NON_STRING_KEY: { words: "a key is text" },
  RESOURCE_EXHAUSTION: { words: "lists and maps are nested too deeply" },
};

function lowerFirst(text: string): string {
  return text.replace(/^[A-Z](?=[a-z ])/, (letter) => letter.toLowerCase());
}

/** Names that JavaScript keeps for itself, and that schemas would skip without a word. */
const RESERVED = ["__proto__", "prototype", "constructor"];

function valueOf(tree: Document, lineAt: (offset: number) => number, add: Add): unknown {
  visit(tree, {
    Map: (_key, { items }) => {
      const seen = new Map<string, number>();
      for (const { key } of items) {
        const name = isScalar(key) ? String(key.value) : "";
        const range = rangeOf(key);
        if (RESERVED.includes(name)) add(`Cannot use "${name}" as a key`, undefined, range);
        const first = seen.get(name);
        if (first !== undefined) {
          add(`The key "${name}" is there already, in line ${lineAt(first)}`, "Rename one", range);
        } else seen.set(name, range[0] ?? 0);
      }
    },
  });
  try {
    return tree.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    if (!(error instanceof ReferenceError || error instanceof RangeError)) throw error;
    let range: readonly number[] = [0, 0];
    visit(tree, { Alias: (_key, alias) => (range = rangeOf(alias), visit.BREAK) });
    const message = "Aliases (*name) repeat too much, or one has no anchor (&name) before it";
    add(message, "Write out what they stand for", range);
    return undefined;
  }
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      typeof inner === "object" && inner !== null && Object.hasOwn(inner, key)
        ? (inner as Record<string | number, unknown>)[key]
        : undefined,
    value,
  );
}

/** Offsets of the node at a path, or of the nearest there is above it. */
function placeOf(tree: Document, path: Path, part: "key" | "value"): readonly number[] {
  let node: unknown = tree.contents;
  let place: readonly number[] = shown(node);
  for (const [index, key] of path.entries()) {
    const inside = isAlias(node) ? node.resolve(tree) : node;
    if (isSeq(inside)) {
      node = inside.items[Number(key)];
      if (node === undefined) return place;
      place = shown(node);
    } else if (isMap(inside)) {
      const pair = inside.items.find((item) => keyOf(item) === String(key));
      if (pair === undefined) return place;
      node = pair.value;
      // A list or map over many lines is best known by its key.
      const [start, end] = rangeOf(node);
      const byKey = (part === "key" && index === path.length - 1) || start === end ||
        (isCollection(node) && !node.flow);
      place = byKey ? rangeOf(pair.key) : rangeOf(node);
    } else return place;
  }
  return place;
}

/** A map is shown by its first key. */
function shown(node: unknown): readonly number[] {
  return isMap(node) && !node.flow ? rangeOf(node.items[0]?.key ?? node) : rangeOf(node);
}

function isCollection(node: unknown): node is { flow?: boolean } {
  return isMap(node) || isSeq(node);
}

function keyOf({ key }: Pair): string | undefined {
  return isScalar(key) ? String(key.value) : undefined;
}

function rangeOf(node: unknown): readonly number[] {
  return (node as Node | null | undefined)?.range ?? [0, 0];
}

/** First this file, then those that it names. */
function inOrder(file: string): (a: Problem, b: Problem) => number {
  return (a, b) =>
    Number(a.file !== file) - Number(b.file !== file) || compare(a.file, b.file) ||
    a.line - b.line || a.column - b.column;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
