// System calls that fail under a running pk: interrupted, out of buffers, never answered. What knocked
// still gets in, what is held still goes on, and what cannot go on ends with one clear line.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222, strace makes its calls fail

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { ACK_TIMEOUT_MS } from "../../src/limits.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { FAMILIES, type Family, IPV4, sleep } from "../support/netns.ts";
import {
  type Daemon,
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
import { type Fault, tamper, withFault } from "../support/tamper.ts";

/** Longer than a turn of the daemon. */
const SETTLED_MS = 300;
const TIMER_MS = 3000;

/** Faults from the start on, of which nobody should notice anything. */
const UNNOTICED: readonly Fault[] = [
  { call: "recvmmsg", inject: "error=EINTR:when=3+3" },
  { call: "recvmmsg", inject: "error=ENOBUFS:when=3+3" },
  { call: "recvmmsg", inject: "error=EAGAIN:when=3+3" },
  { call: "recvfrom", inject: "error=EINTR:when=2+2" },
  { call: "recvfrom", inject: "error=EAGAIN:when=2+2" },
  { call: "recvmmsg", inject: "error=EINTR:when=2+2" },
  { call: "sendto", inject: "error=EINTR:when=2+2" },
];

netnsTest("interrupted calls: the door opens for the first SYN all the same", async (t) => {
  await sideBySide(t, UNNOTICED, ({ call, inject }) => `${call} ${inject}`, async (fault) => {
    await using stage = await setQuietStage();
    await using pk = spawnPk(stage.ns, flags(), withFault(fault));
    await pk.event("ready", {}, { timeoutMs: 60_000 });
    for (const family of FAMILIES) {
      strictEqual(await stranger(stage, family), false, "without a grant");
      for (const n of [2, 3, 4]) {
        strictEqual(await knocksIn(stage.client, family, n), true, `source ${n}`);
      }
    }
    deepStrictEqual(failures(pk), []);
  });
});

netnsTest("waits that a signal ends too early: the door opens all the same", async () => {
  await using stage = await setQuietStage();
  await using pk = await startPk(stage.ns);
  for (const family of FAMILIES) {
    await using _fault = await tamper(
      pk.pid,
      { call: "poll", inject: "error=EINTR:when=1+2" },
      "all",
    );
    strictEqual(await knocksIn(stage.client, family, 1), true);
  }
  await stops(pk);
});

netnsTest("no buffers to send with: it is told, and the next knock opens", async (t) => {
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    await using stage = await setQuietStage();
    await using pk = await startPk(stage.ns);
    {
      await using _fault = await tamper(pk.pid, { call: "sendto", inject: "error=ENOBUFS" });
      strictEqual(await knocksIn(stage.client, family, 1, { tries: 1 }), false);
      const { reason } = await pk.event("grant failed", { source: family.source(1) });
      match(`${reason}`, /ENOBUFS/);
    }
    await sleep(SETTLED_MS);
    strictEqual(await knocksIn(stage.client, family, 2), true);
    strictEqual(await stranger(stage, family), false, "without a grant");
    await stops(pk);
  });
});

/** The ack is lost, not the grant: nobody may be told that it failed. */
const SILENCES: readonly Fault[] = [
  { call: "recvfrom", inject: "error=EAGAIN" },
  { call: "recvfrom", inject: "error=ENOBUFS" },
];

netnsTest("acks that never come: what is held goes on, and later ones are heard", async (t) => {
  await sideBySide(t, pairs(SILENCES), pairName, async ({ family, fault }) => {
    await using stage = await setQuietStage();
    await using pk = await startPk(stage.ns);
    await silenced(stage, pk, family, fault);
    strictEqual(await knocksIn(stage.client, family, 2), true, "when acks come again");
    strictEqual(await stranger(stage, family), false, "without a grant");
    await stops(pk);
  });
});

netnsTest("an ack that never comes: the grant that stands is not told of as failed", async (t) => {
  await sideBySide(t, pairs(SILENCES), pairName, async ({ family, fault }) => {
    await using stage = await setQuietStage();
    await using pk = await startPk(stage.ns, "--rule-timer", `${TIMER_MS}`);
    await silenced(stage, pk, family, fault);
    const [source] = (await grants(stage.ns)).map(({ source }) => source);
    strictEqual(source, family.source(1), "the grant stands");
    await sleep(TIMER_MS + SETTLED_MS);
    strictEqual(pk.seen("grant failed", { source }).length, 0, "told as failed");
    strictEqual(pk.seen("expired", { source }).length, 1, "told as expired");
  });
});

