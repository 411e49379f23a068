// How long a door is open: the kernel's own timer, counted from the last full sequence; sessions made
// meanwhile live on, and nothing else does, not even a source port that conntrack still remembers.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)
//             many sources                    knocks 7000, 8000, 9000

import { ok, strictEqual } from "node:assert/strict";
import { enter, FAMILIES, type Family, must, sleep } from "../support/netns.ts";
import { grants, GUARDED, KNOCKS, setStage, type Stage, startPk } from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";

const TIMER_MS = 4000;

netnsTest("a grant ends on time", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--rule-timer", `${TIMER_MS}`);
  const cases = FAMILIES.flatMap((family) => [
    { family, name: "counted from the knock", source: family.source(1), again: false },
    { family, name: "counted from the second sequence", source: family.source(2), again: true },
  ]);
  await sideBySide(t, cases, (one) => `${one.family.name}: ${one.name}`, async (one) => {
    const { family, source } = one;
    const knock = { host: family.server, ports: KNOCKS, source, gapMs: 5 };
    let lastAt = await stage.client.knock(knock);
    if (one.again) {
      await sleep(2000);
      lastAt = await stage.client.knock(knock);
      await pk.event("granted", { source }, { nth: 2 });
    }
    const shutAt = await lastSuccess(stage, family, source, lastAt + TIMER_MS + 1500);
    const openMs = shutAt - lastAt;
    ok(Math.abs(openMs - TIMER_MS) < 1000, `open for ${Math.round(openMs)} ms`);
    const expired = await pk.event("expired", { source });
    const lateMs = Date.parse(expired.time) - lastAt - TIMER_MS;
    ok(Math.abs(lateMs) < 1000, `"expired" was ${Math.round(lateMs)} ms late`);
    strictEqual(pk.seen("expired", { source }).length, 1);
    strictEqual((await grants(stage.ns)).filter((grant) => grant.source === source).length, 0);
  });
});

netnsTest("a session outlives its grant, its source port does not", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--rule-timer", "5000");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    const [host, source] = [family.server, family.source(1)];
    const to = { host, port: GUARDED, source, timeoutMs: 700 };
    await stage.client.knock({ host, ports: KNOCKS, source, gapMs: 5 });
    const session = await stage.client.connect(to);
    const forgotten = await stage.client.connect(to);
    ok(session.connected && forgotten.connected);

    // The client forgets the second session without a word; conntrack goes on believing in it. While
    // the door is open, the same source port gets in anew (after the server's old socket is reset).
    await stage.client.vanish(forgotten.session);
    const again = { ...to, sourcePort: forgotten.sourcePort, timeoutMs: 3000 };
    const second = await stage.client.connect(again);
    ok(second.connected, "the old source port, while open");
    await stage.client.vanish(second.session);

    await pk.event("expired", { source }, { timeoutMs: 7000 });
    strictEqual(await stage.client.echo(session.session, "still here"), true, "session");
    strictEqual((await stage.client.connect(to)).connected, false, "a new connection");
    strictEqual(await conntrackKnows(stage, forgotten.sourcePort), true);
    strictEqual((await stage.client.connect(again)).connected, false, "the old source port");
    strictEqual(await conntrackKnows(stage, forgotten.sourcePort), true);
    strictEqual(await stage.client.echo(session.session, "and still"), true, "session at the end");
  });
});

/** Connects again and again; when the last connection stood, in ms since the epoch. */
async function lastSuccess(stage: Stage, family: Family, source: string, untilMs: number) {
  const stop = stage.client.probe({
    host: family.server,
    port: GUARDED,
    source,
    intervalMs: 25,
  });
  await sleep(untilMs - Date.now());
  const { connectedAt, tries } = await stop();
  ok(connectedAt.length > 0, `none of ${tries} connections stood`);
  return Math.max(...connectedAt);
}

/** Whether conntrack believes that this connection to the guarded port stands. */
async function conntrackKnows({ ns }: Stage, sourcePort: number): Promise<boolean> {
  const table = await must(...enter(ns), "cat", "/proc/net/nf_conntrack");
  const ports = `sport=${sourcePort} dport=${GUARDED} `;
  return table.split("\n").some((line) => line.includes("ESTABLISHED") && line.includes(ports));
}
