// createGatekeeper() with doors of every kind: what each opens, what is refused as used before, and what
// happens to all of it when the configuration changes.

import assert from "node:assert/strict";
import type { Milliseconds } from "../../../src/config/config.ts";
import type { Admission } from "../../../src/daemon/admission.ts";
import { ERRNO, KernelError, UnansweredError } from "../../../src/errors.ts";
import type { Lock, LockEffect } from "../../../src/knock/lock.ts";
import { KnockMachine } from "../../../src/knock/machine.ts";
import { LINES_PER_SECOND } from "../../../src/limits.ts";
import { configOf, encryptedDoor, plainDoor, rotatingDoor } from "../../support/configs.ts";
import {
  datagram,
  machineOf,
  ping,
  queued,
  setGatekeeper,
  SOURCE,
  SOURCE_TEXT,
  syn,
} from "../../support/gatekeepers.ts";
import { at } from "../../support/machines.ts";

const wide = plainDoor({
  name: "wide",
  opens: ["tcp/8443", "tcp/9090-9092", "udp/51820"],
  steps: ["tcp/7000", "udp/8000"],
  timeoutMs: 5_000 as Milliseconds,
});
const names = plainDoor({ name: "names", opens: ["udp/53"], steps: ["udp/5300", "icmp/56"] });

Deno.test("a door of several ports opens all of them in one transaction, told in one line", () => {
  const { gatekeeper, copies, copy, takeDone, events } = setGatekeeper(
    configOf({ doors: [wide, names] }),
  );
  copies.push(copy(syn(7000), datagram(8000)));
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), ["copies 2", "held 0", "admit 1", "transaction of 15", "held 0"]);
  gatekeeper.tick(0);
  const ports = "tcp/8443,tcp/9090-9092,udp/51820";
  const fields = { source: SOURCE_TEXT, door: "wide", ports, timeoutMs: 5_000 };
  assert.deepEqual(events("granted"), [fields]);
  assert.equal(gatekeeper.counters()["granted"], 1);
  assert.deepEqual(
    gatekeeper.openGrants(1_000).map(({ protocol, port, timeoutMs }) => [
      `${protocol}/${port}`,
      timeoutMs,
    ]),
    ["tcp/8443", "tcp/9090", "tcp/9091", "tcp/9092", "udp/51820"].map((port) => [port, 4_000]),
  );
  assert.equal(gatekeeper.isGranted(SOURCE, 9091), true);
  assert.equal(gatekeeper.isGranted(SOURCE, 51820), false, "sessions are of TCP");
  assert.equal(gatekeeper.tick(5_000).length, 5);
  assert.deepEqual(events("expired"), [{ source: SOURCE_TEXT, ports }]);
});

Deno.test("a grant whose use took a busy disk its time is booked from when the kernel has it", () => {
  let clockMs = 7;
  const admit: Admission = (openings) => {
    clockMs += 3_000;
    return openings.map(() => undefined);
  };
  const { gatekeeper, copies, copy } = setGatekeeper(configOf({ doors: [wide] }), {
    admit,
    clock: () => clockMs,
  });
  copies.push(copy(syn(7000), datagram(8000)));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.equal(gatekeeper.tick(7_999).length, 0);
  assert.equal(gatekeeper.tick(8_000).length, 5);
});

Deno.test("a door of udp is opened by datagrams and pings, of either family", () => {
  const six = plainDoor({ name: "six", opens: ["udp/53"], steps: ["udp/5301", "icmp6/56"] });
  const { gatekeeper, copies, copy, events } = setGatekeeper(configOf({ doors: [names, six] }));
  copies.push(copy(
    datagram(5300),
    ping(55),
    ping(56),
    datagram(5301, "2001:db8::1"),
    ping(56, "2001:db8::1"),
  ));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.deepEqual(
    events("granted").map(({ source, ports }) => [source, ports]),
    [["198.51.100.7", "udp/53"], ["2001:db8::1", "udp/53"]],
  );
  const { packets, udp, echo } = gatekeeper.counters();
  assert.deepEqual({ packets, udp, echo }, { packets: 5, udp: 2, echo: 3 });
});