netnsTest("answers cut short: pk goes on, or ends with one clear line", async () => {
  await using stage = await setQuietStage();
  await using pk = await startPk(stage.ns);
  {
    await using _fault = await tamper(pk.pid, { call: "recvfrom", inject: "retval=8" });
    await stage.client.knock({
      host: IPV4.server,
      ports: KNOCKS,
      source: IPV4.source(1),
      gapMs: 5,
    });
    await getsIn(stage.client, IPV4, IPV4.source(2)); // refused: pk will ask for the counter
    await sleep(2000);
  }
  deepStrictEqual(pk.log.filter((line) => !line.startsWith("{")), [], "a line is an event");
  if (pk.seen("ended").length > 0) return strictEqual(await pk.ended(), 1);
  strictEqual(await knocksIn(stage.client, IPV4, 3), true);
  await stops(pk);
});

netnsTest("a socket that is broken for good ends pk with one clear line", async (t) => {
  await sideBySide(t, ["ENOMEM", "EBADF"], (error) => error, async (error) => {
    await using stage = await setQuietStage();
    await using pk = await startPk(stage.ns);
    strictEqual(await knocksIn(stage.client, IPV4, 1), true);
    await using _fault = await tamper(pk.pid, { call: "recvmmsg", inject: `error=${error}` });
    await stage.client.knock({ host: IPV4.server, ports: [KNOCKS[0]], source: IPV4.source(2) });
    strictEqual(await pk.ended(), 1);
    strictEqual(pk.events.length, pk.log.length, "every line is an event");
    const last = pk.events.at(-1);
    deepStrictEqual([last?.level, last?.event], ["error", "ended"]);
    match(`${last?.["reason"]}`, new RegExp(error));
    strictEqual(await getsIn(stage.client, IPV4, IPV4.source(1)), true, "the grant lives on");
    strictEqual(await stranger(stage, IPV4), false, "without a grant");
  });
});

netnsTest(
  "no ack at the start: one clear line, and the next start adopts what stands",
  async () => {
    await using stage = await setQuietStage();
    {
      // Sockets are bound and told of with the first answers; those about nf_tables come later.
      const fault = { call: "recvfrom", inject: "error=EAGAIN:when=7+" };
      await using pk = spawnPk(stage.ns, flags(), withFault(fault));
      strictEqual(await pk.ended(30_000), 1);
      strictEqual(failures(pk).length, 1);
      strictEqual(pk.events.length, pk.log.length, "every line is an event");
      match(`${pk.seen("ended")[0]?.["reason"]}`, /ETIMEDOUT/);
    }
    await using _next = await startPk(stage.ns);
    for (const family of FAMILIES) {
      strictEqual(await stranger(stage, family), false, "without a grant");
      strictEqual(await knocksIn(stage.client, family, 2), true);
    }
  },
);

/** Knocks of source 1 while no ack comes. Its SYN comes right behind, is held, and goes on. */
async function silenced(stage: Stage, pk: Daemon, family: Family, fault: Fault): Promise<void> {
  await using _fault = await tamper(pk.pid, fault);
  const timeoutMs = 3 * ACK_TIMEOUT_MS;
  const race = { host: family.server, ports: KNOCKS, guarded: GUARDED, timeoutMs };
  const [tookUs] = await stage.client.race({ ...race, sources: [family.source(1)] });
  ok(tookUs !== null, "its SYN went on");
  await sleep(ACK_TIMEOUT_MS + SETTLED_MS);
}

/** Does somebody get in who never knocked? */
function stranger({ client }: Stage, family: Family): Promise<boolean> {
  return getsIn(client, family, family.source(20), { timeoutMs: 300 });
}

function pairs(faults: readonly Fault[]): { family: Family; fault: Fault }[] {
  return faults.flatMap((fault) => FAMILIES.map((family) => ({ family, fault })));
}

function pairName({ family, fault }: { family: Family; fault: Fault }): string {
  return `${family.name} ${fault.inject}`;
}

function failures(pk: Daemon): readonly unknown[] {
  return pk.events.filter(({ level, event }) => level === "error" || event === "knocks lost");
}

async function stops(pk: Daemon): Promise<void> {
  pk.kill("SIGTERM");
  strictEqual(await pk.ended(), 0);
  ok(pk.seen("stopping").length === 1);
}
