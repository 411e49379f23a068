// createReloader(): what is read again and when, one configuration at a time, none forgotten; files that
// change, by whatever way they are replaced. See tests/netns/reload.test.ts, too.

import assert from "node:assert/strict";
import type { Config } from "../../../src/config/config.ts";
import { createReloader } from "../../../src/daemon/reloader.ts";
import { ConfigError, HostError } from "../../../src/errors.ts";
import { WATCHDOG_MS } from "../../../src/limits.ts";
import { configOf, oneTimeDoor, plainDoor } from "../../support/configs.ts";
import { folderTest } from "../../support/host_files.ts";

/** Whose configurations are named by their only door; each is prepared when `finish` says so. */
function setUp(reloads = true) {
  const events: string[] = [];
  const preparations: PromiseWithResolvers<void>[] = [];
  let reads = 0;
  let wakes = 0;
  let problem: Error | undefined;
  const reloader = createReloader({
    config: configOf(),
    source: {
      reload: reloads
        ? () => {
          if (problem !== undefined) throw problem;
          return configOf({ doors: [plainDoor({ name: `read ${++reads}` })] });
        }
        : undefined,
      refresh: () => configOf(),
      accept: () => events.push("accept"),
    },
    doors: {
      prepare() {
        const preparation = Promise.withResolvers<void>();
        preparations.push(preparation);
        return preparation.promise;
      },
    },
    log: (_level, event) => events.push(event),
    wake: () => wakes++,
  });
  return {
    reloader,
    events,
    fail: (error: Error | undefined) => problem = error,
    finish: async (error?: Error) => {
      const preparation = preparations.shift();
      wakes = 0;
      if (error === undefined) preparation?.resolve();
      else preparation?.reject(error);
      await new Promise((resolve) => setTimeout(resolve));
      assert.equal(wakes, 1, "the daemon is woken");
    },
  };
}

const nameOf = (config: Config | undefined) => config?.doors[0]?.name;

Deno.test("a configuration is read when it is asked for, and given when it is prepared", async () => {
  const { reloader, events, finish } = setUp();
  assert.equal(reloader.take(0), undefined);
  assert.equal(reloader.dueMs, Infinity);
  reloader.ask();
  assert.ok(reloader.dueMs <= 0);
  assert.equal(reloader.take(0), undefined);
  assert.equal(reloader.dueMs, Infinity, "nothing to do until it is prepared");
  await finish();
  const next = reloader.take(1);
  assert.equal(nameOf(next), "read 1");
  assert.equal(reloader.take(2), undefined, "once");
  reloader.accept(next as Config, 2);
  assert.deepEqual(events, ["accept"]);
});

Deno.test("what is asked for while another one is prepared follows at once", async () => {
  const { reloader, finish } = setUp();
  reloader.ask();
  reloader.take(0);
  reloader.ask();
  reloader.ask();
  assert.equal(reloader.take(1), undefined, "one after the other");
  await finish();
  assert.equal(nameOf(reloader.take(2)), "read 1");
  assert.ok(reloader.dueMs <= 2);
  reloader.take(3);
  await finish();
  assert.equal(nameOf(reloader.take(4)), "read 2");
  assert.equal(reloader.dueMs, Infinity);
});

Deno.test("what cannot be read or prepared is told, and the next one is read", async () => {
  const { reloader, events, fail, finish } = setUp();
  fail(new ConfigError("pk.yaml", []));
  reloader.ask();
  assert.equal(reloader.take(0), undefined);
  fail(undefined);
  reloader.ask();
  reloader.take(1);
  await finish(new HostError("Cannot derive a key", "wait"));
  assert.equal(reloader.take(2), undefined);
  reloader.ask();
  reloader.take(3);
  await finish();
  assert.equal(nameOf(reloader.take(4)), "read 2");
  assert.deepEqual(events, ["reload refused", "reload refused"]);
});

Deno.test("queue and owner of the table stay as they are until a new start", async () => {
  const events: string[] = [];
  const config = configOf();
  const reloader = createReloader({
    config,
    source: {
      reload: () => ({
        ...config,
        queueNumber: config.queueNumber + 1,
        tableOwner: !config.tableOwner,
      }),
      refresh: () => config,
      accept: () => {},
    },
    doors: { prepare: () => Promise.resolve() },
    log: (_level, event) => events.push(event),
    wake: () => {},
  });
  reloader.ask();
  reloader.take(0);
  await new Promise((resolve) => setTimeout(resolve));
  const { queueNumber, tableOwner } = reloader.take(1) as Config;
  assert.deepEqual([queueNumber, tableOwner], [config.queueNumber, config.tableOwner]);
  assert.deepEqual(events, ["restart needed"]);
});

Deno.test("where flags are all there is, a hangup is told and changes nothing", () => {
  const { reloader, events } = setUp(false);
  reloader.ask();
  assert.equal(reloader.take(0), undefined);
  assert.equal(reloader.dueMs, Infinity);
  assert.deepEqual(events, ["hangup ignored"]);
});

