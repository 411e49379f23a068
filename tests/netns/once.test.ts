// Sequences that are valid once: lines of a file, steps of a rotating door, messages of an encrypted one.
// What was used is on disk before the grant, so neither kill -9 nor a full disk nor a replay opens again.
//
//     client  veth0 ◄────────► veth0  server: pk run, an echo service
//     tcpdump listens, replay.py sends the same packets again

import { match, ok, strictEqual } from "node:assert/strict";
import { enter, FAMILIES, inside, IPV4, must, sleep } from "../support/netns.ts";
import { netnsTest } from "../support/cases.ts";
import { getsIn, GUARDED, PK, setStage, type Stage } from "../support/pk.ts";
import { tamper } from "../support/tamper.ts";
import { type Configured, startConfigured } from "../support/pk_config.ts";

const ROTATING_KEY = "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567";

const CONFIG = `
doors:
  once: { opens: [tcp/${GUARDED}], knock: { one-time: { file: once.sequences } }, for: 1s }
  rotating:
    opens: [tcp/${GUARDED}]
    knock: { rotating: { secret-file: rotating.secret } }
    for: 1s
  encrypted:
    opens: [tcp/${GUARDED}]
    knock: { encrypted: { users: { alice: { id: 1, secret-file: alice.secret } } } }
    for: 1s
  indexed:
    opens: [tcp/${GUARDED}]
    knock:
      encrypted:
        layout: indexed
        users: { bob: { id: 2, secret-file: bob.secret } }
    for: 1s
`;

const FILES = {
  "once.sequences": "tcp/7000, udp/7100\ntcp/7001, udp/7101\n# a comment\ntcp/7002, tcp/7102\n",
  "rotating.secret": `${ROTATING_KEY}\n`,
  "alice.secret": "correct horse battery staple\n",
  "bob.secret": "2345-6722-abcd-efgh-ijkl-mnop-qrst-uvwx\n",
};

/** Profiles of the client for all doors but the one-time one. */
function hostsOf(host: string): string {
  const knock = {
    rotating: "{ rotating: { secret-file: rotating.secret } }",
    encrypted: "{ encrypted: { user: 1, secret-file: alice.secret } }",
    indexed: "{ encrypted: { user: 2, secret-file: bob.secret, layout: indexed } }",
  };
  const lines = Object.entries(knock).map(([name, how]) =>
    `  ${name}: { host: "${host}", opens: tcp/${GUARDED}, knock: ${how} }`
  );
  return ["hosts:", ...lines, ""].join("\n");
}

/** Knocks with pk's own client; `memory` is where it remembers its steps. */
async function knock(
  stage: Stage,
  pk: Configured,
  profile: string,
  { memory = String(crypto.randomUUID()), args = [] as readonly string[], host = IPV4.server } = {},
) {
  await pk.write("hosts.yaml", hostsOf(host));
  return await inside(
    stage.lab.client,
    ...["env", `XDG_STATE_HOME=${pk.folder}/${memory}`, PK, "knock"],
    ...["--profiles", `${pk.folder}/hosts.yaml`, ...args, profile],
  );
}

