// Times as text: "500ms", "20s", "2m", "1h".

import { GRANT_MS_MAX } from "../limits.ts";
import type { Milliseconds } from "./config.ts";
import type { Parsed } from "./parsed.ts";

const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** For JSON schemas. */
export const TIME_PATTERN = "^[0-9]{1,10}(ms|s|m|h)$";

/**
 * A time from a millisecond to 24 days.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseTime } from "./time.ts";
 * assert.deepEqual(parseTime("2m"), { value: 120_000 });
 * ```
 */
export function parseTime(text: string): Parsed<Milliseconds> {
  const [, digits = "", unit] = /^(\d{1,10})(ms|s|m|h)$/.exec(text) ?? [];
  const value = Number(digits) * (UNIT_MS[unit as keyof typeof UNIT_MS] ?? 0);
  if (value >= 1 && value <= GRANT_MS_MAX) return { value: value as Milliseconds };
  return { reason: "a time is from 1ms to 24 days (596h), such as 500ms, 20s, 2m or 1h" };
}

/** The time in the largest unit that has it whole: `timeText(120_000)` is "2m". */
export function timeText(ms: number): string {
  const [unit, unitMs] = Object.entries(UNIT_MS).find(([, unitMs]) => ms % unitMs === 0) ??
    ["ms", 1];
  return `${ms / unitMs}${unit}`;
}
