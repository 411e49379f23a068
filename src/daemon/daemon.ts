// The daemon: copies → parse → step → grants → what was held goes on, one turn after the other, until
// a signal.
//
// **Invariant:** what is held is let go only after every copy made before it was read and the kernel
// has acked the grants they earned, and it is let go whatever happens to those grants.

import { libnetfilterQueue } from "../../ffi/libnetfilter_queue.ts";
import { libmnl, type NetlinkSocket, openNetlinkSocket, SOCKET_BUFFER } from "../../ffi/libmnl.ts";
import { openPacketLog, type PacketLog } from "../../ffi/packet_log.ts";
import { openPacketQueue, type PacketQueue } from "../../ffi/packet_queue.ts";
import { openWaiter } from "../../ffi/wait.ts";
import { type Config, PUBLIC_SEQUENCE } from "../config/config.ts";
import { HostError, KernelError } from "../errors.ts";
import {
  formsOf,
  install,
  type Installed,
  isOwned,
  readCounters,
  shut,
} from "../firewall/firewall.ts";
import { COLLECT_MS, GARBAGE_MS, LINGER_MS, TURN_MS } from "../limits.ts";
import { NETLINK, NETLINK_OPTION } from "../netlink/constants.ts";
import { type Conversation, openConversation } from "../netlink/conversation.ts";
import { strengthOf } from "../knock/strength.ts";
import { listSessions, parseSession, type Session } from "../netlink/sock_diag.ts";
import { formatAddress } from "../packet/address.ts";
import { createGatekeeper } from "./gatekeeper.ts";
import {
  holderOf,
  listenerPort,
  lockNamespace,
  requireNetAdmin,
  sshSessionPort,
  type Subsystem,
} from "./host.ts";
import { watchHostFirewall } from "./host_firewall_watch.ts";
import type { Log } from "./log.ts";
import { notifyServiceManager } from "./notify.ts";
import { openSessionKeeper } from "./session_keeper.ts";
import { type Change, openTableWatch } from "./table_watch.ts";
import { createWatchdog } from "./watchdog.ts";

/** Netlink messages of one transaction: 100,000 grants fit. */
const NFTABLES_BUFFER_BYTES = 16 * 1024 * 1024;
const SIGNALS = ["SIGTERM", "SIGINT"] as const;
/** After a failure to put the table back. */
const RETRY_MS = 1_000;

/**
 * Runs until SIGTERM or SIGINT. Rules and grants stay in the kernel.
 *
 * @throws {HostError} before anything was changed, when the host lacks or forbids something.
 */
