// The receiving end of a netfilter queue: packets that wait, and the verdict that lets them go on, all
// of them or one with a mark. There is no other verdict: what a packet may do, rules decide.

import { ERRNO, HostError, KernelError } from "../src/errors.ts";
import {
  BATCH_PACKETS,
  HELD_COPY_RANGE_BYTES,
  HELD_MESSAGE_BYTES,
  QUEUE_BUFFER_BYTES,
  QUEUE_LENGTH_MAX,
} from "../src/limits.ts";
import { NETLINK, NETLINK_OPTION, NLMSG } from "../src/netlink/constants.ts";
import { readAck, readMessages } from "../src/netlink/message.ts";
import { NFQA_CFG_F, NFQNL_COPY } from "../src/nfqueue/constants.ts";
import { acceptEncoder, acceptMarkedEncoder, encodeQueueBind } from "./libnetfilter_queue.ts";
import { openNetlinkSocket, SOCKET_BUFFER } from "./libmnl.ts";
import { type MessageBatch, openMessageBatch } from "./message_batch.ts";

export interface PacketQueue extends MessageBatch, Disposable {
  readonly fd: number;
  /** Netlink port of the listening socket. */
  readonly port: number;
  /** Lets all packets up to this id go on their way. */
  accept(lastId: number): void;
  /** Lets the packet with this id go on its way, with the queue's mark. */
  acceptMarked(id: number): void;
}

/**
 * Binds a queue: packets come along up to HELD_COPY_RANGE_BYTES. When QUEUE_LENGTH_MAX of them wait,
 * further ones pass by (fail-open), which is safe since another chain guards.
 *
 * @param mark what `acceptMarked` marks packets with.
 *
 * @throws {KernelError} EPERM when somebody else has the queue or CAP_NET_ADMIN is missing.
 */
export function openPacketQueue(queueNumber: number, mark: number): PacketQueue {
  const socket = openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
  try {
    const config = {
      copyMode: NFQNL_COPY.NFQNL_COPY_PACKET,
      copyRange: HELD_COPY_RANGE_BYTES,
      maxLength: QUEUE_LENGTH_MAX,
      // Not to have checksums worked out, or what was joined taken apart, for packets that go on anyway.
      flags: NFQA_CFG_F.NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F.NFQA_CFG_F_GSO,
    };
    bind(encodeQueueBind(queueNumber, config));
    // A full socket must look like a full queue (fail-open), not like an error of the next read.
    socket.setOption("NETLINK_NO_ENOBUFS", NETLINK_OPTION.NETLINK_NO_ENOBUFS, 1);
    socket.setBuffer(SOCKET_BUFFER.SO_RCVBUFFORCE, QUEUE_BUFFER_BYTES);
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
  const encodeAccept = acceptEncoder(queueNumber);
  const encodeAcceptMarked = acceptMarkedEncoder(queueNumber, mark);
  return {
    fd: socket.fd,
    port: socket.port,
    ...openMessageBatch(socket.fd, BATCH_PACKETS, HELD_MESSAGE_BYTES),
    accept: (lastId) => socket.send(encodeAccept(lastId)),
    acceptMarked: (id) => socket.send(encodeAcceptMarked(id)),
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
