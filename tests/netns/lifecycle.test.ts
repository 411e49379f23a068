// What pk's death, stop and start mean for the doors: nothing opens, open services suffer nothing,
// grants end on their time, a restarted pk adopts them, and `pk down` leaves no trace.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)
//             many sources                    knocks 7000, 8000 (a service of its own), 9000

import { ok, strictEqual } from "node:assert/strict";
import { QUEUE_LENGTH_MAX } from "../../src/limits.ts";
import {
  enter,
  FAMILIES,
  type Family,
  IPV4,
  IPV6,
  must,
  ruleset,
  sleep,
} from "../support/netns.ts";
import {
  type Daemon,
  getsIn,
  grants,
  GUARDED,
  KNOCKS,
  runPk,
  setStage,
  spawnPk,
  type Stage,
  startPk,
} from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { undisturbed } from "../support/undisturbed.ts";

/** Long enough that a restart on a busy machine falls into it. */
const TIMER_MS = 10_000;

interface Way {
  readonly name: string;
  /** Takes pk away; what it returns brings it back. */
  leave(stage: Stage, pk: Daemon): Promise<void>;
}

const WAYS: readonly Way[] = [
  {
    name: "kill -9",
    leave: async (_stage, pk) => {
      pk.kill("SIGKILL");
      await pk.ended();
    },
  },
  { name: "SIGTERM", leave: (_stage, pk) => endsCleanly(pk, "SIGTERM") },
  { name: "SIGINT", leave: (_stage, pk) => endsCleanly(pk, "SIGINT") },
];

netnsTest("when pk is gone its rules stay, and the next pk adopts them", async (t) => {
  await sideBySide(t, WAYS, ({ name }) => name, async (way) => {
    await using stage = await setStage();
    await using pk = await startPk(stage.ns, "--rule-timer", `${TIMER_MS}`);
    await stage.server.listen(8000);
    const opened = await Promise.all(FAMILIES.map((family) => knockIn(stage, family)));
    for (const family of FAMILIES) await pk.event("granted", { source: family.source(1) });
    const before = await ruleset(stage.ns);

    const stops = FAMILIES.map((family) =>
      stage.client.probe({
        host: family.server,
        port: GUARDED,
        source: family.source(2),
        intervalMs: 5,
      })
    );
    await way.leave(stage, pk);
    strictEqual(rules(await ruleset(stage.ns)), rules(before), "the rules without pk");
    await Promise.all(FAMILIES.map((family) => asWithout(stage, family)));

    await using next = await startPk(stage.ns, "--rule-timer", `${TIMER_MS}`);
    strictEqual(rules(await ruleset(stage.ns)), rules(before), "the rules of the next pk");
    for (const family of FAMILIES) {
      strictEqual(await getsIn(stage.client, family, family.source(1)), true, "adopted grant");
      await knockIn(stage, family, family.source(3)); // and the next pk works
    }
    const probed = await Promise.all(stops.map((stop) => stop()));
    for (const { tries, connectedAt } of probed) {
      ok(tries > 50, `${tries} tries`);
      strictEqual(connectedAt.length, 0, "connections without a grant");
    }
    await Promise.all(FAMILIES.map(async (family, index) => {
      const expired = await next.event("expired", { source: family.source(1) }, {
        timeoutMs: 2 * TIMER_MS,
      });
      const lateMs = Date.parse(expired.time) - (opened[index] ?? 0) - TIMER_MS;
      ok(Math.abs(lateMs) < 1000, `the adopted grant ended ${Math.round(lateMs)} ms late`);
      strictEqual(await getsIn(stage.client, family, family.source(1)), false, "after its time");
    }));
  });
});

