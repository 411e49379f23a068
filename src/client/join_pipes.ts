// Joins a connection with standard input and output as join.ts does, where both are pipes: the kernel
// moves the bytes, and what is left to decide is what to wait for, and when it is over.

import type { Awaited, PipedConnection } from "../../ffi/splice.ts";
import { ERRNO, KernelError } from "../errors.ts";
import { broken } from "./join.ts";

/**
 * Moves bytes both ways, each way's end handed on by itself. Comes back when both ended, or when nobody
 * takes the output any more; until then nothing else runs on this thread.
 *
 * @throws {HostError} when the connection broke.
 */
export function joinPipes(connection: PipedConnection): void {
  let sending: Awaited = "bytes";
  let receiving: Awaited = "bytes";
  let failure: Error | undefined;
  while (sending !== "nothing" || receiving !== "nothing") {
    const ready = connection.wait(sending, receiving);
    if (ready.unread) return;
    if (ready.sending) {
      try {
        sending = next(sending, connection.send());
        if (sending === "nothing") connection.endSending();
      } catch (error) {
        failure = broken(error); // told when all that the peer had sent is handed on
        sending = "nothing";
      }
    }
    if (ready.receiving) {
      try {
        receiving = next(receiving, connection.receive(receiving === "room"));
      } catch (error) {
        // Who does not take the output does not read it either: waiting for the input would be in vain.
        if (error instanceof KernelError && error.errno === ERRNO.EPIPE) return;
        throw broken(error);
      }
      if (receiving === "nothing") connection.endOutput();
    }
  }
  if (failure !== undefined) throw failure;
}

/**
 * What to wait for after a move. Where there are bytes and none can be moved, there is no room; where there is
 * room, there are no bytes: so each wait is for what was lacking, and none comes back at once for ever.
 */
function next(awaited: Awaited, moved: number | undefined): Awaited {
  if (moved === undefined) return awaited === "bytes" ? "room" : "bytes";
  return moved === 0 ? "nothing" : "bytes";
}
