// A log that cannot be written: the disk is full, nobody reads, nobody is there. pk goes on, the door
// works, and when lines can be written again each is whole and the first says how many are missing.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222, stderr somewhere else

import { ok, strictEqual } from "node:assert/strict";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { enter, FAMILIES, type Family, must, sleep } from "../support/netns.ts";
import { type Daemon, type Event, flags, getsIn, spawnPk, type Stage } from "../support/pk.ts";
import { knocksIn, setQuietStage } from "../support/quiet_stage.ts";

const PAGE_BYTES = 4096;
const PIPE_BYTES = 16 * PAGE_BYTES;
/** Each knock that opens is a line of more than 100 bytes. */
const ROUNDS = 30;
const TIMER_MS = 500;

netnsTest("a log that cannot be written", async (t) => {
  const cases = [
    { name: "a full disk: no line is torn, lost ones are counted", run: fullDisk },
    { name: "a pipe that nobody reads: lost lines are counted", run: unreadPipe },
    { name: "stderr closed", run: () => unwritable("2>&-") },
    { name: "a disk that is always full", run: () => unwritable("2>/dev/full") },
    { name: "a pipe whose reader has gone", run: () => unwritable("2> >(exit 0)") },
  ];
  await sideBySide(t, cases, ({ name }) => name, ({ run }) => run());
});

async function fullDisk(): Promise<void> {
  await using stage = await setQuietStage();
  await using disk = await smallDisk(8 * PAGE_BYTES);
  const path = `${disk.path}/log`;
  await using pk = spawnPk(stage.ns, pkFlags(), redirected(`2>>"${path}"`));
  await until(async () => (await eventsIn(path)).some(({ event }) => event === "ready"), "ready");
  await fill(`${disk.path}/filler`);
  for (const family of FAMILIES) await knockAll(stage, family);
  const size = (await Deno.stat(path)).size;
  ok(size <= PAGE_BYTES, `${size} bytes: the disk was not full`);

  await Deno.remove(`${disk.path}/filler`);
  await stops(stage, pk);
  const events = await eventsIn(path);
  const told = events.filter(({ event }) => event === "granted").length;
  ok(told < ROUNDS * FAMILIES.length, `${told} lines: none was lost`);
  strictEqual(events.filter(({ linesLost }) => linesLost !== undefined).length, 1);
}

async function unreadPipe(): Promise<void> {
  await using stage = await setQuietStage();
  await using disk = await smallDisk(8 * PAGE_BYTES);
  const path = `${disk.path}/pipe`;
  await must("mkfifo", path);
  // Open at both ends, so that pk does not wait for a reader and is not told that there is none.
  using pipe = await Deno.open(path, { read: true, write: true });
  await using pk = spawnPk(stage.ns, pkFlags(), redirected(`2>"${path}"`));
  const chunk = new Uint8Array(PIPE_BYTES);
  for (let text = ""; !text.includes('"ready"');) {
    text += new TextDecoder().decode(chunk.subarray(0, await pipe.read(chunk) ?? 0));
  }

  await pipe.write(new Uint8Array(PIPE_BYTES).fill(0x0a));
  for (const family of FAMILIES) await knockAll(stage, family);
  for (let left = PIPE_BYTES; left > 0;) left -= await pipe.read(chunk.subarray(0, left)) ?? 0;
  await stops(stage, pk);
  const text = new TextDecoder().decode(chunk.subarray(0, await pipe.read(chunk) ?? 0));
  strictEqual(parse(text).filter(({ linesLost }) => linesLost !== undefined).length, 1);
}

async function unwritable(redirection: string): Promise<void> {
  await using stage = await setQuietStage();
  await using pk = spawnPk(stage.ns, pkFlags(), redirected(redirection));
  await until(() => isGuarded(stage), "rules");
  await sleep(200);
  for (const family of FAMILIES) await knockAll(stage, family, 3);
  await stops(stage, pk);
}

function pkFlags(): string[] {
  return flags("--rule-timer", `${TIMER_MS}`);
}

/** What goes before pk to send its stderr elsewhere. */
function redirected(redirection: string): string[] {
  return ["bash", "-c", `exec "$@" ${redirection}`, "bash"];
}

async function isGuarded({ ns }: Stage): Promise<boolean> {
  return (await must(...enter(ns), "nft", "list", "tables")).includes("inet pk");
}

/** Source after source knocks and gets in, at once. */
async function knockAll({ client }: Stage, family: Family, rounds = ROUNDS): Promise<void> {
  strictEqual(await getsIn(client, family, family.source(20), { timeoutMs: 300 }), false);
  for (let round = 0; round < rounds; round++) {
    strictEqual(await knocksIn(client, family, 1 + round % 19), true, `round ${round}`);
  }
}

/** One more knock, whose lines are written, then a clean end. */
async function stops(stage: Stage, pk: Daemon): Promise<void> {
  for (const family of FAMILIES) await knockAll(stage, family, 1);
  await sleep(2 * TIMER_MS);
  pk.kill("SIGTERM");
  strictEqual(await pk.ended(), 0);
}

/** A disk of so many bytes, in memory, that is gone when the scope ends. */
async function smallDisk(bytes: number): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "pk-disk-" });
  await must("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "none", path);
  return {
    path,
    async [Symbol.asyncDispose]() {
      await must("umount", "--lazy", path);
      await Deno.remove(path);
    },
  };
}

async function fill(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  try {
    for (;;) await file.write(new Uint8Array(PAGE_BYTES));
  } catch {
    // No space left: as wanted.
  }
}

/** Every line whole and an event, or the test fails. */
function parse(text: string): Event[] {
  return text.split("\n").filter(Boolean).map((line) => {
    try {
      return JSON.parse(line);
    } catch {
      throw new Error(`A torn line: ${line}`);
    }
  });
}

async function eventsIn(path: string): Promise<Event[]> {
  return parse(await Deno.readTextFile(path).catch(() => ""));
}

async function until(what: () => Promise<boolean>, name: string): Promise<void> {
  for (let tries = 0; tries < 1500; tries++) {
    if (await what()) return;
    await sleep(20);
  }
  throw new Error(`No ${name} within 30 s`);
}
