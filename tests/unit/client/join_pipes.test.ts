// joinPipes(): what it waits for, each end handed on by itself, and that it never goes round for nothing.

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Awaited, PipedConnection } from "../../../ffi/splice.ts";
import { joinPipes } from "../../../src/client/join_pipes.ts";
import { ERRNO, HostError, KernelError } from "../../../src/errors.ts";

const ECONNRESET = 104;

/** What a move comes to: bytes, 0 for the end, undefined for none now, or an errno. */
type Outcome = number | undefined | { readonly errno: number };

/** One wait: what it must be for, and what is ready then. */
interface Turn {
  readonly awaits: readonly [sending: Awaited, receiving: Awaited];
  readonly send?: [Outcome];
  readonly receive?: [Outcome];
  readonly unread?: true;
}

interface Case {
  readonly name: string;
  readonly turns: readonly Turn[];
  /** Which ends were handed on, in their order. */
  readonly ends: readonly ("sending" | "output")[];
  readonly broke?: true;
}

const cases: readonly Case[] = [
  {
    name: "hands on the input's end and waits for the answer",
    turns: [
      { awaits: ["bytes", "bytes"], send: [8] },
      { awaits: ["bytes", "bytes"], send: [0] },
      { awaits: ["nothing", "bytes"], receive: [6] },
      { awaits: ["nothing", "bytes"], receive: [0] },
    ],
    ends: ["sending", "output"],
  },
  {
    name: "hands on the peer's end and still sends the input",
    turns: [
      { awaits: ["bytes", "bytes"], receive: [0] },
      { awaits: ["bytes", "nothing"], send: [4] },
      { awaits: ["bytes", "nothing"], send: [0] },
    ],
    ends: ["output", "sending"],
  },
  {
    name: "ends with both at once",
    turns: [{ awaits: ["bytes", "bytes"], send: [0], receive: [0] }],
    ends: ["sending", "output"],
  },
  {
    name: "waits for room where bytes cannot be moved, and goes on with the other direction",
    turns: [
      { awaits: ["bytes", "bytes"], send: [undefined] },
      { awaits: ["room", "bytes"], receive: [undefined] },
      { awaits: ["room", "room"], send: [9] },
      { awaits: ["bytes", "room"], receive: [9] },
      { awaits: ["bytes", "bytes"], send: [0], receive: [0] },
    ],
    ends: ["sending", "output"],
  },
  {
    name: "waits for bytes where there is room and nothing to move",
    turns: [
      { awaits: ["bytes", "bytes"], send: [undefined], receive: [undefined] },
      { awaits: ["room", "room"], send: [undefined], receive: [undefined] },
      { awaits: ["bytes", "bytes"], send: [0], receive: [0] },
    ],
    ends: ["sending", "output"],
  },
  {
    name: "is over where a write finds nobody that takes the output",
    turns: [{ awaits: ["bytes", "bytes"], receive: [{ errno: ERRNO.EPIPE }] }],
    ends: [],
  },
  {
    name: "is over where all is sent and nobody takes the output",
    turns: [
      { awaits: ["bytes", "bytes"], send: [0] },
      { awaits: ["nothing", "bytes"], unread: true },
    ],
    ends: ["sending"],
  },
  {
    name: "tells of a connection that broke while bytes came",
    turns: [{ awaits: ["bytes", "bytes"], receive: [{ errno: ECONNRESET }] }],
    ends: [],
    broke: true,
  },
  {
    name: "tells of a connection that broke under the input, after all that came before",
    turns: [
      { awaits: ["bytes", "bytes"], send: [{ errno: ERRNO.EPIPE }] },
      { awaits: ["nothing", "bytes"], receive: [5] },
      { awaits: ["nothing", "bytes"], receive: [0] },
    ],
    ends: ["output"],
    broke: true,
  },
  {
    name: "tells of a connection that broke after the peer's end",
    turns: [
      { awaits: ["bytes", "bytes"], receive: [0] },
      { awaits: ["bytes", "nothing"], send: [{ errno: ECONNRESET }] },
    ],
    ends: ["output"],
    broke: true,
  },
];

for (const { name, turns, ends, broke } of cases) {
  Deno.test(`joinPipes() ${name}`, () => {
    const connection = scripted(turns);
    if (broke) {
      assert.throws(() => joinPipes(connection), (error) => {
        assert.ok(error instanceof HostError);
        assert.equal(error.message, "The connection broke: the system's words");
        return true;
      });
    } else joinPipes(connection);
    assert.deepEqual(connection.ended, ends);
    assert.equal(connection.left(), 0, "it went on to the end of the script");
  });
}

