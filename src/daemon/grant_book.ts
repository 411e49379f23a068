// What the daemon knows of open grants: for the log line `expired`, and to write them anew where
// somebody took the table away. The kernel alone decides; it ends them without telling.

import type { Door, Transport } from "../config/config.ts";
import type { Grant } from "../firewall/grant.ts";
import type { Source } from "../packet/header.ts";

export interface GrantBook {
  /** Notes a grant, or a new time for one, and the door that gave it, where that is known. */
  add(grant: Grant, nowMs: number, door?: Door): void;
  /** Takes out the grants whose time is over. */
  takeExpired(nowMs: number): Grant[];
  /** All that are open, with what is left of their time. */
  open(nowMs: number): Grant[];
  /** Is there one that was not taken out, whether its time is over or not? */
  has(source: Readonly<Source>, protocol: Transport, port: number): boolean;
  /** The grant of a source for a port, or undefined. */
  find(source: Readonly<Source>, protocol: Transport, port: number): Standing | undefined;
  /** When the next one ends, or undefined. */
  readonly nextEndMs: number | undefined;
  readonly size: number;
}

/** A grant in the book. */
export interface Standing {
  readonly grant: Grant;
  readonly notedMs: number;
  readonly endMs: number;
  /** That gave it last. */
  readonly door: Door | undefined;
}

interface Entry extends Standing {
  readonly key: Key;
}

type Key = number | string;

/** An empty book. */
export function createGrantBook(): GrantBook {
  const entries = new Map<Key, Entry>();
  const ends = createHeap();
  const isCurrent = (entry: Entry) => entries.get(entry.key) === entry;
  return {
    add(grant, nowMs, door) {
      const key = keyOf(grant.source, grant.protocol, grant.port);
      const entry = { key, grant, notedMs: nowMs, endMs: nowMs + grant.timeoutMs, door };
      entries.set(key, entry);
      ends.push(entry);
      // Renewed grants leave their old ends behind.
      if (ends.size > 2 * entries.size + 64) ends.keep(isCurrent);
    },
    takeExpired(nowMs) {
      const expired: Grant[] = [];
      for (
        let entry = ends.top();
        entry !== undefined && entry.endMs <= nowMs;
        entry = ends.top()
      ) {
        ends.pop();
        if (!isCurrent(entry)) continue;
        entries.delete(entry.key);
        expired.push(entry.grant);
      }
      return expired;
    },
    open: (nowMs) =>
      [...entries.values()]
        .filter((entry) => entry.endMs > nowMs)
        .map(({ grant, endMs }) => ({ ...grant, timeoutMs: endMs - nowMs })),
    has: (source, protocol, port) => entries.has(keyOf(source, protocol, port)),
    find: (source, protocol, port) => entries.get(keyOf(source, protocol, port)),
    get nextEndMs() {
      return ends.top()?.endMs;
    },
    get size() {
      return entries.size;
    },
  };
}

/** IPv4, protocol and port fit into one number, which costs no allocation in a flood. */
function keyOf(source: Readonly<Source>, protocol: Transport, port: number): Key {
  const endpoint = protocol === "udp" ? 0x1_0000 + port : port;
  if (source.family === 4) return source.word3 * 0x2_0000 + endpoint;
  return `${source.word0},${source.word1},${source.word2},${source.word3},${endpoint}`;
}

/** A binary heap with the earliest end on top. */
function createHeap() {
  let heap: Entry[] = [];
  const get = (index: number) => heap[index] as Entry;
  const swap = (a: number, b: number) => {
    [heap[a], heap[b]] = [get(b), get(a)];
  };
  const sink = (start: number) => {
    for (let index = start;;) {
      let least = index;
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < heap.length && get(child).endMs < get(least).endMs) least = child;
      }
      if (least === index) return;
      swap(index, least);
      index = least;
    }
  };
  return {
    get size() {
      return heap.length;
    },
    top: () => heap[0],
    push(entry: Entry) {
      heap.push(entry);
      for (let index = heap.length - 1; index > 0;) {
        const parent = (index - 1) >> 1;
        if (get(parent).endMs <= get(index).endMs) return;
        swap(index, parent);
        index = parent;
      }
    },
    pop() {
      const last = heap.pop();
      if (last === undefined || heap.length === 0) return;
      heap[0] = last;
      sink(0);
    },
    keep(wanted: (entry: Entry) => boolean) {
      heap = heap.filter(wanted);
      for (let index = heap.length >> 1; index >= 0; index--) sink(index);
    },
  };
}
