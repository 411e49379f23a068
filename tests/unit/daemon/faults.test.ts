// Faults of the socket to the kernel, each by a double that returns it: what is held goes on all the
// same, the next grant is written, and nothing left over is taken for its ack. What strace can inject
// into the real program is in tests/netns/syscall_faults.test.ts.

import assert from "node:assert/strict";
import { parseFlags } from "../../../src/config/flags.ts";
import { createGatekeeper } from "../../../src/daemon/gatekeeper.ts";
import type { Fields } from "../../../src/daemon/log.ts";
import { ERRNO, HostError, KernelError } from "../../../src/errors.ts";
import { formsOf, install } from "../../../src/firewall/firewall.ts";
import { HELD_MESSAGE_BYTES, LOG_MESSAGE_BYTES } from "../../../src/limits.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import type { Transport } from "../../../src/netlink/transport.ts";
import { fakeNftables } from "../../support/fake_nftables.ts";
import { admitAll, batchOf, copied, machineOf, queued, syn } from "../../support/gatekeepers.ts";
import { at } from "../../support/machines.ts";
import type { Bytes } from "../../support/packets.ts";

type ErrorName = keyof typeof ERRNO;

/** What the socket does wrong, as long as it does. */
interface Fault {
  /** The call to send fails: nothing reaches the kernel. */
  readonly send?: ErrorName;
  /** The call to receive fails, or nothing comes, or the first bytes only. */
  readonly receive?: ErrorName | "silence" | "short";
  /** The kernel refuses the transaction. */
  readonly refuse?: ErrorName;
}

const FAULTS: readonly (Fault & { readonly says: RegExp })[] = [
  ...(["EINTR", "EAGAIN", "ENOBUFS", "EPERM", "ENOMEM"] as const).map((send) => ({
    send,
    says: new RegExp(send),
  })),
  ...(["EBUSY", "EPERM", "EINTR", "EAGAIN", "ENOMEM", "ENOSPC"] as const).map((refuse) => ({
    refuse,
    says: new RegExp(refuse),
  })),
  { receive: "ENOBUFS", says: /ENOBUFS/ },
  { receive: "ENOMEM", says: /ENOMEM/ },
  { receive: "silence", says: /ETIMEDOUT/ },
  { receive: "short", says: /Cannot read/ },
];

const { config: CONFIG } = parseFlags({
  portSeq: "7000,8000",
  portDest: "22",
  ruleTimer: "5s",
  queueNum: "7",
  tableOwner: true,
});
const SOURCES = ["198.51.100.7", "2001:db8::7"];

for (const { says, ...fault } of FAULTS) {
  const what = Object.entries(fault).join(" ").replace(",", ": ");
  Deno.test(`a grant that meets ${what}: what is held goes on, it is told, the next is written`, () => {
    for (const source of SOURCES) {
      const { gatekeeper, socket, held, copies, accepted, logged, transactions } = setUp();
      socket.fault = fault;
      held.push([queued(3)]);
      copies.push(knocks(source));
      assert.equal(gatekeeper.handleBatch(at(0)), true);
      assert.deepEqual(accepted, [3]);
      gatekeeper.tick(0);
      const failed = logged.filter(({ event }) => event !== "knock");
      assert.equal(failed.length, 1);
      assert.match(String(failed[0]?.fields["reason"]), says);

      socket.fault = {};
      const before = transactions.length;
      held.push([queued(4)]);
      copies.push(knocks(source));
      gatekeeper.handleBatch(at(1000));
      assert.deepEqual(accepted, [3, 4]);
      assert.equal(transactions.length, before + 1);
      gatekeeper.tick(1000);
      assert.equal(logged.at(-1)?.event, "granted");
      assert.equal(gatekeeper.openGrants(1000).length, 1);
    }
  });
}

Deno.test("an ack that comes too late is no ack of the next grant", () => {
  const { gatekeeper, socket, copies, logged } = setUp();
  socket.fault = { receive: "silence" };
  copies.push(knocks("198.51.100.7"));
  gatekeeper.handleBatch(at(0));
  // The late ack of the first waits there; the second is refused.
  socket.fault = { refuse: "ENFILE" };
  copies.push(knocks("198.51.100.8"));
  gatekeeper.handleBatch(at(1000));
  gatekeeper.tick(1000);
  const told = logged.filter(({ fields }) => fields["source"] === "198.51.100.8");
  assert.equal(told.at(-1)?.event, "grant failed");
  assert.match(String(told.at(-1)?.fields["reason"]), /ENFILE/);
  assert.match(String(told.at(-1)?.fields["hint"]), /grants-max/);
});

Deno.test("a verdict that meets an error is told, and the next one covers what waits", () => {
  for (const code of ["EINTR", "EAGAIN", "ENOBUFS", "ENOENT", "EPERM"] as const) {
    const setup = setUp();
    setup.verdict.error = new KernelError("send to the kernel", ERRNO[code]);
    setup.held.push([queued(3)]);
    assert.equal(setup.gatekeeper.handleBatch(at(0)), true);
    assert.deepEqual(setup.logged.map(({ event }) => event), ["verdict failed"]);
    setup.verdict.error = undefined;
    setup.held.push([queued(4)]);
    setup.gatekeeper.handleBatch(at(1));
    assert.deepEqual(setup.accepted, [4]);
  }
});