netnsTest("without pk a grant ends on its time", () =>
  undisturbed(async () => {
    await using stage = await setStage();
    await using pk = await startPk(stage.ns, "--rule-timer", "3000");
    const opened = await Promise.all(FAMILIES.map((family) => knockIn(stage, family)));
    // Who has knocked is let in before the grant is written.
    for (const family of FAMILIES) await pk.event("granted", { source: family.source(1) });
    pk.kill("SIGKILL");
    await pk.ended();
    await Promise.all(FAMILIES.map(async (family, index) => {
      const end = (opened[index] ?? 0) + 3000;
      const getsInStill = () => getsIn(stage.client, family, family.source(1));
      await sleep(end - 700 - Date.now());
      strictEqual(await getsInStill(), true, `${family.name}: before its end`);
      await sleep(end + 700 - Date.now());
      strictEqual(await getsInStill(), false, `${family.name}: after its end`);
    }));
    strictEqual((await grants(stage.ns)).length, 0);
  }));

netnsTest("a stopped pk (SIGSTOP, 5 s) opens nothing and blocks nothing for good", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--rule-timer", "4000");
  await stage.server.listen(8000);
  const opened = await Promise.all(FAMILIES.map((family) => knockIn(stage, family)));
  const sessions = await Promise.all(FAMILIES.map((family) =>
    stage.client.connect({
      host: family.server,
      port: GUARDED,
      source: family.source(1),
      timeoutMs: 700,
    })
  ));
  pk.kill("SIGSTOP");
  const stops = FAMILIES.map((family) =>
    stage.client.probe({
      host: family.server,
      port: GUARDED,
      source: family.source(2),
      intervalMs: 5,
    })
  );
  const services = FAMILIES.map((family) =>
    stage.client.connect({
      host: family.server,
      port: 8000,
      source: family.source(3),
      timeoutMs: 700,
    })
  );
  for (const session of sessions) {
    ok(session.connected);
    strictEqual(await stage.client.echo(session.session, "while stopped"), true, "a session");
  }
  await sleep(5000);
  strictEqual((await grants(stage.ns)).length, 0, "grants after their time");
  pk.kill("SIGCONT");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const index = FAMILIES.indexOf(family);
    ok(Date.now() - (opened[index] ?? 0) > 5000);
    const service = await services[index];
    ok(service?.connected, "the service on a knock port");
    const probed = await stops[index]?.();
    strictEqual(probed?.connectedAt.length, 0, "connections without a grant");
    strictEqual(await getsIn(stage.client, family, family.source(1)), false, "after its time");
    await knockIn(stage, family, family.source(4)); // and it works as before
  });
});

netnsTest("a stopped pk with a full queue: packets pass on to the guard at once", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns);
  await stage.server.listen(8000);
  for (const family of FAMILIES) await knockIn(stage, family);
  pk.kill("SIGSTOP");
  // SYNs of a source that has just knocked last wait, until too many do.
  const flood = { host: IPV4.server, source: IPV4.source(5) };
  await stage.client.knock({ ...flood, ports: KNOCKS, gapMs: 5 });
  await stage.client.flood({ ...flood, ports: [GUARDED], count: QUEUE_LENGTH_MAX + 100 });
  const queue = await must(...enter(stage.ns), "cat", "/proc/net/netfilter/nfnetlink_queue");
  strictEqual(queue.trim().split(/\s+/)[2], String(QUEUE_LENGTH_MAX), "SYNs that wait");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    strictEqual(
      await getsIn(stage.client, family, family.source(4), { port: 8000 }),
      true,
      "service",
    );
    strictEqual(await getsIn(stage.client, family, family.source(4)), false, "without a grant");
    strictEqual(await getsIn(stage.client, family, family.source(1)), true, "with a grant");
  });
  pk.kill("SIGCONT");
  for (const family of FAMILIES) await knockIn(stage, family, family.source(6));
});

