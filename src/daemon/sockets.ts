// The daemon's sockets and its lock: opened once, with words for what stands in the way.

import { type NetlinkSocket, openNetlinkSocket, SOCKET_BUFFER } from "../../ffi/libmnl.ts";
import { openPacketLog, type PacketLog } from "../../ffi/packet_log.ts";
import { openPacketQueue, type PacketQueue } from "../../ffi/packet_queue.ts";
import { HostError, KernelError } from "../errors.ts";
import { NETLINK, NETLINK_OPTION } from "../netlink/constants.ts";
import { openConversation } from "../netlink/conversation.ts";
import { listSessions, parseSession, type Session } from "../netlink/sock_diag.ts";
import { holderOf, listenerPort, lockNamespace, type Subsystem } from "./host.ts";
import type { Log } from "./log.ts";

/** Netlink messages of one transaction: 100,000 grants fit. */
const NFTABLES_BUFFER_BYTES = 16 * 1024 * 1024;

/** @throws {HostError} when another pk has it. */
export function takeLock(): Disposable {
  const lock = lockNamespace();
  if (!("holder" in lock)) return lock;
  // A holder in another pid namespace has no number here.
  const name = lock.holder > 0 ? `process ${lock.holder}` : "in another container";
  throw new HostError(
    `Another pk (${name}) runs in this network namespace`,
    "One pk can guard one namespace; stop the other first (pk down)",
  );
}

/** The one socket that owns the table and writes to it, for the daemon's life. */
export function openNftablesSocket(): NetlinkSocket {
  const socket = openNetfilterSocket();
  try {
    socket.setOption("NETLINK_EXT_ACK", NETLINK_OPTION.NETLINK_EXT_ACK, 1);
    socket.setOption("NETLINK_CAP_ACK", NETLINK_OPTION.NETLINK_CAP_ACK, 1);
    socket.setBuffer(SOCKET_BUFFER.SO_SNDBUFFORCE, NFTABLES_BUFFER_BYTES);
    socket.setBuffer(SOCKET_BUFFER.SO_RCVBUFFORCE, NFTABLES_BUFFER_BYTES);
  } catch (error) {
    socket[Symbol.dispose]();
    if (!(error instanceof KernelError && error.code === "EPERM")) throw error;
    throw new HostError(
      "pk may not change packet filters in this network namespace",
      "It needs CAP_NET_ADMIN in the user namespace that owns the network namespace",
    );
  }
  return socket;
}

function openNetfilterSocket(): NetlinkSocket {
  try {
    return openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
  } catch (error) {
    if (!(error instanceof KernelError && error.code === "EPROTONOSUPPORT")) throw error;
    throw new HostError(
      "This kernel has no netfilter netlink",
      "Load it (modprobe nfnetlink), or use a kernel with CONFIG_NETFILTER_NETLINK",
    );
  }
}

/**
 * @param mark of packets that are let in.
 * @throws {HostError} when the number is taken.
 */
export function bindQueue(queueNumber: number, mark: number): PacketQueue {
  try {
    return openPacketQueue(queueNumber, mark);
  } catch (error) {
    // The kernel answers the same for a queue that is taken and for a missing capability, which
    // was asked before.
    throw isKernelError(error, "EPERM") ? taken("Queue", "nfnetlink_queue", queueNumber) : error;
  }
}

/** @throws {HostError} when the number is taken. */
export function bindLogGroup(group: number): PacketLog {
  try {
    return openPacketLog(group);
  } catch (error) {
    throw isKernelError(error, "EPERM") ? taken("Log group", "nfnetlink_log", group) : error;
  }
}

/** A listener of ours whose number nobody has, or somebody else. */
export function lostListener(
  number: number,
  queuePort: number,
  copiesPort: number,
): string | undefined {
  const isLost = (subsystem: Subsystem, port: number) =>
    (listenerPort(subsystem, number) ?? port) !== port;
  if (isLost("nfnetlink_queue", queuePort)) return `Queue ${number}`;
  return isLost("nfnetlink_log", copiesPort) ? `Log group ${number}` : undefined;
}

/** Connections that exist before pk guards, which connection tracking may not know. */
export function liveSessions(log: Log): Session[] {
  try {
    using socket = openNetlinkSocket(NETLINK.NETLINK_SOCK_DIAG);
    const diag = openConversation(socket);
    return listSessions().flatMap((request) => diag.ask(request).map(parseSession));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    log("warning", "sessions unknown", {
      reason: error.message,
      hint: "live connections to guarded ports go on only where connection tracking knows them; " +
        "load the modules inet_diag and tcp_diag",
    });
    return [];
  }
}

function taken(what: string, subsystem: Subsystem, number: number): HostError {
  return new HostError(
    `${what} ${number} is taken by ${holderOf(subsystem, number) ?? "another process"}`,
    "Stop that process, or choose another number (--queue-num)",
  );
}

function isKernelError(error: unknown, code: string): boolean {
  return error instanceof KernelError && error.code === code;
}
