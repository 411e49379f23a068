// Faults that take their time to show, side by side: pk killed again and again under load, pk made deaf
// by somebody who unbinds its listeners, pk stopped for a while.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)
//             sources 1 to 100: one each round, knocks and connects
//             sources 101, 102: try to connect all the time, without a grant
//             sources 103, 104: flood knock ports and the guarded port, never the last knock

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { WATCHDOG_MS } from "../../src/limits.ts";
import { Random } from "../fuzz/random.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { FAMILIES, type Family, ruleset, sleep } from "../support/netns.ts";
import {
  flags,
  getsIn,
  grants,
  GUARDED,
  KNOCKS,
  spawnPk,
  type Stage,
  startPk,
} from "../support/pk.ts";
import { knocksIn, setQuietStage } from "../support/quiet_stage.ts";
import { unbind } from "../support/tamper.ts";

const ROUNDS = 100;
const STOPPED_MS = 10_000;
const TIMER_MS = 4000;
/** A busy machine tells and asks late; grants are listed in whole seconds. */
const SLACK_MS = 1500;
/** The watchdog needs two looks. */
const NOTICED_MS = 2 * WATCHDOG_MS + 10_000;

netnsTest("faults that take their time to show", async (t) => {
  const cases = [
    { name: `kill -9 at ${ROUNDS} random moments`, run: killedAgainAndAgain },
    { name: `stopped for ${STOPPED_MS / 1000} s (SIGSTOP)`, run: stoppedForAWhile },
    { name: "the log group unbound by somebody else", run: () => madeDeaf("log group") },
    { name: "the queue unbound by somebody else", run: () => madeDeaf("queue") },
  ];
  await sideBySide(t, cases, ({ name }) => name, ({ run }) => run());
});

/** Nothing opens, grants end, and when it goes on it hears who knocked meanwhile. */
async function stoppedForAWhile(): Promise<void> {
  await using stage = await setQuietStage();
  await using pk = await startPk(stage.ns, "--rule-timer", `${TIMER_MS}`);
  // Once each: knocks that pk finds when it goes on would open again.
  for (const family of FAMILIES) {
    strictEqual(await knocksIn(stage.client, family, 1, { tries: 1, timeoutMs: 3000 }), true);
  }
  // Who has knocked is let in before the grant is written.
  for (const family of FAMILIES) await pk.event("granted", { source: family.source(1) });
  pk.kill("SIGSTOP");
  const stops = FAMILIES.map((family) =>
    stage.client.probe({
      host: family.server,
      port: GUARDED,
      source: family.source(2),
      intervalMs: 10,
    })
  );
  for (const family of FAMILIES) {
    const knock = { host: family.server, ports: KNOCKS, source: family.source(3), gapMs: 5 };
    await stage.client.knock(knock);
  }
  await sleep(STOPPED_MS);
  deepStrictEqual(await grants(stage.ns), [], "grants after their time");
  for (const stop of stops) deepStrictEqual((await stop()).connectedAt, [], "without a grant");
  pk.kill("SIGCONT");
  for (const family of FAMILIES) {
    await pk.event("granted", { source: family.source(3) });
    strictEqual(await getsIn(stage.client, family, family.source(1)), false, "after its time");
    strictEqual(await knocksIn(stage.client, family, 4), true);
  }
  pk.kill("SIGTERM");
  strictEqual(await pk.ended(), 0);
}

/** pk says that it no longer hears, and ends: whoever started it starts it again. */
async function madeDeaf(what: "queue" | "log group"): Promise<void> {
  await using stage = await setQuietStage();
  await using pk = await startPk(stage.ns);
  await unbind(pk.pid, what);
  const knocking = setInterval(() => {
    for (const family of FAMILIES) {
      const knock = { host: family.server, ports: KNOCKS, source: family.source(2), gapMs: 5 };
      stage.client.knock(knock).then(() => getsIn(stage.client, family, family.source(2)))
        .catch(() => {}); // the test is over
    }
  }, 2000);
  try {
    strictEqual(await pk.ended(NOTICED_MS), 1, "its exit code");
  } finally {
    clearInterval(knocking);
  }
  const last = pk.events.at(-1);
  deepStrictEqual([last?.level, last?.event], ["error", "ended"]);
  match(`${last?.["reason"]}`, /no copy|unbound|no longer|listen/);
  ok(last?.["hint"], "what to do");
  await using _next = await startPk(stage.ns);
  for (const family of FAMILIES) {
    strictEqual(await getsIn(stage.client, family, family.source(3)), false, "without a grant");
    strictEqual(await knocksIn(stage.client, family, 4), true);
  }
}

