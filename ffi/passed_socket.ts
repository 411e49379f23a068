// A TCP connection as a descriptor, tcp(7), and how another process gets it: over a Unix socket with
// SCM_RIGHTS, unix(7), as ssh's ProxyUseFdpass takes it. No byte of it passes through here.

import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { ERRNO, errnoName, KernelError } from "../src/errors.ts";
import { type Destination, openSocket, socketAddress } from "./inet_socket.ts";
import { check, errno, libc } from "./libc.ts";

const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const IPPROTO_TCP = 6;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const POLLOUT = 4;

// One buffer with all that sendmsg(2) follows pointers to, so that nothing of it can go meanwhile:
// struct msghdr (name, namelen, iov, iovlen, control, controllen, flags: 8 bytes each), struct iovec
// (base, length), struct cmsghdr (len, level i32, type i32) with a descriptor, padded to 8, one byte.
const MSG_IOV = 16;
const MSG_CONTROL = 32;
const IOVEC = 56;
const CMSG = 72;
const CMSG_LEN = 20;
const CMSG_BYTES = 24;
const BYTE = 96;
const MESSAGE_BYTES = 97;

/** A connection that is open and never blocks; closing it here leaves it to who got it. */
export interface ConnectedSocket extends Disposable {
  readonly fd: number;
}

/**
 * Connects without waiting on this thread.
 *
 * @returns the connection, or the name of the errno: "ECONNREFUSED", "ETIMEDOUT" when time is over.
 */
export async function connectSocket(
  to: Destination,
  port: number,
  timeoutMs: number,
): Promise<ConnectedSocket | string> {
  const fd = openSocket(to, SOCK_STREAM_NONBLOCK_CLOEXEC, IPPROTO_TCP);
  const code = await connected(fd, socketAddress(to, port), timeoutMs);
  if (code === 0) return { fd, [Symbol.dispose]: () => void libc().close(fd) };
  libc().close(fd);
  return errnoName(code);
}

/**
 * Hands a descriptor to the process at the other end of a Unix socket.
 *
 * @throws {KernelError} ENOTSOCK, EINVAL where it is none.
 */
export function passDescriptor(over: number, fd: number): void {
  const message = new Uint8Array(MESSAGE_BYTES);
  const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(message));
  const view = new DataView(message.buffer);
  const setWord = (at: number, value: bigint) => view.setBigUint64(at, value, LITTLE_ENDIAN);
  setWord(MSG_IOV, base + BigInt(IOVEC));
  setWord(MSG_IOV + 8, 1n);
  setWord(MSG_CONTROL, base + BigInt(CMSG));
  setWord(MSG_CONTROL + 8, BigInt(CMSG_BYTES));
  setWord(IOVEC, base + BigInt(BYTE)); // a message has at least one byte
  setWord(IOVEC + 8, 1n);
  setWord(CMSG, BigInt(CMSG_LEN));
  view.setInt32(CMSG + 8, SOL_SOCKET, LITTLE_ENDIAN);
  view.setInt32(CMSG + 12, SCM_RIGHTS, LITTLE_ENDIAN);
  view.setInt32(CMSG + 16, fd, LITTLE_ENDIAN);
  check("pass the connection on", libc().sendmsg(over, message, MSG_NOSIGNAL));
}

/** @returns an errno, 0 when it is connected. */
async function connected(
  fd: number,
  address: Uint8Array<ArrayBuffer>,
  timeoutMs: number,
): Promise<number> {
  if (libc().connect(fd, address, address.length) === 0) return 0;
  const code = errno();
  if (code !== ERRNO.EINPROGRESS) return code;
  const poll = new Uint8Array(8);
  const view = new DataView(poll.buffer);
  view.setInt32(0, fd, LITTLE_ENDIAN);
  view.setInt16(4, POLLOUT, LITTLE_ENDIAN);
  if (await libc().poll_async(poll, 1n, Math.max(0, Math.ceil(timeoutMs))) <= 0) {
    return ERRNO.ETIMEDOUT;
  }
  const error = new Uint8Array(4);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, error.length, LITTLE_ENDIAN);
  const asked = libc().getsockopt(fd, SOL_SOCKET, SO_ERROR, error, length);
  if (asked === -1) throw new KernelError("ask whether the connection stands", errno());
  return new DataView(error.buffer).getInt32(0, LITTLE_ENDIAN);
}
