// What happens to a live session when its grant ends: with --on-expire cut it is ended by a reset to
// both sides, with keep it lives on. With the owner flag and without it.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)
//             sessions that type all the time

import { ok, strictEqual } from "node:assert/strict";
import { FAMILIES, type Family, inside, sleep } from "../support/netns.ts";
import { GUARDED, KNOCKS, setStage, type Stage, startPk } from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";

const TIMER_MS = 2_000;
const OWNERS = [[], ["--no-table-owner"]];

for (const owner of OWNERS) {
  const flags = ["--rule-timer", `${TIMER_MS}`, ...owner];
  const title = owner.join() || "with the owner flag where there is one";

  netnsTest(
    `cut: a live session ends with its grant, by a reset to both sides: ${title}`,
    async (t) => {
      await using stage = await setStage();
      // Older than pk: it has no grant that could end, and source 1 has one for its other session.
      const older = await Promise.all(FAMILIES.map((family) => session(stage, family, 1)));
      await using pk = await startPk(stage.ns, "--on-expire", "cut", ...flags);
      await sideBySide(t, FAMILIES, (family) => family.name, async (family) => {
        const source = family.source(1);
        await knock(stage, family, 1);
        const mine = await session(stage, family, 1);
        await knock(stage, family, 2);
        const renewed = await session(stage, family, 2);
        const typing = typeUntilItEnds(stage, mine);
        await sleep(TIMER_MS / 2);
        await knock(stage, family, 2);
        const { time } = await pk.event("expired", { source });
        const { how, at } = await typing;
        strictEqual(how, "ECONNRESET");
        const afterMs = at - Date.parse(time);
        ok(afterMs < 500, `cut ${afterMs} ms after the grant ended`);
        await pk.event("cut", { source, port: GUARDED, reason: "its grant has ended" });
        strictEqual(await stage.client.echo(renewed, "renewed"), true, "a renewed grant lives on");
        const later = await pk.event("expired", { source: family.source(2) });
        const end = await stage.client.ends(renewed, 1_000);
        strictEqual(end.how, "ECONNRESET");
        ok(Number(end.at) - Date.parse(later.time) < 500);
        const index = FAMILIES.indexOf(family);
        strictEqual(await stage.client.echo(older[index] ?? 0, "older"), true, "older than pk");
      });
      // On the server's side only the sessions older than pk are left.
      const { stdout } = await inside(
        stage.ns,
        "ss",
        "-Htn",
        "state",
        "established",
        "sport",
        `= :${GUARDED}`,
      );
      strictEqual(stdout.trim().split("\n").length, older.length, stdout);
    },
  );

  netnsTest(`keep: a live session outlives its grant: ${title}`, async (t) => {
    await using stage = await setStage();
    await using pk = await startPk(stage.ns, "--on-expire", "keep", ...flags);
    await sideBySide(t, FAMILIES, (family) => family.name, async (family) => {
      await knock(stage, family, 1);
      const mine = await session(stage, family, 1);
      await pk.event("expired", { source: family.source(1) });
      await sleep(1_500);
      strictEqual(await stage.client.echo(mine, "still there"), true);
      strictEqual(pk.seen("cut").length, 0);
    });
  });
}

netnsTest(
  "cut: a session whose grant ended while no pk ran ends when the next one starts",
  async (t) => {
    await using stage = await setStage();
    const older = await Promise.all(FAMILIES.map((family) => session(stage, family, 3)));
    const start = (timer: string) => startPk(stage.ns, "--on-expire", "cut", "--rule-timer", timer);
    /** Sessions of the n-th source of each family, by grants that last so long, of a pk that is killed. */
    const sessionsOf = async (n: number, timer: string) => {
      await using pk = await start(timer);
      const sessions = await Promise.all(FAMILIES.map(async (family) => {
        await knock(stage, family, n);
        await pk.event("granted", { source: family.source(n) });
        return await session(stage, family, n);
      }));
      pk.kill("SIGKILL");
      await pk.ended();
      return sessions;
    };
    const ending = await sessionsOf(1, "2s");
    const granted = await sessionsOf(2, "60s");
    await sleep(TIMER_MS + 500);
    await using pk = await start("60s");
    await sideBySide(t, FAMILIES, (family) => family.name, async (family) => {
      const index = FAMILIES.indexOf(family);
      await pk.event("cut", { source: family.source(1), reason: "its grant has ended" });
      strictEqual((await stage.client.ends(ending[index] ?? 0, 1_000)).how, "ECONNRESET");
      strictEqual(await stage.client.echo(granted[index] ?? 0, "granted"), true);
      strictEqual(await stage.client.echo(older[index] ?? 0, "older than both"), true);
      strictEqual(pk.seen("cut", { source: family.source(3) }).length, 0);
    });
  },
);

async function knock(stage: Stage, family: Family, n: number): Promise<void> {
  const [host, source] = [family.server, family.source(n)];
  await stage.client.knock({ host, ports: KNOCKS, source, gapMs: 5 });
}

async function session(stage: Stage, family: Family, n: number): Promise<number> {
  const [host, source] = [family.server, family.source(n)];
  const result = await stage.client.connect({ host, port: GUARDED, source, timeoutMs: 900 });
  ok(result.connected);
  return result.session;
}

/** Types every 20 ms until nothing comes back; then how and when the session ended. */
async function typeUntilItEnds(stage: Stage, mine: number): Promise<{ how: string; at: number }> {
  for (let line = 1; line <= 500; line++) {
    const { echoed, error } = await stage.client.type(mine, `line ${line}`);
    if (!echoed) return { how: error ?? "", at: Date.now() };
    await sleep(20);
  }
  throw new Error("It lives on");
}
