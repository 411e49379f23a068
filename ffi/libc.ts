// libc: what Deno does not offer or refuses (reads under /proc, locks, poll on foreign descriptors).
// One choke point turns -1 and errno into a KernelError.

import { KernelError } from "../src/errors.ts";
import { once, openLibrary } from "./library.ts";

const SYMBOLS = {
  /** `int *__errno_location(void)` */
  __errno_location: { parameters: [], result: "pointer" },
  /** `int open(const char *pathname, int flags, mode_t mode)` */
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  /** `ssize_t read(int fd, void *buf, size_t count)` */
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  /** `ssize_t write(int fd, const void *buf, size_t count)` */
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  /** `int close(int fd)` */
  close: { parameters: ["i32"], result: "i32" },
  /** `int mkdir(const char *pathname, mode_t mode)` */
  mkdir: { parameters: ["buffer", "u32"], result: "i32" },
  /** `ssize_t readlink(const char *path, char *buf, size_t bufsiz)` */
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  /** `int fcntl(int fd, int op, struct flock *lock)` */
  fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  /** `int fcntl(int fd, int op, int arg)` */
  fcntl_int: { name: "fcntl", parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `ssize_t splice(int fd_in, off_t *, int fd_out, off_t *, size_t size, unsigned int flags)` */
  splice: {
    parameters: ["i32", "pointer", "i32", "pointer", "usize", "u32"],
    result: "isize",
  },
  /** `int kill(pid_t pid, int sig)` */
  kill: { parameters: ["i32", "i32"], result: "i32" },
  /** `pid_t getppid(void)` */
  getppid: { parameters: [], result: "i32" },
  /** `int eventfd(unsigned int initval, int flags)` */
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  /** `int poll(struct pollfd *fds, nfds_t nfds, int timeout)` */
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  /** poll(2) on another thread, so that timers and signals go on meanwhile. */
  poll_async: {
    name: "poll",
    parameters: ["buffer", "usize", "i32"],
    result: "i32",
    nonblocking: true,
  },
  /** `int socket(int domain, int type, int protocol)` */
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** `ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *, socklen_t)` */
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  /** `ssize_t recvfrom(int sockfd, void *buf, size_t len, int flags, struct sockaddr *, socklen_t *)` */
  recvfrom: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "buffer"], result: "isize" },
  /** `int recvmmsg(int sockfd, struct mmsghdr *, unsigned int vlen, int flags, struct timespec *)` */
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  /** `int setsockopt(int sockfd, int level, int optname, const void *optval, socklen_t optlen)` */
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  /** `int statx(int dirfd, const char *pathname, int flags, unsigned int mask, struct statx *)` */
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  /** `char *realpath(const char *path, char *resolved_path)`, which has PATH_MAX bytes */
  realpath: { parameters: ["buffer", "buffer"], result: "pointer" },
  /** `int fsync(int fd)` */
  fsync: { parameters: ["i32"], result: "i32" },
  /** `int ftruncate(int fd, off_t length)` */
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  /** `int fchmod(int fd, mode_t mode)` */
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  /** `int fchown(int fd, uid_t owner, gid_t group)` */
  fchown: { parameters: ["i32", "u32", "u32"], result: "i32" },
  /** `int rename(const char *oldpath, const char *newpath)` */
  rename: { parameters: ["buffer", "buffer"], result: "i32" },
  /** `int renameat2(int olddirfd, const char *, int newdirfd, const char *, unsigned int flags)` */
  renameat2: { parameters: ["i32", "buffer", "i32", "buffer", "u32"], result: "i32" },
  /** `int unlink(const char *pathname)` */
  unlink: { parameters: ["buffer"], result: "i32" },
  /** `int inotify_init1(int flags)` */
  inotify_init1: { parameters: ["i32"], result: "i32" },
  /** `int inotify_add_watch(int fd, const char *pathname, uint32_t mask)` */
  inotify_add_watch: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int connect(int sockfd, const struct sockaddr *addr, socklen_t addrlen)` */
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** `int getsockname(int sockfd, struct sockaddr *addr, socklen_t *addrlen)` */
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** `int getsockopt(int sockfd, int level, int optname, void *optval, socklen_t *optlen)` */
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  /** `int sched_setscheduler(pid_t pid, int policy, const struct sched_param *param)` */
  sched_setscheduler: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  /** `int shutdown(int sockfd, int how)` */
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  /** `ssize_t sendmsg(int sockfd, const struct msghdr *msg, int flags)` */
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "isize" },
  /** `char *strerror(int errnum)` */
  strerror: { parameters: ["i32"], result: "pointer" },
  /** `unsigned int if_nametoindex(const char *ifname)` */
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
} as const;

/** The functions of libc themselves. */
export const libc = once(() => {
  const packages = "pk needs the GNU C library; musl (Alpine) is not supported";
  const { symbols } = openLibrary("libc.so.6", SYMBOLS, packages);
  // The address is the same for the life of the thread. Not to be asked for only after a call has failed:
  // what the runtime does for it the first time may set errno itself.
  const location = symbols.__errno_location();
  if (location !== null) errnoView = new Deno.UnsafePointerView(location);
  errno();
  return symbols;
});

let errnoView: Deno.UnsafePointerView | undefined;

/** errno(3) of this thread, as the last call left it. */
export function errno(): number {
  return errnoView?.getInt32() ?? 0;
}

/**
 * The result of a call, or its errno as an error.
 *
 * @param operation what was tried, in the imperative: "open /proc/self/status".
 * @throws {KernelError} when the result is -1.
 */
export function check<T extends number | bigint>(operation: string, result: T): T {
  if (Number(result) === -1) throw new KernelError(operation, errno());
  return result;
}

/** Text as C takes it. */
export function cstringBytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