export async function runDaemon(config: Config, log: Log): Promise<void> {
  libmnl();
  libnetfilterQueue();
  requireNetAdmin();
  using _lock = takeLock();
  using socket = openNftablesSocket();
  const kernel = openConversation(socket);
  using queue = bindQueue(config.queueNumber);
  using copies = bindLogGroup(config.queueNumber);
  using waiter = openWaiter();
  // Watched from before the table is there, so that no change is missed.
  using watch = openTableWatch(socket.port);
  const ports = new Set<number>(config.doors.map((door) => door.port));
  const sessions = liveSessions(log).filter((session) => ports.has(session.port));
  const installed = install(kernel, config, formsOf(config.tableOwner), sessions);
  // Where the kernel protects the table, nobody else can change it.
  const owned = isOwned(installed.form);
  if (owned) watch[Symbol.dispose]();
  waiter.attend([queue.fd, copies.fd, ...(owned ? [] : [watch.fd])]);

  const gatekeeper = createGatekeeper({ config, kernel, queue, copies, log, key: randomKey() });
  gatekeeper.adopt(installed.grants, performance.now());
  const { onExpire } = config;
  using keeper = owned && onExpire === "keep"
    ? undefined
    : openSessionKeeper({ ports: [...ports], onExpire, isGranted: gatekeeper.isGranted, log });
  const watchdog = createWatchdog({
    counted: () => knocksCounted(kernel),
    lostListener: () => lostListener(config.queueNumber, queue.port, copies.port),
  }, performance.now());

  let stopSignal: string | undefined;
  const stopListening = onSignals(log, (signal) => {
    stopSignal = signal;
    waiter.wake();
  });
  tellWeakness(config, log);
  const hostFirewall = watchHostFirewall([...ports], log, performance.now());
  announce(config, installed, sessions, log);

  let collectAtMs = performance.now() + GARBAGE_MS;
  let change: Change | undefined;
  let restoreAtMs = Infinity;
  while (stopSignal === undefined) {
    const nowMs = performance.now();
    const dueMs = Math.min(
      gatekeeper.dueMs ?? Infinity,
      keeper?.dueMs ?? Infinity,
      restoreAtMs,
      watchdog.dueMs,
    );
    await waiter.wait(dueMs - nowMs);
    const turnEndMs = performance.now() + TURN_MS;
    do {
      keepTable();
      // In a flood copies are collected: only held packets are urgent, and to be woken for each copy
      // would cost the sender's processor as much as the copy.
      while (drain(turnEndMs) && performance.now() < turnEndMs) waiter.lingerForFirst(COLLECT_MS);
    } while (performance.now() < turnEndMs && waiter.linger(LINGER_MS));
    tick();
    if (performance.now() >= collectAtMs) {
      collectGarbage();
      collectAtMs = performance.now() + GARBAGE_MS;
    }
    watchdog.check(gatekeeper.copied, performance.now());
    hostFirewall.check(() => Number(gatekeeper.counters().granted), performance.now());
  }
  drain(performance.now() + TURN_MS);
  tick();
  log("info", "stopping", {
    signal: stopSignal,
    ...gatekeeper.counters(),
    hint: "guarded ports stay shut and grants end on their time; pk down removes the rules",
  });
  // Last of all, since packets that wait when the queue is closed are dropped: what is held still goes
  // on its way, what comes later passes by a queue without a listener.
  drain(performance.now() + TURN_MS);
  queue[Symbol.dispose]();
  stopListening();

  /** Handles what waits until `endMs`, since more may always come; false when nothing did. */
  function drain(endMs: number): boolean {
    let any = false;
    while (gatekeeper.handleBatch(performance.now())) {
      any = true;
      keepTable();
      if (performance.now() >= endMs) break;
    }
    return any;
  }

  function tick(): void {
    const nowMs = performance.now();
    const ended = gatekeeper.tick(nowMs);
    keeper?.grantsEnded(ended, nowMs);
    keeper?.tick(nowMs);
  }

  /** Puts the table back where somebody changed it. */
  function keepTable(): void {
    const changed = owned ? undefined : watch.takeChange();
    if (changed === undefined && restoreAtMs > performance.now()) return;
    change = changed ?? change;
    restoreAtMs = restore() ? Infinity : performance.now() + RETRY_MS;
  }

  /** Where it fails, the restoration that follows does what is left, or tells why not. */
  function shutAtOnce(): void {
    try {
      shut(kernel, config, installed.form, gatekeeper.openGrants(performance.now()));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    }
  }

  function restore(): boolean {
    const startMs = performance.now();
    try {
      shutAtOnce();
      const shutMs = Math.round(performance.now() - startMs);
      keeper?.tableRestored(performance.now());
      install(kernel, config, [installed.form], sessions, gatekeeper.openGrants(startMs));
      log("warning", "restored", {
        reason: "somebody else changed the table pk",
        ...(change && watch.authorOf(change)),
        shutMs,
        tookMs: Math.round(performance.now() - startMs),
      });
      keeper?.tableRestored(performance.now());
      return true;
    } catch (error) {
      if (!(error instanceof KernelError) && !(error instanceof HostError)) throw error;
      log("error", "restore failed", { reason: error.message });
      return false;
    }
  }
}

/**
 * Left to itself, V8 collects old objects when they have grown by 8 MB and more: under a long flood that
 * looks like a leak, and is memory that a server lacks. Where V8 does not offer it, nothing happens.
 */
