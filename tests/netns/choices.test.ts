// What an administrator can choose, with real packets: what a refused SYN sees, what becomes of
// connections when their grant ends, decoys and what they do to a source, and the warning about a
// sequence that is easy to guess.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)
//             many sources                    knocks 7000, 8000, 9000; decoys 7001, 9320

import { match, ok, strictEqual } from "node:assert/strict";
import { FAMILIES, type Family, sleep } from "../support/netns.ts";
import { getsIn, GUARDED, KNOCKS, setStage, type Stage, startPk } from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";

const CLOSED = 2223;
const DECOYS = [7001, 9320] as const;

netnsTest("--refuse reset: a guarded port looks like one where nobody listens", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--refuse", "reset");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const connect = (port: number, source: string) =>
      stage.client.connect({ host: family.server, port, source, timeoutMs: 900 });
    const shut = await connect(GUARDED, family.source(1));
    const closed = await connect(CLOSED, family.source(1));
    ok(!shut.connected && !closed.connected);
    strictEqual(shut.error, closed.error);
    match(shut.error, /refused/i);
    await pk.event("refused", { source: family.source(1), port: GUARDED });
    await knock(stage, family, family.source(2));
    strictEqual(await getsIn(stage.client, family, family.source(2)), true, "after the knock");
  });
});

netnsTest("--on-expire cut: a session ends with its grant, on both sides", async (t) => {
  await using stage = await setStage();
  // A session older than pk was never granted, and goes on.
  const older = await Promise.all(FAMILIES.map((family) =>
    stage.client.connect({
      host: family.server,
      port: GUARDED,
      source: family.source(3),
      timeoutMs: 900,
    })
  ));
  await using pk = await startPk(stage.ns, "--on-expire", "cut", "--rule-timer", "2000");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const [host, source] = [family.server, family.source(1)];
    await knock(stage, family, source);
    const session = await stage.client.connect({ host, port: GUARDED, source, timeoutMs: 900 });
    ok(session.connected);
    strictEqual(await stage.client.echo(session.session, "while open"), true);
    await pk.event("expired", { source });
    await sleep(100);
    strictEqual(await stage.client.echo(session.session, "after its end", 900), false);
    strictEqual(await getsIn(stage.client, family, source), false, "a new one");
    const other = older[FAMILIES.indexOf(family)];
    ok(other?.connected);
    strictEqual(await stage.client.echo(other.session, "older than pk"), true);
  });
});

netnsTest("--on-expire cut: the kernel cuts where pk is gone", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--on-expire", "cut", "--rule-timer", "2000");
  const sessions = await Promise.all(FAMILIES.map(async (family) => {
    await knock(stage, family, family.source(1));
    return await stage.client.connect({
      host: family.server,
      port: GUARDED,
      source: family.source(1),
      timeoutMs: 900,
    });
  }));
  pk.kill("SIGKILL");
  await pk.ended();
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const session = sessions[FAMILIES.indexOf(family)];
    ok(session?.connected);
    strictEqual(await stage.client.echo(session.session, "while open"), true);
    await sleep(2500);
    strictEqual(await stage.client.echo(session.session, "after its end", 900), false);
  });
});

netnsTest("--decoys: a source that touches one starts over, others do not", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--decoys", DECOYS.join());
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const [host, scanner, other] = [family.server, family.source(1), family.source(2)];
    const [first, ...rest] = KNOCKS;
    await stage.client.knock({ host, ports: [first], source: other, gapMs: 5 });
    await stage.client.knock({
      host,
      ports: [first, DECOYS[0], ...rest],
      source: scanner,
      gapMs: 5,
    });
    await pk.event("decoy", { source: scanner });
    strictEqual(await getsIn(stage.client, family, scanner), false, "after a decoy");
    await stage.client.knock({ host, ports: rest, source: other, gapMs: 5 });
    strictEqual(await getsIn(stage.client, family, other), true, "another source");
    await knock(stage, family, scanner);
    strictEqual(await getsIn(stage.client, family, scanner), true, "the whole sequence again");
  });
});

netnsTest("--ban: a source that touched a decoy cannot knock for a time", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--decoys", DECOYS.join(), "--ban", "3s");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const [host, scanner] = [family.server, family.source(1)];
    // Who is in already stays in.
    await knock(stage, family, family.source(2));
    for (const source of [scanner, family.source(2)]) {
      await stage.client.knock({ host, ports: [DECOYS[1]], source, gapMs: 5 });
      await pk.event("decoy", { source });
    }
    strictEqual(await getsIn(stage.client, family, family.source(2)), true, "with a grant");
    await knock(stage, family, scanner);
    strictEqual(await getsIn(stage.client, family, scanner), false, "banned");
    strictEqual(pk.seen("knock", { source: scanner }).length, 0);
    await knock(stage, family, family.source(3));
    strictEqual(await getsIn(stage.client, family, family.source(3)), true, "another source");
    await sleep(3500);
    await knock(stage, family, scanner);
    strictEqual(await getsIn(stage.client, family, scanner), true, "after the ban");
  });
});

netnsTest("--within: a sequence that takes longer opens nothing", async (t) => {
  await using stage = await setStage();
  await using _pk = await startPk(stage.ns, "--within", "400ms");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const knocks = { host: family.server, ports: KNOCKS };
    await stage.client.knock({ ...knocks, source: family.source(1), gapMs: 50 });
    strictEqual(await getsIn(stage.client, family, family.source(1)), true, "in time");
    await stage.client.knock({ ...knocks, source: family.source(2), gapMs: 300 });
    strictEqual(await getsIn(stage.client, family, family.source(2)), false, "too late");
  });
});

netnsTest("--grants-max: a full set refuses, says so, and evicts nobody", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--grants-max", "2", "--rule-timer", "60s");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    for (const n of [1, 2, 3]) await knock(stage, family, family.source(n));
    await pk.event("grant failed", { source: family.source(3) });
    for (const n of [1, 2, 3]) {
      strictEqual(await getsIn(stage.client, family, family.source(n)), n < 3, `source ${n}`);
    }
    // Who has a grant may renew it.
    await knock(stage, family, family.source(1));
    await pk.event("granted", { source: family.source(1) }, { nth: 2 });
  });
});

netnsTest("a sequence that is easy to guess is warned about, without its ports", async (t) => {
  const cases = [
    { name: "weak", sequence: "7000,8000,9000", decoys: [], weak: true },
    {
      name: "strong",
      sequence: "7214,3391,9406,1187,5530",
      decoys: [8000, 4000, 2000],
      weak: false,
    },
  ];
  await sideBySide(t, cases, ({ name }) => name, async ({ sequence, decoys, weak }) => {
    await using stage = await setStage();
    const args = ["--port-seq", sequence];
    if (decoys.length > 0) args.push("--decoys", decoys.join());
    await using pk = await startPk(stage.ns, ...args);
    strictEqual(pk.seen("weak sequence").length, weak ? 1 : 0);
    for (const port of sequence.split(",")) {
      ok(!pk.log.join("\n").includes(port), pk.log.join("\n"));
    }
  });
});

async function knock(stage: Stage, family: Family, source: string): Promise<void> {
  await stage.client.knock({ host: family.server, ports: KNOCKS, source, gapMs: 5 });
}
