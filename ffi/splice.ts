// Standard input and output joined with a TCP connection where both are pipes: splice(2), pipe(7), tcp(7).
// The kernel moves the bytes, and poll(2) waits on this thread: for a process that has nothing else to
// do by then. The pipes have other owners, too: nothing but their size is changed.

import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { ERRNO, KernelError } from "../src/errors.ts";
import { fileStatus, uninterrupted } from "./file.ts";
import { errno, libc } from "./libc.ts";

const STDIN = 0;
const STDOUT = 1;
const S_IFIFO = 0o010000;
const F_SETPIPE_SZ = 1031;
/** All pipes of one user may hold 64 MiB, then further ones get a page or two: pipe-user-pages-soft. */
const PIPE_BYTES = 512 * 1024;
/** More than any pipe holds. */
const SPLICE_BYTES = 1024 * 1024;
/** What a pipe with any room takes at once: limits.h. */
const PIPE_BUF = 4096;
const SPLICE_F_MOVE_NONBLOCK = 1 | 2;
const SCHED_BATCH = 3;
/** struct sched_param: sched_priority i32. */
const NO_PRIORITY = new Uint8Array(4);
const AF_INET = 2;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SHUT_WR = 1;
const ENOTCONN = 107;
/** What splice(2) says where it could work and lacks bytes, room, a reader or a peer. */
const LACKING: readonly number[] = [ERRNO.EAGAIN, ERRNO.EPIPE, ENOTCONN];

// struct pollfd: fd i32, events i16, revents i16. A negative fd stands for none.
const POLLFD_BYTES = 8;
const EVENTS = 4;
const REVENTS = 6;
const POLLIN = 1;
const POLLOUT = 4;
const PLACE = { SENDING: 0, RECEIVING: 1, OUTPUT: 2 } as const;
const PLACES = 3;

/** What one direction waits for: bytes where they come from, room where they go, nothing any more. */
export type Awaited = "bytes" | "room" | "nothing";

/** A connection and standard input and output. Only `wait` waits. */
export interface PipedConnection {
  /**
   * Moves input to the connection.
   *
   * @returns how many bytes; 0 at the input's end; undefined where bytes or room are lacking.
   * @throws {KernelError} with the system's words: the connection broke.
   */
  send(): number | undefined;
  /**
   * Moves what came to the output, as `send`.
   *
   * @param hasRoom the last wait was for room, so that it cannot be what is lacking.
   * @throws {KernelError} EPIPE when nobody takes the output any more, else as `send`.
   */
  receive(hasRoom: boolean): number | undefined;
  /** Tells the peer that nothing more comes. */
  endSending(): void;
  /** Tells who reads the output that nothing more comes. */
  endOutput(): void;
  /** Waits for either direction; when all is sent, also for the output's reader to go away. */
  wait(sending: Awaited, receiving: Awaited): Ready;
}

export interface Ready {
  readonly sending: boolean;
  readonly receiving: boolean;
  /** Nobody takes the output any more. */
  readonly unread: boolean;
}

/** Are standard input and output pipes that can be spliced here? Moves nothing. */
export function canSplice(): boolean {
  const isPipe = (fd: number) => fileStatus(fd, `descriptor ${fd}`).type === S_IFIFO;
  if (!isPipe(STDIN) || !isPipe(STDOUT)) return false;
  // A socket without a peer neither takes nor gives a byte. It shows whether splice(2) is to be had,
  // which not every sandbox allows.
  const socket = libc().socket(AF_INET, SOCK_STREAM_NONBLOCK_CLOEXEC, IPPROTO_TCP);
  if (socket === -1) return false;
  const works = (from: number, to: number) => splice(from, to) >= 0 || LACKING.includes(errno());
  const both = works(STDIN, socket) && works(socket, STDOUT);
  libc().close(socket);
  return both;
}

