// createGatekeeper(): copies and held packets from two lists, grants to a kernel that is a function.
// What matters is the order: after what is held was read, the copies that it may wait for, then grants,
// then the verdict, whatever happens to the grants. Who completed a sequence alone is let in before.

import assert from "node:assert/strict";
import type { LogLevel, Milliseconds } from "../../../src/config/config.ts";
import { parseFlags } from "../../../src/config/flags.ts";
import { ERRNO, KernelError, TransactionError } from "../../../src/errors.ts";
import {
  BATCH_PACKETS,
  COPIES_MAX,
  LET_IN_TRIES,
  LINES_PER_SECOND,
  LOG_MESSAGE_BYTES,
} from "../../../src/limits.ts";
import {
  type Behaviour,
  copied,
  datagram,
  queued,
  setGatekeeper,
  SOURCE,
  syn,
} from "../../support/gatekeepers.ts";
import { at } from "../../support/machines.ts";
import type { Bytes } from "../../support/packets.ts";

const { config: CONFIG } = parseFlags({
  portSeq: "7000,8000",
  portDest: "22",
  ruleTimer: "5s",
  queueNum: "7",
  logFormat: "json",
  tableOwner: true,
});

function setUp({ level = "debug", ...behaviour }: Behaviour & { level?: LogLevel } = {}) {
  return setGatekeeper({ ...CONFIG, log: { ...CONFIG.log, level } }, behaviour);
}

function knocks(source?: string): Bytes[] {
  return [syn(7000, source), syn(8000, source)];
}

Deno.test("handleBatch() reads what is held, writes the grant, reads all copies, lets go; tick() logs", () => {
  const { gatekeeper, held, copies, copy, takeDone, logged } = setUp();
  takeDone();
  held.push([queued(3), queued(4)]);
  copies.push(copy(...knocks()));
  assert.equal(gatekeeper.handleBatch(at(0)), true);
  assert.deepEqual(takeDone(), [
    "copies 2",
    "held 2",
    "admit 1",
    "transaction of 3",
    "held 0",
    "copies 0",
    "accept 4",
  ]);
  gatekeeper.tick(0);
  assert.deepEqual(takeDone(), ["ack", "knock", "knock", "granted"]);
  assert.deepEqual(logged.at(-1)?.fields, {
    source: "198.51.100.7",
    door: "main",
    port: 22,
    timeoutMs: 5_000,
  });
  assert.equal(gatekeeper.handleBatch(at(0)), false);
  assert.deepEqual(takeDone(), ["copies 0", "held 0"]);
});

Deno.test("handleBatch() lets go only after the copy that is waited for, however many come before", () => {
  const { gatekeeper, held, copies, copy, takeDone } = setUp();
  const noise = () =>
    Array.from({ length: BATCH_PACKETS }, (_, index) => syn(9000, `203.0.113.${index}`));
  const [first, last] = [syn(7000), syn(8000)];
  held.push([queued(9)], [queued(10)]);
  copies.push(copy(first), copy(...noise()), copy(...noise()), copy(...noise()), copy(last));
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), [
    ...["copies 1", "held 1", "copies 256", "copies 256", "copies 256", "copies 1"],
    ...["admit 1", "transaction of 3", "copies 0", "accept 9"],
  ]);
  assert.equal(gatekeeper.openGrants(0).length, 1);
});

Deno.test("handleBatch() writes the grants of each batch, and lets go after all of them", () => {
  const { gatekeeper, held, copies, copy, takeDone } = setUp();
  held.push([queued(1)]);
  copies.push(copy(...knocks("198.51.100.1")), copy(...knocks("198.51.100.2")));
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), [
    ...["copies 2", "held 1", "admit 1", "transaction of 3", "held 0"],
    ...["copies 2", "ack", "admit 1", "transaction of 3", "copies 0", "accept 1"],
  ]);
});

