// openYaml(), parseYaml(): what is not YAML, what is YAML and not of the type, and where that stands.

import fc from "fast-check";
import assert from "node:assert/strict";
import * as v from "valibot";
import { ConfigError } from "../../../src/errors.ts";
import { FILE_BYTES_MAX, openYaml, parseYaml, type Schema } from "../../../src/yaml/document.ts";
import { choice, count, map, mapOf } from "../../../src/yaml/shape.ts";

const Door = map("A door", {
  opens: v.array(v.string(), "a list of ports such as [tcp/22]"),
  then: v.optional(choice("keep", "cut"), "keep"),
  level: v.optional(count(1, 5)),
  quiet: v.optional(v.boolean()),
});

const File = map("A file", {
  doors: mapOf(v.pipe(v.string(), v.regex(/^[a-z]+$/, "a name is small letters")), Door, "doors"),
});

Deno.test("parseYaml() gives typed values, with defaults", () => {
  assert.deepEqual(parseYaml("doors: { ssh: { opens: [a] } }", "f", File), {
    doors: { ssh: { opens: ["a"], then: "keep" } },
  });
  assert.deepEqual(parseYaml("\ufeffa: 1", "f", map("A", { a: v.number() })), { a: 1 });
  assert.deepEqual(
    parseYaml("doors:\r\n  ssh: &s\r\n    opens: [a]\r\n  web: *s\r\n", "f", File).doors.web,
    { opens: ["a"], then: "keep" },
  );
});

Deno.test("parseYaml() tells what is no YAML, with its place", () => {
  const cases: readonly [text: string, ...problems: string[]][] = [
    ["", "1:1 The file is empty"],
    ["# nothing\n", "1:1 The file is empty"],
    [
      "a:\n\tb: 1",
      "2:1 This is not YAML: tabs are not allowed as indentation | Indent with blanks",
    ],
    [
      "a: 1\n---\na: 2",
      "2:1 This is not YAML: there is more than one document | Take the line --- away",
    ],
    ["a: 1\nb: 2\na: 3", '3:1 The key "a" is there already, in line 1 | Rename one'],
    ["a: {b: 1, b: 2}", '1:11 The key "b" is there already, in line 1 | Rename one'],
    ["a: [!syn, x]", '1:5 !syn is a tag in YAML, not text | Write it in quotes: "!syn"'],
    ["? [a]\n: b", "1:3 This is not YAML: a key is text"],
    ["constructor: 1", '1:1 Cannot use "constructor" as a key'],
    ["a: {__proto__: {b: 1}}", '1:5 Cannot use "__proto__" as a key'],
    [
      "a: *b",
      "1:4 Aliases (*name) repeat too much, or one has no anchor (&name) before it | " +
      "Write out what they stand for",
    ],
  ];
  for (const [text, ...problems] of cases) assert.deepEqual(problemsOf(text), problems, text);
});

Deno.test("parseYaml() tells everything that is not of the type, at once", () => {
  const text = `doors:
  ssh:
    opens: 22
    konck: [tcp/7000]
    then: kepp
    level: 7
  B: {opens: [], quiet: yes}
  web: {opens: [a, 2, b], level: 1.5}
  none:
port: 1
`;
  assert.deepEqual(problemsOf(text), [
    "3:12 Expected a list of ports such as [tcp/22], not 22",
    '4:5 Unknown key "konck" | A door has: opens, then, level, quiet.',
    '5:11 Expected keep or cut, not "kepp" | Did you mean "keep"?',
    "6:12 Cannot use 7: this is a number from 1 to 5",
    '7:3 Cannot use "B": a name is small letters',
    '7:25 Expected true or false, not "yes"',
    "8:20 Expected text, not 2",
    "8:34 Cannot use 1.5: this is a number from 1 to 5",
    "9:3 Expected a map, not nothing",
    '10:1 Unknown key "port" | A file has: doors.',
  ]);
  assert.deepEqual(problemsOf("doors: [a]"), ["1:8 Expected doors, not this list"]);
  assert.deepEqual(problemsOf("[a]"), ["1:1 Expected a map, not this list"]);
  assert.deepEqual(problemsOf("doors: {a: {}}"), [
    '1:9 Missing key "opens" | A door has: opens, then, level, quiet.',
  ]);
});

Deno.test("an unknown key is told with the nearest known one", () => {
  const [problem] = problemsOf("doors: {a: {opens: [], thne: keep}}");
  assert.equal(
    problem,
    '1:24 Unknown key "thne" | A door has: opens, then, level, quiet. Did you mean "then"?',
  );
});

Deno.test("of a value that may be one of several types, the one with its outer form is told about", () => {
  const Knock = map("A file", {
    knock: v.union(
      [
        v.array(v.union([v.string(), map("A step", { port: v.number() })], "a step"), "a list"),
        Door,
      ],
      "a list of steps, or a door",
    ),
  });
  const cases: readonly [string, ...string[]][] = [
    ["knock: 5", "1:8 Expected a list of steps, or a door, not 5"],
    ["knock: [a, 5]", "1:12 Expected a step, not 5"],
    ["knock: [a, {prot: 5}]", ...[
      '1:12 Missing key "port" | A step has: port.',
      '1:13 Unknown key "prot" | A step has: port. Did you mean "port"?',
    ]],
    ["knock: {then: x, opens: []}", '1:15 Expected keep or cut, not "x"'],
  ];
  for (const [text, ...problems] of cases) {
    assert.deepEqual(problemsOf(text, Knock), problems, text);
  }
});