Deno.test("joinPipes() asks for more than a splice only after it waited for room", () => {
  const asked: boolean[] = [];
  const connection = scripted([
    { awaits: ["bytes", "bytes"], receive: [undefined] },
    { awaits: ["bytes", "room"], receive: [1] },
    { awaits: ["bytes", "bytes"], send: [0], receive: [0] },
  ]);
  joinPipes({
    ...connection,
    receive: (hasRoom) => {
      asked.push(hasRoom);
      return connection.receive(hasRoom);
    },
  });
  assert.deepEqual(asked, [false, true, false]);
});

Deno.test("joinPipes() moves everything, whatever comes when, and never waits for what it has", () => {
  const chunks = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 12 });
  fc.assert(fc.property(chunks, chunks, fc.infiniteStream(fc.nat(3)), (sent, came, chance) => {
    const world = simulated(sent, came, () => chance.next().value ?? 0);
    joinPipes(world);
    assert.deepEqual(world.moved(), [sum(sent), sum(came)]);
    assert.deepEqual(world.ended.toSorted(), ["output", "sending"]);
  }));
});

/** A kernel whose every answer is written down. */
function scripted(turns: readonly Turn[]) {
  const ended: ("sending" | "output")[] = [];
  let next = 0;
  const outcome = (of: "send" | "receive"): number | undefined => {
    const answer = turns[next - 1]?.[of];
    assert.ok(answer, `${of} in turn ${next}, where it was not ready`);
    const [value] = answer;
    if (typeof value !== "object") return value;
    throw new KernelError("pass bytes on", value.errno, "the system's words");
  };
  return {
    ended,
    left: () => turns.length - next,
    send: () => outcome("send"),
    receive: (_hasRoom) => outcome("receive"),
    endSending: () => void ended.push("sending"),
    endOutput: () => void ended.push("output"),
    wait(...awaits) {
      const turn = turns[next++];
      assert.ok(turn, `turn ${next} is one too many, for ${awaits}`);
      assert.deepEqual(awaits, turn.awaits, `turn ${next}`);
      const { send, receive, unread = false } = turn;
      return { sending: send !== undefined, receiving: receive !== undefined, unread };
    },
  } satisfies PipedConnection & { ended: unknown; left(): number };
}

const ROOM = 10;

/** Two directions with little room, whose bytes come and go by chance while the loop waits. */
function simulated(sent: readonly number[], came: readonly number[], chance: () => number) {
  const ended: string[] = [];
  const sending = direction(sent, chance);
  const receiving = direction(came, chance);
  let turns = 0;
  return {
    ended,
    moved: () => [sending.moved(), receiving.moved()],
    send: sending.move,
    receive: receiving.move,
    endSending: () => void ended.push("sending"),
    endOutput: () => void ended.push("output"),
    wait(...awaits) {
      assert.ok(++turns < 1_000, "it goes round for nothing");
      for (;;) {
        const [first, second] = [sending.isReady(awaits[0]), receiving.isReady(awaits[1])];
        if (first || second) return { sending: first, receiving: second, unread: false };
        sending.pass();
        receiving.pass();
      }
    },
  } satisfies PipedConnection & { ended: unknown; moved(): number[] };
}

function direction(chunks: readonly number[], chance: () => number) {
  const coming = [...chunks];
  let source = 0;
  let sink = 0;
  let moved = 0;
  let passed = 0;
  return {
    moved: () => moved,
    isReady(awaited: Awaited): boolean {
      if (awaited === "nothing") return false;
      return awaited === "room" ? sink < ROOM : source > 0 || coming.length === 0;
    },
    move(): number | undefined {
      if (sink === ROOM) return undefined;
      if (source === 0) return coming.length === 0 ? 0 : undefined;
      const count = Math.min(source, ROOM - sink);
      source -= count;
      sink += count;
      moved += count;
      return count;
    },
    /** Time goes on: perhaps something comes, perhaps something is taken; in the end both. */
    pass(): void {
      const surely = ++passed % 8 === 0;
      if (surely || chance() === 0) source += coming.shift() ?? 0;
      if (surely || chance() === 0) sink = Math.max(0, sink - 1 - chance());
    },
  };
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
