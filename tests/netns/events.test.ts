// What pk tells: one JSON object a line on stderr, each event with its fields, never a knock port, and
// never so much that an attacker could fill the disk with it.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222
//             many sources                    knocks 7000, 8000, 9000

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { FAMILIES, range } from "../support/netns.ts";
import { flags, getsIn, GUARDED, KNOCKS, setStage, spawnPk, startPk } from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";

netnsTest("each event has its fields", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--rule-timer", "1s", "--log-level", "debug");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const source = family.source(1);
    strictEqual(await getsIn(stage.client, family, source), false);
    strictEqual((await pk.event("refused", { source })).port, GUARDED);
    await stage.client.knock({ host: family.server, ports: KNOCKS, source, gapMs: 20 });
    const granted = await pk.event("granted", { source });
    deepStrictEqual([granted.port, granted.timeoutMs], [GUARDED, 1000]);
    const stages = pk.seen("knock", { source }).map(({ stage, of }) => [stage, of]);
    deepStrictEqual(stages.slice(0, 2), [[1, 3], [2, 3]]);
    await pk.event("expired", { source });
  });
  pk.kill("SIGTERM");
  strictEqual(await pk.ended(), 0);
  const [ready] = pk.seen("ready");
  match(JSON.stringify(ready), /firewall/, "the host's own firewall must let the port through");
  strictEqual(pk.events.length, pk.log.length, "every line is an event");
  for (const event of pk.events) {
    ok(!Number.isNaN(Date.parse(event.time)) && event.level && event.event, JSON.stringify(event));
    if (event.event === "knock") {
      ok(!KNOCKS.some((port) => JSON.stringify(event).includes(`:${port}`)), JSON.stringify(event));
    }
  }
});

netnsTest("the first knock is told at debug only", async () => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns);
  for (const family of FAMILIES) {
    const source = family.source(1);
    await stage.client.knock({ host: family.server, ports: KNOCKS, source, gapMs: 20 });
    await pk.event("granted", { source });
    strictEqual(pk.seen("knock", { source, stage: 1 }).length, 0);
    strictEqual(pk.seen("knock", { source, stage: 2 }).length, 1);
  }
});

netnsTest("what an attacker can cause is limited, and counted", async () => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns);
  const attempts = 2000;
  for (const family of FAMILIES) {
    const [host, source] = [family.server, family.source(1)];
    await stage.client.flood({ host, ports: [GUARDED], count: attempts, source });
    await stage.client.flood({ host, ports: [7000, 8000], count: attempts, source });
  }
  // Whoever knocks after it is heard, and told of.
  const source = FAMILIES[0].source(2);
  await stage.client.knock({ host: FAMILIES[0].server, ports: KNOCKS, source, gapMs: 5 });
  await pk.event("granted", { source });
  const told = pk.events.filter(({ event }) => event === "refused" || event === "knock").length;
  console.log(`${told} lines for ${attempts * 4} packets`);
  ok(told < attempts / 4, `${told} lines`);
});

netnsTest("guarding the port of one's own ssh session is warned of", async () => {
  await using stage = await setStage();
  const warnings = async (port: number) => {
    const session = `SSH_CONNECTION=10.99.0.2 50000 10.99.0.1 ${port}`;
    await using pk = spawnPk(stage.ns, flags(), ["env", session]);
    await pk.event("ready", {}, { timeoutMs: 30_000 });
    return pk.events.filter(({ level, port }) => level === "warning" && port === GUARDED).length;
  };
  strictEqual(await warnings(22), 0);
  strictEqual(await warnings(GUARDED), 1);
});

netnsTest("text for a person: no JSON, the same facts", async () => {
  await using stage = await setStage();
  const args = flags("--log-format", "text").filter((arg, index, all) =>
    arg !== "json" && !(arg === "--log-format" && all[index + 1] === "json")
  );
  await using pk = spawnPk(stage.ns, args);
  const source = FAMILIES[0].source(1);
  const until = Date.now() + 10_000;
  // Text has no events to wait for: knock until the door opens.
  for (const _ of range(100)) {
    await stage.client.knock({ host: FAMILIES[0].server, ports: KNOCKS, source, gapMs: 5 });
    if (pk.log.some((line) => line.includes(source)) || Date.now() > until) break;
  }
  strictEqual(await getsIn(stage.client, FAMILIES[0], source), true);
  const text = pk.log.join("\n");
  match(text, /ready/i);
  match(text, new RegExp(`${source.replaceAll(".", "\\.")}.*${GUARDED}|${GUARDED}.*${source}`));
  ok(!pk.log.some((line) => line.startsWith("{")), text);
});