/** Captures what goes from the client to the server while `work` is done. */
async function capture(stage: Stage, file: string, work: () => Promise<unknown>): Promise<void> {
  const [program, ...entering] = enter(stage.lab.client);
  const child = new Deno.Command(program, {
    args: [
      ...entering,
      ...["tcpdump", "-i", "veth0", "--immediate-mode", "-U", "-n", "-w", file, "-Q", "out"],
      "tcp[tcpflags] == tcp-syn and dst portrange 20000-28100",
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  for (let said = ""; !said.includes("listening on");) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`tcpdump ended: ${said}`);
    said += value;
  }
  await work();
  await sleep(300);
  child.kill("SIGINT");
  while (!(await reader.read()).done);
  await child.status;
}

async function replay(stage: Stage, file: string, source?: string): Promise<number> {
  const program = new URL("../support/replay.py", import.meta.url).pathname;
  const args = [file, "veth0", "5", ...(source === undefined ? [] : [source])];
  return Number(await must(...enter(stage.lab.client), "/usr/bin/python3", program, ...args));
}

netnsTest("one-time: each line opens once, in any order, also after kill -9", async (t) => {
  await using stage = await setStage();
  const pk = await startConfigured(stage.ns, CONFIG, { files: FILES });
  const knockLine = (n: number, host = IPV4.server) =>
    inside(
      stage.lab.client,
      ...["knock", "-d", "5", host, ...(n === 2 ? ["7002", "7102"] : [`700${n}`, `710${n}:udp`])],
    );
  try {
    await knockLine(1);
    await pk.event("granted", { source: IPV4.client, door: "once" });
    match(await pk.read("once.sequences"), /^tcp\/7000, udp\/7100\n# used .*\n# a comment\n/);
    await pk.event("reloaded");
    await knockLine(1);
    await knockLine(0, IPV4.server);
    await pk.event("granted", { door: "once" }, { nth: 2 });
    strictEqual(pk.seen("granted", { door: "once" }).length, 2, "the used line opens nothing");
    pk.kill("SIGKILL");
    await pk.ended();
    await sleep(1500);
    await using again = await startConfigured(stage.ns, CONFIG, { folders: pk });
    await t.step("after kill -9", async () => {
      await knockLine(0);
      await knockLine(1);
      strictEqual(await getsIn(stage.client, IPV4, IPV4.client), false);
    });
    await t.step("the file is edited while pk runs", async () => {
      await again.write("once.sequences", "tcp/7005, udp/7105\n");
      await again.event("reloaded");
      await knockLine(5);
      await again.event("granted", { door: "once" });
      await again.event("sequences used up", { door: "once" });
    });
  } finally {
    await pk[Symbol.asyncDispose]();
  }
});

netnsTest("one-time: a file that cannot be written opens nothing, and says so", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, CONFIG, { files: FILES });
  await must("chattr", "+i", `${pk.folder}/once.sequences`);
  try {
    await inside(stage.lab.client, "knock", "-d", "5", IPV4.server, "7000", "7100:udp");
    const failed = await pk.event("grant failed", { door: "once" });
    ok(!JSON.stringify(failed).includes("7100"), "the log names no sequence");
    strictEqual(await getsIn(stage.client, IPV4, IPV4.client), false);
  } finally {
    await must("chattr", "-i", `${pk.folder}/once.sequences`);
  }
});

netnsTest("rotating and encrypted doors open to pk's client, of both families", async (t) => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, CONFIG, { files: FILES });
  for (const profile of ["rotating", "encrypted", "indexed"]) {
    for (const family of FAMILIES) {
      await t.step(`${profile}, ${family.name}`, async () => {
        const nth = pk.seen("expired", { source: family.client }).length + 1;
        // One memory for both: a user's step opens once, from wherever.
        const outcome = await knock(stage, pk, profile, {
          args: ["--wait"],
          host: family.server,
          memory: "same",
        });
        strictEqual(outcome.code, 0, `${outcome.stderr}${pk.log.join("\n")}`);
        const user = { encrypted: { user: "alice" }, indexed: { user: "bob" } }[profile] ?? {};
        await pk.event("granted", { source: family.client, door: profile, ...user });
        await pk.event("expired", { source: family.client }, { nth });
        await sleep(200);
        strictEqual(await getsIn(stage.client, family, family.client), false, "after its end");
        strictEqual(pk.log.some((line) => line.includes(ROTATING_KEY)), false);
      });
    }
  }
});

netnsTest("the same packets again open nothing: at once, after 31 s, after 61 s", async (t) => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, CONFIG, { files: FILES });
  const profiles = ["rotating", "encrypted", "indexed"];
  const started = performance.now();
  for (const profile of profiles) {
    const file = `${pk.folder}/${profile}.pcap`;
    await capture(stage, file, () => knock(stage, pk, profile));
    await pk.event("granted", { door: profile });
  }
  await sleep(1_500);
  const opened = pk.seen("granted").length;
  strictEqual(opened, profiles.length);
  const again = async (when: string) => {
    await t.step(when, async () => {
      for (const profile of profiles) {
        const file = `${pk.folder}/${profile}.pcap`;
        strictEqual(await replay(stage, file), profile === "rotating" ? 5 : 16);
        await replay(stage, file, IPV4.source(1));
        strictEqual(await getsIn(stage.client, IPV4, IPV4.client), false, profile);
        strictEqual(await getsIn(stage.client, IPV4, IPV4.source(1)), false, profile);
      }
      strictEqual(pk.seen("granted").length, opened);
    });
  };
  await again("at once");
  await sleep(31_000 - (performance.now() - started));
  await again("after 31 s");
  await sleep(61_000 - (performance.now() - started));
  await again("after 61 s");
});

netnsTest("a step that was used is used after kill -9 and a new start, too", async (t) => {
  await using stage = await setStage();
  const pk = await startConfigured(stage.ns, CONFIG, { files: FILES });
  try {
    const profiles = ["rotating", "encrypted", "indexed"];
    for (const profile of profiles) {
      await capture(stage, `${pk.folder}/${profile}.pcap`, () => knock(stage, pk, profile));
      await pk.event("granted", { door: profile });
    }
    pk.kill("SIGKILL");
    await pk.ended();
    await sleep(1_100);
    await using again = await startConfigured(stage.ns, CONFIG, { folders: pk });
    for (const profile of profiles) {
      await t.step(profile, async () => {
        await replay(stage, `${pk.folder}/${profile}.pcap`);
        await again.event("replayed", { door: profile });
        strictEqual(await getsIn(stage.client, IPV4, IPV4.client), false);
      });
    }
  } finally {
    await pk[Symbol.asyncDispose]();
  }
});

