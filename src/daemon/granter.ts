// From completed sequences to grants: note what is used up, let in who waits, have the kernel write,
// and later, when nobody waits for it, read what the kernel said, keep the book and tell.
//
// **Invariant:** nothing is written before what it uses up is noted.

import {
  type Config,
  type Door,
  type Endpoint,
  endpointsOf,
  type Transport,
} from "../config/config.ts";
import { KernelError, UnansweredError } from "../errors.ts";
import { writeGrants } from "../firewall/firewall.ts";
import type { Grant } from "../firewall/grant.ts";
import { RENEWAL_MS } from "../limits.ts";
import type { Conversation } from "../netlink/conversation.ts";
import { formatAddress } from "../packet/address.ts";
import { isSameSource, type Source } from "../packet/header.ts";
import type { Admission, Opening, Refused } from "./admission.ts";
import { portFields } from "./fields.ts";
import { createGrantBook, type GrantBook, type Standing } from "./grant_book.ts";
import type { Fields, Log } from "./log.ts";
import type { Throttle } from "./throttle.ts";

const FULL_HINT = "as many as grants-max allows are open: raise it, or shorten the doors' time";

export interface GranterOptions {
  readonly config: Config;
  readonly kernel: Conversation;
  /** Notes what is used up, before the grant. */
  readonly admit: Admission;
  /**
   * Lets in what is held of a source for these ports, before there are grants for it; where nothing is,
   * it looks a little longer if something is expected.
   */
  readonly letIn: (
    source: Readonly<Source>,
    endpoints: readonly Endpoint[],
    isExpected: () => boolean,
    nowMs: number,
  ) => void;
  readonly log: Log;
  /** Takes a log line that can wait until no packet does. */
  readonly later: (line: () => void) => void;
  readonly throttles: Readonly<Record<"replay" | "error" | "granted", Throttle>>;
  /** Milliseconds since whenever: how long `admit` took. */
  readonly clock: () => number;
}

export interface Granter {
  /** Goes on with other doors; grants stay. */
  reload(config: Config): void;
  /** Grants that stand in the kernel already. */
  adopt(grants: readonly Grant[], nowMs: number): void;
  /**
   * Carries out what completed sequences have earned: when this comes back, their grants stand. What
   * the kernel says of them is read by `settle`, or here where one's refusal would take others with it.
   *
   * @returns false when something failed, of these or of the grants before.
   */
  open(completed: readonly Opening[], nowMs: number): boolean;
  /** Reads what the kernel said of the grants that were written last, and books them. */
  settle(): void;
  /** Takes out the grants whose time is over. */
  takeExpired(nowMs: number): readonly Grant[];
  /** When the next one ends, or undefined. */
  readonly nextEndMs: number | undefined;
  openGrants(nowMs: number): Grant[];
  /** Is there a grant for a port whose end was not taken yet? The protocol is TCP unless it is named. */
  isGranted(source: Readonly<Source>, port: number, protocol?: Transport): boolean;
  /** Openings, by what became of them; those that repeat one are not counted. */
  readonly counts: Readonly<Record<"granted" | "replayed" | "failed", number>>;
}

/** Grants that were handed to the kernel, whose answer was not read yet. */
interface Writing {
  readonly openings: readonly {
    readonly opening: Opening;
    readonly wanted: readonly Grant[];
    /** Its door is open to its source already. */
    readonly isRenewal: boolean;
  }[];
  readonly nowMs: number;
  refused(): { readonly grant: Grant; readonly error: Error }[];
}