/** Joins a connection, which stays the caller's and never blocks, with standard input and output. */
export function pipeConnection(socket: number): PipedConnection {
  const on = new Uint8Array(4);
  new DataView(on.buffer).setUint32(0, 1, LITTLE_ENDIAN);
  // A keystroke does not wait for the answer to the one before.
  libc().setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, on, on.length);
  // ssh writes 128 KiB at once, twice what a pipe takes: with room for it sending is faster (measured; a
  // larger output made nothing faster). Who has too many pipes is refused, which does no harm.
  libc().fcntl_int(STDIN, F_SETPIPE_SZ, PIPE_BYTES);
  // sched(7): being woken does not take the processor from who has it. Otherwise it would from ssh at each
  // of its writes; so what is moved is more at once, where the processors are busy.
  libc().sched_setscheduler(0, SCHED_BATCH, NO_PRIORITY);
  const chunk = new Uint8Array(PIPE_BUF);
  const bytes = new Uint8Array(PLACES * POLLFD_BYTES);
  const view = new DataView(bytes.buffer);
  const attend = (place: number, fd: number, events: number) => {
    view.setInt32(place * POLLFD_BYTES, fd, LITTLE_ENDIAN);
    view.setInt16(place * POLLFD_BYTES + EVENTS, events, LITTLE_ENDIAN);
  };
  const isReady = (place: number) =>
    view.getInt16(place * POLLFD_BYTES + REVENTS, LITTLE_ENDIAN) !== 0;
  return {
    send: () => attempt(() => splice(STDIN, socket)),
    receive(hasRoom) {
      const moved = attempt(() => splice(socket, STDOUT));
      if (moved === undefined ? !hasRoom : moved > 0) return moved;
      // splice(2) never gets past urgent data: there it finds nothing, or the end. read(2) steps over it.
      const count = attempt(() => libc().read(socket, chunk, BigInt(PIPE_BUF)));
      if (count) uninterrupted("write", () => libc().write(STDOUT, chunk, BigInt(count)));
      return count;
    },
    endSending: () => void libc().shutdown(socket, SHUT_WR),
    endOutput: closeOutput,
    wait(sending, receiving) {
      attend(PLACE.SENDING, ...awaited(sending, STDIN, socket));
      attend(PLACE.RECEIVING, ...awaited(receiving, socket, STDOUT));
      // Without any events poll(2) still tells of POLLERR: the reader is gone.
      const watched = sending === "nothing" && receiving === "bytes";
      attend(PLACE.OUTPUT, watched ? STDOUT : -1, 0);
      uninterrupted("wait for bytes", () => libc().poll(bytes, BigInt(PLACES), -1));
      return {
        sending: isReady(PLACE.SENDING),
        receiving: isReady(PLACE.RECEIVING),
        unread: isReady(PLACE.OUTPUT),
      };
    },
  };
}

/** Ends standard output for good: Deno closes a copy of the descriptor only. */
export function closeOutput(): void {
  Deno.stdout.close();
  libc().close(STDOUT);
}

/** The descriptor and the events to wait for. */
function awaited(what: Awaited, from: number, to: number): [fd: number, events: number] {
  if (what === "nothing") return [-1, 0];
  return what === "bytes" ? [from, POLLIN] : [to, POLLOUT];
}

function splice(from: number, to: number): number {
  return Number(libc().splice(from, null, to, null, BigInt(SPLICE_BYTES), SPLICE_F_MOVE_NONBLOCK));
}

/** The count of a call that does not wait; undefined where it would have to. */
function attempt(call: () => number | bigint): number | undefined {
  while (true) {
    const result = Number(call());
    if (result !== -1) return result;
    const code = errno();
    if (code === ERRNO.EAGAIN) return undefined;
    if (code !== ERRNO.EINTR) throw new KernelError("pass bytes on", code, words(code));
  }
}

/** What the system says of an errno: "Connection reset by peer". */
function words(code: number): string | undefined {
  const text = libc().strerror(code);
  return text === null ? undefined : Deno.UnsafePointerView.getCString(text);
}
