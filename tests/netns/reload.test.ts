// SIGHUP: a new configuration takes effect as a whole, what is unchanged lives on, and a bad file
// changes nothing. One transaction: the guarded port is never open to a stranger meanwhile.

import { match, notStrictEqual, strictEqual } from "node:assert/strict";
import { FAMILIES, inside, IPV4, ruleset } from "../support/netns.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { getsIn, grants, GUARDED, setStage, type Stage } from "../support/pk.ts";
import { tamper, withFault } from "../support/tamper.ts";
import { startConfigured } from "../support/pk_config.ts";

const OTHER = 2223;
const SSH = `  ssh: { opens: [tcp/${GUARDED}], knock: [tcp/7000, tcp/8000, tcp/9000], for: 60s }`;
const ADMIN = `  admin: { opens: [tcp/${OTHER}], knock: [tcp/7001, tcp/8001], for: 60s }`;
const doors = (...lines: string[]) => ["doors:", ...lines].join("\n");

for (const flags of [[], ["--no-table-owner"]] as const) {
  const how = flags.length === 0 ? "" : ", where others could change the table";
  netnsTest(`reload: doors come, change and go; grants and attempts live on${how}`, async (t) => {
    await using stage = await setStage();
    await stage.server.listen(OTHER);
    await using pk = await startConfigured(stage.ns, doors(SSH), { flags });
    await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
      const knock = (n: number, ports: readonly number[]) =>
        stage.client.knock({ host: family.server, ports, source: family.source(n), gapMs: 5 });
      await knock(1, [7000, 8000, 9000]);
      await knock(2, [7000, 8000]);
      strictEqual(await getsIn(stage.client, family, family.source(1)), true);
      const port = { port: OTHER };
      strictEqual(await getsIn(stage.client, family, family.source(3), port), true, "not guarded");
    });
    const stop = stage.client.probe({ host: IPV4.server, port: GUARDED, source: IPV4.source(9) });
    await pk.reload(doors(SSH, ADMIN));
    strictEqual((await stop()).connectedAt.length, 0, "never open to a stranger");
    await sideBySide(t, FAMILIES, ({ name }) => `${name}, with a door more`, async (family) => {
      const knock = (n: number, ports: readonly number[]) =>
        stage.client.knock({ host: family.server, ports, source: family.source(n), gapMs: 5 });
      const port = { port: OTHER };
      strictEqual(await getsIn(stage.client, family, family.source(3), port), false, "guarded now");
      strictEqual(await getsIn(stage.client, family, family.source(1)), true, "a grant of before");
      await knock(2, [9000]);
      strictEqual(
        await getsIn(stage.client, family, family.source(2)),
        true,
        "an attempt of before",
      );
      await knock(3, [7001, 8001]);
      strictEqual(await getsIn(stage.client, family, family.source(3), port), true, "the new door");
    });
    const standing = await grants(stage.ns);
    await pk.reload(doors(SSH.replace("tcp/8000", "tcp/8002"), ADMIN));
    strictEqual((await grants(stage.ns)).length, standing.length, "all grants");
    await stage.client.knock({
      host: IPV4.server,
      ports: [7000, 8000, 9000],
      source: IPV4.source(4),
      gapMs: 5,
    });
    strictEqual(await getsIn(stage.client, IPV4, IPV4.source(4)), false, "the old sequence");
    await stage.client.knock({
      host: IPV4.server,
      ports: [7000, 8002, 9000],
      source: IPV4.source(4),
      gapMs: 5,
    });
    strictEqual(await getsIn(stage.client, IPV4, IPV4.source(4)), true, "the new one");
    await pk.reload(doors(ADMIN));
    strictEqual(await getsIn(stage.client, IPV4, IPV4.source(5)), true, "no longer guarded");
  });
}

netnsTest("reload: a live session at a port that is guarded from now on goes on", async () => {
  await using stage = await setStage();
  await stage.server.listen(OTHER);
  await using pk = await startConfigured(stage.ns, doors(SSH));
  const session = await stage.client.connect({
    host: IPV4.server,
    port: OTHER,
    source: IPV4.source(1),
    timeoutMs: 900,
  });
  if (!session.connected) throw new Error("No session");
  await pk.reload(doors(SSH, ADMIN));
  strictEqual(await stage.client.echo(session.session, "still there"), true);
  strictEqual(await getsIn(stage.client, IPV4, IPV4.source(1), { port: OTHER }), false);
});

netnsTest("reload: where connections are tracked from now on, who is in stays in", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, `${doors(SSH)}\nfilter: stateless`);
  const [host, source] = [IPV4.server, IPV4.source(1)];
  const session = async () => {
    const made = await stage.client.connect({ host, port: GUARDED, source, timeoutMs: 900 });
    if (!made.connected) throw new Error("No session");
    return made.session;
  };
  await stage.client.knock({ host, ports: [7000, 8000, 9000], source, gapMs: 5 });
  const untracked = await session();
  await pk.reload(doors(SSH));
  strictEqual(await stage.client.echo(untracked, "still there"), true);
  const tracked = await session();
  await pk.reload(`${doors(SSH)}\nfilter: stateless`);
  strictEqual(await stage.client.echo(untracked, "and there"), true);
  strictEqual(await stage.client.echo(tracked, "both of them"), true);
  strictEqual(await getsIn(stage.client, IPV4, IPV4.source(2)), false, "without a grant");
});

