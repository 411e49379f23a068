// A session to the guarded port that is older than pk lives on, also where nothing used conntrack
// before: the administrator who installs pk over ssh must not lose that very session.
//
//     client  veth0 ◄────────► veth0  server: an echo service on 2222, then pk that guards it
//             session first, then silence, then typing

import { ok, strictEqual } from "node:assert/strict";
import { createLab, FAMILIES, ruleset, sleep } from "../support/netns.ts";
import { startAgent } from "../support/agent.ts";
import { getsIn, GUARDED, startPk } from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";

const SILENCE_MS = 10_000;

netnsTest("sessions older than pk live on", async (t) => {
  const cases = [
    { name: "one listener of each family", listeners: ["ipv4", "ipv6"] },
    { name: "a dual-stack listener (v4-mapped sessions)", listeners: ["dual"] },
  ] as const;
  await sideBySide(t, cases, ({ name }) => name, async ({ listeners }) => {
    await using lab = await createLab();
    await using client = startAgent(lab.client);
    await using server = startAgent(lab.server);
    for (const listener of listeners) await server.listen(GUARDED, listener);
    strictEqual(await ruleset(lab.server), "", "nothing uses conntrack here");
    const sessions = await Promise.all(FAMILIES.map(async (family) => {
      const [host, source] = [family.server, family.source(1)];
      const session = await client.connect({ host, port: GUARDED, source, timeoutMs: 700 });
      ok(session.connected);
      return session;
    }));
    await using pk = await startPk(lab.server);
    await sleep(SILENCE_MS);
    for (const { session } of sessions) {
      strictEqual(await client.echo(session, "typed after the silence"), true);
      strictEqual(await client.echo(session, "and once more"), true);
    }
    for (const family of FAMILIES) {
      strictEqual(await getsIn(client, family, family.source(1)), false, "a new connection");
    }
    // The next pk finds conntrack at work already, and the sessions live on once more.
    pk.kill("SIGTERM");
    strictEqual(await pk.ended(), 0);
    await using _next = await startPk(lab.server);
    for (const { session } of sessions) {
      strictEqual(await client.echo(session, "typed to the next pk"), true);
    }
  });
});
