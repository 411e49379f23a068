// The load generator: forged SYNs from a preallocated ring, by sendmmsg(2) on a packet(7) socket, at
// a paced rate or flat out. Run inside the client's namespace; it reads one JSON order a line on
// stdin and answers each with one JSON line on stdout. It receives nothing and opens no connection.
//
//   ip netns exec NS deno run --allow-ffi tests/bench/generator.ts
//   {"family":"ipv4","sources":60000,"wave":4096,"ports":[80,81],"count":400000,"rate":200000}

import { type FamilyName, INTERFACE } from "./addresses.ts";
import { serve } from "./background.ts";
import { type Ring, ring, SLOT } from "./frames.ts";
import { checked, int, type Libc, openLibc } from "./libc.ts";

/**
 * One order: `count` SYNs. A wave of sources goes through `ports` in their order, all of them to the
 * first port, then all of them to the second one; then comes the next wave, until all sources had
 * their turn and it begins anew. The walk goes on from order to order while its shape is the same.
 */
export interface Order {
  readonly family: FamilyName;
  readonly sources: number;
  /** Number of the first of them; 0 where it is left out. */
  readonly from?: number;
  readonly ports: readonly number[];
  /** Each source comes to so many of the ports, drawn by chance, and not to all of them in order. */
  readonly drawn?: number;
  /** Sources that are on their way at the same time. */
  readonly wave: number;
  readonly count: number;
  /** SYNs per second; 0 is flat out. */
  readonly rate: number;
}

export interface Sent {
  readonly sent: number;
  readonly seconds: number;
  /** SYNs per second as they were really sent. */
  readonly rate: number;
  /** Milliseconds since the epoch when the last one had been sent. */
  readonly endedMs: number;
}

/** Frames per sendmmsg. */
const BATCH = 32;
/** A generator that was held up makes up for at most so much time; the rest lowers the rate. */
const CATCH_UP_MS = 0.5;
/** Shorter waits than this are spent in a loop on the clock. */
const SLEEP_FROM_MS = 0.15;

const AF_PACKET = 17, SOCK_RAW = 3, SOL_PACKET = 263, PACKET_QDISC_BYPASS = 20;

function packetSocket(libc: Libc): number {
  const name = new TextEncoder().encode(`${INTERFACE}\0`);
  const fd = checked(libc, "open a packet socket", libc.socket(AF_PACKET, SOCK_RAW, 0));
  const bypass = libc.setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, int(1), 4);
  checked(libc, "set PACKET_QDISC_BYPASS", bypass);
  const address = new DataView(new ArrayBuffer(20)); // struct sockaddr_ll
  address.setUint16(0, AF_PACKET, true);
  address.setInt32(4, libc.if_nametoindex(name), true);
  checked(libc, `bind to ${INTERFACE}`, libc.bind(fd, new Uint8Array(address.buffer), 20));
  return fd;
}

/** Where the walk stands: which source of the wave that begins at `first` comes to which port. */
interface State {
  readonly batches: Readonly<Record<FamilyName, Batch>>;
  /** What the walk is through; with another shape it begins anew. */
  shape: string;
  first: number;
  next: number;
  stage: number;
  sequence: number;
  /** What the drawn ports follow from; never 0. */
  random: number;
}

function step(state: State, sources: number, wave: number, stages: number): void {
  if (++state.next < Math.min(wave, sources - state.first)) return;
  state.next = 0;
  if (++state.stage < stages) return;
  state.stage = 0;
  state.first += wave;
  if (state.first >= sources) state.first = 0;
}

