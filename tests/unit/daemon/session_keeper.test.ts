// createSessionKeeper(): who may live on and who is cut, over a kernel that is a list of sockets.

import assert from "node:assert/strict";
import { Reader } from "../../../src/bytes/reader.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import type { OnExpire } from "../../../src/config/config.ts";
import type { Fields } from "../../../src/daemon/log.ts";
import { createSessionKeeper } from "../../../src/daemon/session_keeper.ts";
import { ERRNO, KernelError } from "../../../src/errors.ts";
import type { Grant } from "../../../src/firewall/grant.ts";
import {
  CUTS_MAX,
  LEGITIMATE_MAX,
  LINES_PER_SECOND,
  PORTS_LISTED_MAX,
} from "../../../src/limits.ts";
import type { Conversation, NamedRequest } from "../../../src/netlink/conversation.ts";
import { addressBytes, formatAddress, parseAddress } from "../../../src/packet/address.ts";
import type { Source } from "../../../src/packet/header.ts";

const PORT = 22;
const HERE = { 4: "192.0.2.1", 6: "2001:db8::1" } as const;
const ESTABLISHED = 1;
const SYN_RECV = 3;
const SOCK_DESTROY = 21;

interface Socket {
  readonly source: string;
  readonly sourcePort: number;
  readonly port?: number;
  readonly local?: string;
  readonly state?: number;
  readonly timer?: number;
  /** The socket's cookie. */
  readonly name: number;
  /** A socket of both families. */
  readonly dual?: boolean;
}

type Refuse = (request: NamedRequest) => keyof typeof ERRNO | undefined;

/** A host with sockets and grants, which the test changes as it goes. */
function setUp(
  onExpire: OnExpire,
  sockets: Socket[] = [],
  { grants = [], refuse = () => undefined, others = [], orphans = [] }: {
    grants?: string[];
    /** Ports of those whose grants have ended before the keeper began. */
    orphans?: readonly number[];
    refuse?: Refuse;
    /** Further guarded ports. */
    others?: readonly (readonly [port: number, onExpire: OnExpire])[];
  } = {},
) {
  const host = { sockets: [...sockets], grants: new Set(grants), refuse, flowCuts: 0 };
  const asked: number[] = [];
  const logged: { level: string; event: string; fields: Fields }[] = [];
  const diag: Conversation = {
    transact: () => assert.fail("sock_diag has no transactions"),
    submit: () => assert.fail("sock_diag has no transactions"),
    ask(request) {
      asked.push(request.type);
      const code = host.refuse(request);
      if (code !== undefined) throw new KernelError(request.what, ERRNO[code]);
      const reader = new Reader(request.header);
      const family = reader.u8();
      reader.raw(7);
      const [port, remotePort] = [reader.u16be(), reader.u16be()];
      reader.raw(36);
      const name = reader.u32ne();
      if (request.type === SOCK_DESTROY) {
        const index = host.sockets.findIndex((one) => one.name === name);
        if (index < 0) throw new KernelError(request.what, ERRNO.ENOENT);
        host.sockets.splice(index, 1);
        return [];
      }
      return host.sockets
        .filter((one) => family === (one.dual || one.source.includes(":") ? 10 : 2))
        .filter((one) => port === 0 || port === (one.port ?? PORT))
        .filter((one) => remotePort === 0 || remotePort === one.sourcePort)
        .map((one) => ({ type: 20, flags: 2, sequence: 1, port: 0, payload: listed(one) }));
    },
  };
  const keeper = createSessionKeeper({
    ports: new Map([[PORT, onExpire], ...others]),
    isGranted: (source, port) => host.grants.has(`${formatAddress(source)} ${port}`),
    isOlder: ({ sourcePort }) => !orphans.includes(sourcePort),
    cutFlows: () => {
      host.flowCuts++;
      return true;
    },
    log: (level, event, fields = {}) => logged.push({ level, event, fields }),
  }, diag);
  const end = (source: string, nowMs: number, port = PORT) => {
    host.grants.delete(`${source} ${port}`);
    keeper.grantsEnded([grantOf(source, port)], nowMs);
  };
  const names = () => host.sockets.map(({ name }) => name);
  const events = (name: string) => logged.filter(({ event }) => event === name);
  return { host, keeper, end, names, events, logged, asked };
}