/** Which watches one file, and reads it when it was told to: what was in it each time. */
function setUpFile(file: string) {
  const events: string[] = [];
  const seen: string[] = [];
  const read = () => {
    try {
      seen.push(Deno.readTextFileSync(file));
    } catch {
      throw new ConfigError(file, []);
    }
    return configOf({ doors: [oneTimeDoor({ file })] });
  };
  const reloader = createReloader({
    config: configOf({ doors: [oneTimeDoor({ file })] }),
    source: { reload: read, refresh: read, accept: () => {} },
    doors: { prepare: () => Promise.resolve() },
    log: (_level, event) => events.push(event),
    wake: () => {},
  });
  let nowMs = performance.now();
  return {
    reloader,
    events,
    /** What was read, until nothing is left to do now; nothing is read where nothing has changed. */
    async reads() {
      seen.length = 0;
      for (let turns = 0; turns < 10; turns++) {
        const next = reloader.take(nowMs);
        if (next !== undefined) reloader.accept(next, nowMs);
        await new Promise((resolve) => setTimeout(resolve));
        if (reloader.dueMs < nowMs + 1_000) nowMs = Math.max(nowMs, reloader.dueMs);
      }
      return [...seen];
    },
    /** The time goes on. */
    pass: (ms: number) => nowMs += ms,
  };
}

folderTest(
  "links are exchanged again and again, and each time the file is read",
  async (folder) => {
    for (const version of ["v1", "v2", "v3"]) {
      Deno.mkdirSync(`${folder}/${version}`);
      Deno.writeTextFileSync(`${folder}/${version}/once`, version);
    }
    Deno.symlinkSync("data/once", `${folder}/once`);
    Deno.symlinkSync("v1", `${folder}/data`);
    const { reloader, events, reads } = setUpFile(`${folder}/once`);
    using _ = reloader;
    assert.deepEqual(await reads(), []);
    for (const version of ["v2", "v3"]) {
      Deno.symlinkSync(version, `${folder}/data~`);
      Deno.renameSync(`${folder}/data~`, `${folder}/data`);
      assert.equal((await reads()).at(-1), version);
      Deno.writeTextFileSync(`${folder}/${version}/once`, `${version}, edited`);
      assert.equal((await reads()).at(-1), `${version}, edited`);
      assert.deepEqual(await reads(), [], "once");
    }
    Deno.writeTextFileSync(`${folder}/v2/once`, "nobody's any more");
    assert.deepEqual(await reads(), []);
    assert.deepEqual(events, []);
  },
);

folderTest("a folder is made anew, and what is edited there is read", async (folder) => {
  const [now, old] = [`${folder}/above/now`, `${folder}/old`];
  const file = `${now}/once`;
  Deno.mkdirSync(now, { recursive: true });
  Deno.writeTextFileSync(file, "first");
  const { reloader, events, reads } = setUpFile(file);
  using _ = reloader;
  for (const moved of [now, `${folder}/above`]) {
    // At once, and while the file is missing for some time.
    for (const pause of [() => Promise.resolve([]), reads]) {
      Deno.renameSync(moved, old);
      await pause();
      Deno.mkdirSync(now, { recursive: true });
      await pause();
      Deno.writeTextFileSync(file, "made anew");
      assert.equal((await reads()).at(-1), "made anew");
      Deno.writeTextFileSync(file, "edited");
      assert.equal((await reads()).at(-1), "edited");
      Deno.writeTextFileSync(file.replace(moved, old), "nobody's any more");
      assert.deepEqual(await reads(), []);
      Deno.removeSync(old, { recursive: true });
    }
  }
  Deno.removeSync(now, { recursive: true });
  Deno.mkdirSync(now);
  Deno.writeTextFileSync(file, "after a removal");
  assert.equal((await reads()).at(-1), "after a removal");
  Deno.writeTextFileSync(file, "and an edit");
  assert.equal((await reads()).at(-1), "and an edit");
  assert.deepEqual([...new Set(events)], ["reload refused"]);
});

folderTest("what cannot be watched is told once, tried again and then read", async (folder) => {
  const now = `${folder}/now`;
  const file = `${now}/once`;
  Deno.mkdirSync(now);
  Deno.writeTextFileSync(file, "first");
  const { reloader, events, reads, pass } = setUpFile(file);
  using _ = reloader;
  const untilNextMs = () => Math.round(reloader.dueMs - pass(0));
  const { fd } = reloader;
  assert.ok(fd !== undefined);
  Deno.removeSync(now, { recursive: true });
  Deno.writeTextFileSync(now, "no folder");
  assert.deepEqual(await reads(), []);
  assert.equal(reloader.fd, undefined);
  assert.deepEqual(events, ["files not watched", "reload refused"]);
  assert.equal(untilNextMs(), WATCHDOG_MS);
  for (let tries = 0; tries < 3; tries++) {
    pass(WATCHDOG_MS);
    assert.deepEqual(await reads(), []);
    assert.equal(untilNextMs(), WATCHDOG_MS);
  }
  Deno.removeSync(now);
  Deno.mkdirSync(now);
  Deno.writeTextFileSync(file, "second");
  assert.deepEqual(await reads(), [], "not yet");
  pass(WATCHDOG_MS);
  assert.deepEqual(await reads(), ["second"]);
  assert.ok(reloader.fd !== undefined);
  assert.equal(reloader.dueMs, Infinity);
  Deno.writeTextFileSync(file, "third");
  assert.deepEqual(await reads(), ["third"]);
  assert.deepEqual(events, ["files not watched", "reload refused"]);
});