export function createGranter(options: GranterOptions): Granter {
  const { kernel, admit, letIn, log, later, throttles, clock } = options;
  let { grantsMax } = options.config;
  let endpoints = endpointsByDoor(options.config);
  const book = createGrantBook();
  const counts = { granted: 0, replayed: 0, failed: 0 };
  let writing: Writing | undefined;

  const tellRefused = (
    { source, door, user }: Opening,
    { reason, error }: Refused,
    nowMs: number,
  ) => {
    if (error) counts.failed++;
    else counts.replayed++;
    if (!throttles[error ? "error" : "replay"].admit(nowMs)) return;
    const fields = { source: formatAddress(source), door: door.name, ...userField(user), reason };
    later(() => log(error ? "error" : "info", error ? "grant failed" : "replayed", fields));
  };

  /** One grant for each port that the door opens. One that another door gave for longer stays as long. */
  const grantsOf = ({ source, door }: Opening, find: GrantBook["find"], nowMs: number): Grant[] =>
    (endpoints.get(door) ?? []).map(({ protocol, port }) => {
      const leftMs = (find(source, protocol, port)?.endMs ?? nowMs) - nowMs;
      return { source, protocol, port, timeoutMs: Math.max(door.timeoutMs, leftMs) };
    });

  const tellGranted = ({ source, door, user }: Opening) => {
    later(() =>
      log("info", "granted", {
        source: formatAddress(source),
        door: door.name,
        ...userField(user),
        ...portFields(endpointsOf(door.opens)),
        timeoutMs: door.timeoutMs,
      })
    );
  };

  /** What the door gave its source last. A door's grants are written together: the first tells of all. */
  const standingOf = ({ source, door }: Opening, find: GrantBook["find"]): Standing | undefined => {
    const [first] = endpoints.get(door) ?? [];
    const standing = first && find(source, first.protocol, first.port);
    return standing?.door === door ? standing : undefined;
  };

  /** Has the same sequence just opened the same? Those that use something up never have. */
  const isRepeated = (opening: Opening, find: GrantBook["find"], nowMs: number): boolean => {
    const { door } = opening;
    if (!isPlain(door)) return false;
    const { notedMs = -Infinity } = standingOf(opening, find) ?? {};
    return nowMs - notedMs < Math.min(RENEWAL_MS, door.timeoutMs / 8);
  };

  /**
   * To be held until the kernel has carried out a transaction is a third of the time that somebody waits
   * who knocked alone. So it is not waited for, where nothing is used up and nothing can be seen that
   * could refuse the grant. Where connections end with it, their next segment needs the grant already.
   */
  const letInAtOnce = (completed: readonly Opening[], nowMs: number) => {
    const [first] = completed;
    if (first === undefined || (completed.length > 1 && !isOfOneSource(completed))) return;
    const doors = completed.length > 1 ? new Set(completed.map(({ door }) => door)) : [first.door];
    const wanted: Endpoint[] = [];
    for (const door of doors) {
      // Of two doors to one port none cuts where the other keeps: `parseConfig` sees to it.
      if (door.onExpire === "keep" && isPlain(door)) wanted.push(...endpoints.get(door) ?? []);
    }
    if (wanted.length === 0 || book.size + wanted.length > grantsMax) return;
    // With a grant nothing of it is held.
    const isExpected = () => completed.some((one) => !isRepeated(one, book.find, nowMs));
    letIn(first.source, wanted, isExpected, nowMs);
  };

  const grant = (admitted: readonly Opening[], nowMs: number) => {
    const planned = createGrantBook();
    const find: GrantBook["find"] = (...key) => planned.find(...key) ?? book.find(...key);
    const earned: Opening[] = [];
    for (const opening of admitted) {
      if (isRepeated(opening, planned.find, nowMs)) continue; // told with the one that it repeats
      if (isRepeated(opening, book.find, nowMs)) {
        if (throttles.granted.admit(nowMs)) tellGranted(opening);
        continue;
      }
      for (const grant of grantsOf(opening, find, nowMs)) planned.add(grant, nowMs, opening.door);
      earned.push(opening);
    }
    if (earned.length === 0) return;
    const openings = earned.map((opening) => ({
      opening,
      wanted: plannedFor(opening, planned),
      isRenewal: (standingOf(opening, book.find)?.endMs ?? -Infinity) > nowMs,
    }));
    // Each once: the kernel refuses a transaction that writes one element too often.
    const refused = tryWrite([...new Set(openings.flatMap(({ wanted }) => wanted))]);
    writing = { openings, nowMs, refused };
    // One that is refused takes the others' with it, until they are written anew.
    if (!isOfOneSource(earned)) settle();
  };

  /** The grants of an opening as they are to be written, each for as long as the longest of all says. */
  const plannedFor = ({ source, door }: Opening, planned: GrantBook): Grant[] =>
    (endpoints.get(door) ?? []).map(({ protocol, port }) =>
      planned.find(source, protocol, port)?.grant
    ).filter((grant) => grant !== undefined);

  const settle = () => {
    if (writing === undefined) return;
    const { openings, nowMs, refused } = writing;
    writing = undefined;
    const refusals = new Map(refused().map(({ grant, error }) => [grant, error]));
    for (const { opening, wanted, isRenewal } of openings) {
      const { source, door, user } = opening;
      const refusal = wanted.map((grant) => refusals.get(grant)).find((error) =>
        error !== undefined
      );
      // A grant that was not answered may stand: then it ends, and has to be written anew where the
      // table is taken away.
      const unanswered = refusal instanceof UnansweredError;
      for (const grant of wanted) {
        if (unanswered) book.add(grant, nowMs);
        else if (!refusals.has(grant)) book.add(grant, nowMs, door);
      }
      if (refusal === undefined) {
        counts.granted++;
        // Who has come in may renew it four times a second, and a thousand such would keep pk writing.
        if (!isRenewal || throttles.granted.admit(nowMs)) tellGranted(opening);
        continue;
      }
      counts.failed++;
      if (!throttles.error.admit(nowMs)) continue;
      const event = unanswered ? "grant unconfirmed" : "grant failed";
      const fields = { source: formatAddress(source), door: door.name, ...userField(user) };
      const { message: reason } = refusal;
      const isFull = refusal instanceof KernelError && refusal.code === "ENFILE";
      const hint = isFull ? { hint: FULL_HINT } : {};
      later(() => log("error", event, { ...fields, ...portFields(wanted), reason, ...hint }));
    }
  };

  // Whatever happens in these two, the packets must go on.

  const tryAdmit = (completed: readonly Opening[]): readonly (Refused | undefined)[] => {
    try {
      return admit(completed);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      return completed.map(() => ({ reason, error: true }));
    }
  };

  const tryWrite = (grants: readonly Grant[]): Writing["refused"] => {
    // A broken socket shows again at the next grant.
    const allRefused = (cause: unknown) => {
      const error = cause instanceof Error ? cause : new Error(String(cause));
      return grants.map((grant) => ({ grant, error }));
    };
    try {
      const written = writeGrants(kernel, grants);
      return () => {
        try {
          return written.refused();
        } catch (cause) {
          return allRefused(cause);
        }
      };
    } catch (cause) {
      return () => allRefused(cause);
    }
  };

  return {
    reload(config) {
      ({ grantsMax } = config);
      endpoints = endpointsByDoor(config);
    },

    adopt(grants, nowMs) {
      for (const grant of grants) book.add(grant, nowMs);
    },

    open(completed, nowMs) {
      const failedBefore = counts.failed;
      // How long a grant has yet is known only when it is in the book, and how many there are.
      settle();
      letInAtOnce(completed, nowMs);
      const startMs = clock();
      const refusals = tryAdmit(completed);
      // A disk that is busy takes seconds, and the kernel counts from when it has the grants.
      const admittedMs = nowMs + clock() - startMs;
      const admitted = completed.filter((opening, index) => {
        const refused = refusals[index];
        if (refused !== undefined) tellRefused(opening, refused, nowMs);
        return refused === undefined;
      });
      if (admitted.length > 0) grant(admitted, admittedMs);
      return counts.failed === failedBefore;
    },

    settle,
    takeExpired: (nowMs) => book.takeExpired(nowMs),

    get nextEndMs() {
      return book.nextEndMs;
    },

    openGrants(nowMs) {
      settle();
      return book.open(nowMs);
    },

    isGranted(source, port, protocol = "tcp") {
      settle();
      return book.has(source, protocol, port);
    },

    counts,
  };
}

/** Worked out once, since who knocked waits for it. */
function endpointsByDoor({ doors }: Config): ReadonlyMap<Door, readonly Endpoint[]> {
  return new Map(doors.map((door) => [door, endpointsOf(door.opens)]));
}

/** Other doors' sequences, or steps of them, are valid only once. */
function isPlain({ knock }: Door): boolean {
  return knock.kind === "plain";
}

function isOfOneSource(openings: readonly Opening[]): boolean {
  const [first] = openings;
  return first === undefined || openings.every(({ source }) => isSameSource(source, first.source));
}

function userField(user: string | undefined): Fields {
  return user === undefined ? {} : { user };
}
