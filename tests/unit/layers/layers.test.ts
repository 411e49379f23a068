// Keeps the folders what ARCHITECTURE.md says they are: imports as `deno info --json` resolves them,
// types included, and words of the source without its comments, against the tables in rules.ts.

import assert from "node:assert/strict";
import { type ImportRule, importRules, startRule, vagueFileName, wordRules } from "./rules.ts";

const root = new URL("../../../", import.meta.url);
const files = ["main.ts", ...typescriptIn("src"), ...typescriptIn("ffi")];
const imports = await importGraph();

for (const rule of importRules) {
  Deno.test(`imports: ${rule.reason}`, () => expectNone(forbiddenImports(imports, rule)));
}

Deno.test(`start: ${startRule.reason}`, async () => {
  for (const start of startRule.from) {
    const loaded = loadedFrom(new URL(start, root).href, await denoInfo(start));
    assert.ok(loaded.size > 50, "most of it is not seen");
    expectNone([...loaded].map(projectPath).filter((file) => isIn(startRule.never, file)));
  }
});

for (const rule of wordRules) {
  Deno.test(`words: ${rule.reason}`, () => {
    const inRule = files.filter((file) => isIn(rule.in, file));
    expectNone(inRule.flatMap((file) => {
      const [word] = withoutComments(read(file)).match(rule.never) ?? [];
      return word === undefined ? [] : [`${file} says ${word}`];
    }));
  });
}

Deno.test("names: a file is called after what it holds", () => {
  expectNone(files.filter((file) => vagueFileName.test(file)));
});

Deno.test("every source file is in the import graph", () => {
  expectNone(files.filter((file) => !imports.has(file)));
});

Deno.test("forbiddenImports() tells type imports, exceptions and the rest apart", () => {
  const graph: Graph = new Map([
    ["src/a/x.ts", new Set(["src/b/y.ts", "src/b/allowed.ts", "src/a/z.ts"])],
    ["src/b/y.ts", new Set(["src/b/allowed.ts"])],
  ]);
  const rule = { from: ["src/a/"], never: ["src/b/"], except: ["src/b/allowed.ts"], reason: "" };
  assert.deepEqual(forbiddenImports(graph, rule), ["src/a/x.ts imports src/b/y.ts"]);
  assert.deepEqual(forbiddenImports(graph, { ...rule, but: ["src/a/x.ts"] }), []);
});

Deno.test("loadedFrom() follows what is imported, not what may be", () => {
  const { modules } = {
    modules: [
      { specifier: "a", dependencies: [{ specifier: "b", code: { specifier: "b" } }] },
      {
        specifier: "b",
        dependencies: [
          { specifier: "a", code: { specifier: "a" } },
          { specifier: "c", code: { specifier: "c" }, isDynamic: true },
          { specifier: "d", type: { specifier: "d" } },
        ],
      },
      { specifier: "c", dependencies: [{ specifier: "e", code: { specifier: "e" } }] },
    ],
  };
  assert.deepEqual([...loadedFrom("a", { modules })].sort(), ["a", "b"]);
});

Deno.test("withoutComments() keeps strings that look like comments", () => {
  const source = 'const a = "http://x"; // Deno.exit\n/* Deno */ const b = `/* c */`;';
  assert.equal(withoutComments(source), 'const a = "http://x"; \n const b = `/* c */`;');
});

type Graph = ReadonlyMap<string, ReadonlySet<string>>;

function expectNone(offenders: readonly string[]): void {
  assert.ok(offenders.length === 0, `\n${offenders.join("\n")}`);
}

function forbiddenImports(graph: Graph, rule: ImportRule): string[] {
  const found: string[] = [];
  for (const [file, targets] of graph) {
    if (!isIn(rule.from, file) || isIn(rule.but ?? [], file)) continue;
    for (const target of targets) {
      if (!isIn(rule.never, target) || isIn(rule.except ?? [], target)) continue;
      found.push(`${file} imports ${target}`);
    }
  }
  return found;
}

/** Whether a path is one of the files, or in one of the folders, that a rule names. */
function isIn(places: readonly string[], path: string): boolean {
  return places.some((place) =>
    path === place || /[/:]$|^npm:/.test(place) && path.startsWith(place)
  );
}

/** Leaves string and template literals alone, since `//` occurs in them. */
function withoutComments(source: string): string {
  const literalOrComment =
    /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return source.replaceAll(literalOrComment, (_, literal?: string) => literal ?? "");
}

interface DenoInfo {
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly {
      readonly specifier: string;
      readonly isDynamic?: boolean;
      readonly code?: { readonly specifier?: string };
      readonly type?: { readonly specifier?: string };
    }[];
  }[];
}

/** Each file of ours with what it imports, as project paths or as specifiers such as `npm:…`. */
async function importGraph(): Promise<Graph> {
  const graph = new Map<string, Set<string>>();
  for (const file of files) {
    if (graph.has(file)) continue;
    for (const { specifier, dependencies = [] } of (await denoInfo(file)).modules) {
      if (!specifier.startsWith(root.href)) continue;
      const targets = dependencies.flatMap(({ code, type }) => [code?.specifier, type?.specifier]);
      graph.set(projectPath(specifier), new Set(targets.filter(isString).map(projectPath)));
    }
  }
  return graph;
}

/** A module and what is loaded with it: neither types nor what is imported when it is asked for. */
function loadedFrom(start: string, { modules }: DenoInfo): Set<string> {
  const byName = new Map(modules.map((module) => [module.specifier, module]));
  const loaded = new Set([start]);
  // A set that grows while it is walked through is walked through to its end.
  for (const specifier of loaded) {
    for (const { isDynamic, code } of byName.get(specifier)?.dependencies ?? []) {
      if (code?.specifier !== undefined && !isDynamic) loaded.add(code.specifier);
    }
  }
  return loaded;
}

async function denoInfo(file: string): Promise<DenoInfo> {
  const { success, stdout, stderr } = await new Deno.Command("deno", {
    args: ["info", "--json", file],
    cwd: root,
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** Of packages without the slash that comes with a part of one: `npm:@optique/core@1.3.6/message`. */
function projectPath(specifier: string): string {
  if (specifier.startsWith(root.href)) return specifier.slice(root.href.length);
  return specifier.replace(/^npm:\//, "npm:");
}

function typescriptIn(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`${folder}/`, root))].flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return typescriptIn(path);
    return path.endsWith(".ts") ? [path] : [];
  });
}

function read(file: string): string {
  return Deno.readTextFileSync(new URL(file, root));
}

function isString(value: string | undefined): value is string {
  return value !== undefined;
}