Deno.test("a message cut short at any byte earns no grant, and what is held goes on", () => {
  for (const source of SOURCES) {
    const [first, last] = knocks(source) as [Bytes, Bytes];
    const { gatekeeper, held, copies, accepted, transactions } = setUp();
    for (let length = 0; length < last.length; length++) {
      held.push([queued(length)]);
      copies.push([first, last.slice(0, length)]);
      gatekeeper.handleBatch(at(length));
    }
    assert.equal(transactions.length, 0);
    assert.equal(accepted.length, last.length);
    copies.push([last]);
    gatekeeper.handleBatch(at(last.length));
    assert.equal(transactions.length, 1);

    const whole = queued(4711);
    for (let length = 0; length < whole.length; length++) {
      held.push([whole.slice(0, length), queued(length)]);
      gatekeeper.handleBatch(at(last.length));
      assert.equal(accepted.at(-1), length);
    }
  }
});

for (const { says, ...fault } of FAULTS.filter(({ receive }) => receive !== "short")) {
  const what = Object.entries(fault).join(" ").replace(",", ": ");
  Deno.test(`an installation that meets ${what} ends with an error that says so`, () => {
    const { socket, transactions } = setUp();
    socket.fault = fault;
    assert.throws(
      () => install(openConversation(socket), CONFIG, formsOf(true), []),
      (error) => {
        assert.ok(error instanceof HostError || error instanceof KernelError);
        // EPERM is told of in words.
        if (error instanceof KernelError) assert.match(error.message, says);
        return true;
      },
    );
    assert.ok(transactions.length <= formsOf(true).length, "each form is tried once");
  });
}

/** The wall clock may jump either way: who asks for it, and for what. */
const WALL_CLOCK: Readonly<Record<string, string>> = {
  "client/": "its time step has to be the server's; what it prints and crosses out has a time",
  "daemon/daemon.ts": "the unixMs of events: doors with changing sequences allow for some skew",
  "daemon/log.ts": "the time in log lines",
  "daemon/one_time_file.ts": "the time in the comment that crosses out a line",
  "page/script.ts": "runs in a browser: its time step, as of the client",
};

Deno.test("nothing asks for the wall clock but who has a reason to", async () => {
  const asks: string[] = [];
  for (const folder of ["src", "ffi"]) {
    for await (const path of files(new URL(`../../../${folder}/`, import.meta.url))) {
      const code = (await Deno.readTextFile(path)).replace(/\/\/.*|\/\*[^]*?\*\//g, "");
      if (/\bDate\b|\bTemporal\b|clock_gettime|gettimeofday|timeOrigin/.test(code)) {
        asks.push(path.pathname.split("/").slice(-2).join("/"));
      }
    }
  }
  const places = asks.map((file) => file.startsWith("client/") ? "client/" : file);
  assert.deepEqual([...new Set(places)].sort(), Object.keys(WALL_CLOCK));
});

Deno.test("the daemon asks for the wall clock at one place", async () => {
  const daemon = new URL("../../../src/daemon/daemon.ts", import.meta.url);
  assert.equal((await Deno.readTextFile(daemon)).match(/\bDate\b/g)?.length, 1);
});

/** A gatekeeper whose socket to the kernel has faults, over two lists of batches. */
function setUp() {
  const held: Bytes[][] = [];
  const copies: Bytes[][] = [];
  const accepted: number[] = [];
  const logged: { event: string; fields: Fields }[] = [];
  const verdict: { error: KernelError | undefined } = { error: undefined };
  const { socket, transactions } = faultySocket();
  const gatekeeper = createGatekeeper({
    config: CONFIG,
    kernel: openConversation(socket),
    machine: machineOf(CONFIG),
    admit: admitAll,
    clock: () => 0,
    queue: {
      ...batchOf(held, HELD_MESSAGE_BYTES),
      accept(lastId) {
        if (verdict.error) throw verdict.error;
        accepted.push(lastId);
      },
      acceptMarked: () => assert.fail("nothing of what is held came along"),
    },
    copies: batchOf(copies, LOG_MESSAGE_BYTES),
    log: (_level, event, fields = {}) => logged.push({ event, fields }),
  });
  // Only what is asked for from here on counts.
  return { gatekeeper, socket, held, copies, accepted, verdict, logged, transactions };
}

/** A socket to an nf_tables that carries everything out, with the fault that is set at the moment. */
function faultySocket() {
  const socket: Transport & { fault: Fault } = {
    fault: {},
    send(bytes) {
      const { send } = socket.fault;
      if (send !== undefined) throw new KernelError("send to the kernel", ERRNO[send]);
      waiting.push(...nftables.kernel(bytes));
    },
    receive() {
      const { receive } = socket.fault;
      if (receive === undefined) return waiting.shift();
      if (receive === "silence") return undefined;
      if (receive === "short") return waiting.shift()?.subarray(0, 8);
      throw new KernelError("receive from the kernel", ERRNO[receive]);
    },
  };
  const waiting: Uint8Array[] = [];
  const nftables = fakeNftables(undefined, (lines) => {
    const changes = lines.some((line) => /^NFT_MSG_(NEW|DEL)/.test(line));
    return changes ? socket.fault.refuse : undefined;
  });
  return { socket, transactions: nftables.transactions };
}

let sequence = 0;

/** Copies of a whole sequence of knocks. */
function knocks(source: string): Bytes[] {
  return [7000, 8000].map((port) => copied(sequence++, syn(port, source)));
}

async function* files(folder: URL): AsyncGenerator<URL> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* files(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield new URL(name, folder);
  }
}