Deno.test("handleBatch() carries all grants of a batch in one transaction, of both families", () => {
  const { gatekeeper, copies, copy, takeDone, events } = setUp();
  const sources = ["198.51.100.1", "2001:db8::1", "198.51.100.2"];
  copies.push(copy(...sources.flatMap(knocks)));
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), ["copies 6", "admit 3", "transaction of 9", "ack", "held 0"]);
  gatekeeper.tick(0);
  assert.deepEqual(events("granted").map(({ source }) => source), sources);
});

Deno.test("handleBatch() lets go after the rest of a refused transaction is written, where others wait for it", () => {
  const { gatekeeper, held, copies, copy, takeDone, events } = setUp({
    settle() {
      throw new TransactionError(new KernelError("add elements", ERRNO.ENFILE), new Set([0]));
    },
  });
  held.push([queued(1)]);
  copies.push(copy(...knocks("198.51.100.1"), ...knocks("198.51.100.2")));
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), [
    ...["copies 4", "admit 2", "transaction of 6", "ack", "transaction of 3", "ack"],
    ...["held 1", "accept 1"],
  ]);
  gatekeeper.tick(0);
  assert.equal(events("grant failed").length, 2);
});

Deno.test("handleBatch() lets in who completed a sequence alone, and then writes the grant", () => {
  const { gatekeeper, held, copies, copy, takeDone, events } = setUp();
  copies.push(copy(...knocks()));
  held.push([queued(5, syn(22)), queued(6, syn(22))]);
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), [
    ...["copies 2", "held 2", "let in 5", "let in 6", "admit 1", "transaction of 3"],
    ...["held 0", "copies 0"],
  ]);
  gatekeeper.tick(0);
  assert.equal(events("granted").length, 1);
});

Deno.test("handleBatch() waits a moment for the SYN of who completed a sequence alone", () => {
  const { gatekeeper, held, copies, copy, takeDone } = setUp();
  copies.push(copy(...knocks()));
  held.push([], [], [queued(5, syn(22))]);
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone().slice(0, 4), ["copies 2", "held 0", "held 1", "let in 5"]);
});

Deno.test("handleBatch() lets in who knocked, and lets go the others after all copies", () => {
  const { gatekeeper, held, copies, copy, takeDone } = setUp();
  copies.push(copy(...knocks()), copy(syn(9000)));
  held.push([queued(5, syn(22, "198.51.100.8")), queued(6, syn(22)), queued(7, syn(22, "::1"))]);
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), [
    ...["copies 2", "held 3", "let in 6", "admit 1", "transaction of 3", "held 0"],
    ...["copies 1", "copies 0", "accept 7"],
  ]);
});

Deno.test("handleBatch() lets in also where the SYN was read before the last knock", () => {
  const { gatekeeper, held, copies, copy, takeDone } = setUp();
  const [first, last] = [syn(7000), syn(8000)];
  copies.push(copy(first), copy(last));
  held.push([queued(5, syn(22)), queued(6)]);
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), [
    ...["copies 1", "held 2", "copies 1", "let in 5", "admit 1", "transaction of 3"],
    ...["copies 0", "accept 6"],
  ]);
});

/** What is held, and whether a grant for TCP 22 lets it in before it is written. */
const letIn: readonly [what: string, message: Bytes, isLetIn: boolean][] = [
  ["a SYN to the door's port", queued(1, syn(22)), true],
  ["a SYN to another port", queued(1, syn(23)), false],
  ["a SYN of another source", queued(1, syn(22, "198.51.100.8")), false],
  ["a SYN of another family with the same number", queued(1, syn(22, "::c633:6407")), false],
  ["a datagram to the same number", queued(1, datagram(22)), false],
  ["a SYN that somebody marked", queued(1, syn(22), 7), false],
  ["a SYN whose header is cut off", queued(1, syn(22).slice(0, 30)), false],
  ["a packet that did not come along", queued(1), false],
];

