// The daemon: copies → parse → step → grants → what was held goes on, one turn after the other, until
// a signal.
//
// **Invariant:** what is held is let in when its source is about to have a grant, or let go after every
// copy made before it was read and the kernel was given the grants they earned, which it carries out at
// once; and it is let go whatever happens to those grants.
// **Invariant:** a new configuration takes effect as a whole, or not at all.

import { libnetfilterQueue } from "../../ffi/libnetfilter_queue.ts";
import { libmnl } from "../../ffi/libmnl.ts";
import { openWaiter } from "../../ffi/wait.ts";
import { type Config, endpointsOf, type Transport } from "../config/config.ts";
import { HostError, KernelError } from "../errors.ts";
import { formsOf, hear, install, isOwned, shut } from "../firewall/firewall.ts";
import { LET_IN_MARK } from "../firewall/ruleset.ts";
import { readStandingSessions } from "../firewall/standing.ts";
import type { EventTime } from "../knock/lock.ts";
import type { HashKey } from "../knock/siphash.ts";
import {
  COLLECT_MS,
  FLOOD_COPIES,
  GARBAGE_MS,
  HOST_FIRST_LOOK_MS_MAX,
  HOST_LOOK_MS_MAX,
  LINGER_MS,
  TURN_MS,
} from "../limits.ts";
import { openConversation } from "../netlink/conversation.ts";
import type { Session } from "../netlink/sock_diag.ts";
import { createAdmission } from "./admission.ts";
import { readCounter } from "./counter.ts";
import { createDoors } from "./doors.ts";
import { createFlowCutter } from "./flow_cutter.ts";
import { createGatekeeper } from "./gatekeeper.ts";
import { createHearing } from "./hearing.ts";
import { requireNetAdmin } from "./host.ts";
import { watchHostFirewall } from "./host_firewall_watch.ts";
import { type Log, openLog } from "./log.ts";
import { useOneTimeSequence } from "./one_time_file.ts";
import { type ConfigSource, createReloader } from "./reloader.ts";
import {
  doorFields,
  tellCookies,
  tellPassphrases,
  tellReady,
  tellSshSession,
  tellUsedUp,
  tellWeakness,
} from "./report.ts";
import { type GuardedPorts, openSessionKeeper } from "./session_keeper.ts";
import {
  bindLogGroup,
  bindQueue,
  liveSessions,
  lostListener,
  openNftablesSocket,
  takeLock,
} from "./sockets.ts";
import { type Change, openTableWatch } from "./table_watch.ts";
import { watchTracking } from "./tracking_watch.ts";
import { createWatchdog } from "./watchdog.ts";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;
/** After a failure to put the table back. */
const RETRY_MS = 1_000;

/**
 * Runs until SIGTERM or SIGINT. Rules and grants stay in the kernel.
 *
 * @throws {HostError} before anything was changed, when the host lacks or forbids something.
 */
