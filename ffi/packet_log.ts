// The receiving end of a netfilter log group: copies of packets that have gone on their way already.

import { HostError, KernelError } from "../src/errors.ts";
import {
  BATCH_PACKETS,
  COPY_RANGE_BYTES,
  LOG_BUFFER_BYTES,
  LOG_MESSAGE_BYTES,
} from "../src/limits.ts";
import { NETLINK, NETLINK_OPTION } from "../src/netlink/constants.ts";
import { openConversation } from "../src/netlink/conversation.ts";
import { bindGroup } from "../src/nflog/bind.ts";
import { openNetlinkSocket, SOCKET_BUFFER } from "./libmnl.ts";
import { type MessageBatch, openMessageBatch } from "./message_batch.ts";

export interface PacketLog extends MessageBatch, Disposable {
  readonly fd: number;
  /** Netlink port of the listening socket. */
  readonly port: number;
}

/**
 * Binds a log group: packets are copied up to COPY_RANGE_BYTES. When LOG_BUFFER_BYTES of copies wait
 * to be read, further ones are lost; their running numbers tell.
 *
 * @throws {KernelError} EPERM when somebody else has the group or CAP_NET_ADMIN is missing.
 * @throws {HostError} when the kernel has no log groups.
 */
export function openPacketLog(group: number): PacketLog {
  const socket = openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
  try {
    socket.setBuffer(SOCKET_BUFFER.SO_RCVBUFFORCE, LOG_BUFFER_BYTES);
    openConversation(socket).ask(bindGroup(group, COPY_RANGE_BYTES));
    // Losses are counted by number; a full buffer must not look like an error of the next read.
    socket.setOption("NETLINK_NO_ENOBUFS", NETLINK_OPTION.NETLINK_NO_ENOBUFS, 1);
  } catch (error) {
    socket[Symbol.dispose]();
    if (!(error instanceof KernelError && error.code === "EINVAL")) throw error;
    throw new HostError(
      "This kernel has no netfilter log groups",
      "Load them (modprobe nfnetlink_log), or use a kernel with CONFIG_NETFILTER_NETLINK_LOG",
    );
  }
  return {
    fd: socket.fd,
    port: socket.port,
    ...openMessageBatch(socket.fd, BATCH_PACKETS, LOG_MESSAGE_BYTES),
    [Symbol.dispose]: () => socket[Symbol.dispose](),
  };
}