for (const [what, message, isLetIn] of letIn) {
  const fate = isLetIn ? "let in 1" : "accept 1";
  Deno.test(`handleBatch() does with ${what} what it has to: ${fate}`, () => {
    const { gatekeeper, held, copies, copy, takeDone } = setUp();
    copies.push(copy(...knocks()));
    held.push([message]);
    gatekeeper.handleBatch(at(0));
    assert.deepEqual(takeDone().filter((done) => / in |accept/.test(done)), [fate]);
  });
}

Deno.test("handleBatch() lets in nobody before a grant that may be refused, or is needed at once", () => {
  const [door] = CONFIG.doors;
  assert.ok(door);
  const configs = {
    "its set is full": { ...CONFIG, grantsMax: 1 },
    "connections end with it": { ...CONFIG, doors: [{ ...door, onExpire: "cut" as const }] },
  };
  for (const [why, config] of Object.entries(configs)) {
    const { gatekeeper, held, copies, copy, takeDone } = setGatekeeper(config);
    // The first one is written, but not in the book yet.
    copies.push(copy(...knocks("198.51.100.8")));
    gatekeeper.handleBatch(at(0));
    copies.push(copy(...knocks()));
    held.push([queued(5, syn(22))]);
    takeDone();
    gatekeeper.handleBatch(at(0));
    const done = takeDone();
    assert.ok(done.indexOf("transaction of 3") < done.indexOf("accept 5"), why);
    assert.ok(!done.includes("let in 5"), why);
  }
});

Deno.test("handleBatch() lets in nobody at once of several who complete a sequence at the same time", () => {
  const { gatekeeper, held, copies, copy, takeDone } = setUp();
  copies.push(copy(...knocks(), ...knocks("198.51.100.8")));
  held.push([queued(5, syn(22))]);
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), [
    ...["copies 4", "admit 2", "transaction of 6", "ack", "held 1", "copies 0", "accept 5"],
  ]);
});

Deno.test("handleBatch() lets go with the others whom a failing verdict did not let in", () => {
  const { gatekeeper, held, copies, copy, takeDone, events } = setUp({
    acceptMarked() {
      throw new KernelError("send", ERRNO.ENOBUFS);
    },
  });
  copies.push(copy(...knocks()));
  held.push([queued(5, syn(22))]);
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), [
    ...["copies 2", "held 1", "let in 5", "verdict failed", "admit 1", "transaction of 3"],
    ...["held 0", "copies 0", "accept 5"],
  ]);
  assert.equal(events("verdict failed").length, 1);
});

for (
  const [what, earlier] of [
    ["whose verdict failed", queued(4)],
    ["that it could not decode", new Uint8Array(8)],
  ] as const
) {
  Deno.test(`handleBatch() lets go a packet ${what} with one that is let in`, () => {
    let failure: Error | undefined = new KernelError("send", ERRNO.ENOBUFS);
    const { gatekeeper, held, copies, copy, takeDone } = setUp({
      accept() {
        if (failure !== undefined) throw failure;
      },
    });
    held.push([earlier]);
    gatekeeper.handleBatch(at(0));
    failure = undefined;
    copies.push(copy(...knocks()));
    held.push([queued(5, syn(22))]);
    takeDone();
    gatekeeper.handleBatch(at(1));
    assert.deepEqual(takeDone().filter((done) => / in |accept/.test(done)), [
      "let in 5",
      "accept 5",
    ]);
    copies.push(copy(...knocks("198.51.100.8")));
    held.push([queued(6, syn(22, "198.51.100.8"))]);
    gatekeeper.handleBatch(at(2));
    assert.deepEqual(takeDone().filter((done) => / in |accept/.test(done)), ["let in 6"]);
  });
}