Deno.test("the keeper begins with the end of those whose grants have ended meanwhile", () => {
  const sockets: Socket[] = [
    { source: "198.51.100.1", sourcePort: 1, name: 1 }, // older than pk
    { source: "198.51.100.2", sourcePort: 2, name: 2 },
    { source: "198.51.100.3", sourcePort: 3, name: 3 },
  ];
  const grants = [`198.51.100.3 ${PORT}`];
  const { keeper, names, events } = setUp("cut", sockets, { grants, orphans: [2, 3] });
  assert.equal(keeper.dueMs, 0);
  keeper.tick(0);
  assert.deepEqual(names(), [1, 3]);
  const [line, ...others] = events("cut").map(({ fields }) => [fields["source"], fields["reason"]]);
  assert.deepEqual([line, others], [["198.51.100.2", "its grant has ended"], []]);
});

Deno.test("the sockets of many ports are listed at once, those of others left out", () => {
  const others = Array.from({ length: PORTS_LISTED_MAX }, (_, at) => [100 + at, "cut"] as const);
  const sockets: Socket[] = [
    { source: "198.51.100.1", sourcePort: 1, port: 100, name: 1 },
    { source: "198.51.100.1", sourcePort: 1, port: 99, name: 2 }, // nobody guards it
  ];
  const grants = ["198.51.100.1 100"];
  const few = setUp("cut", [], { others: others.slice(1) });
  const many = setUp("cut", sockets, { grants, others });
  assert.ok(many.asked.length < few.asked.length, `${many.asked.length} of ${few.asked.length}`);
  many.end("198.51.100.1", 0, 100);
  assert.deepEqual(many.names(), [2]);
});

Deno.test("each sweep after the table was away cuts flows of datagrams, too", () => {
  const { host, keeper } = setUp("keep");
  assert.equal(host.flowCuts, 0);
  keeper.tableRestored(0);
  assert.equal(host.flowCuts, 1);
  keeper.tick(keeper.dueMs ?? 0);
  assert.equal(host.flowCuts, 2);
});

/** Past the second in which somebody may still come in by a grant that has ended. */
const SETTLED_MS = 1_000;

for (
  const [family, intruder, friend] of [
    ["IPv4", "198.51.100.66", "198.51.100.7"],
    ["IPv6", "2001:db8:66::1", "2001:db8:7::1"],
  ] as const
) {
  for (const dual of family === "IPv4" ? [false, true] : [false]) {
    const title = `${family}${dual ? " at a socket of both families" : ""}`;
    Deno.test(`tableRestored() cuts who came in meanwhile, nobody else: ${title}`, () => {
      const { host, keeper, end, names, events } = setUp("keep", [
        { source: intruder, sourcePort: 1, name: 1, dual }, // older than pk
      ], { grants: [`${friend} ${PORT}`] });
      host.sockets.push({ source: friend, sourcePort: 1, name: 2, dual });
      end(friend, 0);
      keeper.tick(SETTLED_MS);
      host.sockets.push(
        { source: friend, sourcePort: 2, name: 3, dual },
        { source: intruder, sourcePort: 2, name: 4, dual },
        { source: intruder, sourcePort: 3, name: 5, dual, state: SYN_RECV },
        { source: intruder, sourcePort: 4, name: 6, dual, port: 80 },
      );
      keeper.tableRestored(5_000);
      assert.deepEqual(names(), [1, 2, 6]);
      assert.deepEqual(
        events("cut").map(({ level, fields }) => ({ level, ...fields })),
        [[friend, 2], [intruder, 2]].map(([source, sourcePort]) => ({
          level: "warning",
          source,
          sourcePort,
          port: PORT,
          reason: "it came in while the table was away",
        })),
        "the half-open one is no connection yet",
      );
    });
  }
}

Deno.test("tableRestored() spares those with a grant, with one that ended just now, and their later selves", () => {
  const [granted, ending, ended] = ["198.51.100.1", "198.51.100.2", "198.51.100.3"];
  const { host, keeper, end, names } = setUp("keep", [], {
    grants: [`${granted} ${PORT}`, `${ending} ${PORT}`, `${ended} ${PORT}`],
  });
  host.sockets.push({ source: granted, sourcePort: 1, name: 1 });
  host.sockets.push({ source: ended, sourcePort: 1, name: 3, state: SYN_RECV });
  end(ended, 0);
  keeper.tick(SETTLED_MS);
  host.sockets[1] = { source: ended, sourcePort: 1, name: 3, state: ESTABLISHED };
  end(ending, SETTLED_MS);
  // The kernel ends a grant later than the daemon: this one came in by it.
  host.sockets.push({ source: ending, sourcePort: 1, name: 2 });
  keeper.tableRestored(SETTLED_MS + 1);
  assert.deepEqual(names(), [1, 3, 2]);
  keeper.tick(SETTLED_MS * 2);
  keeper.tableRestored(SETTLED_MS * 3);
  assert.deepEqual(names(), [1, 3, 2], "noted when the second was over");
});

