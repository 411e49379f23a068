// The page's colours: contrast by WCAG 2.2, relative luminance.

import assert from "node:assert/strict";
import { STYLE } from "../../../src/page/style.ts";

const TEXT = [
  ["ink", "paper"],
  ["ink", "tint"],
  ["soft", "paper"],
  ["soft", "tint"],
  ["accent", "paper"],
  ["on-accent", "accent"],
  ["good", "paper"],
  ["bad", "paper"],
] as const;

Deno.test("text has a contrast of 7 (AAA), borders of 3, light and dark", () => {
  const schemes = [...STYLE.matchAll(/:root \{([^}]*)\}/g)].map(([, rules = ""]) =>
    new Map([...rules.matchAll(/--([a-z-]+): (#[0-9a-f]{6})/g)].map(([, name, colour]) => [
      name,
      luminance(colour ?? ""),
    ]))
  );
  assert.equal(schemes.length, 2);
  for (const colours of schemes) {
    const contrast = (one: string, other: string) => {
      const [low = NaN, high = NaN] = [colours.get(one), colours.get(other)]
        .map((value) => value ?? NaN).toSorted((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    };
    for (const [text, behind] of TEXT) {
      assert.ok(contrast(text, behind) >= 7, `${text} on ${behind}: ${contrast(text, behind)}`);
    }
    assert.ok(contrast("line", "paper") >= 3);
  }
});

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = (colour.match(/[0-9a-f]{2}/g) ?? []).map((hex) => {
    const part = parseInt(hex, 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