Deno.test("a problem is drawn under its line as compilers do, but not in the message, which is for logs", () => {
  const error = errorOf(() =>
    parseYaml("doors:\n  ssh: { opens: [], konck: [] }", "pk.yaml", File)
  );
  assert.equal(error.file, "pk.yaml");
  assert.equal(
    error.drawing(),
    `pk.yaml:2:21: Unknown key "konck"
     2 |   ssh: { opens: [], konck: [] }
       |                     ^^^^^
     A door has: opens, then, level, quiet.`,
  );
  assert.equal(
    error.message,
    'pk.yaml:2:21: Unknown key "konck"\n     A door has: opens, then, level, quiet.',
  );
});

Deno.test("many problems are counted rather than shown", () => {
  const error = errorOf(() => parseYaml(`[${"x: 1, ".repeat(1)}]`, "f", v.array(v.number())));
  assert.equal(error.problems.length, 1);
  const many = errorOf(() => parseYaml(`[${"x, ".repeat(70)}]`, "f", v.array(v.number())));
  assert.equal(many.problems.length, 70);
  assert.match(many.message, /\nand 20 more$/);
});

Deno.test("a long line is shown around the place, and nothing in it moves the cursor", () => {
  const long = `doors: { a: { opens: [${"x, ".repeat(200)}], then: no } }`;
  const excerpt = errorOf(() => parseYaml(long, "f", File)).problems[0]?.excerpt ?? "";
  const [line = "", marks = ""] = excerpt.split("\n");
  assert.ok(line.length < 120, line);
  assert.equal(line.slice(marks.indexOf("^"), marks.lastIndexOf("^") + 1), "no");

  const text = 'doors: { a: { opens: [], "\\e[2J": 1, "\u202e\u009b": 1 } }';
  const problems = errorOf(() => parseYaml(text, "f", File)).problems;
  assert.equal(problems.length, 2);
  for (const { excerpt } of problems) assert.doesNotMatch(excerpt ?? "", /[\u202e\u009b]/);
});

Deno.test("bytes that are no UTF-8 and files that are too large are refused", () => {
  const wrong = new Uint8Array([0x61, 0x3a, 0x20, 0x31, 0x0a, 0x62, 0xff, 0x3a]);
  assert.deepEqual(problemsOf(wrong), [
    "2:2 This is not UTF-8 text | Save the file in the encoding UTF-8",
  ]);
  const large = new Uint8Array(FILE_BYTES_MAX + 1).fill(0x23);
  const said = [`1:1 The file is larger than ${FILE_BYTES_MAX} bytes | Is this the right file?`];
  assert.deepEqual(problemsOf(large), said);
  assert.deepEqual(problemsOf("#".repeat(FILE_BYTES_MAX + 1)), said);
});

Deno.test("aliases of aliases and deep lists end quickly", () => {
  let bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (let level = 1; level < 9; level++) {
    const uses = Array.from({ length: 10 }, () => `*a${level - 1}`).join(", ");
    bomb += `a${level}: &a${level} [${uses}]\n`;
  }
  assert.match(problemsOf(bomb).join(), /^9:|Aliases/);
  assert.match(problemsOf("[".repeat(5_000)).join(), /nested too deeply/);
  assert.match(problemsOf("a: ".repeat(2_000)).join(), /not YAML/);
});

Deno.test("whatever the text, only a ConfigError comes out, and it points into the text", () => {
  const pieces = fc.constantFrom(
    ..."doors|ssh|opens|: |\n|  |- |[|]|{|}|,|&a |*a|!x|'|\"|#|\t|22|\r|é|\u202e|?|---\n|<<|%"
      .split("|"),
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
      const text = parts.join("");
      try {
        parseYaml(text, "f", File);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        assertInside(error, text);
      }
    }),
    { numRuns: 2_000 },
  );
});

Deno.test("openYaml() reports at keys and values, and of what is not there at what is around it", () => {
  const document = openYaml("a:\n  b: [x, {c: 1}]\nd: &d {e: 2}\nf: *d\n", "f");
  const at = (path: (string | number)[], part?: "key" | "value") => {
    document.report({ path, message: path.join("."), ...(part === undefined ? {} : { at: part }) });
  };
  at(["a", "b", 1, "c"]);
  at(["a", "b", 1, "c"], "key");
  at(["a", "b", 7]);
  at(["f", "e"]);
  at(["g"]);
  at(["a"]);
  const places = errorOf(() => document.finish()).problems.map((problem) =>
    `${problem.line}:${problem.column} ${problem.message}`
  );
  assert.deepEqual(places, [
    "1:1 g",
    "1:1 a",
    "2:6 a.b.7",
    "2:11 a.b.1.c",
    "2:14 a.b.1.c",
    "3:11 f.e",
  ]);
  assert.equal(document.lineOf(["d", "e"]), 3);
});

function problemsOf(text: string | Uint8Array, schema: Schema = File): string[] {
  return errorOf(() => parseYaml(text, "f", schema)).problems.map((
    { line, column, message, hint },
  ) => `${line}:${column} ${message}${hint === undefined ? "" : ` | ${hint}`}`);
}

function errorOf(action: () => unknown): ConfigError {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: "nothing was wrong" });
}

function assertInside({ problems }: ConfigError, text: string): void {
  assert.ok(problems.length > 0);
  const lines = text.split("\n");
  for (const { line, column } of problems) {
    const length = [...lines[line - 1] ?? ""].length;
    assert.ok(line >= 1 && line <= lines.length, `line ${line} of ${lines.length}`);
    assert.ok(column >= 1 && column <= length + 1, `column ${column} of ${length}`);
  }
}