Deno.test("a source whose grant was renewed is seen to at its next end", () => {
  const source = "198.51.100.1";
  const { host, keeper, end, names } = setUp("cut", [], { grants: [`${source} ${PORT}`] });
  end(source, 0);
  host.grants.add(`${source} ${PORT}`);
  host.sockets.push({ source, sourcePort: 1, name: 1 });
  keeper.tick(SETTLED_MS);
  assert.deepEqual(names(), [1]);
  end(source, SETTLED_MS * 2);
  assert.deepEqual(names(), []);
});

Deno.test("tableRestored() leaves what comes from this host itself", () => {
  const { host, keeper, names } = setUp("keep");
  const ends = [["127.0.0.1", "127.0.0.1"], ["192.0.2.9", HERE[4]], ["::1", "::1"]] as const;
  ends.forEach(([source, local], index) => {
    // The client's end, then the server's: of both families the first time.
    host.sockets.push({
      source: local,
      sourcePort: PORT,
      local: source,
      port: 4711,
      name: 10 + index,
    });
    host.sockets.push({ source, sourcePort: 4711, local, name: index, dual: index === 0 });
  });
  host.sockets.push({ source: "192.0.2.9", sourcePort: 4712, name: 99 });
  keeper.tableRestored(0);
  assert.deepEqual(names(), [10, 0, 11, 1, 12, 2]);
});

Deno.test("tableRestored() looks again for what becomes a socket later, for a minute", () => {
  const { host, keeper, names } = setUp("keep");
  keeper.tableRestored(0);
  const times: number[] = [];
  for (let due = keeper.dueMs; due !== undefined; due = keeper.dueMs) {
    times.push(due);
    host.sockets.push({ source: "198.51.100.66", sourcePort: times.length, name: times.length });
    keeper.tick(due - 1);
    assert.equal(names().length, 1);
    keeper.tick(due);
    assert.deepEqual(names(), []);
  }
  assert.deepEqual(times.slice(0, 4), [125, 375, 875, 1_875]);
  assert.ok(Number(times.at(-1)) > 60_000);
});

Deno.test("tableRestored() cuts connections before half-open ones, CUTS_MAX at once", () => {
  const { host, keeper, names, events } = setUp("keep");
  for (let name = 1; name <= CUTS_MAX + 100; name++) {
    const state = name <= CUTS_MAX ? SYN_RECV : ESTABLISHED;
    host.sockets.push({ source: "198.51.100.66", sourcePort: name, name, state });
  }
  keeper.tableRestored(0);
  assert.equal(names().length, 100);
  assert.ok(names().every((name) => name <= CUTS_MAX));
  assert.equal(events("cut").length, LINES_PER_SECOND);
  assert.deepEqual(events("omitted")[0]?.fields, { of: "cut", count: 100 - LINES_PER_SECOND });
  keeper.tick(Number(keeper.dueMs));
  assert.deepEqual(names(), []);
});

Deno.test("what TIME_WAIT left is neither cut nor remembered", () => {
  const left = { source: "198.51.100.66", sourcePort: 1, name: 1, state: 5, timer: 3 };
  const { keeper, names } = setUp("keep", [left]);
  keeper.tableRestored(0);
  assert.deepEqual(names(), [1]);
});

Deno.test("a socket that no list shows any more is forgotten with its name", () => {
  const source = "198.51.100.1";
  const { host, keeper, names } = setUp("keep", [{ source, sourcePort: 1, name: 1 }]);
  host.sockets = [];
  keeper.tableRestored(0);
  host.sockets.push({ source, sourcePort: 1, name: 1 });
  keeper.tableRestored(1);
  assert.deepEqual(names(), []);
});

Deno.test("cut: the connections of a grant end with it, those older than pk and of others do not", () => {
  const [mine, other] = ["198.51.100.1", "198.51.100.2"];
  const { host, keeper, end, names, events } = setUp("cut", [
    { source: mine, sourcePort: 1, name: 1 },
  ]);
  host.grants.add(`${mine} ${PORT}`).add(`${other} ${PORT}`);
  host.sockets.push(
    { source: mine, sourcePort: 2, name: 2 },
    { source: mine, sourcePort: 3, name: 3, port: 80 },
    { source: mine, sourcePort: 4, name: 4, dual: true },
    { source: other, sourcePort: 1, name: 5 },
  );
  end(mine, 0);
  assert.deepEqual(names(), [1, 3, 5]);
  assert.deepEqual(
    events("cut").map(({ fields }) => fields.reason),
    Array(2).fill("its grant has ended"),
  );
  host.sockets.push({ source: mine, sourcePort: 5, name: 6 });
  keeper.tick(SETTLED_MS);
  assert.deepEqual(names(), [1, 3, 5], "by the kernel's later end");
  assert.equal(keeper.dueMs, undefined);
});

