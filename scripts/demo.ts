// The demo: the real pk between two network namespaces, each step one line with its time. Plays what a
// person would do by hand, and says so; checks every step; removes everything again, also on Ctrl-C.
//
//     client 10.99.0.2  ◄──── veth pair ────►  server 10.99.0.1: an echo service on 2222 behind pk
//     another one 10.99.1.1

import type { Agent } from "../tests/support/agent.ts";
import { inside, IPV4, root, ruleset, sleep } from "../tests/support/netns.ts";
import {
  type Daemon,
  flags,
  GUARDED,
  KNOCKS,
  PK,
  runPk,
  setStage,
  spawnPk,
  type Stage,
} from "../tests/support/pk.ts";
import { startConfigured } from "../tests/support/pk_config.ts";
import { keyText } from "../src/config/secret.ts";

const HOST = IPV4.server;
const TIMER_MS = 5000;
/** A connection that is not answered within this time is dropped: the port is shut. */
const PATIENCE_MS = 800;

const ROTATING_DOOR = `doors:
  admin:
    opens: [tcp/${GUARDED}]
    knock: { rotating: { secret-file: admin.secret } }`;

const ROTATING_PROFILE = `hosts:
  admin:
    host: ${HOST}
    opens: tcp/${GUARDED}
    knock: { rotating: { secret-file: admin.secret } }
`;

if (!root) {
  console.error("The demo makes network namespaces: run it as root, 'sudo scripts/demo'.");
  Deno.exit(1);
}
Deno.exit(await main());

/** Sets the stage, plays, and clears everything away, whatever happens; the exit code. */
async function main(): Promise<number> {
  const interrupted = Promise.withResolvers<number>();
  let isInterrupted = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => {
      isInterrupted = true;
      interrupted.resolve(130);
    });
  }
  try {
    await using stage = await setStage({ sources: 1 });
    return await Promise.race([play(stage).then((good) => good ? 0 : 1), interrupted.promise]);
  } catch (error) {
    // Ctrl-C reaches everything that runs here at once, so it may be an agent's end that comes first.
    if (isInterrupted) return 130;
    throw error;
  }
}

async function play(stage: Stage): Promise<boolean> {
  const { client, ns } = stage;
  const story = tell();
  console.log(`
Two machines, made of network namespaces and joined by a cable:
  server  ${HOST}  with a service on port ${GUARDED}
  client  ${IPV4.client}  which knows the knocks, and ${IPV4.source(1)}, which does not
`);
  const before = await tries(client, PATIENCE_MS);
  story.step("client connects", before.connected, "open: nothing guards the service yet");

  const args = flags("--rule-timer", `${TIMER_MS / 1000}s`);
  story.command("server", `pk ${args.join(" ")}`);
  await using pk = spawnPk(ns, args);
  await pk.event("ready", {}, { timeoutMs: 30_000 });
  story.step("pk is ready", true, `it guards port ${GUARDED}; ${KNOCKS.join(", ")} look closed`);

  story.step("client connects", !(await tries(client, PATIENCE_MS)).connected, "shut: no answer");

  const knock = ["knock", "-d", "5", HOST, ...KNOCKS.map(String)];
  story.command("client", knock.join(" "));
  const { code } = await inside(stage.lab.client, ...knock);
  const session = await tries(client, PATIENCE_MS);
  const openedAt = Date.now();
  const took = `open, after ${(session.us / 1000).toFixed(2)} ms: the first SYN got in`;
  story.step("client connects at once", code === 0 && session.connected, took);
  if (!session.connected) return story.allWell(pk);

  const types = async (text: string) => await client.echo(session.session, text);
  story.step("client types", await types("hello"), "the service answers");
  const other = await tries(client, PATIENCE_MS, IPV4.source(1));
  story.step(
    "another one connects",
    !other.connected,
    "shut: the door is open for the client only",
  );

  const set = ["nft", "list", "set", "inet", "pk", "grants4"];
  story.command("server", set.join(" "));
  const grant = (await inside(ns, ...set)).stdout.match(/elements = \{ (.*) \}/)?.[1] ?? "nothing";
  story.step("the kernel holds the grant", grant.startsWith(IPV4.client), grant);

  await sleep(openedAt + TIMER_MS + 200 - Date.now());
  story.step(
    "5 s are over",
    pk.seen("expired", { source: IPV4.client }).length === 1,
    "pk: expired",
  );
  story.step("client types", await types("still there?"), "the old session lives on");
  story.step("client connects anew", !(await tries(client, PATIENCE_MS)).connected, "shut again");

  story.command("server", "pk down");
  const down = await runPk(ns, "down");
  const clean = down.code === 0 && await ruleset(ns) === "";
  story.step("pk leaves", clean, "nft list ruleset is empty, as before");
  if (!story.allWell(pk)) return false;
  const good = await playRotating(stage);
  if (good) console.log("\nEvery step went as it said.");
  return good;
}

/** The second act: a sequence that is of no use to who listens. */
async function playRotating({ client, ns, lab }: Stage): Promise<boolean> {
  console.log(`
Now a door whose sequence follows from a secret, the time and the source:
`);
  const story = tell();
  await using pk = await startConfigured(ns, ROTATING_DOOR, {
    files: { "admin.secret": keyText(crypto.getRandomValues(new Uint8Array(20))) },
  });
  story.command("server", "pk run --config pk.yaml");
  story.step("pk is ready", true, "pk.yaml has the door, a file beside it the secret");
  await pk.write("hosts.yaml", ROTATING_PROFILE);
  story.command("client", "pk knock --wait --verbose admin");
  const knocked = await inside(
    lab.client,
    ...["env", `XDG_STATE_HOME=${pk.state}`, PK, "knock", "--profiles", `${pk.folder}/hosts.yaml`],
    ...["--wait", "--verbose", "admin"],
  );
  const ports = [...knocked.stderr.matchAll(/tcp\/(\d+)/g)].map(([, port]) => Number(port))
    .filter((port) => port !== GUARDED);
  story.step("client knocks and is in", knocked.code === 0, ports.join(", "));
  const source = IPV4.source(1);
  await client.knock({ host: HOST, ports, source, gapMs: 5 });
  const thief = await tries(client, PATIENCE_MS, source);
  story.step("another one who listened knocks the same", !thief.connected, "shut");
  return story.allWell(pk);
}

/** Connects to the guarded port once. */
function tries(client: Agent, timeoutMs: number, source = IPV4.client) {
  return client.connect({ host: HOST, port: GUARDED, source, timeoutMs });
}

/** Prints commands and steps with the time since the start, and remembers whether all went well. */
function tell() {
  const begun = performance.now();
  const time = () => `${Math.round(performance.now() - begun)} ms`.padStart(8);
  let good = true;
  return {
    command: (where: string, line: string) => console.log(`${" ".repeat(10)}${where}# ${line}`),
    step(what: string, asSaid: boolean, told: string): void {
      good &&= asSaid;
      console.log(
        `${time()}  ${asSaid ? "ok   " : "FAIL "} ${what}: ${asSaid ? "" : "not "}${told}`,
      );
    },
    allWell(pk: Daemon): boolean {
      if (!good) {
        console.log(`\npk's log:\n${pk.log.join("\n")}\n\nNot every step went as it said.`);
      }
      return good;
    },
  };
}