async function killedAgainAndAgain(): Promise<void> {
  const seed = Number(Deno.env.get("PK_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  console.log(`kill -9: PK_SEED=${seed} repeats its moments`);
  const random = new Random(seed);
  await using stage = await setQuietStage({ sources: ROUNDS + 10 });
  /** When each source sent its last knock: nobody else may ever come in. */
  const knockedAt = new Map<string, number>();
  let opened = 0;
  const begun = performance.now();

  // The first start: before it the port is open to all.
  const first = await startPk(stage.ns, ...pkFlags(true));
  const rules = withoutElements(await ruleset(stage.ns));
  const stops = FAMILIES.flatMap((family) =>
    [101, 102].map((n) =>
      stage.client.probe({
        host: family.server,
        port: GUARDED,
        source: family.source(n),
        intervalMs: 10,
      })
    )
  );
  await first[Symbol.asyncDispose]();

  for (let round = 1; round <= ROUNDS; round++) {
    const before = await grants(stage.ns);
    const owner = !random.once(5);
    const untilKillMs = random.below(200);
    const duringStart = random.once(5);
    await using pk = spawnPk(stage.ns, flags(...pkFlags(owner)));
    if (!duringStart) {
      const ready = await pk.event("ready", {}, { timeoutMs: 30_000 });
      strictEqual(ready["adopted"], true, `round ${round}`);
      const certain = before.filter(({ expiresMs }) => expiresMs > 2000).length;
      const count = Number(ready["grants"]);
      ok(certain <= count && count <= before.length, `${count} of ${before.length} adopted`);
    }
    const works = FAMILIES.map((family) => load(stage, family, round, knockedAt));
    await sleep(untilKillMs);
    pk.kill("SIGKILL");
    await pk.ended();

    strictEqual(withoutElements(await ruleset(stage.ns)), rules, `the rules after round ${round}`);
    const askedAt = Date.now();
    const standing = await grants(stage.ns);
    for (const { source } of standing) {
      const knocked = knockedAt.get(source);
      ok(knocked !== undefined, `${source} has a grant and never knocked to the end`);
      ok(askedAt - knocked < TIMER_MS + SLACK_MS, `${source}: ${askedAt - knocked} ms`);
    }
    for (const { source } of pk.seen("granted")) {
      ok(standing.some((grant) => grant.source === source), `${source} has no grant`);
    }
    opened += (await Promise.all(works)).filter(Boolean).length;
  }

  for (const { tries, connectedAt } of await Promise.all(stops.map((stop) => stop()))) {
    ok(tries > 100, `${tries} tries`);
    deepStrictEqual(connectedAt, [], "connections without a grant");
  }
  for (const peer of await stage.server.peers(GUARDED)) {
    ok(knockedAt.has(peer), `${peer} came in and never knocked to the end`);
  }
  const tookMs = Math.round(performance.now() - begun);
  console.log(`kill -9: ${opened} of ${2 * ROUNDS} doors opened in time, ${tookMs} ms`);
  ok(opened > ROUNDS / 4, "most rounds have to show something");
  await sleep(TIMER_MS);
  deepStrictEqual(await grants(stage.ns), [], "grants after their time");
  await using next = await startPk(stage.ns, ...pkFlags(true));
  strictEqual(next.seen("ready")[0]?.["adopted"], true);
  for (const family of FAMILIES) {
    strictEqual(await getsIn(stage.client, family, family.source(1)), false, "after its time");
    strictEqual(await knocksIn(stage.client, family, 105), true);
  }
}

function pkFlags(owner: boolean): string[] {
  return ["--rule-timer", `${TIMER_MS}`, ...(owner ? [] : ["--no-table-owner"])];
}

/** What goes on while pk is killed: a flood, and one who knocks and connects. Did that one get in? */
async function load(
  { client }: Stage,
  family: Family,
  round: number,
  knockedAt: Map<string, number>,
): Promise<boolean> {
  const [host, source] = [family.server, family.source(round)];
  const flood = client.flood({
    host,
    ports: [...KNOCKS.slice(0, -1), GUARDED],
    count: 300,
    source: family.source(round % 2 ? 103 : 104),
  });
  await client.knock({ host, ports: KNOCKS.slice(0, -1), source, gapMs: 5 });
  await sleep(5);
  knockedAt.set(source, Infinity);
  const lastAt = await client.knock({ host, ports: KNOCKS.slice(-1), source });
  knockedAt.set(source, lastAt);
  const opened = await getsIn(client, family, source, { timeoutMs: 250 });
  await flood;
  return opened;
}

/** The rules alone: the elements of sets come and go. */
function withoutElements(text: string): string {
  return text.replace(/^\s*elements = \{[^}]*\}\n/gm, "");
}