Deno.test("handleBatch() looks but once for the SYN of who repeats a sequence, and not for each door anew", () => {
  const [door] = CONFIG.doors;
  assert.ok(door);
  const reads = (config: typeof CONFIG, times: number) => {
    const { gatekeeper, copies, copy, done } = setGatekeeper(config);
    const before = () => done.filter((what) => what === "held 0").length;
    copies.push(copy(...Array.from({ length: times }, () => knocks()).flat()));
    gatekeeper.handleBatch(at(0));
    const first = before();
    copies.push(copy(...knocks()));
    gatekeeper.handleBatch(at(1));
    return [first, before() - first];
  };
  const other = { ...door, name: "other", opens: [{ protocol: "tcp", first: 23, last: 23 }] };
  const two = { ...CONFIG, doors: [door, other] } as typeof CONFIG;
  for (const [config, times] of [[CONFIG, 1], [CONFIG, 50], [two, 1]] as const) {
    assert.deepEqual(reads(config, times), [LET_IN_TRIES + 1, 2]);
  }
});

Deno.test("handleBatch() says so where a grant is refused after its source was let in", () => {
  const { gatekeeper, held, copies, copy, events } = setUp({
    settle() {
      throw new KernelError("add elements", ERRNO.EPERM);
    },
  });
  copies.push(copy(...knocks()));
  held.push([queued(5, syn(22))]);
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.deepEqual([events("granted").length, events("grant failed").length], [0, 1]);
});

Deno.test("handleBatch() writes a grant once, however often its sequence is completed in a batch", () => {
  const { gatekeeper, copies, copy, takeDone, events } = setUp();
  copies.push(copy(...Array.from({ length: 100 }, () => knocks()).flat()));
  takeDone();
  while (gatekeeper.handleBatch(at(0)));
  assert.equal(takeDone().filter((what) => what === "transaction of 3").length, 1);
  gatekeeper.tick(0);
  assert.equal(events("granted").length, 1);
});

Deno.test("every first grant is told, of renewed ones ten a second", () => {
  const { gatekeeper, copies, copy, events } = setUp();
  const sources = Array.from({ length: 3 * LINES_PER_SECOND }, (_, n) => `198.51.100.${n + 1}`);
  const knockAll = (nowMs: number) => {
    copies.push(copy(...sources.flatMap((source) => knocks(source))));
    while (gatekeeper.handleBatch(at(nowMs)));
    gatekeeper.tick(nowMs);
  };
  knockAll(0);
  assert.equal(events("granted").length, sources.length);
  knockAll(400);
  assert.equal(events("granted").length, sources.length + LINES_PER_SECOND);
  gatekeeper.tick(2_000);
  assert.deepEqual(events("omitted").filter(({ of }) => of === "granted"), [
    { of: "granted", count: 2 * LINES_PER_SECOND },
  ]);
  assert.equal(gatekeeper.counters()["granted"], 2 * sources.length);
});

Deno.test("handleBatch() tells nobody of a grant that the kernel refused, however often it is earned in a batch", () => {
  const { gatekeeper, copies, copy, events } = setUp({
    settle() {
      throw new KernelError("add elements", ERRNO.ENFILE);
    },
  });
  copies.push(copy(...knocks(), ...knocks()));
  while (gatekeeper.handleBatch(at(0)));
  gatekeeper.tick(0);
  assert.deepEqual([events("granted").length, events("grant failed").length], [0, 1]);
});

Deno.test("handleBatch() bounds the lines of a sequence that is completed again and again", () => {
  const { gatekeeper, copies, copy, events } = setUp();
  for (let count = 0; count < 100; count++) copies.push(copy(...knocks()));
  while (gatekeeper.handleBatch(at(0)));
  gatekeeper.tick(0);
  assert.equal(events("granted").length, 1 + LINES_PER_SECOND);
});