Deno.test("cut: a session of a source whose grant was adopted ends with that grant", () => {
  const source = "198.51.100.1";
  const { end, names } = setUp("cut", [{ source, sourcePort: 1, name: 1 }], {
    grants: [`${source} ${PORT}`],
  });
  end(source, 0);
  assert.deepEqual(names(), []);
});

Deno.test("several grants that end at once cost one list of each family", () => {
  const { keeper, asked } = setUp("keep");
  asked.length = 0;
  keeper.grantsEnded(["198.51.100.1", "198.51.100.2"].map((source) => grantOf(source)), 0);
  assert.equal(asked.length, 0);
  keeper.tick(SETTLED_MS - 1);
  assert.equal(asked.length, 0);
  assert.equal(keeper.dueMs, SETTLED_MS);
  keeper.tick(SETTLED_MS);
  assert.equal(asked.length, 2);
  assert.equal(keeper.dueMs, undefined);
});

Deno.test("a list that fails is told and asked for again, and grants wait for it", () => {
  const source = "198.51.100.1";
  const { host, keeper, end, names, events } = setUp("keep", [], { grants: [`${source} ${PORT}`] });
  host.sockets.push({ source, sourcePort: 1, name: 1 });
  end(source, 0);
  host.refuse = () => "ENOMEM";
  keeper.tick(SETTLED_MS);
  keeper.tableRestored(SETTLED_MS + 1);
  assert.equal(events("cut failed").length, 2);
  host.refuse = () => undefined;
  keeper.tick(Number(keeper.dueMs));
  assert.deepEqual(names(), [1], "still one whose grant ended just now");
  keeper.tick(SETTLED_MS * 2);
  keeper.tableRestored(SETTLED_MS * 3);
  assert.deepEqual(names(), [1]);
});

for (
  const [what, refuse, word] of [
    ["ends no sockets", ({ type }) => type === SOCK_DESTROY ? "EOPNOTSUPP" : undefined, /DESTROY/],
    ["lists no sockets", ({ type }) => type === SOCK_DESTROY ? "ENOENT" : "EINVAL", /tcp_diag/],
  ] as const satisfies readonly (readonly [string, Refuse, RegExp])[]
) {
  Deno.test(`a kernel that ${what} is told once, with a hint, and left in peace`, () => {
    const { host, keeper, end, names, logged, asked } = setUp("cut", [], { refuse });
    asked.length = 0;
    host.sockets.push({ source: "198.51.100.66", sourcePort: 1, name: 1 });
    end("198.51.100.66", 0);
    keeper.tableRestored(1);
    keeper.tick(SETTLED_MS);
    assert.deepEqual([names(), asked, keeper.dueMs], [[1], [], undefined]);
    assert.deepEqual(logged.map(({ level, event }) => [level, event]), [[
      "warning",
      "cannot cut connections",
    ]]);
    assert.match(String(logged[0]?.fields.hint), word);
  });
}

Deno.test("ports are kept or cut, each as its door says", () => {
  const source = "198.51.100.1";
  const { host, keeper, end, names, events } = setUp("cut", [], {
    others: [[80, "keep"], [81, "cut"]],
    grants: [22, 80, 81].map((port) => `${source} ${port}`),
  });
  host.sockets.push(
    { source, sourcePort: 1, name: 1 },
    { source, sourcePort: 2, name: 2, port: 80 },
    { source, sourcePort: 3, name: 3, port: 81 },
  );
  end(source, 0, 80);
  assert.deepEqual(names(), [1, 2, 3]);
  end(source, 0);
  assert.deepEqual(names(), [2, 3], "each port has a grant of its own");
  end(source, 0, 81);
  assert.deepEqual(names(), [2]);
  keeper.tick(SETTLED_MS);
  keeper.tableRestored(SETTLED_MS * 2);
  assert.deepEqual(names(), [2]);
  assert.deepEqual(events("cut").map(({ fields }) => fields.port), [22, 81]);
});

Deno.test("grants of udp have no sessions: nothing is asked", () => {
  const { keeper, asked } = setUp("cut");
  asked.length = 0;
  keeper.grantsEnded([{ ...grantOf("198.51.100.1"), protocol: "udp" }], 0);
  assert.deepEqual([asked, keeper.dueMs], [[], undefined]);
});

