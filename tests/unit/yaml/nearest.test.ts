// nearest(): what was probably meant, and what was not. editDistance() is one.

import fc from "fast-check";
import assert from "node:assert/strict";
import { editDistance, nearest } from "../../../src/yaml/nearest.ts";

const KEYS = ["opens", "knock", "within", "for", "then", "from", "weak"];

Deno.test("nearest() finds what was mistyped", () => {
  const cases: readonly [word: string, meant: string | undefined][] = [
    ["konck", "knock"],
    ["Knock", "knock"],
    ["knocks", "knock"],
    ["open", "opens"],
    ["witihn", "within"],
    ["fro", "for"],
    ["frmo", "from"],
    ["colour", undefined],
    ["", undefined],
    ["x", undefined],
    ["k".repeat(1_000), undefined],
  ];
  for (const [word, meant] of cases) assert.equal(nearest(word, KEYS), meant, word);
  assert.equal(nearest("a", ["n"]), undefined);
});

Deno.test("editDistance() is 0 for the same, the same both ways, and at most the longer word", () => {
  const word = fc.string({ maxLength: 12, unit: fc.constantFrom("a", "b", "c") });
  fc.assert(fc.property(word, word, (one, other) => {
    const distance = editDistance(one, other);
    assert.equal(distance, editDistance(other, one));
    assert.equal(distance === 0, one === other);
    assert.ok(distance <= Math.max(one.length, other.length));
    assert.ok(distance >= Math.abs(one.length - other.length));
  }));
  assert.equal(editDistance("konck", "knock"), 1);
});
