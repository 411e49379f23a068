// pk knock and pk connect with profiles of every kind, against the doors of a running pk.
//
//     client  veth0 ◄────────► veth0  server: pk guards an echo service on 2222
//     hosts.yaml, secrets, state               pk.yaml, the same secrets

import { deepStrictEqual, doesNotMatch, match, strictEqual } from "node:assert/strict";
import { keyText } from "../../src/config/secret.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { startCapture } from "../support/capture.ts";
import { FAMILIES, type Family, IPV4, run, sleep } from "../support/netns.ts";
import { GUARDED, setStage, type Stage } from "../support/pk.ts";
import { type Configured, startConfigured } from "../support/pk_config.ts";
import { type Profiles, writeProfiles } from "../support/profiles.ts";

const SECRETS = {
  "door.secret": keyText(Uint8Array.from({ length: 20 }, (_, index) => 7 * index)),
  "alice.secret": "correct horse battery staple\n",
};

/** What a door and a profile have under `knock`, and what makes it open. */
const KINDS: readonly { name: string; door: string; profile?: string }[] = [
  { name: "rotating", door: "{ rotating: { secret-file: door.secret } }" },
  {
    name: "rotating over UDP, of any source",
    door: "{ rotating: { secret-file: door.secret, ports: udp/3000-3999, knocks: 7, step: 1m, " +
      "bind-source: false } }",
  },
  ...["window", "indexed"].map((layout) => ({
    name: `encrypted, ${layout}`,
    door:
      `{ encrypted: { layout: ${layout}, users: { alice: { id: 9, secret-file: alice.secret } } } }`,
    profile: `{ encrypted: { layout: ${layout}, user: 9, secret-file: alice.secret } }`,
  })),
  { name: "one-time", door: "{ one-time: { file: once.sequences } }" },
];

const SEQUENCES = "tcp/7000, udp/8123, tcp/9000\nudp/8124, tcp/7001, tcp/9001, tcp/7001\n";

netnsTest("each kind of profile opens its door, again and again", async (t) => {
  for (const family of FAMILIES) {
    await sideBySide(t, KINDS, ({ name }) => `${family.name}, ${name}`, async (kind) => {
      await using stage = await setStage();
      await using scene = await playDoor(stage, family, kind.door, kind);
      const { pk, client } = scene;
      for (const nth of [1, 2]) {
        const { code, stdout, stderr } = await client.run("knock", "--wait", "door");
        strictEqual(code, 0, stderr);
        match(stdout, /^tcp\/2222 at \S+ is open/);
        await pk.event("granted", { source: family.client }, { nth });
        await pk.event("expired", { source: family.client }, { nth });
      }
      // The next sequence was not knocked: a stranger who has heard all of them has nothing.
      strictEqual((await stage.client.connect(guarded(family))).connected, false);
    });
  }
});