Deno.test("guard() takes connections to ports that are new for legitimate, to no others", () => {
  const stranger = "198.51.100.66";
  const { host, keeper, names } = setUp("keep");
  // One that came in while the table was away, and one to a port that nobody guarded.
  host.sockets.push(
    { source: stranger, sourcePort: 1, name: 1 },
    { source: stranger, sourcePort: 2, name: 2, port: 80 },
  );
  keeper.guard(new Map([[PORT, "keep"], [80, "keep"]]));
  host.sockets.push({ source: stranger, sourcePort: 3, name: 3, port: 80 });
  keeper.tableRestored(0);
  assert.deepEqual(names(), [2]);
});

Deno.test("guard() asks for nothing where no port is new, and of both families where one is", () => {
  const { keeper, asked } = setUp("keep");
  asked.length = 0;
  keeper.guard(new Map([[PORT, "keep"]]));
  keeper.guard(new Map());
  assert.deepEqual(asked, []);
  keeper.guard(new Map([[PORT, "cut"]]));
  assert.equal(asked.length, 2);
});

Deno.test("guard() leaves in peace what it no longer guards", () => {
  const source = "198.51.100.66";
  const { host, keeper, end, names } = setUp("cut", [], { grants: [`${source} ${PORT}`] });
  host.sockets.push({ source, sourcePort: 1, name: 1 });
  keeper.guard(new Map([[80, "cut"]]));
  end(source, 0);
  keeper.tick(SETTLED_MS);
  keeper.tableRestored(SETTLED_MS * 2);
  assert.deepEqual(names(), [1]);
});

Deno.test("guard() from keep to cut leaves those in whose grant has ended before", () => {
  const [over, open] = ["198.51.100.1", "198.51.100.2"];
  const { host, keeper, end, names } = setUp("keep", [], { grants: [`${open} ${PORT}`] });
  host.sockets.push({ source: over, sourcePort: 1, name: 1 });
  host.sockets.push({ source: open, sourcePort: 2, name: 2 });
  keeper.guard(new Map([[PORT, "cut"]]));
  end(open, 0);
  keeper.tableRestored(SETTLED_MS);
  assert.deepEqual(names(), [1]);
});

Deno.test("guard() changes what happens when a grant ends", () => {
  const source = "198.51.100.1";
  const { host, keeper, end, names } = setUp("keep", [], { grants: [`${source} ${PORT}`] });
  host.sockets.push({ source, sourcePort: 1, name: 1 });
  keeper.guard(new Map([[PORT, "cut"]]));
  end(source, 0);
  assert.deepEqual(names(), []);
});

Deno.test("guard() that cannot list is told, and the ports are guarded all the same", () => {
  const { host, keeper, names, events } = setUp("keep");
  host.sockets.push({ source: "198.51.100.66", sourcePort: 1, name: 1, port: 80 });
  host.refuse = () => "ENOMEM";
  keeper.guard(new Map([[80, "keep"]]));
  assert.equal(events("cut failed").length, 1);
  host.refuse = () => undefined;
  keeper.tableRestored(0);
  assert.deepEqual(names(), []);
});

Deno.test("connections beyond LEGITIMATE_MAX are told of once", () => {
  const sockets = Array.from({ length: LEGITIMATE_MAX + 2 }, (_, name) => ({
    source: "198.51.100.1",
    sourcePort: name & 0xffff,
    name,
  }));
  assert.equal(setUp("keep", sockets).events("too many sessions").length, 1);
});

function grantOf(source: string, port = PORT): Grant {
  return { source: addressOf(source), protocol: "tcp", port, timeoutMs: 5_000 };
}

function addressOf(text: string): Source {
  const source = parseAddress(text);
  assert.ok(source);
  return source;
}

/** struct inet_diag_msg up to its cookie. */
function listed(one: Socket): Uint8Array {
  const { source, sourcePort, port = PORT, state = ESTABLISHED, timer = 0, name, dual } = one;
  const local = one.local ?? HERE[source.includes(":") ? 6 : 4];
  const writer = new Writer().u8(dual || source.includes(":") ? 10 : 2).u8(state).u8(timer).u8(0);
  writer.u16be(port).u16be(sourcePort);
  for (const text of [local, source]) {
    if (dual) writer.u32be(0).u32be(0).u32be(0xffff);
    const bytes = addressBytes(addressOf(text));
    writer.raw(bytes).raw(new Uint8Array(dual ? 0 : 16 - bytes.length));
  }
  return writer.u32be(0).u32ne(name).u32ne(0).bytes();
}
