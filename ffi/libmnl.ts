// libmnl: netlink sockets. What goes over them is encoded and decoded in src/netlink.

import { ERRNO, KernelError } from "../src/errors.ts";
import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import type { Transport } from "../src/netlink/transport.ts";
import { ACK_TIMEOUT_MS } from "../src/limits.ts";
import { check, errno, libc } from "./libc.ts";
import { once, openLibrary } from "./library.ts";
import { waitReadable } from "./wait.ts";

const SYMBOLS = {
  /** `struct mnl_socket *mnl_socket_open2(int bus, int flags)` */
  mnl_socket_open2: { parameters: ["i32", "i32"], result: "pointer" },
  /** `int mnl_socket_bind(struct mnl_socket *nl, unsigned int groups, pid_t pid)` */
  mnl_socket_bind: { parameters: ["pointer", "u32", "i32"], result: "i32" },
  /** `int mnl_socket_get_fd(const struct mnl_socket *nl)` */
  mnl_socket_get_fd: { parameters: ["pointer"], result: "i32" },
  /** `unsigned int mnl_socket_get_portid(const struct mnl_socket *nl)` */
  mnl_socket_get_portid: { parameters: ["pointer"], result: "u32" },
  /** `ssize_t mnl_socket_sendto(const struct mnl_socket *nl, const void *req, size_t siz)` */
  mnl_socket_sendto: { parameters: ["pointer", "buffer", "usize"], result: "isize" },
  /** `int mnl_socket_setsockopt(const struct mnl_socket *nl, int type, void *buf, socklen_t len)` */
  mnl_socket_setsockopt: { parameters: ["pointer", "i32", "buffer", "u32"], result: "i32" },
  /** `int mnl_socket_close(struct mnl_socket *nl)` */
  mnl_socket_close: { parameters: ["pointer"], result: "i32" },
} as const;

/** Opens the library; the first thing to fail on a host without it. */
export const libmnl = once(() =>
  openLibrary(
    "libmnl.so.0",
    SYMBOLS,
    "apt install libmnl0 (Debian, Ubuntu), dnf install libmnl (Fedora), pacman -S libmnl (Arch)",
  ).symbols
);

const SOCK_CLOEXEC = 0o2000000;
const MNL_SOCKET_AUTOPID = 0;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const SOL_SOCKET = 1;
// struct sockaddr_nl: nl_family u16, pad u16, nl_pid u32, nl_groups u32.
const SOCKADDR_NL_BYTES = 12;
const NL_PID = 4;
const RECEIVE_BYTES = 64 * 1024;

/** Options of level SOL_SOCKET whose limits need CAP_NET_ADMIN to be passed. */
export const SOCKET_BUFFER = { SO_SNDBUFFORCE: 32, SO_RCVBUFFORCE: 33 } as const;

export interface NetlinkSocket extends Transport, Disposable {
  readonly fd: number;
  /** The netlink port by which the kernel knows this socket. */
  readonly port: number;
  /** Sets an option of level SOL_NETLINK to an integer. */
  setOption(name: string, option: number, value: number): void;
  /** Sets a buffer's size in bytes. */
  setBuffer(option: number, bytes: number): void;
}

/**
 * Opens and binds a netlink socket.
 *
 * @throws {KernelError} when the kernel does not know the protocol.
 */
export function openNetlinkSocket(protocol: number): NetlinkSocket {
  const lib = libmnl();
  const handle = lib.mnl_socket_open2(protocol, SOCK_CLOEXEC);
  if (handle === null) {
    throw new KernelError(`open a netlink socket (protocol ${protocol})`, errno());
  }
  let open = true;
  const close = () => {
    if (open) lib.mnl_socket_close(handle);
    open = false;
  };
  if (lib.mnl_socket_bind(handle, 0, MNL_SOCKET_AUTOPID) === -1) {
    const error = new KernelError("bind a netlink socket", errno());
    close();
    throw error;
  }
  const fd = lib.mnl_socket_get_fd(handle);
  const buffer = new Uint8Array(RECEIVE_BYTES);
  const sender = new Uint8Array(SOCKADDR_NL_BYTES);
  const senderPort = new DataView(sender.buffer);
  return {
    fd,
    port: lib.mnl_socket_get_portid(handle),
    send(bytes) {
      while (lib.mnl_socket_sendto(handle, bytes, BigInt(bytes.length)) === -1n) {
        const code = errno();
        if (code !== ERRNO.EINTR) throw new KernelError("send to the kernel", code);
      }
    },
    receive(timeoutMs = ACK_TIMEOUT_MS) {
      const endMs = performance.now() + timeoutMs;
      while (true) {
        const count = Number(
          libc().recvfrom(
            fd,
            buffer,
            BigInt(buffer.length),
            MSG_DONTWAIT | MSG_TRUNC,
            sender,
            int32(SOCKADDR_NL_BYTES),
          ),
        );
        // Whoever has CAP_NET_ADMIN can send here; only the kernel (port 0) is listened to.
        if (count >= 0 && senderPort.getUint32(NL_PID, LITTLE_ENDIAN) !== 0) continue;
        if (count > buffer.length) throw new KernelError("receive from the kernel", ERRNO.EMSGSIZE);
        if (count >= 0) return buffer.slice(0, count);
        const code = errno();
        if (code !== ERRNO.EAGAIN && code !== ERRNO.EINTR) {
          throw new KernelError("receive from the kernel", code);
        }
        const leftMs = endMs - performance.now();
        if (leftMs <= 0) return undefined;
        // It may return early, for a signal: then there is nothing to receive yet, and time is left.
        waitReadable(fd, Math.ceil(leftMs));
      }
    },
    setOption(name, option, value) {
      check(`set ${name}`, lib.mnl_socket_setsockopt(handle, option, int32(value), 4));
    },
    setBuffer(option, bytes) {
      check("set a socket's buffer", libc().setsockopt(fd, SOL_SOCKET, option, int32(bytes), 4));
    },
    [Symbol.dispose]: close,
  };
}

function int32(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, LITTLE_ENDIAN);
  return bytes;
}