Deno.test("handleBatch() reads one batch of copies where nothing is held, and gives no verdict", () => {
  const { gatekeeper, copies, copy, takeDone } = setUp();
  copies.push(copy(syn(7000)), copy(syn(8000)));
  takeDone();
  assert.equal(gatekeeper.handleBatch(at(0)), true);
  assert.deepEqual(takeDone(), ["copies 1", "held 0"]);
  assert.equal(gatekeeper.handleBatch(at(0)), true);
  assert.deepEqual(takeDone(), ["copies 1", "held 0", "admit 1", "transaction of 3", "held 0"]);
  assert.equal(gatekeeper.handleBatch(at(0)), false);
});

Deno.test("handleBatch() lets go what is held where no copy is there", () => {
  const { gatekeeper, held, takeDone } = setUp();
  held.push([queued(0xffff_fffe), queued(0xffff_ffff), queued(0)]);
  takeDone();
  assert.equal(gatekeeper.handleBatch(at(0)), true);
  assert.deepEqual(takeDone(), ["copies 0", "held 3", "copies 0", "accept 0"]);
});

for (const count of [BATCH_PACKETS, 1]) {
  Deno.test(`handleBatch() lets go after COPIES_MAX copies where they never end, ${count} at once`, () => {
    const { gatekeeper, held, copies, takeDone } = setUp();
    const flood = Array.from({ length: count }, (_, index) => copied(index, syn(9000)));
    copies.shift = () => flood;
    held.push([queued(1)]);
    takeDone();
    assert.equal(gatekeeper.handleBatch(at(0)), true);
    const done = takeDone();
    assert.deepEqual([done[1], done.at(-1)], ["held 1", "accept 1"]);
    // One batch before what is held, all others after it.
    assert.equal(done.length - 2, 1 + COPIES_MAX / count);
  });
}

for (
  const [what, error] of [
    ["a refusal", new KernelError("add elements", ERRNO.ENFILE)],
    ["an ack that never comes", new KernelError("wait", ERRNO.ETIMEDOUT)],
    ["a bug", new TypeError("no")],
  ] as const
) {
  Deno.test(`handleBatch() lets the packets go after ${what}, and says that nothing was granted`, () => {
    const { gatekeeper, held, copies, copy, takeDone, logged } = setUp({
      settle() {
        throw error;
      },
    });
    held.push([queued(2)]);
    const sources = ["198.51.100.7", "198.51.100.8", "198.51.100.9"];
    copies.push(...sources.map((source) => copy(...knocks(source))));
    gatekeeper.handleBatch(at(0));
    // At once: the next failure could take as long.
    assert.deepEqual(takeDone(), [
      ...["copies 2", "held 1", "admit 1", "transaction of 3", "held 0"],
      ...["copies 2", "ack", "admit 1", "transaction of 3", "accept 2"],
    ]);
    gatekeeper.handleBatch(at(0));
    assert.deepEqual(takeDone(), [
      ...["copies 2", "ack", "held 0", "admit 1", "transaction of 3", "held 0"],
    ]);
    gatekeeper.tick(0);
    assert.deepEqual(logged.at(-1)?.event, "grant failed");
    assert.equal(gatekeeper.openGrants(0).length, 0);
    const { granted, failed } = gatekeeper.counters();
    assert.deepEqual({ granted, failed }, { granted: 0, failed: 3 });
  });
}

Deno.test("handleBatch() writes no grant a second time, whatever became of the first", () => {
  let refusing = true;
  const { gatekeeper, copies, copy, takeDone } = setUp({
    settle() {
      if (refusing) throw new KernelError("add elements", ERRNO.ENFILE);
    },
  });
  copies.push(copy(...knocks()), copy(syn(7000)), copy(...knocks("198.51.100.8")));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  refusing = false;
  takeDone();
  gatekeeper.handleBatch(at(1));
  assert.deepEqual(takeDone(), ["copies 1", "held 0"]);
  gatekeeper.handleBatch(at(2));
  assert.deepEqual(takeDone(), ["copies 2", "held 0", "admit 1", "transaction of 3", "held 0"]);
});

