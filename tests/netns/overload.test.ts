// More knocks than can be read: one share of the sources after the other is heard, so that who knocks
// again gets in, and all are heard again when it is over.
//
//     client  two generators, one on each processor, flat out ──► server: pk with a low priority

import { doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { FAMILIES, type FamilyName, GUARDED_PORT } from "../bench/addresses.ts";
import type { Background } from "../bench/background.ts";
import type { Connected } from "../bench/connector.ts";
import { PARTIAL, walk } from "../bench/flood.ts";
import type { Sent } from "../bench/generator.ts";
import { freshSources, visit } from "../bench/knockers.ts";
import {
  type BenchLab,
  createBenchLab,
  startClient,
  startFlood,
  startGenerator,
  startPk,
} from "../bench/lab.ts";
import { enter } from "../bench/network.ts";
import { netnsTest } from "../support/cases.ts";
import { must } from "../support/netns.ts";
import type { Daemon } from "../support/pk.ts";

const SOURCES = 60_000;
/** The second generator's sources begin here. */
const SECOND_FROM = 1_000_000;
/** A sixth of a processor that others use. */
const LOW_PRIORITY = "7";
/** 0.5 s each: as long as it takes until every share had its turn. */
const ATTEMPTS_MAX = 140;
const EVENT = { timeoutMs: 20_000 };

for (const family of FAMILIES) {
  netnsTest(
    `${family}: beyond capacity, who knocks again gets in; after it all are heard`,
    async () => {
      await using lab = await createBenchLab();
      await using second = startGenerator(lab.network.client, 1);
      await using client = startClient(lab);
      await using pk = await startPk(lab);
      await slow(pk);
      const fresh = freshSources();
      {
        await using _floods = floods(lab, second, family);
        match(String((await pk.event("beyond capacity", {}, EVENT)).heard), /^1\/\d+$/);
        match(await copying(lab), /jhash ip6 saddr mod \d+ seed/);
        const one = { family, gapMs: 5, giveUpMs: 500, withinMs: 60_000 };
        const [knocker] = await visit(client, fresh, {
          ...one,
          count: 1,
          attemptsMax: ATTEMPTS_MAX,
        });
        ok(knocker?.connected, `in after ${knocker?.attempts} attempts`);
        const order = { family, source: fresh(), knocks: [], gapMs: 0, port: GUARDED_PORT };
        const forger = await client.order({ ...order, giveUpMs: 500 }) as Connected;
        strictEqual(forger.connected, false, "without a knock");
      }
      // Where the flood itself paused, all were heard before.
      await pk.event("all heard", {}, { ...EVENT, nth: beginnings(pk) });
      doesNotMatch(await copying(lab), /jhash/);
      const after = await visit(client, fresh, { family, gapMs: 5, withinMs: 60_000, count: 16 });
      ok(after.every(({ connected }) => connected), JSON.stringify(after));
      pk.kill("SIGTERM");
      strictEqual(await pk.ended(), 0);
    },
  );
}

netnsTest(
  "a pk that was killed beyond capacity leaves the port shut, and the next one hears all",
  async () => {
    await using lab = await createBenchLab();
    await using second = startGenerator(lab.network.client, 1);
    await using client = startClient(lab);
    await using killed = await startPk(lab);
    await slow(killed);
    const fresh = freshSources();
    const family = "ipv4";
    {
      await using _floods = floods(lab, second, family);
      await killed.event("beyond capacity", {}, EVENT);
      killed.kill("SIGKILL");
      await killed.ended();
    }
    match(await copying(lab), /jhash/, "the rules stay as they were");
    const order = { family, source: fresh(), knocks: [], gapMs: 0, port: GUARDED_PORT };
    const forger = await client.order({ ...order, giveUpMs: 500 }) as Connected;
    strictEqual(forger.connected, false, "nobody is there to let anybody in");
    await using pk = await startPk(lab);
    strictEqual(pk.seen("ready")[0]?.adopted, true);
    doesNotMatch(await copying(lab), /jhash/);
    const after = await visit(client, fresh, { family, gapMs: 5, withinMs: 60_000, count: 16 });
    ok(after.every(({ connected }) => connected), JSON.stringify(after));
  },
);

/** Two floods, flat out, until they are disposed of. */
function floods(lab: BenchLab, second: Background, family: FamilyName): AsyncDisposableStack {
  const course = walk(PARTIAL, family, SOURCES);
  const stack = new AsyncDisposableStack();
  stack.use(startFlood(lab.send, course, 0));
  const send = async (order: object) => await second.order(order) as Sent;
  stack.use(startFlood(send, { ...course, from: SECOND_FROM }, 0));
  return stack;
}

/** Leaves pk a small part of a processor that others use. */
async function slow(pk: Daemon): Promise<void> {
  const threads = Array.from(Deno.readDirSync(`/proc/${pk.pid}/task`), ({ name }) => name);
  await must("renice", "-n", LOW_PRIORITY, "-p", ...threads);
}

/** How often it came to be beyond its capacity; that there are more shares then is told, too. */
function beginnings({ events }: Daemon): number {
  const told = events.map(({ event }) => event)
    .filter((event) => event === "beyond capacity" || event === "all heard");
  return told.filter((event, index) => event !== "all heard" && told[index - 1] !== event).length;
}

/** The chains that copy knocks, as nft lists them. */
async function copying({ network: { server } }: BenchLab): Promise<string> {
  const list = (chain: string) =>
    must(...enter(server), "nft", "list", "chain", "inet", "pk", chain);
  return await list("early") + await list("knock");
}