netnsTest("pk down leaves nothing behind", async (t) => {
  const cases = [
    { name: "with a live daemon", end: () => Promise.resolve() },
    {
      name: "after SIGTERM",
      end: (pk: Daemon) => endsCleanly(pk, "SIGTERM"),
    },
    {
      name: "after kill -9",
      end: async (pk: Daemon) => {
        pk.kill("SIGKILL");
        await pk.ended();
      },
    },
  ];
  await sideBySide(t, cases, ({ name }) => name, async ({ name, end }) => {
    await using stage = await setStage();
    await using pk = await startPk(stage.ns);
    await Promise.all(FAMILIES.map((family) => knockIn(stage, family)));
    await end(pk);
    for (const time of ["first", "second"]) {
      const down = await runPk(stage.ns, "down");
      strictEqual(down.code, 0, `${time} pk down: ${down.stderr}`);
      strictEqual(await ruleset(stage.ns), "");
    }
    if (name === "with a live daemon") strictEqual(await pk.ended(), 0);
    for (const family of FAMILIES) {
      strictEqual(await getsIn(stage.client, family, family.source(2)), true, "as before pk");
    }
    await using next = await startPk(stage.ns);
    strictEqual(await getsIn(stage.client, IPV4, IPV4.source(1)), false, "an old grant");
    strictEqual(await getsIn(stage.client, IPV6, IPV6.source(1)), false, "an old grant");
    strictEqual(next.seen("granted").length, 0);
  });
});

netnsTest("another timer and other ports at the restart take over the old grants", async () => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--rule-timer", "30000");
  await knockIn(stage, IPV4);
  await endsCleanly(pk, "SIGTERM");
  await using next = spawnPk(stage.ns, [
    ...["--port-seq", "7100,8100", "--port-dest", `${GUARDED}`],
    ...["--rule-timer", "5s", "--log-format", "json"],
  ]);
  await next.event("ready", {}, { timeoutMs: 30_000 });
  strictEqual(await getsIn(stage.client, IPV4, IPV4.source(1)), true, "the adopted grant");
  const [grant] = await grants(stage.ns);
  ok(grant && grant.timeoutMs === 30_000 && grant.expiresMs > 20_000, JSON.stringify(grant));
  await stage.client.knock({ host: IPV4.server, ports: KNOCKS, source: IPV4.source(2), gapMs: 5 });
  strictEqual(await getsIn(stage.client, IPV4, IPV4.source(2)), false, "the old sequence");
  const ports = [7100, 8100];
  await stage.client.knock({ host: IPV4.server, ports, source: IPV4.source(2), gapMs: 5 });
  strictEqual(await getsIn(stage.client, IPV4, IPV4.source(2)), true, "the new sequence");
});

/** Knocks, and gets in; when the last knock went out. */
async function knockIn(stage: Stage, family: Family, source = family.source(1)): Promise<number> {
  const knock = { host: family.server, ports: KNOCKS, source, gapMs: 5 };
  const lastAt = await stage.client.knock(knock);
  strictEqual(await getsIn(stage.client, family, source), true, `${source} knocked`);
  return lastAt;
}

/** Everything that has to hold while no pk runs: source 1 has a grant, source 4 has none. */
async function asWithout(stage: Stage, family: Family): Promise<void> {
  strictEqual(await getsIn(stage.client, family, family.source(4)), false, "without a grant");
  strictEqual(await getsIn(stage.client, family, family.source(1)), true, "with a grant");
  // A SYN that waited in the queue when pk died is lost: the second one gets through.
  const service = { port: 8000, timeoutMs: 3000 };
  strictEqual(await getsIn(stage.client, family, family.source(4), service), true, "a service");
}

async function endsCleanly(pk: Daemon, signal: Deno.Signal): Promise<void> {
  pk.kill(signal);
  strictEqual(await pk.ended(), 0, `exit code after ${signal}`);
  strictEqual(pk.seen("stopping").length, 1);
}

/** The ruleset without the elements of sets: their remaining time differs. */
function rules(text: string): string {
  return text.replace(/^\s*elements = \{[^}]*\}\n/gm, "");
}