for (
  const { timeoutMs, laterMs } of [{ timeoutMs: 5_000, laterMs: 250 }, {
    timeoutMs: 800,
    laterMs: 100,
  }]
) {
  Deno.test(`a grant of ${timeoutMs} ms is renewed where it would end ${laterMs} ms later, or more`, () => {
    const doors = CONFIG.doors.map((door) => ({ ...door, timeoutMs: timeoutMs as Milliseconds }));
    const { gatekeeper, copies, copy, takeDone, events } = setGatekeeper({ ...CONFIG, doors });
    const knockAt = (nowMs: number) => {
      copies.push(copy(...knocks()));
      while (gatekeeper.handleBatch(at(nowMs)));
      return takeDone().some((what) => what.startsWith("transaction"));
    };
    assert.deepEqual(
      [0, laterMs - 1, laterMs, 2 * laterMs - 1].map(knockAt),
      [true, false, true, false],
    );
    gatekeeper.tick(laterMs);
    assert.equal(events("granted").length, 4, "who knocks again is told so");
    assert.equal(gatekeeper.openGrants(laterMs + timeoutMs - 1).length, 1);
  });
}

Deno.test("handleBatch() says that a verdict failed, and gives it with the next one", () => {
  let failure: Error | undefined = new KernelError("send", ERRNO.ENOBUFS);
  const { gatekeeper, held, takeDone } = setUp({
    accept() {
      if (failure !== undefined) throw failure;
    },
  });
  held.push([queued(1)], [queued(2)]);
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), ["copies 0", "held 1", "copies 0", "accept 1", "verdict failed"]);
  failure = undefined;
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), ["copies 0", "held 1", "copies 0", "accept 2"]);
});

Deno.test("handleBatch() counts copies that it cannot parse, and messages that it cannot decode", () => {
  const { gatekeeper, held, copies, copy, done } = setUp();
  const tooLong = copied(9, new Uint8Array(LOG_MESSAGE_BYTES));
  held.push([queued(3), new Uint8Array(8), queued(4), copied(0, syn(7000))]);
  copies.push([
    ...copy(new Uint8Array([0x45]), new Uint8Array(0)),
    new Uint8Array(8),
    queued(1),
    tooLong,
  ]);
  gatekeeper.handleBatch(at(0));
  assert.equal(done.at(-1), "accept 4");
  const { packets, held: heldCount, undecoded, truncated } = gatekeeper.counters();
  assert.deepEqual({ packets, heldCount, undecoded, truncated }, {
    packets: 2,
    heldCount: 2,
    undecoded: 5,
    truncated: 2,
  });
});

Deno.test("handleBatch() gives no verdict where none of the messages was a packet", () => {
  const { gatekeeper, held, copies, takeDone } = setUp();
  held.push([new Uint8Array(8)]);
  copies.push([new Uint8Array(8)], [new Uint8Array(8)]);
  takeDone();
  assert.equal(gatekeeper.handleBatch(at(0)), true, "a copy may be behind those");
  assert.deepEqual(takeDone(), ["copies 1", "held 1"]);
});

Deno.test("handleBatch() says that something was there also where it was no packet", () => {
  const { gatekeeper, held } = setUp();
  held.push([new Uint8Array(8)], [queued(1)]);
  assert.equal(gatekeeper.handleBatch(at(0)), true);
});

Deno.test("handleBatch() counts knocks that are lost by the gaps between their numbers", () => {
  const { gatekeeper, copies } = setUp();
  const numbered = (...sequences: readonly number[]) =>
    sequences.map((sequence) => copied(sequence, syn(9000)));
  const lostAfter = (...sequences: readonly number[]) => {
    copies.push(numbered(...sequences));
    gatekeeper.handleBatch(at(0));
    return gatekeeper.counters()["lost"];
  };
  assert.equal(lostAfter(41), 0, "those before the first one are not ours");
  assert.equal(lostAfter(42, 43), 0);
  assert.equal(lostAfter(47, 48, 50), 4);
  assert.equal(lostAfter(50 + 1_000), 1_003);
  assert.equal(gatekeeper.copied, 7 + 1_003);
});

