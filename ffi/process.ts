// Other processes, by pid. pk starts none; it only tells a running pk to stop.

import { ERRNO, KernelError } from "../src/errors.ts";
import { errno, libc } from "./libc.ts";

const SIGTERM = 15;

/** Asks a process to end; one that is gone already is no error. */
export function terminate(pid: number): void {
  if (libc().kill(pid, SIGTERM) === -1 && errno() !== ERRNO.ESRCH) {
    throw new KernelError(`stop process ${pid}`, errno());
  }
}

/** The pid of the process that started this one. */
export function parentPid(): number {
  return libc().getppid();
}
