// join(): all bytes arrive both ways, each end is handed on by itself, and failures are told.

import assert from "node:assert/strict";
import { join } from "../../../src/client/join.ts";
import { HostError } from "../../../src/errors.ts";

Deno.test("join() copies both ways and hands on the input's end", async () => {
  const peer = fakePeer();
  const output = fakeOutput();
  const input = queue();
  const joined = join(peer, input, output);
  input.push(bytes("question"));
  await peer.wrote;
  assert.equal(peer.ended, false);
  input.push(null);
  await peer.finished;
  assert.deepEqual(text(peer.written), "question");
  peer.incoming.push(bytes("answer"));
  peer.incoming.push(null);
  await joined;
  assert.equal(text(output.written), "answer");
  assert.equal(output.closed, true);
  assert.equal(peer.closed, true);
});

Deno.test("join() hands on the peer's end and still sends the input", async () => {
  const peer = fakePeer();
  const output = fakeOutput();
  const input = queue();
  const joined = join(peer, input, output);
  peer.incoming.push(bytes("bye"));
  peer.incoming.push(null);
  while (!output.closed) await turn();
  assert.equal(peer.closed, false);
  input.push(bytes("late"));
  input.push(null);
  await joined;
  assert.equal(text(peer.written), "late");
  assert.equal(text(output.written), "bye");
});

Deno.test("join() writes what a writer leaves over", async () => {
  const peer = fakePeer({ atMost: 3 });
  const output = fakeOutput({ atMost: 2 });
  const input = queue();
  input.push(bytes("0123456789"));
  input.push(null);
  peer.incoming.push(bytes("abcdefghij"));
  peer.incoming.push(null);
  await join(peer, input, output);
  assert.equal(text(peer.written), "0123456789");
  assert.equal(text(output.written), "abcdefghij");
});

Deno.test("join() ends where nobody takes the output any more", async () => {
  const peer = fakePeer();
  const output = { ...fakeOutput(), write: () => Promise.reject(new Deno.errors.BrokenPipe()) };
  peer.incoming.push(bytes("unread"));
  await join(peer, queue(), output);
  assert.equal(peer.closed, true);
});

Deno.test("join() tells of an output that cannot be written", async () => {
  const peer = fakePeer();
  const output = { ...fakeOutput(), write: () => Promise.reject(new Error("no space left")) };
  peer.incoming.push(bytes("lost"));
  await assert.rejects(join(peer, queue(), output), /standard output: no space left/);
  assert.equal(peer.closed, true);
});

Deno.test("join() tells of a connection that broke, reading or writing", async () => {
  const reset = () => Promise.reject(new Error("ECONNRESET"));
  const reading = { ...fakePeer(), read: reset };
  await assert.rejects(join(reading, queue(), fakeOutput()), HostError);
  const peer = fakePeer();
  const input = queue();
  const joined = join({ ...peer, write: reset }, input, fakeOutput());
  input.push(bytes("x"));
  peer.incoming.push(null);
  await assert.rejects(joined, HostError);
});

type Chunk = Uint8Array | null;

/** An input to which chunks are pushed; null ends it. */
function queue() {
  const chunks: Chunk[] = [];
  let pushed = Promise.withResolvers<void>();
  return {
    push: (chunk: Chunk) => {
      chunks.push(chunk);
      pushed.resolve();
      pushed = Promise.withResolvers();
    },
    read: async (into: Uint8Array): Promise<number | null> => {
      while (chunks.length === 0) await pushed.promise;
      const chunk = chunks.shift() ?? null;
      if (chunk !== null) into.set(chunk);
      return chunk?.length ?? null;
    },
  };
}

function fakeOutput({ atMost = Infinity } = {}) {
  const written: number[] = [];
  return {
    written,
    closed: false,
    write: (from: Uint8Array) => {
      const taken = from.subarray(0, Math.min(from.length, atMost));
      written.push(...taken);
      return Promise.resolve(taken.length);
    },
    close() {
      this.closed = true;
    },
  };
}

function fakePeer(options: { atMost?: number } = {}) {
  const incoming = queue();
  const output = fakeOutput(options);
  const wrote = Promise.withResolvers<void>();
  const finished = Promise.withResolvers<void>();
  return {
    incoming,
    written: output.written,
    wrote: wrote.promise,
    finished: finished.promise,
    ended: false,
    closed: false,
    read: incoming.read,
    write: (from: Uint8Array) => {
      wrote.resolve();
      return output.write(from);
    },
    closeWrite() {
      this.ended = true;
      finished.resolve();
      return Promise.resolve();
    },
    close() {
      this.closed = true;
    },
  };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function bytes(words: string): Uint8Array {
  return new TextEncoder().encode(words);
}

function text(written: readonly number[]): string {
  return new TextDecoder().decode(Uint8Array.from(written));
}
