// Sockets that send one packet and are gone: a SYN, a datagram, an echo request. No privilege is
// needed: socket(7), tcp(7), udp(7), and icmp(7) for what echo requests need. Each knock has a socket
// of its own, and with it a source port (or identifier) of its own.

import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { ERRNO, KernelError } from "../src/errors.ts";
import type { Source } from "../src/packet/header.ts";
import {
  ADDRESS_IN,
  ADDRESS_IN6,
  type Destination,
  openSocket,
  socketAddress,
} from "./inet_socket.ts";
import { check, cstringBytes, errno, libc } from "./libc.ts";

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const IPPROTO_ICMPV6 = 58;
const SOL_SOCKET = 1;
const SO_LINGER = 13;
const TCP_DEFER_ACCEPT = 9;
const MSG_NOSIGNAL = 0x4000;

const ICMP_ECHO = 8;
const ICMPV6_ECHO_REQUEST = 128;
const ECHO_HEADER_BYTES = 8;

/**
 * Sends one SYN: begins to connect, and closes before anything can be repeated. A SYN-ACK that comes
 * back gets a RST, as where no socket ever was, so that the other side does not repeat it.
 *
 * @throws {KernelError} where it cannot be sent: ENETUNREACH, EACCES.
 */
export function sendSyn(to: Destination, port: number): void {
  const fd = openSocket(to, SOCK_STREAM | SOCK_NONBLOCK_CLOEXEC, IPPROTO_TCP);
  try {
    // On a fast network the answer is here before close(2). Without these two the kernel would
    // acknowledge it and then end the connection in an orderly way, which services log.
    setOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, [1]);
    setOption(fd, SOL_SOCKET, SO_LINGER, [1, 0]);
    const address = socketAddress(to, port);
    if (libc().connect(fd, address, address.length) === 0) return;
    const code = errno();
    if (code === ERRNO.EINPROGRESS || code === ERRNO.ECONNREFUSED) return;
    throw new KernelError(`send a SYN to port ${port}`, code);
  } finally {
    libc().close(fd);
  }
}

/**
 * Sends one UDP datagram.
 *
 * @throws {KernelError} where it cannot be sent: ENETUNREACH, EPERM by this host's own firewall.
 */
export function sendDatagram(to: Destination, port: number, payload: Uint8Array<ArrayBuffer>) {
  const fd = openSocket(to, SOCK_DGRAM | SOCK_NONBLOCK_CLOEXEC, IPPROTO_UDP);
  try {
    send(`send a datagram to port ${port}`, fd, payload, socketAddress(to, port));
  } finally {
    libc().close(fd);
  }
}

/**
 * Sends one echo request. The kernel chooses its identifier and computes its checksum.
 *
 * @throws {KernelError}
 */
export function sendEchoRequest(to: Destination, payload: Uint8Array, sequence: number): void {
  const message = new Uint8Array(ECHO_HEADER_BYTES + payload.length);
  message[0] = to.address.family === 4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST;
  new DataView(message.buffer).setUint16(6, sequence);
  message.set(payload, ECHO_HEADER_BYTES);
  const fd = openPingSocket(to);
  try {
    send("send an echo request", fd, message, socketAddress(to, 0));
  } finally {
    libc().close(fd);
  }
}

/**
 * Looks whether echo requests may be sent; sends nothing.
 *
 * @throws {KernelError} EACCES where net.ipv4.ping_group_range lacks this user's groups.
 */
export function requirePingSocket(to: Destination): void {
  libc().close(openPingSocket(to));
}

/**
 * The own address that packets to a destination carry; nothing is sent.
 *
 * @throws {KernelError} ENETUNREACH where there is no route.
 */
export function sourceTowards(to: Destination): Source {
  const fd = openSocket(to, SOCK_DGRAM | SOCK_NONBLOCK_CLOEXEC, IPPROTO_UDP);
  try {
    const address = socketAddress(to, 9);
    check("find a route", libc().connect(fd, address, address.length));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, address.length, LITTLE_ENDIAN);
    check("ask for the own address", libc().getsockname(fd, address, length));
    const view = new DataView(address.buffer);
    if (to.address.family === 4) {
      return { family: 4, word0: 0, word1: 0, word2: 0, word3: view.getUint32(ADDRESS_IN) };
    }
    const word = (n: number) => view.getUint32(ADDRESS_IN6 + 4 * n);
    return { family: 6, word0: word(0), word1: word(1), word2: word(2), word3: word(3) };
  } finally {
    libc().close(fd);
  }
}

/** The index of an interface, or 0 where there is none of that name. */
export function interfaceIndex(name: string): number {
  return libc().if_nametoindex(cstringBytes(name));
}

function openPingSocket(to: Destination): number {
  const protocol = to.address.family === 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
  return openSocket(to, SOCK_DGRAM | SOCK_NONBLOCK_CLOEXEC, protocol);
}

function send(
  operation: string,
  fd: number,
  bytes: Uint8Array<ArrayBuffer>,
  address: Uint8Array<ArrayBuffer>,
): void {
  const count = BigInt(bytes.length);
  check(operation, libc().sendto(fd, bytes, count, MSG_NOSIGNAL, address, address.length));
}

function setOption(fd: number, level: number, name: number, value: readonly number[]): void {
  const bytes = new Uint8Array(new Int32Array(value).buffer);
  check("set a socket option", libc().setsockopt(fd, level, name, bytes, bytes.length));
}
