// The receiving end of a netfilter queue: many packets with one recvmmsg(2) into one buffer, and one
// verdict for all of them. There is only one verdict, accept: a queue cannot open or shut anything.

import { ERRNO, HostError, KernelError } from "../src/errors.ts";
import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import {
  BATCH_PACKETS,
  COPY_RANGE_BYTES,
  MESSAGE_BYTES,
  QUEUE_BUFFER_BYTES,
  QUEUE_LENGTH_MAX,
} from "../src/limits.ts";
import { NETLINK, NETLINK_OPTION, NLMSG } from "../src/netlink/constants.ts";
import { readAck, readMessages } from "../src/netlink/message.ts";
import { NFQA_CFG_F, NFQNL_COPY } from "../src/nfqueue/constants.ts";
import { errno, libc } from "./libc.ts";
import { acceptEncoder, encodeQueueBind } from "./libnetfilter_queue.ts";
import { openNetlinkSocket, SOCKET_BUFFER } from "./libmnl.ts";

const MSG_DONTWAIT = 0x40;

// struct mmsghdr of 64-bit Linux: msghdr (56 bytes: name 0, namelen 8, iov 16, iovlen 24, control 32,
// controllen 40, flags 48), msg_len u32 at 56, pad. struct iovec: base, len.
const MMSGHDR_BYTES = 64;
const MMSGHDR_IOV = 16;
const MMSGHDR_IOVLEN = 24;
const MMSGHDR_LEN = 56;
const IOVEC_BYTES = 16;

const VECTORS_OFFSET = BATCH_PACKETS * MMSGHDR_BYTES;
const MESSAGES_OFFSET = VECTORS_OFFSET + BATCH_PACKETS * IOVEC_BYTES;

export interface PacketQueue extends Disposable {
  readonly fd: number;
  readonly queueNumber: number;
  /** What `receive` filled: message `index` begins at `index * MESSAGE_BYTES`. */
  readonly view: DataView;
  /**
   * Reads what is there, without waiting, BATCH_PACKETS messages at most.
   *
   * @returns messages read; 0 when nothing was there.
   * @throws {KernelError} when the socket is broken.
   */
  receive(): number;
  /** Bytes of message `index` of the last `receive`. */
  messageLength(index: number): number;
  /** Lets all packets up to this id go on their way. */
  accept(lastId: number): void;
}

/**
 * Binds a queue: packets are copied up to COPY_RANGE_BYTES, and when QUEUE_LENGTH_MAX of them wait,
 * further ones pass by (fail-open), which is safe since another chain guards.
 *
 * @throws {KernelError} EPERM when somebody else has the queue or CAP_NET_ADMIN is missing.
 */
export function openPacketQueue(queueNumber: number): PacketQueue {
  const socket = openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
  try {
    const config = {
      copyMode: NFQNL_COPY.NFQNL_COPY_PACKET,
      copyRange: COPY_RANGE_BYTES,
      maxLength: QUEUE_LENGTH_MAX,
      flags: NFQA_CFG_F.NFQA_CFG_F_FAIL_OPEN,
    };
    bind(encodeQueueBind(queueNumber, config));
    // A full socket must look like a full queue (fail-open), not like an error of the next read.
    socket.setOption("NETLINK_NO_ENOBUFS", NETLINK_OPTION.NETLINK_NO_ENOBUFS, 1);
    socket.setBuffer(SOCKET_BUFFER.SO_RCVBUFFORCE, QUEUE_BUFFER_BYTES);
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }

  const { memory, headers } = messageVectors();
  const headerView = new DataView(memory);
  const encodeAccept = acceptEncoder(queueNumber);
  const { recvmmsg } = libc();
  return {
    fd: socket.fd,
    queueNumber,
    view: new DataView(memory, MESSAGES_OFFSET),
    receive() {
      const count = recvmmsg(socket.fd, headers, BATCH_PACKETS, MSG_DONTWAIT, null);
      if (count >= 0) return count;
      const code = errno();
      if (code === ERRNO.EAGAIN || code === ERRNO.EINTR || code === ERRNO.ENOBUFS) return 0;
      throw new KernelError("read the queue", code);
    },
    messageLength: (index) =>
      headerView.getUint32(index * MMSGHDR_BYTES + MMSGHDR_LEN, LITTLE_ENDIAN),
    accept: (lastId) => socket.send(encodeAccept(lastId)),
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  };

  function bind(message: Uint8Array<ArrayBuffer>): void {
    const what = `bind queue ${queueNumber}`;
    socket.send(message);
    const answer = socket.receive();
    if (answer === undefined) throw new KernelError(what, ERRNO.ETIMEDOUT, "no answer came");
    for (const reply of readMessages(answer)) {
      if (reply.type !== NLMSG.NLMSG_ERROR) continue;
      const ack = readAck(reply);
      if (ack.errno === ERRNO.EINVAL) throw queueMissing();
      if (ack.errno !== 0) throw new KernelError(what, ack.errno, ack.message);
    }
  }
}

/** nfnetlink answers EINVAL for a subsystem that it does not have and cannot load. */
function queueMissing(): HostError {
  return new HostError(
    "This kernel has no netfilter queue",
    "Load it (modprobe nfnetlink_queue), or use a kernel with CONFIG_NETFILTER_NETLINK_QUEUE",
  );
}

/**
 * Headers, vectors and messages lie in one piece of memory: the kernel goes from each to the next by
 * address, and what is passed to the call keeps all of it alive and in its place.
 */
function messageVectors(): { memory: ArrayBuffer; headers: Uint8Array<ArrayBuffer> } {
  const memory = new ArrayBuffer(MESSAGES_OFFSET + BATCH_PACKETS * MESSAGE_BYTES);
  const headers = new Uint8Array(memory, 0, VECTORS_OFFSET);
  const view = new DataView(memory);
  const address = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(headers)));
  for (let index = 0; index < BATCH_PACKETS; index++) {
    const vector = VECTORS_OFFSET + index * IOVEC_BYTES;
    const message = address + BigInt(MESSAGES_OFFSET + index * MESSAGE_BYTES);
    view.setBigUint64(vector, message, LITTLE_ENDIAN);
    view.setBigUint64(vector + 8, BigInt(MESSAGE_BYTES), LITTLE_ENDIAN);
    const header = index * MMSGHDR_BYTES;
    view.setBigUint64(header + MMSGHDR_IOV, address + BigInt(vector), LITTLE_ENDIAN);
    view.setBigUint64(header + MMSGHDR_IOVLEN, 1n, LITTLE_ENDIAN);
  }
  return { memory, headers };
}