Deno.test("a refused datagram is told as one of udp", () => {
  const { gatekeeper, copies, refuse, events } = setGatekeeper(configOf({ doors: [wide] }));
  copies.push(refuse(datagram(51820), syn(8443)));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.deepEqual(events("refused"), [
    { source: SOURCE_TEXT, ports: "udp/51820" },
    { source: SOURCE_TEXT, port: 8443 },
  ]);
});

Deno.test("a port that the kernel refuses leaves the door's others open, and the door is told as failed", () => {
  const { gatekeeper, copies, copy, events } = setGatekeeper(configOf({ doors: [wide] }), {
    settle() {
      throw new KernelError("add elements", ERRNO.ENFILE);
    },
  });
  copies.push(copy(syn(7000), datagram(8000)));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.equal(events("grant failed").length, 1, "one line for the door, not one for each port");
  assert.equal(gatekeeper.counters()["failed"], 1);
  assert.deepEqual(gatekeeper.openGrants(0), []);
});

Deno.test("a grant without an answer may stand: every port of the door is remembered", () => {
  const { gatekeeper, copies, copy, events } = setGatekeeper(configOf({ doors: [wide] }), {
    settle() {
      throw new UnansweredError("add elements", ERRNO.ETIMEDOUT);
    },
  });
  copies.push(copy(syn(7000), datagram(8000)));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.equal(events("grant unconfirmed").length, 1);
  assert.equal(gatekeeper.openGrants(0).length, 5);
});

Deno.test("of two doors that one knock opens, the longer one says how long, whichever comes first", () => {
  const steps = ["tcp/7000", "tcp/8000"] as const;
  const long = plainDoor({ name: "long", steps, timeoutMs: 60_000 as Milliseconds });
  const short = plainDoor({ name: "short", steps: [...steps], timeoutMs: 5_000 as Milliseconds });
  for (const doors of [[long, short], [short, long]]) {
    const { gatekeeper, copies, copy, takeDone, events } = setGatekeeper(configOf({ doors }));
    copies.push(copy(syn(7000), syn(8000)));
    takeDone();
    gatekeeper.handleBatch(at(0));
    assert.deepEqual(takeDone(), ["copies 2", "held 0", "admit 2", "transaction of 3", "held 0"]);
    assert.deepEqual(gatekeeper.openGrants(0).map(({ timeoutMs }) => timeoutMs), [60_000]);
    gatekeeper.tick(0);
    assert.equal(events("granted").length, 2);
  }
});

Deno.test("a grant is written anew at once where another door earns it, or it may not stand", () => {
  const other = plainDoor({ name: "other", opens: ["tcp/22"], steps: ["tcp/7100", "udp/8100"] });
  const doors = [wide, { ...other, opens: wide.opens, timeoutMs: wide.timeoutMs }];
  let fault: Error | undefined = new UnansweredError("add elements", ERRNO.ETIMEDOUT);
  const { gatekeeper, copies, copy, takeDone, events } = setGatekeeper(configOf({ doors }), {
    settle() {
      if (fault !== undefined) throw fault;
    },
  });
  const isWritten = (first: number, second: number, nowMs: number) => {
    copies.push(copy(syn(first), datagram(second)));
    while (gatekeeper.handleBatch(at(nowMs)));
    gatekeeper.tick(nowMs);
    return takeDone().includes("transaction of 15");
  };
  assert.equal(isWritten(7000, 8000, 0), true);
  fault = undefined;
  assert.equal(isWritten(7000, 8000, 1), true, "the first one was not answered");
  assert.equal(isWritten(7000, 8000, 2), false);
  assert.equal(isWritten(7100, 8100, 3), true);
  assert.equal(isWritten(7000, 8000, 4), true);
  assert.deepEqual(events("granted").map(({ door }) => door), ["wide", "wide", "other", "wide"]);
});

Deno.test("decoys of both protocols are told, and set their source back", () => {
  const { gatekeeper, copies, copy, events } = setGatekeeper(
    configOf({ doors: [wide], decoys: ["tcp/7001", "udp/7001"] }),
  );
  copies.push(copy(syn(7000), datagram(7001), datagram(8000), syn(7000), syn(7001), ping(7001)));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.equal(events("decoy").length, 2);
  assert.deepEqual(events("granted"), []);
});

