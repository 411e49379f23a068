// Which connections to guarded ports may live on, and the end of the others. Two things need it: the
// table that somebody took away, while everybody could come in, and `--on-expire cut`.
//
// Legitimate is a connection that is older than pk, or whose source has an open grant, or (`keep`)
// that was there when its grant ended, or that comes from this host itself, which nobody guards.
// After the table was put back all others are ended, with a reset to both sides.
//
// Only sockets of this network namespace can be seen and ended. What is published from a container
// by DNAT has none here: its connections are in connection tracking. The flush that takes pk's table
// mostly takes the DNAT rule as well, and nobody comes in; where only pk's table was away, such a
// connection lives on. Published by a proxy process, it has a socket here.

import { openNetlinkSocket } from "../../ffi/libmnl.ts";
import type { OnExpire } from "../config/config.ts";
import { KernelError } from "../errors.ts";
import type { Grant } from "../firewall/grant.ts";
import { LEGITIMATE_MAX, PORTS_LISTED_MAX } from "../limits.ts";
import { NETLINK } from "../netlink/constants.ts";
import { type Conversation, type NamedRequest, openConversation } from "../netlink/conversation.ts";
import {
  type Connection,
  destroy,
  listClients,
  listConnections,
  parseConnection,
  type Session,
  tryDestroy,
} from "../netlink/sock_diag.ts";
import { formatAddress } from "../packet/address.ts";
import type { Source } from "../packet/header.ts";
import { cutAll, end } from "./cuts.ts";
import type { Log } from "./log.ts";

/**
 * How long after the end of its grant a source may still come in: the kernel started its timer later
 * than the daemon, by the time a batch takes.
 */
const GRANT_END_MS = 1_000;

/**
 * Connections that came in may also become sockets later: a handshake under SYN cookies has none
 * before its last ACK, which connection tracking lets in for 60 s. So they are looked for again and
 * again, each time after twice the time: 0, 125, 375 ms, ... 64 s.
 */
const SWEEP_GAP_MS_MIN = 125;
const SWEEP_GAP_MS_MAX = 32_000;

export interface SessionKeeper {
  /**
   * Guards other ports from now on; connections to those that are new, or are treated otherwise, are
   * legitimate where no grant is open for them.
   */
  guard(ports: GuardedPorts): void;
  /** Grants have ended: with `keep` their connections become legitimate, with `cut` they end. */
  grantsEnded(grants: readonly Grant[], nowMs: number): void;
  /** The table is back: ends what came in while it was away, at once and when it is due. */
  tableRestored(nowMs: number): void;
  /** Does what is due. */
  tick(nowMs: number): void;
  /** When `tick` will have something to do, or undefined. */
  readonly dueMs: number | undefined;
}

/** Guarded TCP ports, and what happens to their connections when a grant ends. */
export type GuardedPorts = ReadonlyMap<number, OnExpire>;

export interface SessionKeeperOptions {
  readonly ports: GuardedPorts;
  /** Does the daemon know a grant for it that has not been told to have ended? */
  readonly isGranted: (source: Readonly<Source>, port: number) => boolean;
  /** May a connection without a grant be there when the keeper begins? */
  readonly isOlder: (connection: Session) => boolean;
  /** Ends flows of datagrams that came in while the table was away; false where some were left. */
  readonly cutFlows: () => boolean;
  readonly log: Log;
}

/**
 * A keeper with a socket of its own, or none where the kernel has no such sockets, which is told. To
 * be opened when the table stands and its grants are known.
 */
export function openSessionKeeper(
  options: SessionKeeperOptions,
): (SessionKeeper & Disposable) | undefined {
  try {
    const socket = openNetlinkSocket(NETLINK.NETLINK_SOCK_DIAG);
    const keeper = createSessionKeeper(options, openConversation(socket));
    return Object.assign(keeper, { [Symbol.dispose]: () => socket[Symbol.dispose]() });
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    tellUnable(options.log, error);
    return undefined;
  }
}

