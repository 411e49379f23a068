// createGatekeeper(): batches from a queue that is a list, grants to a kernel that is a function.
// What matters is the order: grants before the verdict, the verdict whatever happens to them.

import assert from "node:assert/strict";
import { Writer } from "../../../src/bytes/writer.ts";
import type { Config, Milliseconds, Port } from "../../../src/config/config.ts";
import { createGatekeeper } from "../../../src/daemon/gatekeeper.ts";
import type { Fields } from "../../../src/daemon/log.ts";
import { ERRNO, KernelError } from "../../../src/errors.ts";
import { LINES_PER_SECOND, MESSAGE_BYTES } from "../../../src/limits.ts";
import { raw, writeAttributes } from "../../../src/netlink/attribute.ts";
import type { Conversation, NamedRequest } from "../../../src/netlink/conversation.ts";
import { NFQA } from "../../../src/nfqueue/constants.ts";
import { type Bytes, ipv4, ipv6, tcp } from "../../support/packets.ts";

const CONFIG: Config = {
  doors: [{
    sequence: [7000 as Port, 8000 as Port],
    withinMs: 10_000 as Milliseconds,
    port: 22 as Port,
    timeoutMs: 5_000 as Milliseconds,
  }],
  queueNumber: 7,
  tableOwner: true,
  sourcesMax: 64,
  grantsMax: 64,
  log: { format: "json", level: "debug" },
};

/** A gatekeeper over a list of batches, and the order of everything it did. */
function setUp(transact: (requests: readonly NamedRequest[]) => void = () => {}) {
  const batches: Bytes[][] = [];
  const done: string[] = [];
  const logged: { event: string; fields: Fields }[] = [];
  const memory = new Uint8Array(16 * MESSAGE_BYTES);
  let lengths: number[] = [];
  const kernel: Conversation = {
    transact(requests) {
      done.push(`transaction of ${requests.length}`);
      transact(requests);
    },
    ask: () => [],
  };
  const gatekeeper = createGatekeeper({
    config: CONFIG,
    kernel,
    key: [1, 2],
    queue: {
      view: new DataView(memory.buffer),
      receive() {
        const batch = batches.shift() ?? [];
        batch.forEach((message, index) => memory.set(message, index * MESSAGE_BYTES));
        lengths = batch.map((message) => message.length);
        return batch.length;
      },
      messageLength: (index) => lengths[index] ?? 0,
      accept: (lastId) => done.push(`accept ${lastId}`),
    },
    log(_level, event, fields = {}) {
      done.push(event);
      logged.push({ event, fields });
    },
  });
  return { gatekeeper, batches, done, logged };
}

/** One packet as the kernel queues it. */
function queued(id: number, packet: Bytes): Bytes {
  const header = new Writer().u32be(id).u16be(0x0800).u8(0).bytes();
  const writer = new Writer().u32ne(0).u16ne(3 << 8).u16ne(0).u32ne(0).u32ne(0);
  writer.u8(2).u8(0).u16be(CONFIG.queueNumber);
  writeAttributes(writer, [raw(NFQA.NFQA_PACKET_HDR, header), raw(NFQA.NFQA_PAYLOAD, packet)]);
  return writer.patchU32ne(0, writer.length).bytes();
}

let sequence = 0;
function syn(destinationPort: number, source = "198.51.100.7"): Bytes {
  const payload = tcp({ destinationPort, sequence: sequence++ });
  return source.includes(":") ? ipv6({ source, payload }) : ipv4({ source, payload });
}

Deno.test("handleBatch() writes the grant, then lets the packets go; tick() logs", () => {
  const { gatekeeper, batches, done, logged } = setUp();
  batches.push([queued(1, syn(7000)), queued(2, syn(8000)), queued(3, syn(22))]);
  assert.equal(gatekeeper.handleBatch(0), true);
  assert.deepEqual(done, ["transaction of 3", "accept 3"]);
  gatekeeper.tick(0);
  assert.deepEqual(done.slice(2), ["knock", "knock", "granted"]);
  assert.deepEqual(logged.at(-1)?.fields, { source: "198.51.100.7", port: 22, timeoutMs: 5_000 });
  assert.equal(gatekeeper.handleBatch(0), false);
});

Deno.test("handleBatch() carries all grants of a batch in one transaction, of both families", () => {
  const { gatekeeper, batches, done, logged } = setUp();
  const sources = ["198.51.100.1", "2001:db8::1", "198.51.100.2"];
  batches.push(
    sources.flatMap((source) => [syn(7000, source), syn(8000, source)])
      .map((packet, index) => queued(index + 1, packet)),
  );
  gatekeeper.handleBatch(0);
  assert.deepEqual(done, ["transaction of 9", "accept 6"]);
  gatekeeper.tick(0);
  const granted = logged.filter(({ event }) => event === "granted");
  assert.deepEqual(granted.map(({ fields }) => fields["source"]), sources);
});