/** A lock that opens to every knock. */
function openLock(effect: Partial<LockEffect> = {}): Lock {
  return {
    step: () => ({ stage: 5, of: 5, timeStep: 77, user: undefined, ...effect }),
    setBack() {},
    takeUnjudged: () => 0,
  };
}

/** A gatekeeper with a rotating and an encrypted door. */
function setTimed(admit: Admission) {
  const config = configOf({
    doors: [rotatingDoor({ name: "admin" }), encryptedDoor({ name: "vault", opens: ["tcp/25"] })],
  });
  const machine = new KnockMachine({
    doors: config.doors,
    locks: new Map([[0, openLock()], [1, openLock({ user: "alice", timeStep: 78 })]]),
    sourcesMax: 256,
    perPrefixMax: 16,
    key: [1, 2],
  });
  return setGatekeeper(config, { admit }, machine);
}

Deno.test("what is to be noted says door, source, step and user, and the lines say the user", () => {
  const seen: unknown[] = [];
  const { gatekeeper, copies, copy, events } = setTimed((openings) => {
    for (const { door, source, line, timeStep, user } of openings) {
      seen.push({ door: door.name, source, line, timeStep, user });
    }
    return openings.map(() => undefined);
  });
  copies.push(copy(syn(20_000), syn(22_000)));
  gatekeeper.handleBatch(at(0));
  const common = { source: SOURCE, line: undefined };
  assert.deepEqual(seen, [
    { ...common, door: "admin", timeStep: 77, user: undefined },
    { ...common, door: "vault", timeStep: 78, user: "alice" },
  ]);
  gatekeeper.tick(0);
  const timeoutMs = 30_000;
  assert.deepEqual(events("granted"), [
    { source: SOURCE_TEXT, door: "admin", port: 22, timeoutMs },
    { source: SOURCE_TEXT, door: "vault", user: "alice", port: 25, timeoutMs },
  ]);
});

Deno.test("a sequence that was used opens nothing and is told as replayed, so many lines a second", () => {
  const { gatekeeper, held, copies, copy, takeDone, logged, events } = setTimed((openings) =>
    openings.map(() => ({ reason: "used", error: false }))
  );
  held.push([queued(1)]);
  copies.push(copy(...Array.from({ length: 16 }, () => syn(22_000))));
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), ["copies 16", "admit 16", "held 1", "copies 0", "accept 1"]);
  gatekeeper.tick(0);
  const replayed = logged.filter(({ event }) => event === "replayed");
  assert.equal(replayed.length, LINES_PER_SECOND);
  assert.deepEqual(replayed[0], {
    level: "info",
    event: "replayed",
    fields: { source: SOURCE_TEXT, door: "vault", user: "alice", reason: "used" },
  });
  gatekeeper.tick(1_000);
  assert.deepEqual(events("omitted").filter(({ of }) => of === "replay"), [
    { of: "replay", count: 16 - LINES_PER_SECOND },
  ]);
  const { granted, replayed: count, failed } = gatekeeper.counters();
  assert.deepEqual({ granted, count, failed }, { granted: 0, count: 16, failed: 0 });
  assert.deepEqual(gatekeeper.openGrants(0), []);
});

Deno.test("replays do not spend the lines of knocks, nor of faults", () => {
  let error = false;
  const { gatekeeper, copies, copy, events } = setTimed((openings) =>
    openings.map(() => ({ reason: "no", error }))
  );
  copies.push(copy(...Array.from({ length: 8 }, () => syn(22_000))));
  gatekeeper.handleBatch(at(0));
  error = true;
  copies.push(copy(syn(22_000), syn(22_000)));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.deepEqual(
    ["knock", "replayed", "grant failed"].map((event) => events(event).length),
    [10, 8, 2],
  );
});

