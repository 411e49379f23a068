// watchTracking(): a warning when the table of tracked connections is nearly full, once for each time.

import assert from "node:assert/strict";
import type { Filter } from "../../../src/config/config.ts";
import type { Fields } from "../../../src/daemon/log.ts";
import { type Tracked, watchTracking } from "../../../src/daemon/tracking_watch.ts";
import { WATCHDOG_MS } from "../../../src/limits.ts";

const MAX = 1000;

/** What is told at the start and at each look after it, `counts` being what the kernel says at each. */
function told(
  counts: readonly (number | undefined)[],
  { filter = "stateful" as Filter, connections = 0 } = {},
): (number | string)[][] {
  const lines: { readonly look: number; readonly fields: Fields }[] = [];
  let look = 0;
  const read = (): Tracked | undefined => {
    const count = counts[look];
    return count === undefined ? undefined : { count, max: MAX };
  };
  const log = (_level: string, event: string, fields: Fields = {}) => {
    assert.equal(event, "connection tracking nearly full");
    lines.push({ look, fields });
  };
  const watch = watchTracking({ filter, connections }, log, 0, read);
  for (look = 1; look < counts.length; look++) {
    watch.check(filter, look * WATCHDOG_MS - 1);
    watch.check(filter, look * WATCHDOG_MS);
  }
  return lines.map(({ look, fields }) => [look, Number(fields["tracked"]), String(fields["hint"])]);
}

const looks = (counts: readonly (number | undefined)[]) =>
  told(counts).map(([look, tracked]) => [look, tracked]);

Deno.test("check() tells once, and again when the table fills again", () => {
  assert.deepEqual(looks([0, 899, 900, 1000, 950]), [[2, 900]]);
  assert.deepEqual(looks([950, 950]), [[0, 950]]);
  assert.deepEqual(looks([0, 900, 700, 900, 699, 899, 901]), [[1, 900], [6, 901]]);
});

Deno.test("check() says nothing where nothing is tracked, or without a limit", () => {
  assert.deepEqual(looks([undefined, undefined]), []);
  assert.deepEqual(looks([undefined, 900, undefined, 900]), [[1, 900], [3, 900]]);
});

Deno.test("watchTracking() counts live connections that will be tracked from now on", () => {
  const of = (filter: Filter) => told([0, 0], { filter, connections: 900 }).map(([look]) => look);
  assert.deepEqual(of("stateful"), [0]);
  assert.deepEqual(of("stateless"), []);
});

Deno.test("check() names the way out that the filter leaves", () => {
  const hint = (filter: Filter) => String(told([900], { filter })[0]?.[2]);
  assert.match(hint("stateful"), /nf_conntrack_max.*stateless filter/);
  assert.match(hint("stateless"), /nf_conntrack_max$/);
});
