// The connecting client: knocks and connects from sources of its own, and measures with the clock of
// its process. Run inside the client's namespace; answers JSON orders like the generator.
//
//   ip netns exec NS deno run --allow-ffi tests/bench/connector.ts
//   {"family":"ipv4","source":7,"knocks":[80,81],"gapMs":5,"port":10090}
//   {"family":"ipv4","source":7,"knocks":[80,81],"gapMs":5,"port":10090,"everyMs":2,"forMs":3000}

import type { FamilyName } from "./addresses.ts";
import { serve } from "./background.ts";
import { checked, errno, int, type Libc, openLibc } from "./libc.ts";
import { boundSocket, freshSource, serverAt } from "./sockets.ts";

/** One order: from the source FRESH + `source`, SYNs to `knocks`, and at once a connection. */
export interface ConnectOrder {
  readonly family: FamilyName;
  readonly source: number;
  readonly knocks: readonly number[];
  /** Pause before every SYN but the one of the connection. */
  readonly gapMs: number;
  readonly port: number;
  /** Whole milliseconds for the connection; where it is left out, as long as the system tries. */
  readonly giveUpMs?: number | undefined;
}

/** One order: after the knocks, connections tried anew until one is made. */
export interface TryOrder extends Omit<ConnectOrder, "giveUpMs"> {
  /** Milliseconds since the epoch from which the time counts, where somebody else has knocked. */
  readonly sinceMs?: number;
  /** Whole milliseconds for each try, which has one SYN. */
  readonly everyMs: number;
  readonly forMs: number;
}

export interface Connected {
  readonly connected: boolean;
  /** From before the last knock (without knocks: from before connect) until connect returned. */
  readonly us: number;
}

const EINPROGRESS = 115;
const SOL_SOCKET = 1, SO_ERROR = 4, POLLOUT = 4;

function connect(libc: Libc, order: ConnectOrder): Connected {
  const { family, knocks, gapMs, port, giveUpMs } = order;
  const door = serverAt(family, port);
  const fd = boundSocket(libc, freshSource(family, order.source), giveUpMs !== undefined);
  try {
    using knocked = knock(libc, order);
    if (knocks.length === 0) pause(libc, gapMs);
    const start = knocked.lastMs ?? performance.now();
    const connected = libc.connect(fd, door, door.length) === 0 ||
      (giveUpMs !== undefined && isConnected(libc, fd, giveUpMs));
    return { connected, us: (performance.now() - start) * 1000 };
  } finally {
    libc.close(fd);
  }
}

function tryToConnect(libc: Libc, order: TryOrder): Connected {
  const { family, port, sinceMs = NaN, everyMs, forMs } = order;
  const source = freshSource(family, order.source);
  const door = serverAt(family, port);
  using knocked = knock(libc, order);
  const start = knocked.lastMs ?? sinceMs - performance.timeOrigin;
  for (;;) {
    const fd = boundSocket(libc, source, true);
    try {
      const connected = libc.connect(fd, door, door.length) === 0 ||
        isConnected(libc, fd, everyMs);
      const now = performance.now();
      if (connected || now - start > forMs) return { connected, us: (now - start) * 1000 };
    } finally {
      libc.close(fd);
    }
  }
}

/** Sends the knocks; their sockets are closed at the end. `lastMs` is just before the last one. */
function knock(libc: Libc, { family, source, knocks, gapMs }: ConnectOrder) {
  const from = freshSource(family, source);
  const sockets = knocks.map((to) => ({
    to: serverAt(family, to),
    fd: boundSocket(libc, from, true),
  }));
  const close = () => sockets.forEach(({ fd }) => libc.close(fd));
  let lastMs: number | undefined;
  for (const { fd, to } of sockets) {
    pause(libc, gapMs);
    lastMs = performance.now();
    if (libc.connect(fd, to, to.length) < 0 && errno(libc) !== EINPROGRESS) {
      throw new Error(`Cannot knock: errno ${errno(libc)}`);
    }
  }
  return { lastMs, [Symbol.dispose]: close };
}

/** Whether a connection that is under way is made within so long. */
function isConnected(libc: Libc, fd: number, withinMs: number): boolean {
  const pollfd = new DataView(new ArrayBuffer(8));
  pollfd.setInt32(0, fd, true);
  pollfd.setInt16(4, POLLOUT, true);
  if (libc.poll(new Uint8Array(pollfd.buffer), 1n, withinMs) <= 0) return false;
  const error = int(-1);
  checked(libc, "ask for SO_ERROR", libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, error, int(4)));
  return error[0] === 0;
}

function pause(libc: Libc, ms: number): void {
  if (ms > 0) libc.nanosleep(new BigInt64Array([0n, BigInt(Math.round(ms * 1e6))]), null);
}

if (import.meta.main) {
  const libc = openLibc();
  await serve((order) => {
    const either = order as ConnectOrder | TryOrder;
    return "everyMs" in either ? tryToConnect(libc, either) : connect(libc, either);
  });
}