Deno.test("what cannot be noted opens nothing, counts as failed, and what is held goes on", () => {
  const { gatekeeper, held, copies, copy, takeDone, logged } = setTimed((openings) =>
    openings.map(({ user }) => user === undefined ? undefined : { reason: "ENOSPC", error: true })
  );
  held.push([queued(9)]);
  copies.push(copy(syn(20_000), syn(22_000)), copy(syn(20_000)));
  takeDone();
  gatekeeper.handleBatch(at(0));
  // A disk that fails takes time, as a kernel does: the second batch has to wait.
  assert.deepEqual(takeDone(), [
    ...["copies 2", "admit 2", "transaction of 3", "held 1", "accept 9"],
  ]);
  gatekeeper.tick(0);
  assert.deepEqual(logged.find(({ event }) => event === "grant failed"), {
    level: "error",
    event: "grant failed",
    fields: { source: SOURCE_TEXT, door: "vault", user: "alice", reason: "ENOSPC" },
  });
  const { granted, replayed, failed } = gatekeeper.counters();
  assert.deepEqual({ granted, replayed, failed }, { granted: 1, replayed: 0, failed: 1 });
});

Deno.test("a bug in what notes uses opens nothing, and what is held goes on", () => {
  const { gatekeeper, held, copies, copy, done, events } = setTimed(() => {
    throw new TypeError("planted");
  });
  held.push([queued(9)]);
  copies.push(copy(syn(20_000)));
  gatekeeper.handleBatch(at(0));
  assert.equal(done.at(-1), "accept 9");
  gatekeeper.tick(0);
  assert.deepEqual(events("grant failed").map(({ reason }) => reason), ["planted"]);
  assert.deepEqual(gatekeeper.openGrants(0), []);
});

Deno.test("reload() changes the doors; grants, lines and attempts at doors that stay live on", () => {
  const first = configOf({ doors: [wide, names] });
  const machine = machineOf(first);
  const { gatekeeper, copies, copy, events, takeDone } = setGatekeeper(first, {}, machine);
  // A grant by a door that goes away, half of a sequence of one that stays, an untold line of each.
  copies.push(copy(syn(7000), datagram(8000), datagram(5300)));
  gatekeeper.handleBatch(at(0));
  takeDone();

  const fresh = plainDoor({ name: "fresh", opens: ["tcp/25"], steps: ["tcp/7000", "udp/8000"] });
  const second = configOf({ doors: [names, fresh] });
  gatekeeper.reload(second, machineOf(second, machine));
  assert.deepEqual(takeDone(), [], "nothing is asked and nothing told yet");
  assert.equal(gatekeeper.openGrants(1_000).length, 5);
  assert.equal(gatekeeper.isGranted(SOURCE, 8443), true);

  gatekeeper.tick(1_000);
  assert.deepEqual(events("granted").map(({ door }) => door), ["wide"], "an untold line stays");

  copies.push(copy(ping(56), syn(7000), datagram(8000)));
  gatekeeper.handleBatch(at(2_000));
  gatekeeper.tick(2_000);
  assert.deepEqual(events("granted").map(({ door }) => door), ["wide", "names", "fresh"]);
  assert.equal(gatekeeper.tick(5_000).length, 5, "the old door's grants end in their time");
  assert.deepEqual(gatekeeper.openGrants(5_000).map(({ port }) => port), [53, 25]);
});

Deno.test("reload() forgets attempts at doors that change, and takes over the level of the log", () => {
  const first = configOf({ doors: [wide], log: { format: "json", level: "info" } });
  const machine = machineOf(first);
  const { gatekeeper, copies, copy, events } = setGatekeeper(first, {}, machine);
  copies.push(copy(syn(7000)));
  gatekeeper.handleBatch(at(0));
  const changed = plainDoor({ name: "wide", steps: ["tcp/7000", "udp/8001"] });
  const second = configOf({ doors: [changed], log: { format: "json", level: "debug" } });
  gatekeeper.reload(second, machineOf(second, machine));
  copies.push(copy(datagram(8001), syn(7000)));
  gatekeeper.handleBatch(at(1));
  gatekeeper.tick(1);
  assert.deepEqual(events("granted"), []);
  assert.deepEqual(events("knock").map(({ stage }) => stage), [1]);
});

Deno.test("reload() leaves what was left out to be told", () => {
  const config = configOf({ doors: [wide] });
  const { gatekeeper, copies, copy, events } = setGatekeeper(config);
  copies.push(copy(...Array.from({ length: 16 }, (_, at) => syn(7000, `198.51.100.${at}`))));
  gatekeeper.handleBatch(at(0));
  gatekeeper.reload(config, machineOf(config));
  gatekeeper.tick(1_000);
  assert.deepEqual(events("omitted"), [{ of: "knock", count: 6 }]);
});