export async function runDaemon(first: Config, source: ConfigSource, log: Log): Promise<void> {
  let config = first;
  dropPermissions();
  libmnl();
  libnetfilterQueue();
  requireNetAdmin();
  using _lock = takeLock();
  using doors = createDoors(randomKey(), log);
  using socket = openNftablesSocket();
  const kernel = openConversation(socket);
  using queue = bindQueue(config.queueNumber, LET_IN_MARK);
  using copies = bindLogGroup(config.queueNumber);
  using waiter = openWaiter();
  // Watched from before the table is there, so that no change is missed.
  using watch = openTableWatch(socket.port);
  using reloader = createReloader({ source, config, doors, log, wake: waiter.wake });
  let stopSignal: string | undefined;
  const stopListening = onSignals((signal) => {
    if (signal === "SIGHUP") return reloader.ask();
    stopSignal = signal;
    waiter.wake();
  });
  let guarded = portsOf(config, "tcp");
  let sessions = liveSessions(log);
  const connections = sessions.length;
  // A grant may have ended while no pk ran to cut what came in by it.
  const standing = readStandingSessions(kernel);
  const isOlder = (session: Session) =>
    guarded.get(session.port) !== "cut" || standing?.isGuarded(session.port) !== true ||
    standing.isInherited(session);
  sessions = sessions.filter((session) => guarded.has(session.port) && isOlder(session));
  const installedAtMs = performance.now();
  const installed = install(kernel, config, formsOf(config.tableOwner), sessions);
  // Where the kernel protects the table, nobody else can change it.
  const owned = isOwned(installed.form);
  if (owned) watch[Symbol.dispose]();

  // The ports are shut by now, and stay so while passphrases become keys.
  tellPassphrases(config.doors, log);
  await doors.prepare(config.doors);
  let machine = doors.machineOf(config);
  doors.share(machine);
  const admit = createAdmission({
    used: () => doors.used,
    crossOut: (file, line) => useOneTimeSequence(file, line) === "used",
  });
  const gatekeeper = createGatekeeper({
    config,
    kernel,
    queue,
    copies,
    log,
    machine,
    admit,
    clock: () => performance.now(),
  });
  gatekeeper.adopt(installed.grants, installedAtMs);
  let keeper = openKeeper(isOlder);
  const watchdog = createWatchdog({
    counted: () => readCounter(kernel, "knocks"),
    lostListener: () => lostListener(config.queueNumber, queue.port, copies.port),
  }, performance.now());

  tellWeakness(config, log);
  tellUsedUp(config.doors, log);
  let hostFirewall = lookAtHostFirewall(HOST_FIRST_LOOK_MS_MAX);
  tellSshSession(config, log);
  tellCookies(config, log);
  tellReady(config, installed, sessions, log);
  const tracking = watchTracking({ ...config, connections }, log, performance.now());

  const hearing = createHearing({
    hear: (heard) => hear(kernel, config, installed.form, heard),
    unheard: () => readCounter(kernel, "unheard"),
    seed: randomWord(),
    log,
  }, performance.now());
  let collectAtMs = performance.now() + GARBAGE_MS;
  let change: Change | undefined;
  let restoreAtMs = Infinity;
  while (stopSignal === undefined) {
    const nowMs = performance.now();
    const dueMs = Math.min(
      gatekeeper.dueMs ?? Infinity,
      keeper?.dueMs ?? Infinity,
      restoreAtMs,
      reloader.dueMs,
      watchdog.dueMs,
      hearing.dueMs,
    );
    attend();
    await waiter.wait(dueMs - nowMs);
    const turnEndMs = performance.now() + TURN_MS;
    const { copied } = gatekeeper;
    do {
      keepTable();
      // In a flood copies are collected: only held packets are urgent, and to be woken for each copy
      // would cost the sender's processor as much as the copy.
      while (drain(turnEndMs) && gatekeeper.copied - copied >= FLOOD_COPIES) {
        if (performance.now() >= turnEndMs) break;
        waiter.lingerForFirst(COLLECT_MS);
      }
    } while (performance.now() < turnEndMs && linger());
    tick();
    if (performance.now() >= collectAtMs) {
      collectGarbage();
      collectAtMs = performance.now() + GARBAGE_MS;
    }
    watchdog.check(gatekeeper.copied, performance.now());
    hearing.check(gatekeeper, performance.now());
    tracking.check(config.filter, performance.now());
    hostFirewall.check(() => Number(gatekeeper.counters().granted), performance.now());
    const next = reloader.take(performance.now());
    if (next !== undefined) reload(next);
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
  keeper?.[Symbol.dispose]();
  stopListening();

  /** Handles what waits until `endMs`, since more may always come; false when nothing did. */
  function drain(endMs: number): boolean {
    let any = false;
    while (gatekeeper.handleBatch(now())) {
      any = true;
      keepTable();
      if (performance.now() >= endMs) break;
    }
    return any;
  }

  /**
   * Waits a little for the next packet. Somebody may be between two knocks: what was not used for some
   * milliseconds is no longer in the processor's caches, so it is used every millisecond.
   */
  function linger(): boolean {
    for (let ms = 0; ms < LINGER_MS; ms++) {
      if (waiter.linger(1) || gatekeeper.handleBatch(now())) return true;
    }
    return false;
  }

  function tick(): void {
    const nowMs = performance.now();
    const ended = gatekeeper.tick(nowMs);
    keeper?.grantsEnded(ended, nowMs);
    keeper?.tick(nowMs);
  }

  /** The reloader may have another descriptor than before. */
  function attend(): void {
    const { fd } = reloader;
    waiter.attend(
      [queue.fd, copies.fd, ...(owned ? [] : [watch.fd])],
      fd === undefined ? [] : [fd],
    );
  }

  function lookAtHostFirewall(withinMs: number) {
    return watchHostFirewall([...guarded.keys()], log, performance.now(), withinMs);
  }

  /** Where the table is protected and no connection ends with its grant, there is nothing to keep. */
  function openKeeper(isOlder: (connection: Session) => boolean = () => true) {
    if (owned && ![...guarded.values()].includes("cut")) return undefined;
    const { isGranted } = gatekeeper;
    const cutFlows = createFlowCutter({
      ports: () => new Set(portsOf(config, "udp").keys()),
      isGranted: (source, port) => isGranted(source, port, "udp"),
      log,
    });
    return openSessionKeeper({ ports: guarded, isGranted, isOlder, cutFlows, log });
  }

  /** Takes a new configuration over, or stays with the one there is and says why. */
  function reload(next: Config): void {
    const startMs = performance.now();
    const ports = portsOf(next, "tcp");
    const live = sessionsKept(next, ports);
    try {
      const other = doors.machineOf(next, machine);
      install(kernel, next, [installed.form], live, [], socket.port);
      hearing.installed(performance.now());
      machine = other;
      doors.share(machine);
    } catch (error) {
      reloader.refuse(error);
      return;
    }
    const guardsMore = [...ports.keys()].some((port) => !guarded.has(port));
    const samePorts = !guardsMore && ports.size === guarded.size;
    [config, guarded, sessions] = [next, ports, live];
    gatekeeper.reload(config, machine);
    if (keeper === undefined) keeper = openKeeper();
    else keeper.guard(guarded);
    reloader.accept(config, performance.now());
    if (guardsMore) tellSshSession(config, log);
    openLog(config.log.format, config.log.level);
    tellWeakness(config, log);
    tellUsedUp(config.doors, log);
    tellCookies(config, log);
    if (!samePorts) hostFirewall = lookAtHostFirewall(HOST_LOOK_MS_MAX);
    const tookMs = Math.round(performance.now() - startMs);
    log("info", "reloaded", { ...doorFields(config), tookMs });
  }

  /** Connections older than what guards them from now on. */
  function sessionsKept({ filter }: Config, ports: GuardedPorts): Session[] {
    const found = liveSessions(log).filter(({ port }) => ports.has(port));
    // Connection tracking, which begins now, knows none of them.
    if (config.filter === "stateless" && filter === "stateful") return found;
    // Guarded from now on, or cut from now on: who is in by no open grant stays.
    const added = found.filter(({ port, source }) =>
      guarded.get(port) !== ports.get(port) && !gatekeeper.isGranted(source, port)
    );
    return [...sessions.filter(({ port }) => ports.has(port)), ...added];
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
      hearing.installed(performance.now());
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

/** What only the client and the tools need, and nothing in a packet shall ever reach. */
function dropPermissions(): void {
  for (const name of ["net", "read", "write"] as const) Deno.permissions.revokeSync({ name });
}

/** Doors with sequences that follow from the time are the only ones that ask the wall clock. */
function now(): EventTime {
  return { nowMs: performance.now(), unixMs: Date.now() };
}

/** Guarded ports of a protocol, and what becomes of their connections. */
function portsOf({ doors }: Config, wanted: Transport): GuardedPorts {
  return new Map(
    doors.flatMap(({ opens, onExpire }) =>
      endpointsOf(opens).filter(({ protocol }) => protocol === wanted)
        .map(({ port }) => [port, onExpire] as const)
    ),
  );
}

/**
 * Left to itself, V8 collects old objects when they have grown by 8 MB and more: under a long flood that
 * looks like a leak, and is memory that a server lacks. Where V8 does not offer it, nothing happens.
 */
function collectGarbage(): void {
  (globalThis as { gc?: () => void }).gc?.();
}

/**
 * Listens for the signals that stop, and for SIGHUP, which never does: a terminal sends it when it goes
 * away, and without the daemon nobody new could come in, not even who closed that terminal by mistake.
 */
function onSignals(handle: (signal: Deno.Signal) => void): () => void {
  const handlers = SIGNALS.map((signal) => [signal, () => handle(signal)] as const);
  for (const [signal, handler] of handlers) Deno.addSignalListener(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) Deno.removeSignalListener(signal, handler);
  };
}

function randomKey(): HashKey {
  return [randomWord(), randomWord()];
}

function randomWord(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}
