// Many netlink messages with one recvmmsg(2) into one preallocated buffer.

import { ERRNO, KernelError } from "../src/errors.ts";
import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { errno, libc } from "./libc.ts";

const MSG_DONTWAIT = 0x40;

// struct mmsghdr of 64-bit Linux: msghdr (56 bytes: name 0, namelen 8, iov 16, iovlen 24, control 32,
// controllen 40, flags 48), msg_len u32 at 56, pad. struct iovec: base, len.
const MMSGHDR_BYTES = 64;
const MMSGHDR_IOV = 16;
const MMSGHDR_IOVLEN = 24;
const MMSGHDR_LEN = 56;
const IOVEC_BYTES = 16;

/** Of a call that is interrupted again and again. */
const TRIES_MAX = 16;

export interface MessageBatch {
  /** What `receive` filled: message `index` begins at `index * messageBytes`. */
  readonly view: DataView;
  /** Messages that it takes at most. */
  readonly capacity: number;
  readonly messageBytes: number;
  /**
   * Reads what is there, without waiting, as many messages at most as the batch takes.
   *
   * @returns messages read; fewer than it takes when no other was there.
   * @throws {KernelError} when the socket is broken.
   */
  receive(): number;
  /** Bytes of message `index` of the last `receive`; of a longer one, what fits is there. */
  messageLength(index: number): number;
}

/** A batch of `messages` of at most `messageBytes` from a socket, which stays the caller's. */
export function openMessageBatch(
  fd: number,
  messages: number,
  messageBytes: number,
): MessageBatch {
  const { memory, headers, messagesOffset } = layOut(messages, messageBytes);
  const headerView = new DataView(memory);
  const { recvmmsg } = libc();
  return {
    view: new DataView(memory, messagesOffset),
    capacity: messages,
    messageBytes,
    receive() {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const count = recvmmsg(fd, headers, messages, MSG_DONTWAIT, null);
        if (count >= 0) return count;
        const code = errno();
        if (code === ERRNO.EAGAIN) return 0;
        // ENOBUFS only tells that some were lost before those that are there.
        if (code === ERRNO.EINTR || code === ERRNO.ENOBUFS) continue;
        throw new KernelError("read packets from the kernel", code);
      }
      return 0;
    },
    messageLength: (index) =>
      headerView.getUint32(index * MMSGHDR_BYTES + MMSGHDR_LEN, LITTLE_ENDIAN),
  };
}

/**
 * Headers, vectors and messages lie in one piece of memory: the kernel goes from each to the next by
 * address, and what is passed to the call keeps all of it alive and in its place.
 */
function layOut(
  messages: number,
  messageBytes: number,
): { memory: ArrayBuffer; headers: Uint8Array<ArrayBuffer>; messagesOffset: number } {
  const vectorsOffset = messages * MMSGHDR_BYTES;
  const messagesOffset = vectorsOffset + messages * IOVEC_BYTES;
  const memory = new ArrayBuffer(messagesOffset + messages * messageBytes);
  const headers = new Uint8Array(memory, 0, vectorsOffset);
  const view = new DataView(memory);
  const address = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(headers)));
  for (let index = 0; index < messages; index++) {
    const vector = vectorsOffset + index * IOVEC_BYTES;
    const message = address + BigInt(messagesOffset + index * messageBytes);
    view.setBigUint64(vector, message, LITTLE_ENDIAN);
    view.setBigUint64(vector + 8, BigInt(messageBytes), LITTLE_ENDIAN);
    const header = index * MMSGHDR_BYTES;
    view.setBigUint64(header + MMSGHDR_IOV, address + BigInt(vector), LITTLE_ENDIAN);
    view.setBigUint64(header + MMSGHDR_IOVLEN, 1n, LITTLE_ENDIAN);
  }
  return { memory, headers, messagesOffset };
}
