// Waiting for descriptors with poll(2) on another thread. The wait can be ended from this thread, so
// that a signal or a stop is never kept waiting.

import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { check, libc } from "./libc.ts";

// struct pollfd: fd i32, events i16, revents i16.
const POLLFD_BYTES = 8;
const EVENTS = 4;
const FDS_MAX = 4;
const POLLIN = 1;
const POLLOUT = 4;
const POLL_MS_MAX = 0x7fff_ffff;
const EFD_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;

export interface Waiter extends Disposable {
  /**
   * Names the descriptors to wait for, which stay the caller's. Not during a wait. `linger` looks at the
   * urgent ones alone.
   */
  attend(urgent: readonly number[], others?: readonly number[]): void;
  /**
   * Waits until one of the descriptors has something, `wake` is called, or the time is over.
   *
   * @param timeoutMs undefined waits for ever.
   */
  wait(timeoutMs: number | undefined): Promise<void>;
  /**
   * Waits on this thread: sooner back than `wait`, which has to change threads twice, but signals and
   * timers wait as well, so for short times only.
   *
   * @returns whether anything urgent is ready, or `wake` was called.
   */
  linger(timeoutMs: number): boolean;
  /** As `linger`, but only for the first of the urgent descriptors. */
  lingerForFirst(timeoutMs: number): void;
  /** Ends the wait that goes on, or else the next one. */
  wake(): void;
}

/** A waiter for up to FDS_MAX descriptors, none so far. Not to be disposed during a wait. */
export function openWaiter(): Waiter {
  const eventFd = check("make an eventfd", libc().eventfd(0, EFD_CLOEXEC_NONBLOCK));
  const bytes = new Uint8Array((1 + FDS_MAX) * POLLFD_BYTES);
  const view = new DataView(bytes.buffer);
  const counter = new Uint8Array(8);
  let count = 1n;
  let urgentCount = 1n;
  let open = true;
  const set = (place: number, fd: number) => {
    view.setInt32(place * POLLFD_BYTES, fd, LITTLE_ENDIAN);
    view.setInt16(place * POLLFD_BYTES + EVENTS, POLLIN, LITTLE_ENDIAN);
  };
  set(0, eventFd);
  return {
    attend(urgent, others = []) {
      [...urgent, ...others].forEach((fd, index) => set(1 + index, fd));
      urgentCount = BigInt(1 + urgent.length);
      count = urgentCount + BigInt(others.length);
    },
    async wait(timeoutMs) {
      // Grants of other hands may end later than poll(2) can count: then the wait is one of several.
      const timeout = timeoutMs === undefined
        ? -1
        : Math.min(Math.max(0, Math.ceil(timeoutMs)), POLL_MS_MAX);
      // errno belongs to the other thread: after EINTR the caller looks for itself what came.
      await libc().poll_async(bytes, count, timeout);
      libc().read(eventFd, counter, 8n);
    },
    linger: (timeoutMs) => libc().poll(bytes, urgentCount, timeoutMs) > 0,
    lingerForFirst: (timeoutMs) => void libc().poll(bytes, 2n, timeoutMs),
    wake() {
      const one = new Uint8Array(8);
      new DataView(one.buffer).setBigUint64(0, 1n, LITTLE_ENDIAN);
      if (open) libc().write(eventFd, one, 8n);
    },
    [Symbol.dispose]() {
      if (open) libc().close(eventFd);
      open = false;
    },
  };
}

/** Waits on this thread until the descriptor can be read, the time is over, or a signal came. */
export function waitReadable(fd: number, timeoutMs: number): void {
  pollOne(fd, POLLIN, timeoutMs);
}

/** Can the descriptor be written to without waiting? */
export function isWritable(fd: number): boolean {
  return pollOne(fd, POLLOUT, 0);
}

function pollOne(fd: number, events: number, timeoutMs: number): boolean {
  const bytes = new Uint8Array(POLLFD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, fd, LITTLE_ENDIAN);
  view.setInt16(EVENTS, events, LITTLE_ENDIAN);
  return libc().poll(bytes, 1n, timeoutMs) > 0;
}