for (
  const [what, error] of [
    ["a refusal", new KernelError("add elements", ERRNO.ENFILE)],
    ["an ack that never comes", new KernelError("wait", ERRNO.ETIMEDOUT)],
    ["a bug", new TypeError("no")],
  ] as const
) {
  Deno.test(`handleBatch() lets the packets go after ${what}, and says that nothing was granted`, () => {
    const { gatekeeper, batches, done, logged } = setUp(() => {
      throw error;
    });
    batches.push([queued(1, syn(7000)), queued(2, syn(8000))]);
    gatekeeper.handleBatch(0);
    assert.ok(done.includes("accept 2"));
    gatekeeper.tick(0);
    assert.equal(logged.at(-1)?.event, "grant failed");
    assert.equal(gatekeeper.openGrants(0).length, 0);
    batches.push([queued(3, syn(22))]);
    gatekeeper.handleBatch(1);
    gatekeeper.tick(1);
    assert.equal(logged.at(-1)?.event, "refused");
  });
}

Deno.test("handleBatch() accepts packets that it cannot parse, and counts them", () => {
  const { gatekeeper, batches, done } = setUp();
  batches.push([
    queued(1, new Uint8Array([0x45])),
    new Uint8Array(8),
    queued(4, new Uint8Array(0)),
  ]);
  gatekeeper.handleBatch(0);
  assert.deepEqual(done, ["accept 4"]);
  const { packets, undecoded, truncated } = gatekeeper.counters();
  assert.deepEqual({ packets, undecoded, truncated }, { packets: 2, undecoded: 1, truncated: 2 });
});

Deno.test("handleBatch() tells of SYNs without a grant, and of none with one", () => {
  const { gatekeeper, batches, logged } = setUp();
  const refused = (nowMs: number) => {
    gatekeeper.tick(nowMs);
    return logged.filter(({ event }) => event === "refused").length;
  };
  batches.push([queued(1, syn(22))]);
  gatekeeper.handleBatch(0);
  assert.equal(refused(0), 1);
  batches.push([queued(2, syn(7000)), queued(3, syn(8000))], [queued(4, syn(22))]);
  gatekeeper.handleBatch(0);
  gatekeeper.handleBatch(4_999);
  assert.equal(refused(4_999), 1);
  batches.push([queued(5, syn(22))], [queued(6, syn(22, "198.51.100.8"))]);
  gatekeeper.handleBatch(5_000);
  gatekeeper.handleBatch(6_100);
  assert.equal(refused(6_100), 3);
});

Deno.test("handleBatch() throttles what strangers cause; tick() tells how much was left out", () => {
  const { gatekeeper, batches, logged } = setUp();
  batches.push(
    Array.from({ length: 16 }, (_, index) => queued(index, syn(22, `198.51.100.${index}`))),
  );
  gatekeeper.handleBatch(0);
  gatekeeper.tick(0);
  assert.equal(logged.length, LINES_PER_SECOND);
  assert.equal(gatekeeper.dueMs, 1_000);
  gatekeeper.tick(1_000);
  assert.deepEqual(logged.at(-1), { event: "omitted", fields: { of: "refused", count: 6 } });
  assert.equal(gatekeeper.dueMs, undefined);
});

Deno.test("tick() tells when a grant ends, counted from the last sequence", () => {
  const { gatekeeper, batches, logged } = setUp();
  for (const nowMs of [0, 2_000]) {
    batches.push([queued(1, syn(7000)), queued(2, syn(8000))]);
    gatekeeper.handleBatch(nowMs);
  }
  gatekeeper.tick(6_999);
  assert.ok(!logged.some(({ event }) => event === "expired"));
  gatekeeper.tick(7_000);
  assert.deepEqual(logged.at(-1), {
    event: "expired",
    fields: { source: "198.51.100.7", port: 22 },
  });
});

Deno.test("adopt() takes over grants that stand in the kernel", () => {
  const { gatekeeper, batches, logged } = setUp();
  const source = { family: 4, word0: 0, word1: 0, word2: 0, word3: 0xc6336407 } as const;
  gatekeeper.adopt([{ source, port: 22, timeoutMs: 300 }], 100);
  batches.push([queued(1, syn(22))]);
  gatekeeper.handleBatch(200);
  gatekeeper.tick(200);
  assert.equal(logged.length, 0);
  assert.deepEqual(gatekeeper.openGrants(250), [{ source, port: 22, timeoutMs: 150 }]);
  gatekeeper.tick(400);
  assert.equal(logged.at(-1)?.event, "expired");
});