netnsTest("reload: a bad file changes nothing and says everything that is wrong", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, doors(SSH));
  const before = await ruleset(stage.ns);
  await pk.reload(doors(`  ssh: { opens: [tcp/70000], konck: [tcp/1] }`), "reload refused");
  const problems = pk.seen("configuration problem");
  strictEqual(problems.length >= 2, true, JSON.stringify(problems));
  match(String(problems[0]?.file), /pk\.yaml$/);
  strictEqual(problems[0]?.line, 2);
  strictEqual(await ruleset(stage.ns), before);
  await stage.client.knock({
    host: IPV4.server,
    ports: [7000, 8000, 9000],
    source: IPV4.source(1),
    gapMs: 5,
  });
  strictEqual(await getsIn(stage.client, IPV4, IPV4.source(1)), true, "as before");
  // The right file again takes effect.
  await pk.reload(doors(SSH, ADMIN));
  notStrictEqual(await ruleset(stage.ns), before);
});

netnsTest("reload: the queue's number needs a new start; the table stays protected", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, doors(SSH));
  await pk.reload(`${doors(SSH)}\nqueue-num: 4711`);
  await pk.event("restart needed");
  if (pk.seen("ready")[0]?.owner !== true) return;
  const { code } = await inside(stage.ns, "nft", "delete", "table", "inet", "pk");
  notStrictEqual(code, 0);
});

netnsTest("reload: from keep to cut, who is in stays in", async () => {
  await using stage = await setStage();
  const door = (then: string) =>
    doors(`${SSH.replace("for: 60s", "for: 1s")}`.replace(" }", `, then: ${then} }`));
  await using pk = await startConfigured(stage.ns, door("keep"));
  const [host, source] = [IPV4.server, IPV4.source(1)];
  await stage.client.knock({ host, ports: [7000, 8000, 9000], source, gapMs: 5 });
  const session = await stage.client.connect({ host, port: GUARDED, source, timeoutMs: 900 });
  if (!session.connected) throw new Error("No session");
  await pk.event("expired", { source });
  await pk.reload(door("cut"));
  strictEqual(await stage.client.echo(session.session, "still there"), true);
  strictEqual(await getsIn(stage.client, IPV4, source), false, "a new one");
});

netnsTest(
  "reload: a configuration that the kernel refuses does not come back by itself",
  async () => {
    await using stage = await setStage();
    const once = "  once: { opens: [tcp/2224], knock: { one-time: { file: once.sequences } } }";
    await using pk = await startConfigured(stage.ns, doors(SSH, once), {
      files: { "once.sequences": "tcp/5000, tcp/5001\n" },
    });
    await knocksOf(stage, 1, 2, 3);
    await pk.event("granted", {}, { nth: 3 });
    {
      // Deno tells itself of the signal with the first one.
      const fault = { call: "sendto", inject: "error=ENOBUFS:when=2+" };
      await using _failing = await tamper(pk.pid, fault);
      await pk.reload(`${doors(SSH, once)}\nlimits: { grants-max: 9 }`, "reload refused");
    }
    const before = await ruleset(stage.ns);
    await pk.write("once.sequences", "tcp/5002, tcp/5003\n");
    await pk.event("reloaded");
    const after = await ruleset(stage.ns);
    notStrictEqual(after, before, "the edited file counts");
    match(after, /size 65536/);
    strictEqual((await grants(stage.ns)).length, 3);
  },
);

netnsTest("reload: who is in stays in where fewer may be, and nobody else comes in", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, doors(SSH));
  await knocksOf(stage, 1, 2, 3);
  await pk.event("granted", {}, { nth: 3 });
  await pk.reload(`${doors(SSH)}\nlimits: { grants-max: 2 }`);
  strictEqual((await grants(stage.ns)).length, 3);
  await knocksOf(stage, 4);
  await pk.event("grant failed", { source: IPV4.source(4) });
  strictEqual(await getsIn(stage.client, IPV4, IPV4.source(4)), false);
  strictEqual(await getsIn(stage.client, IPV4, IPV4.source(3)), true);
});

netnsTest(
  "one-time files that cannot be watched are told of, and are read when asked",
  async () => {
    await using stage = await setStage();
    const door = doors(
      `  once: { opens: [tcp/${GUARDED}], knock: { one-time: { file: once.sequences } } }`,
    );
    await using pk = await startConfigured(stage.ns, door, {
      files: { "once.sequences": "tcp/5000, tcp/5001\n" },
      wrap: withFault({ call: "inotify_init1", inject: "error=EMFILE" }),
    });
    await pk.event("files not watched");
    await pk.write("once.sequences", "tcp/5002, tcp/5003\n");
    await pk.reload(door);
    await stage.client.knock({
      host: IPV4.server,
      ports: [5002, 5003],
      source: IPV4.source(1),
      gapMs: 5,
    });
    await pk.event("granted", { source: IPV4.source(1) });
  },
);

netnsTest("reload again and again under knocks: nobody is lost", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, doors(SSH));
  for (let round = 1; round <= 20; round++) {
    pk.kill("SIGHUP");
    await stage.client.knock({
      host: IPV4.server,
      ports: [7000, 8000, 9000],
      source: IPV4.source(round),
      gapMs: 5,
    });
    strictEqual(await getsIn(stage.client, IPV4, IPV4.source(round)), true, `round ${round}`);
  }
});

/** These sources of IPv4 knock, one after the other. */
async function knocksOf({ client }: Stage, ...numbers: readonly number[]): Promise<void> {
  for (const n of numbers) {
    const source = IPV4.source(n);
    await client.knock({ host: IPV4.server, ports: [7000, 8000, 9000], source, gapMs: 5 });
  }
}