Deno.test("handleBatch() counts them across 2^32 as well", () => {
  const { gatekeeper, copies } = setUp();
  const lostAfter = (...sequences: readonly number[]) => {
    copies.push(sequences.map((sequence) => copied(sequence, syn(9000))));
    gatekeeper.handleBatch(at(0));
    return gatekeeper.counters()["lost"];
  };
  assert.equal(lostAfter(0xffff_fffe, 0xffff_ffff, 0, 1), 0);
  const again = setUp();
  again.copies.push([0xffff_fffd, 2].map((sequence) => copied(sequence, syn(9000))));
  again.gatekeeper.handleBatch(at(0));
  assert.equal(again.gatekeeper.counters()["lost"], 4);
  assert.equal(again.gatekeeper.copied, 6);
});

Deno.test("tick() tells once a second of knocks that were lost", () => {
  const { gatekeeper, copies, events } = setUp();
  const copy = (sequence: number, nowMs: number) => {
    copies.push([copied(sequence, syn(9000))]);
    gatekeeper.handleBatch(at(nowMs));
  };
  copy(0, 500);
  gatekeeper.tick(500);
  assert.deepEqual(events("knocks lost"), []);
  assert.equal(gatekeeper.dueMs, undefined);
  copy(3, 500);
  assert.ok((gatekeeper.dueMs ?? Infinity) <= 500, "the first one is told at once");
  gatekeeper.tick(500);
  assert.deepEqual(events("knocks lost").map(({ count }) => count), [2]);
  assert.equal(gatekeeper.dueMs, undefined);
  copy(5, 600);
  copy(7, 700);
  gatekeeper.tick(1_499);
  assert.equal(gatekeeper.dueMs, 1_500);
  gatekeeper.tick(1_500);
  assert.deepEqual(events("knocks lost").map(({ count }) => count), [2, 2]);
  assert.equal(gatekeeper.dueMs, undefined);
  gatekeeper.tick(9_000);
  assert.equal(events("knocks lost").length, 2);
});

Deno.test("handleBatch() grants nobody who lost a knock, and everybody who did not", () => {
  const { gatekeeper, copies } = setUp();
  const [first, second] = [syn(7000), syn(8000)];
  copies.push([copied(0, syn(7000, "198.51.100.8")), copied(2, first), copied(9, second)]);
  gatekeeper.handleBatch(at(0));
  const open = gatekeeper.openGrants(0).map(({ source }) => source.word3 & 0xff);
  assert.deepEqual(open, [7]);
});

Deno.test("handleBatch() tells of SYNs that the kernel refused", () => {
  const { gatekeeper, copies, refuse, events, counted, takeDone } = setUp();
  counted.refused = 2;
  copies.push(refuse(syn(22), syn(22, "2001:db8::1")));
  takeDone();
  gatekeeper.handleBatch(at(0));
  assert.deepEqual(takeDone(), ["copies 2", "held 0"]);
  gatekeeper.tick(0);
  assert.deepEqual(events("refused"), [
    { source: "198.51.100.7", port: 22 },
    { source: "2001:db8::1", port: 22 },
  ]);
  gatekeeper.tick(1_000);
  assert.deepEqual(events("omitted"), []);
});

Deno.test("handleBatch() takes no refused SYN for a knock", () => {
  const { gatekeeper, copies, copy, refuse } = setUp();
  copies.push([...copy(syn(7000)), ...refuse(syn(8000)), ...refuse(...knocks("198.51.100.8"))]);
  gatekeeper.handleBatch(at(0));
  assert.equal(gatekeeper.counters()["knocks"], 1);
  assert.deepEqual(gatekeeper.openGrants(0), []);
});