function collectGarbage(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

function takeLock(): Disposable {
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

function bindQueue(queueNumber: number): PacketQueue {
  try {
    return openPacketQueue(queueNumber);
  } catch (error) {
    // The kernel answers the same for a queue that is taken and for a missing capability, which
    // was asked before.
    throw isKernelError(error, "EPERM") ? taken("Queue", "nfnetlink_queue", queueNumber) : error;
  }
}

function bindLogGroup(group: number): PacketLog {
  try {
    return openPacketLog(group);
  } catch (error) {
    throw isKernelError(error, "EPERM") ? taken("Log group", "nfnetlink_log", group) : error;
  }
}

/** A listener of ours whose number nobody has, or somebody else. */
function lostListener(number: number, queuePort: number, copiesPort: number): string | undefined {
  const isLost = (subsystem: Subsystem, port: number) =>
    (listenerPort(subsystem, number) ?? port) !== port;
  if (isLost("nfnetlink_queue", queuePort)) return `Queue ${number}`;
  return isLost("nfnetlink_log", copiesPort) ? `Log group ${number}` : undefined;
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

/** Knocks that the kernel has counted, or undefined where the table is gone. */
function knocksCounted(kernel: Conversation): number | undefined {
  try {
    return readCounters(kernel).get("knocks");
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

/** Connections that exist before pk guards, which connection tracking may not know. */
function liveSessions(log: Log): Session[] {
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

/** What a guesser has on a sequence; never its ports. The public one was warned of before. */
function tellWeakness({ doors, decoys }: Config, log: Log): void {
  for (const { sequence } of doors) {
    const { weaknesses, scans } = strengthOf(sequence, decoys);
    if (weaknesses.length === 0 || sequence.join() === PUBLIC_SEQUENCE.join()) continue;
    log("warning", "weak sequence", {
      reasons: `the sequence ${weaknesses.join(", ")}`,
      ...(Number.isFinite(scans) ? { scans } : {}),
      hint: "choose five ports or more, in no order, and add --decoys",
    });
  }
}

function announce(
  config: Config,
  installed: Installed,
  sessions: readonly Session[],
  log: Log,
): void {
  const ports = config.doors.map((door) => door.port);
  const sshPort = sshSessionPort(Deno.env.get("SSH_CONNECTION"));
  if (sshPort !== undefined && ports.some((port) => port === sshPort)) {
    log("warning", "guards your ssh session", {
      port: sshPort,
      hint: "this session lives on, new ones need the knock: try it from a second terminal " +
        "before you close this one; pk down undoes everything",
    });
  }
  for (const { source, port } of sessions.slice(0, SESSIONS_SHOWN)) {
    log("debug", "inherited", { source: formatAddress(source), port });
  }
  log("info", "ready", {
    port: ports.length === 1 ? Number(ports[0]) : ports.join(","),
    queue: config.queueNumber,
    adopted: installed.adopted,
    grants: installed.grants.length,
    inherited: sessions.length,
    owner: isOwned(installed.form),
    queueKind: installed.form.queueKind,
    hint: "pk only shuts: the host's own firewall must allow the guarded port",
  });
  try {
    notifyServiceManager("READY=1");
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    log("warning", "service manager not told", { reason: error.message });
  }
}

const SESSIONS_SHOWN = 20;

/**
 * Listens for the signals that stop. SIGHUP, which a terminal sends when it goes away, does not:
 * without the daemon nobody new could come in, not even who closed that terminal by mistake.
 */
function onSignals(log: Log, stop: (signal: string) => void): () => void {
  const handlers = SIGNALS.map((signal) => [signal, () => stop(signal)] as const);
  const hangup = () => log("info", "hangup ignored", { hint: "stop pk with SIGTERM or pk down" });
  for (const [signal, handler] of handlers) Deno.addSignalListener(signal, handler);
  Deno.addSignalListener("SIGHUP", hangup);
  return () => {
    for (const [signal, handler] of handlers) Deno.removeSignalListener(signal, handler);
    Deno.removeSignalListener("SIGHUP", hangup);
  };
}

function randomKey(): [number, number] {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return [words[0] ?? 0, words[1] ?? 0];
}
