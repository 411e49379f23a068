// createReloader(): what is read again and when, one configuration at a time, none forgotten. Files that
// change are in tests/netns/reload.test.ts.

import assert from "node:assert/strict";
import type { Config } from "../../../src/config/config.ts";
import { createReloader } from "../../../src/daemon/reloader.ts";
import { ConfigError, HostError } from "../../../src/errors.ts";
import { configOf, plainDoor } from "../../support/configs.ts";

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
