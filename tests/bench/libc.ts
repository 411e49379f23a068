// The few calls of libc.so.6 that the programs of the bench make: packet(7) sockets, sendmmsg(2), TCP
// sockets, poll(2), nanosleep(2). Independent of ffi/, so that what measures shares
// no code with what is measured.

const SYMBOLS = {
  /** int socket(int domain, int type, int protocol) */
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** int bind(int fd, const struct sockaddr *address, socklen_t length) */
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** int connect(int fd, const struct sockaddr *address, socklen_t length) */
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** int listen(int fd, int backlog) */
  listen: { parameters: ["i32", "i32"], result: "i32" },
  /** int accept(int fd, struct sockaddr *address, socklen_t *length) */
  accept: { parameters: ["i32", "pointer", "pointer"], result: "i32" },
  /** ssize_t send(int fd, const void *data, size_t length, int flags) */
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  /** ssize_t recv(int fd, void *data, size_t length, int flags) */
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  /** int close(int fd) */
  close: { parameters: ["i32"], result: "i32" },
  /** int setsockopt(int fd, int level, int name, const void *value, socklen_t length) */
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  /** int getsockopt(int fd, int level, int name, void *value, socklen_t *length) */
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  /** int poll(struct pollfd *fds, nfds_t count, int timeout) */
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  /** unsigned int if_nametoindex(const char *name) */
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  /** int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags) */
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  /** int nanosleep(const struct timespec *wanted, struct timespec *left) */
  nanosleep: { parameters: ["buffer", "pointer"], result: "i32" },
  /** int *__errno_location(void) */
  __errno_location: { parameters: [], result: "pointer" },
} as const;

export type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

export function openLibc(): Libc {
  return Deno.dlopen("libc.so.6", SYMBOLS).symbols;
}

/** errno(3) of the last call on this thread. */
export function errno(libc: Libc): number {
  const location = libc.__errno_location();
  return location === null ? 0 : new Deno.UnsafePointerView(location).getInt32();
}

/** The result of a call, or an Error that names the call and errno when it is negative. */
export function checked(libc: Libc, call: string, result: number): number {
  if (result < 0) throw new Error(`Cannot ${call}: errno ${errno(libc)}`);
  return result;
}

/** A non-negative number of the C type int, as bytes. */
export function int(value: number): Int32Array<ArrayBuffer> {
  return new Int32Array([value]);
}