netnsTest("one-time sequences are crossed out before they are knocked, and end", async () => {
  await using stage = await setStage();
  await using scene = await playDoor(stage, IPV4, "{ one-time: { file: once.sequences } }");
  const { pk, client } = scene;
  const file = `${client.folder}/once.sequences`;
  const knock = () => client.run("knock", "--wait", "--timeout", "2s", "door");
  strictEqual((await knock()).code, 0);
  await pk.event("expired");
  match(await Deno.readTextFile(file), /^# used \S+ tcp\/7000.*\nudp\/8124[^\n]*\n$/);
  strictEqual((await knock()).code, 0);
  const ended = await knock();
  strictEqual(ended.code, 1);
  match(ended.stderr, /All sequences of .*once\.sequences are used up/);
  strictEqual(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o600);
});

netnsTest("secrets that others may read, or that are none, are refused", async () => {
  await using stage = await setStage();
  await using client = await writeProfiles(
    stage.lab.client,
    `  rotating: { host: 10.99.0.1, knock: { rotating: { secret-file: door.secret } } }
  missing: { host: 10.99.0.1, knock: { rotating: { secret-file: nowhere.secret } } }
  wrong: { host: 10.99.0.1, knock: { rotating: { secret-file: alice.secret } } }
  once: { host: 10.99.0.1, knock: { one-time: { file: once.sequences } } }`,
    { ...SECRETS, "once.sequences": "tcp/1, tcp/2" },
  );
  await using capture = await startCapture(stage.lab.client, "tcp or udp");
  await Deno.chmod(`${client.folder}/door.secret`, 0o640);
  await Deno.chmod(`${client.folder}/once.sequences`, 0o604);
  const cases: readonly [profile: string, says: RegExp][] = [
    ["rotating", /Others may read \S+door\.secret \(mode 0640\).* chmod 600/],
    ["once", /Others may read \S+once\.sequences \(mode 0604\)/],
    ["missing", /Cannot read \S+nowhere\.secret: there is no such file/],
    ["wrong", /alice\.secret does not hold a key/],
  ];
  for (const [profile, says] of cases) {
    const { code, stderr } = await client.run("knock", profile);
    strictEqual(code, 1);
    match(stderr, says);
    doesNotMatch(stderr, /horse/);
  }
  deepStrictEqual(await capture.packets(), [], "nothing was knocked");
});

netnsTest("the own address may be another than here: behind NAT, the profile says it", async () => {
  await using stage = await setStage();
  const rotating = "{ rotating: { secret-file: door.secret } }";
  await using scene = await playDoor(stage, IPV4, rotating, { more: "address: 203.0.113.5" });
  const { code, stderr } = await scene.client.run("knock", "--wait", "--timeout", "1s", "door");
  strictEqual(code, 1, "the server sees 10.99.0.2");
  match(stderr, /clocks .* secret .* NAT/);
  const other = await scene.client.run("knock", "-6", "door");
  strictEqual(other.code, 2, "a host of IPv4");
});

netnsTest("a third knock within a time step waits for a new sequence, and says so", async () => {
  await using stage = await setStage();
  const rotating = "{ rotating: { secret-file: door.secret, step: 10s } }";
  await using scene = await playDoor(stage, IPV4, rotating);
  const { pk, client } = scene;
  // From the beginning of a step, so that the first two knocks are in it.
  await sleep(10_000 - Date.now() % 10_000 + 1_100);
  const outcomes = [];
  for (const nth of [1, 2, 3]) {
    outcomes.push(await client.run("knock", "--wait", "door"));
    await pk.event("granted", {}, { nth });
    await pk.event("expired", {}, { nth });
  }
  deepStrictEqual(outcomes.map(({ code }) => code), [0, 0, 0]);
  deepStrictEqual(outcomes.slice(0, 2).map(({ stderr }) => stderr), ["", ""]);
  match(outcomes[2]?.stderr ?? "", /each sequence opens once.* waiting \d+ s/);
});

netnsTest("a second session of a rotating door goes through the first one's grant", async () => {
  await using stage = await setStage();
  const rotating = "{ rotating: { secret-file: door.secret, step: 1m } }";
  await using scene = await playDoor(stage, IPV4, rotating, { for: "20s" });
  const { pk, client } = scene;
  // Twelve at once: one of them knocks, the others wait for it and find the door open.
  const echoed = (text: string) =>
    run("sh", "-c", `echo ${text} | timeout 10 "$@"`, "sh", ...client.command("connect", "door"));
  const sessions = await Promise.all(
    Array.from({ length: 12 }, (_, index) => echoed(`session${index}`)),
  );
  for (const [index, { code, stdout, stderr }] of sessions.entries()) {
    deepStrictEqual([code, stdout, stderr], [0, `session${index}\n`, ""]);
  }
  await pk.event("granted"); // its line may come later than its connection
  strictEqual(pk.seen("granted").length, 1, "one sequence was used up");
  const verbose = await client.run("connect", "-v", "door");
  match(verbose.stderr, /trying tcp\/2222 first/);
  doesNotMatch(verbose.stderr, /knocked/);
});

interface Scene extends AsyncDisposable {
  readonly pk: Configured;
  readonly client: Profiles;
}

/** A pk with the door "door" of one kind, and a client with the profile for it. */
async function playDoor(
  stage: Stage,
  family: Family,
  knock: string,
  options: { readonly profile?: string; readonly for?: string; readonly more?: string } = {},
): Promise<Scene> {
  await using undo = new AsyncDisposableStack();
  const files = { ...SECRETS, "once.sequences": SEQUENCES };
  const { profile = knock, for: time = "1s", more } = options;
  const pk = undo.use(
    await startConfigured(
      stage.ns,
      `doors: { door: { opens: [tcp/${GUARDED}], for: ${time}, weak: accepted, knock: ${knock} } }`,
      { files },
    ),
  );
  const client = undo.use(
    await writeProfiles(
      stage.lab.client,
      `  door: { host: "${family.server}", opens: tcp/${GUARDED}, knock: ${profile}${
        more === undefined ? "" : `, ${more}`
      } }`,
      files,
    ),
  );
  const keep = undo.move();
  return { pk, client, [Symbol.asyncDispose]: () => keep.disposeAsync() };
}

function guarded(family: Family) {
  return { host: family.server, port: GUARDED, source: family.client, timeoutMs: 500 };
}
