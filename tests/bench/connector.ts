// The connecting client: knocks and connects from sources of its own, and measures with the clock of
// its process. Run inside the client's namespace; answers JSON orders like the generator.
//
//   ip netns exec NS deno run --allow-ffi tests/bench/connector.ts
//   {"family":"ipv4","source":7,"knocks":[80,81],"gapMs":5,"port":10090}

import { type FamilyName, SERVER } from "./addresses.ts";
import { serve } from "./background.ts";
import { checked, errno, int, type Libc, openLibc } from "./libc.ts";

/** One order: from the source FRESH + `source`, SYNs to `knocks`, and at once a connection. */
export interface ConnectOrder {
  readonly family: FamilyName;
  readonly source: number;
  readonly knocks: readonly number[];
  /** Pause before every SYN but the one of the connection. */
  readonly gapMs: number;
  readonly port: number;
}

export interface Connected {
  readonly connected: boolean;
  /** From before the last knock (without knocks: from before connect) until connect returned. */
  readonly us: number;
}

const AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_NONBLOCK = 0o4000;
const IPPROTO_TCP = 6, TCP_SYNCNT = 7, EINPROGRESS = 115;

/** SYNs repeated before a connection is given up: after 1 + 2 s. */
const SYN_RETRIES = 1;

function connect(libc: Libc, order: ConnectOrder): Connected {
  const { family, knocks, gapMs, port } = order;
  const source = address(family, sourceBytes(family, order.source), 0);
  const server = (to: number) => address(family, serverBytes(family), to);
  const sockets = knocks.map((to) => ({ to: server(to), fd: boundSocket(libc, source, true) }));
  const door = server(port);
  const fd = boundSocket(libc, source, false);
  try {
    let start = 0;
    if (sockets.length === 0) pause(libc, gapMs);
    for (const knock of sockets) {
      pause(libc, gapMs);
      start = performance.now();
      if (libc.connect(knock.fd, knock.to, knock.to.length) < 0 && errno(libc) !== EINPROGRESS) {
        throw new Error(`Cannot knock: errno ${errno(libc)}`);
      }
    }
    if (sockets.length === 0) start = performance.now();
    const connected = libc.connect(fd, door, door.length) === 0;
    return { connected, us: (performance.now() - start) * 1000 };
  } finally {
    for (const each of [fd, ...sockets.map((socket) => socket.fd)]) libc.close(each);
  }
}

function boundSocket(libc: Libc, source: Uint8Array<ArrayBuffer>, nonblocking: boolean): number {
  const domain = source.length === 16 ? AF_INET : AF_INET6;
  const type = SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0);
  const fd = checked(libc, "open a socket", libc.socket(domain, type, 0));
  const retries = libc.setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, int(SYN_RETRIES), 4);
  checked(libc, "set TCP_SYNCNT", retries);
  checked(libc, "bind to a source address", libc.bind(fd, source, source.length));
  return fd;
}

/** struct sockaddr_in or sockaddr_in6. */
function address(family: FamilyName, ip: readonly number[], port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(family === "ipv4" ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family === "ipv4" ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(ip, family === "ipv4" ? 4 : 8);
  return bytes;
}

function sourceBytes(family: FamilyName, index: number): number[] {
  const low = [index >> 8 & 255, index & 255];
  return family === "ipv4" ? [10, 100, ...low] : [0xfd, 0x77, 0, 0x0c, ...zeros(10), ...low];
}

function serverBytes(family: FamilyName): number[] {
  if (family === "ipv4") return SERVER.ipv4.split(".").map(Number);
  return [0xfd, 0x99, ...zeros(13), 1];
}

function zeros(count: number): number[] {
  return new Array<number>(count).fill(0);
}

function pause(libc: Libc, ms: number): void {
  if (ms > 0) libc.nanosleep(new BigInt64Array([0n, BigInt(Math.round(ms * 1e6))]), null);
}

if (import.meta.main) {
  const libc = openLibc();
  await serve((order) => connect(libc, order as ConnectOrder));
}
