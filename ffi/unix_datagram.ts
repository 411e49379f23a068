// One datagram to a Unix socket, as sd_notify(3) sends them: a path, or an abstract name after "@".

import { check, libc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const SUN_PATH_BYTES = 108;

/**
 * Sends text to a Unix datagram socket.
 *
 * @throws {KernelError} when nobody listens there.
 */
export function sendUnixDatagram(address: string, text: string): void {
  const path = new TextEncoder().encode(
    address.startsWith("@") ? `\0${address.slice(1)}` : address,
  );
  const sockaddr = new Uint8Array(2 + Math.min(path.length, SUN_PATH_BYTES));
  new Uint16Array(sockaddr.buffer, 0, 1)[0] = AF_UNIX;
  sockaddr.set(path.subarray(0, SUN_PATH_BYTES), 2);
  const fd = check("open a Unix socket", libc().socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0));
  try {
    const bytes = new TextEncoder().encode(text);
    const count = BigInt(bytes.length);
    check(
      "notify the service manager",
      libc().sendto(fd, bytes, count, MSG_NOSIGNAL, sockaddr, sockaddr.length),
    );
  } finally {
    libc().close(fd);
  }
}