function send(libc: Libc, fd: number, order: Order, state: State): Sent {
  const { sources, from = 0, ports, drawn, wave, count, rate } = order;
  const stages = drawn ?? ports.length;
  const { frames, messages } = state.batches[order.family];
  const shape = JSON.stringify([order.family, sources, from, wave, drawn, ports]);
  if (shape !== state.shape) Object.assign(state, { shape, first: 0, next: 0, stage: 0 });
  const perMs = rate / 1000;
  const start = performance.now();
  let paceFrom = start;
  let paced = 0; // sent since paceFrom
  let sent = 0;
  while (sent < count) {
    const batch = Math.min(BATCH, count - sent);
    if (perMs > 0) {
      const lateMs = wait(libc, paceFrom + (paced + batch) / perMs);
      if (lateMs > CATCH_UP_MS) paceFrom += lateMs - CATCH_UP_MS;
    }
    for (let slot = 0; slot < batch; slot++) {
      const source = from + state.first + state.next;
      const place = drawn === undefined ? state.stage : draw(state, ports.length);
      frames.patch(slot, source, ports[place] ?? 0, state.sequence);
      state.sequence = (state.sequence + 1) >>> 0;
      step(state, sources, Math.min(wave, sources), stages);
    }
    let done = 0;
    while (done < batch) {
      const rest = done === 0 ? messages : messages.subarray(done * MESSAGE);
      done += checked(libc, "send SYNs", libc.sendmmsg(fd, rest, batch - done, 0));
    }
    sent += batch;
    paced += batch;
  }
  const seconds = (performance.now() - start) / 1000;
  return {
    sent,
    seconds,
    rate: sent / seconds,
    endedMs: performance.timeOrigin + performance.now(),
  };
}

/** A number below `count` by chance: xorshift32 (Marsaglia, 2003). */
function draw(state: State, count: number): number {
  let word = state.random;
  word ^= word << 13;
  word ^= word >>> 17;
  word ^= word << 5;
  state.random = word;
  return (word >>> 0) % count;
}

/** Waits until `dueMs` on the monotonic clock; returns by how much it is past. */
function wait(libc: Libc, dueMs: number): number {
  for (;;) {
    const leftMs = dueMs - performance.now();
    if (leftMs <= 0) return -leftMs;
    if (leftMs > SLEEP_FROM_MS) {
      const ns = BigInt(Math.round((leftMs - SLEEP_FROM_MS / 2) * 1e6));
      libc.nanosleep(new BigInt64Array([ns / 1_000_000_000n, ns % 1_000_000_000n]), null);
    }
  }
}

/** sizeof(struct mmsghdr) and sizeof(struct iovec) on 64-bit Linux. */
const MESSAGE = 64, VECTOR = 16;

/** A batch of frames and the mmsghdrs that point at them, by way of `vector`: kept together. */
interface Batch {
  readonly frames: Ring;
  readonly vector: BigUint64Array<ArrayBuffer>;
  readonly messages: Uint8Array<ArrayBuffer>;
}

function batchOf(family: FamilyName): Batch {
  const frames = ring(family, BATCH);
  const vector = new BigUint64Array(BATCH * VECTOR / 8);
  const messages = new Uint8Array(BATCH * MESSAGE);
  const fields = new BigUint64Array(messages.buffer);
  const base = addressOf(frames.bytes), vectorBase = addressOf(vector);
  for (let slot = 0; slot < BATCH; slot++) {
    vector[slot * 2] = base + BigInt(slot * SLOT); // iov_base
    vector[slot * 2 + 1] = BigInt(frames.frameLength); // iov_len
    fields[slot * MESSAGE / 8 + 2] = vectorBase + BigInt(slot * VECTOR); // msg_iov
    fields[slot * MESSAGE / 8 + 3] = 1n; // msg_iovlen
  }
  return { frames, vector, messages };
}

function addressOf(buffer: ArrayBufferView<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(buffer));
}

if (import.meta.main) {
  const libc = openLibc();
  const fd = packetSocket(libc);
  const batches = { ipv4: batchOf("ipv4"), ipv6: batchOf("ipv6") };
  const state: State = { batches, shape: "", first: 0, next: 0, stage: 0, sequence: 1, random: 1 };
  await serve((order) => send(libc, fd, order as Order, state));
}