netnsTest(
  "a step that cannot be noted opens nothing, and opens when there is room again",
  async () => {
    await using stage = await setStage();
    await using pk = await startConfigured(stage.ns, CONFIG, { files: FILES });
    {
      await using _full = await tamper(pk.pid, {
        call: "fsync,fdatasync",
        inject: "error=ENOSPC",
      });
      await knock(stage, pk, "rotating");
      const { reason } = await pk.event("grant failed", { door: "rotating" });
      match(String(reason), /ENOSPC/);
      strictEqual(await getsIn(stage.client, IPV4, IPV4.client), false);
    }
    await knock(stage, pk, "encrypted");
    await pk.event("granted", { door: "encrypted" });
    strictEqual(await getsIn(stage.client, IPV4, IPV4.client), true);
  },
);

netnsTest("the client's next knock in the same half minute opens as well", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, CONFIG, { files: FILES });
  for (let nth = 1; nth <= 2; nth++) {
    const outcome = await knock(stage, pk, "rotating", { memory: "same" });
    strictEqual(outcome.code, 0, outcome.stderr);
    await pk.event("granted", { door: "rotating" }, { nth });
  }
});

netnsTest("no secret is in the log, in the ruleset or in what pk check says", async () => {
  await using stage = await setStage();
  await using pk = await startConfigured(stage.ns, CONFIG, { files: FILES });
  await knock(stage, pk, "encrypted");
  await pk.event("granted", { door: "encrypted" });
  const file = `${pk.folder}/pk.yaml`;
  const texts = [
    ...pk.log,
    (await inside(stage.ns, PK, "check", "--config", file, "--dry-run")).stdout,
    (await inside(stage.ns, PK, "run", "--config", file, "--dry-run")).stdout,
  ];
  for (const secret of [ROTATING_KEY, "correct horse", "2345-6722", "udp/7100"]) {
    strictEqual(texts.filter((text) => text.includes(secret)).length, 0, secret);
  }
});

netnsTest("doors of every kind at the same ports do not disturb each other", async (t) => {
  await using stage = await setStage();
  const opens = `opens: [tcp/${GUARDED}], for: 1s`;
  await using pk = await startConfigured(
    stage.ns,
    `
doors:
  plain: { ${opens}, knock: [tcp/20100, tcp/20050, tcp/20200] }
  once: { ${opens}, knock: { one-time: { file: once.sequences } } }
  rotating: { ${opens}, knock: { rotating: { secret-file: rotating.secret } } }
  other: { ${opens}, knock: { rotating: { secret-file: other.secret } } }
  encrypted:
    ${opens.replace(", ", "\n    ")}
    knock:
      encrypted: { ports: tcp/20000-20255, users: { alice: { id: 1, secret-file: alice.secret } } }
`,
    {
      files: {
        ...FILES,
        "other.secret": "zzzz-efgh-ijkl-mnop-qrst-uvwx-yz23-4567\n",
        "once.sequences": "tcp/20100, tcp/20051, tcp/20201\ntcp/20102, tcp/20052, tcp/20202\n",
      },
    },
  );
  const hosts = `hosts:
  rotating: { host: ${IPV4.server}, knock: { rotating: { secret-file: rotating.secret } } }
  other: { host: ${IPV4.server}, knock: { rotating: { secret-file: other.secret } } }
  encrypted:
    host: ${IPV4.server}
    knock: { encrypted: { user: 1, secret-file: alice.secret, ports: tcp/20000-20255 } }
`;
  await pk.write("hosts.yaml", hosts);
  const profile = (name: string) =>
    inside(
      stage.lab.client,
      ...["env", `XDG_STATE_HOME=${pk.folder}/memory`, PK, "knock"],
      ...["--profiles", `${pk.folder}/hosts.yaml`, name],
    );
  const ports = (...list: number[]) =>
    stage.client.knock({ host: IPV4.server, ports: list, source: IPV4.client, gapMs: 5 });
  const knocks = {
    plain: () => ports(20100, 20050, 20200),
    once: () => ports(20102, 20052, 20202),
    rotating: () => profile("rotating"),
    other: () => profile("other"),
    encrypted: () => profile("encrypted"),
  };
  for (const [door, knock] of Object.entries(knocks)) {
    await t.step(door, async () => {
      const before = pk.seen("granted").length;
      await knock();
      await pk.event("granted", { door });
      strictEqual(pk.seen("granted").length, before + 1, "this door, and no other");
    });
  }
});