Deno.test("handleBatch() does not parse what the kernel refused with less care", () => {
  const { gatekeeper, copies, refuse, events } = setUp();
  copies.push(refuse(new Uint8Array([0x45]), syn(22).slice(0, 30)));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.deepEqual(events("refused"), []);
  assert.equal(gatekeeper.counters()["truncated"], 2);
});

Deno.test("tick() tells how many refused SYNs the kernel counted and did not copy", () => {
  const { gatekeeper, copies, refuse, events, counted, done } = setUp();
  assert.deepEqual(done, ["ask"], "what it had counted before");
  counted.refused = 500;
  copies.push(
    refuse(...Array.from({ length: LINES_PER_SECOND }, (_, at) => syn(22, `198.51.100.${at}`))),
  );
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.equal(events("refused").length, LINES_PER_SECOND);
  assert.equal(gatekeeper.dueMs, 1_000);
  gatekeeper.tick(999);
  assert.equal(done.filter((what) => what === "ask").length, 1);
  assert.deepEqual(events("omitted"), []);
  gatekeeper.tick(1_000);
  assert.deepEqual(events("omitted"), [{ of: "refused", count: 490 }]);
  assert.equal(gatekeeper.dueMs, undefined);
});

Deno.test("handleBatch() throttles what strangers cause; tick() tells how much was left out", () => {
  const { gatekeeper, copies, copy, logged, events } = setUp();
  copies.push(copy(...Array.from({ length: 16 }, (_, index) => syn(7000, `198.51.100.${index}`))));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.equal(events("knock").length, LINES_PER_SECOND);
  assert.equal(gatekeeper.dueMs, 1_000);
  gatekeeper.tick(1_000);
  assert.deepEqual(logged.at(-1), {
    level: "info",
    event: "omitted",
    fields: { of: "knock", count: 6 },
  });
  assert.equal(gatekeeper.dueMs, undefined);
});

Deno.test("handleBatch() tells of first knocks only where everything is told", () => {
  const { gatekeeper, copies, copy, events } = setUp({ level: "info" });
  copies.push(copy(syn(7000, "198.51.100.8"), ...knocks()));
  gatekeeper.handleBatch(at(0));
  gatekeeper.tick(0);
  assert.deepEqual(events("knock"), [{ source: "198.51.100.7", door: "main", stage: 2, of: 2 }]);
});

Deno.test("tick() tells when a grant ends, counted from the last sequence", () => {
  const { gatekeeper, copies, copy, logged } = setUp();
  for (const nowMs of [0, 2_000]) {
    copies.push(copy(...knocks()));
    gatekeeper.handleBatch(at(nowMs));
  }
  assert.deepEqual(gatekeeper.tick(6_999), []);
  assert.ok(!logged.some(({ event }) => event === "expired"));
  assert.equal(gatekeeper.isGranted(SOURCE, 22), true);
  assert.deepEqual(gatekeeper.tick(7_000), [
    { source: SOURCE, protocol: "tcp", port: 22, timeoutMs: 5_000 },
  ]);
  assert.deepEqual(logged.at(-1), {
    level: "info",
    event: "expired",
    fields: { source: "198.51.100.7", port: 22 },
  });
  assert.equal(gatekeeper.isGranted(SOURCE, 22), false);
});

Deno.test("adopt() takes over grants that stand in the kernel", () => {
  const { gatekeeper, logged } = setUp();
  const grant = { source: SOURCE, protocol: "tcp", port: 22, timeoutMs: 300 } as const;
  gatekeeper.adopt([grant], 100);
  gatekeeper.tick(200);
  assert.equal(logged.length, 0);
  assert.deepEqual(gatekeeper.openGrants(250), [{ ...grant, timeoutMs: 150 }]);
  gatekeeper.tick(400);
  assert.equal(logged.at(-1)?.event, "expired");
});