/**
 * Takes the connections that are there now for legitimate, but for those with an open grant, and those
 * whose grant has ended while nobody was there to see it, which end with the first tick.
 */
export function createSessionKeeper(
  { ports, isGranted, isOlder, cutFlows, log }: SessionKeeperOptions,
  diag: Conversation,
): SessionKeeper {
  let guarded = ports;
  /** Cookies of their sockets; sockets that no list shows any more are forgotten. */
  let legitimate = new Set<bigint>();
  /** Grants that have ended, with when no connection can come of them any more; in that order. */
  const ended = new Map<string, number>();
  let sweepDueMs = Number.POSITIVE_INFINITY;
  let sweepGapMs = SWEEP_GAP_MS_MIN;
  /** The kernel ends no sockets, or does not tell which were there before. */
  let unable = false;
  let fullTold = false;

  const ask = (requests: readonly NamedRequest[]): Connection[] =>
    requests.flatMap((request) => diag.ask(request).map(parseConnection));

  /** Of a few ports the kernel picks them out, but walks through all sockets for each. */
  const askFor = (request: (port: number) => NamedRequest[]) =>
    ask(guarded.size <= PORTS_LISTED_MAX ? [...guarded.keys()].flatMap(request) : request(0));

  const list = (): Connection[] => {
    const found = askFor(listConnections).filter(({ port, timeWait }) =>
      guarded.has(port) && !timeWait
    );
    const cookies = found.map(({ cookie }) => cookie);
    legitimate = new Set(cookies.filter((cookie) => legitimate.has(cookie)));
    return found;
  };

  const legitimize = (connections: readonly Connection[]) => {
    for (const { cookie } of connections) {
      if (legitimate.size < LEGITIMATE_MAX) legitimate.add(cookie);
      else if (!fullTold) {
        fullTold = true;
        log("warning", "too many sessions", {
          limit: LEGITIMATE_MAX,
          hint: "those beyond the limit are cut when somebody takes the table away",
        });
      }
    }
  };

  /** Those that do not come from this host: a client's end here shows the same two addresses. */
  const fromElsewhere = (connections: readonly Connection[]): readonly Connection[] => {
    if (connections.length === 0) return [];
    const clients = askFor(listClients);
    const ends = new Set(clients.map((client) => endsKey(client.local, client.source, client)));
    return connections.filter(({ local, source, port, sourcePort }) => {
      const mirrored = endsKey(source, local, { port: sourcePort, sourcePort: port });
      return !ends.has(mirrored);
    });
  };

  /** Ends connections; false where some were left. */
  const cut = (connections: readonly Connection[], reason: string): boolean => {
    // Spoofed SYNs can be many, and matter least.
    const inOrder = [
      ...connections.filter(({ halfOpen }) => !halfOpen),
      ...connections.filter(({ halfOpen }) => halfOpen),
    ];
    const cuts = inOrder.map((connection) => {
      const { source, sourcePort, port, halfOpen } = connection;
      const fields = { source: formatAddress(source), sourcePort, port, reason };
      return { request: destroy(connection), fields: halfOpen ? undefined : fields };
    });
    return cutAll(diag, cuts, log);
  };

  /** Sees to the connections of grants that ended; false where some were left. */
  const settle = (grants: ReadonlySet<string>): boolean => {
    const theirs = list().filter(({ source, port, cookie }) =>
      grants.has(grantKey(source, port)) && !legitimate.has(cookie) && !isGranted(source, port)
    );
    legitimize(theirs.filter(({ port }) => guarded.get(port) === "keep"));
    const ending = theirs.filter(({ port }) => guarded.get(port) === "cut");
    return cut(ending, "its grant has ended");
  };

  /** Ends connections that may not live; false where some were left. */
  const sweepConnections = (): boolean => {
    const unknown = list().filter(({ source, port, cookie }) =>
      !legitimate.has(cookie) && !isGranted(source, port) && !ended.has(grantKey(source, port))
    );
    return cut(fromElsewhere(unknown), "it came in while the table was away");
  };

  /** Ends what may not live. */
  const sweep = (): boolean => {
    const done = [sweepConnections(), cutFlows()].every((each) => each);
    if (!done) sweepGapMs = SWEEP_GAP_MS_MIN;
    return done;
  };

  /** As it says, or false where the kernel refuses, which is told. */
  const attempt = (work: () => boolean): boolean => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      log("error", "cut failed", { reason: error.message });
      return false;
    }
  };

  const postpone = (grants: ReadonlySet<string>, nowMs: number) => {
    for (const grant of grants) {
      ended.delete(grant); // so that it comes last
      ended.set(grant, nowMs + GRANT_END_MS);
    }
  };

  const settleDue = (nowMs: number) => {
    const due = new Set<string>();
    for (const [grant, dueMs] of ended) {
      if (dueMs > nowMs) break;
      due.add(grant);
    }
    if (due.size === 0) return;
    if (!attempt(() => settle(due))) return postpone(due, nowMs);
    for (const grant of due) ended.delete(grant);
  };

  const sweepDue = (nowMs: number) => {
    if (sweepDueMs > nowMs) return;
    attempt(sweep);
    sweepDueMs = sweepGapMs > SWEEP_GAP_MS_MAX ? Number.POSITIVE_INFINITY : nowMs + sweepGapMs;
    sweepGapMs *= 2;
  };

  try {
    end(diag, tryDestroy());
    const found = list().filter(({ source, port }) => !isGranted(source, port));
    legitimize(found.filter(isOlder));
    // As if their grants ended now.
    for (const { source, port } of fromElsewhere(found.filter((one) => !isOlder(one)))) {
      ended.set(grantKey(source, port), 0);
    }
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    unable = true;
    tellUnable(log, error);
  }

  return {
    guard(next) {
      const others = [...next.keys()].filter((port) => guarded.get(port) !== next.get(port));
      guarded = next;
      if (unable || others.length === 0) return;
      attempt(() => {
        legitimize(
          list().filter(({ source, port }) => others.includes(port) && !isGranted(source, port)),
        );
        return true;
      });
    },

    grantsEnded(grants, nowMs) {
      const ofTcp = grants.filter(({ protocol }) => protocol === "tcp");
      if (unable || ofTcp.length === 0) return;
      postpone(keysOf(ofTcp), nowMs);
      const cutting = ofTcp.filter(({ port }) => guarded.get(port) === "cut");
      if (cutting.length > 0) attempt(() => settle(keysOf(cutting)));
    },

    tableRestored(nowMs) {
      sweepGapMs = SWEEP_GAP_MS_MIN;
      sweepDueMs = nowMs;
      if (!unable) sweepDue(nowMs);
    },

    tick(nowMs) {
      if (unable) return;
      settleDue(nowMs);
      sweepDue(nowMs);
    },

    get dueMs() {
      if (unable) return undefined;
      const [settleDueMs = Infinity] = ended.values();
      const dueMs = Math.min(settleDueMs, sweepDueMs);
      return Number.isFinite(dueMs) ? dueMs : undefined;
    },
  };
}

function tellUnable(log: Log, { code, message }: KernelError): void {
  log("warning", "cannot cut connections", {
    reason: message,
    hint: code === "EOPNOTSUPP"
      ? "use a kernel with CONFIG_INET_DIAG_DESTROY"
      : "load the modules inet_diag and tcp_diag, and start pk again",
  });
}

function keysOf(grants: readonly Grant[]): Set<string> {
  return new Set(grants.map(({ source, port }) => grantKey(source, port)));
}

function grantKey(source: Readonly<Source>, port: number): string {
  return `${formatAddress(source)} ${port}`;
}

function endsKey(
  near: Readonly<Source>,
  far: Readonly<Source>,
  { port, sourcePort }: { readonly port: number; readonly sourcePort: number },
): string {
  return `${formatAddress(near)} ${port} ${formatAddress(far)} ${sourcePort}`;
}
