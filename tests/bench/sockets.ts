// TCP sockets of the bench's client programs: bound to FRESH sources, bound for the server.

import { type FamilyName, SERVER } from "./addresses.ts";
import { checked, int, type Libc } from "./libc.ts";

const AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, SOCK_NONBLOCK = 0o4000;
const IPPROTO_TCP = 6, TCP_SYNCNT = 7;

/** SYNs repeated before a connection is given up: after 1 + 2 s. */
const SYN_RETRIES = 1;

/** A struct sockaddr_in or sockaddr_in6. */
export type SocketAddress = Uint8Array<ArrayBuffer>;

/** The source FRESH + `index`, with a port that the kernel chooses. */
export function freshSource(family: FamilyName, index: number): SocketAddress {
  const low = [index >> 8 & 255, index & 255];
  return family === "ipv4"
    ? address(family, [10, 100, ...low], 0)
    : address(family, [0xfd, 0x77, 0, 0x0c, ...zeros(10), ...low], 0);
}

export function serverAt(family: FamilyName, port: number): SocketAddress {
  return family === "ipv4"
    ? address(family, SERVER.ipv4.split(".").map(Number), port)
    : address(family, [0xfd, 0x99, ...zeros(13), 1], port);
}

export function boundSocket(libc: Libc, own: SocketAddress, nonblocking: boolean): number {
  const domain = own.length === 16 ? AF_INET : AF_INET6;
  const type = SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0);
  const fd = checked(libc, "open a socket", libc.socket(domain, type, 0));
  const retries = libc.setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, int(SYN_RETRIES), 4);
  checked(libc, "set TCP_SYNCNT", retries);
  checked(libc, "bind to an address", libc.bind(fd, own, own.length));
  return fd;
}

function address(family: FamilyName, ip: readonly number[], port: number): SocketAddress {
  const bytes = new Uint8Array(family === "ipv4" ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family === "ipv4" ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  bytes.set(ip, family === "ipv4" ? 4 : 8);
  return bytes;
}

function zeros(count: number): number[] {
  return new Array<number>(count).fill(0);
}
