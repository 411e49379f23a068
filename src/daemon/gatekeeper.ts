// The copies of knocks, and what waits for them: parse each copy, step the machine, write the grants
// of a batch in one transaction; then what was held goes on. All else waits for a quiet moment.
//
// **Invariant:** when a batch is handled, every packet that was read has had its verdict; one that failed is
// given anew with the next.

import type { PacketLog } from "../../ffi/packet_log.ts";
import type { PacketQueue } from "../../ffi/packet_queue.ts";
import type { Config, Door, Transport } from "../config/config.ts";
import { KernelError } from "../errors.ts";
import type { Grant } from "../firewall/grant.ts";
import type { EventTime } from "../knock/lock.ts";
import type { Effect, KnockMachine } from "../knock/machine.ts";
import { PROTOCOL } from "../knock/rules.ts";
import { COPIES_MAX, LET_IN_TRIES, LINES_PER_SECOND } from "../limits.ts";
import type { Conversation } from "../netlink/conversation.ts";
import { decodeLogMessage, emptyLoggedPacket, LOGGED } from "../nflog/log_message.ts";
import { decodePacketMessage, emptyQueuedPacket, QUEUE } from "../nfqueue/packet_message.ts";
import { formatAddress } from "../packet/address.ts";
import { emptyHeader, isSameSource, type PacketHeader, type Source } from "../packet/header.ts";
import { isKnock, PARSE_NAMES } from "../packet/outcome.ts";
import { parsePacket } from "../packet/parse.ts";
import type { Admission, Opening } from "./admission.ts";
import { bySource, portFields } from "./fields.ts";
import { createGranter, type GranterOptions } from "./granter.ts";
import type { Fields, Log } from "./log.ts";
import { createRefusalCount } from "./refusal_count.ts";
import { createThrottle } from "./throttle.ts";

/** Between two lines about copies that were lost. */
const LOSS_INTERVAL_MS = 1_000;

type Batch = "receive" | "view" | "capacity" | "messageBytes" | "messageLength";

export interface GatekeeperOptions {
  readonly config: Config;
  readonly kernel: Conversation;
  readonly queue: Pick<PacketQueue, Exclude<Batch, "capacity"> | "accept" | "acceptMarked">;
  readonly copies: Pick<PacketLog, Batch>;
  readonly log: Log;
  /** Made of the configuration's doors. */
  readonly machine: KnockMachine;
  /** Notes what is used up, before the grant. */
  readonly admit: Admission;
  /** Milliseconds since whenever: how long that took. */
  readonly clock: () => number;
}

export interface Gatekeeper {
  /** Goes on with other doors; grants and what is not told yet stay. */
  reload(config: Config, machine: KnockMachine): void;
  /** Grants that stand in the kernel already. */
  adopt(grants: readonly Grant[], nowMs: number): void;
  /**
   * Reads a batch of copies at most, what is held, a batch at most, and where something is held all
   * copies, since the knocks it waits for are among them. False when nothing was there: then it has read
   * what the kernel said of the grants.
   */
  handleBatch(time: EventTime): boolean;
  /**
   * Writes the log lines of the batches before, of grants that ended, and of lines left out.
   *
   * @returns the grants that ended.
   */
  tick(nowMs: number): readonly Grant[];
  /** When `tick` will have something to tell, or undefined. */
  readonly dueMs: number | undefined;
  openGrants(nowMs: number): Grant[];
  /** Is there a grant for a port whose end was not told yet? The protocol is TCP unless it is named. */
  isGranted(source: Readonly<Source>, port: number, protocol?: Transport): boolean;
  /** Copies that the kernel made since the first one was read: those read, and those lost. */
  readonly copied: number;
  readonly lost: number;
  /** Packets and what became of them, for the last log line. */
  counters(): Fields;
}

/** A packet that is held. */
interface Waiting {
  readonly id: number;
  /**
   * Of a SYN. Undefined of a datagram, which may be part of something established and then does not come
   * to `gate`; where its headers did not come along; and where it bears a mark, which must not be lost.
   */
  readonly from: Readonly<Source> | undefined;
  readonly port: number;
  isLetIn: boolean;
}

export function createGatekeeper(options: GatekeeperOptions): Gatekeeper {
  const { kernel, queue, copies, log, admit, clock } = options;
  let { config, machine } = options;
  const held = emptyQueuedPacket();
  const heldHeader = emptyHeader();
  const copy = emptyLoggedPacket();
  const header = emptyHeader();
  const parsed = new Float64Array(PARSE_NAMES.length);
  const counts = {
    packets: 0,
    lost: 0,
    held: 0,
    knocks: 0,
    decoys: 0,
    undecoded: 0,
  };
  const throttles = {
    knock: createThrottle(LINES_PER_SECOND),
    decoy: createThrottle(LINES_PER_SECOND),
    replay: createThrottle(LINES_PER_SECOND),
    granted: createThrottle(LINES_PER_SECOND),
    error: createThrottle(LINES_PER_SECOND),
  };
  const refusedSyns = createRefusalCount(kernel);
  let lostUntold = 0;
  let lossDueMs = Number.NEGATIVE_INFINITY;
  let unjudgedDueMs = Number.NEGATIVE_INFINITY;
  /** The number that the next copy will have if none is lost. */
  let nextSequence: number | undefined;

  /** What is held and was read. */
  let waiting: Waiting[] = [];
  /** Something is held besides, that was not decoded or whose verdict failed. */
  let isOverdue = false;
  /** Sequences that the copies of this batch completed. */
  let openings: Opening[] = [];
  /** Lines to be written when no packet waits for it. */
  let lines: (() => void)[] = [];
  const later = (line: () => void) => void lines.push(line);
  const letIn: GranterOptions["letIn"] = (source, endpoints, isExpected, nowMs) => {
    // Who connects at once after the last knock is there by now, or will be in a moment.
    if (waiting.length === 0 && takeHeld() === 0 && isExpected()) {
      for (let tries = 1; waiting.length === 0 && tries < LET_IN_TRIES; tries++) takeHeld();
    }
    for (const packet of waiting) {
      if (packet.from === undefined || packet.isLetIn || !isSameSource(packet.from, source)) {
        continue;
      }
      const { port } = packet;
      if (!endpoints.some((one) => one.protocol === "tcp" && one.port === port)) continue;
      packet.isLetIn = tryVerdict(() => queue.acceptMarked(packet.id), nowMs);
    }
  };
  const granter = createGranter({ config, kernel, admit, letIn, log, later, throttles, clock });

  const countLoss = () => {
    const lost = nextSequence === undefined ? 0 : (copy.sequence - nextSequence) >>> 0;
    nextSequence = (copy.sequence + 1) >>> 0;
    counts.lost += lost;
    lostUntold += lost;
  };

  const handleCopy = (time: EventTime) => {
    counts.packets++;
    countLoss();
    const outcome = parsePacket(copies.view, copy.payloadOffset, copy.payloadLength, header);
    parsed[outcome] = (parsed[outcome] ?? 0) + 1;
    if (!isKnock(outcome)) return;
    if (copy.mark !== 0) return handleRefused(time.nowMs);
    const effects = machine.step(header, time);
    for (let index = 0; index < effects; index++) handleEffect(machine.effect(index), time.nowMs);
    if (machine.isDecoy(header)) handleDecoy(time.nowMs);
  };

  const handleEffect = (
    { door: index, stage, of, line, timeStep, user }: Effect,
    nowMs: number,
  ) => {
    counts.knocks++;
    const door = config.doors[index] as Door;
    if (stage === of) openings.push({ door, source: sourceOf(header), line, timeStep, user });
    // Stage 1 is what every scanner reaches.
    if (stage === 1 && config.log.level !== "debug") return;
    if (!throttles.knock.admit(nowMs)) return;
    const source = sourceOf(header);
    later(() => {
      const fields = { source: formatAddress(source), door: door.name, stage, of };
      log(stage === 1 ? "debug" : "info", "knock", fields);
    });
  };

  const handleDecoy = (nowMs: number) => {
    counts.decoys++;
    if (!throttles.decoy.admit(nowMs)) return;
    const source = formatAddress(header);
    later(() => log("info", "decoy", { source }));
  };

  /** The kernel copies only some of the SYNs that it refuses, and counts them all. */
  const handleRefused = (nowMs: number) => {
    refusedSyns.tell(nowMs);
    const source = formatAddress(header);
    const protocol = header.protocol === PROTOCOL.udp ? "udp" : "tcp";
    const fields = portFields([{ protocol, port: header.destinationPort }]);
    later(() => log("info", "refused", { source, ...fields }));
  };

  /** @returns false when some grant, these or those before, failed. */
  const handleCopies = (count: number, time: EventTime): boolean => {
    for (let index = 0; index < count; index++) {
      const offset = index * copies.messageBytes;
      const length = Math.min(copies.messageLength(index), copies.messageBytes);
      if (decodeLogMessage(copies.view, offset, length, copy) === LOGGED.packet) handleCopy(time);
      else counts.undecoded++;
    }
    if (openings.length === 0) return true;
    const wentWell = granter.open(openings, time.nowMs);
    openings = [];
    return wentWell;
  };

  /** Reads copies, a batch or all that are there. */
  const takeCopies = (all: boolean, time: EventTime): { read: number; wentWell: boolean } => {
    let read = 0;
    for (;;) {
      const count = copies.receive();
      read += count;
      // A kernel that refuses or does not answer takes time, which what is held must not wait for.
      const wentWell = handleCopies(count, time);
      // Fewer than a batch: at that moment no other was there.
      const isLast = !all || count < copies.capacity || read >= COPIES_MAX;
      if (isLast || !wentWell) return { read, wentWell };
    }
  };

  /** Doors that a flood keeps from judging all knocks at them. */
  const tellUnjudged = (nowMs: number) => {
    if (machine.locks.size === 0 || nowMs < unjudgedDueMs) return;
    unjudgedDueMs = nowMs + LOSS_INTERVAL_MS;
    for (const [door, lock] of machine.locks) {
      const count = lock.takeUnjudged();
      if (count === 0) continue;
      log("warning", "knocks not judged", {
        door: config.doors[door]?.name ?? "",
        count,
        hint:
          "more came to this door than it may spend time on; who knocked meanwhile may have to " +
          "knock again",
      });
    }
  };

  /** Reads what is held, a batch at most. @returns how many. */
  const takeHeld = (): number => {
    const count = queue.receive();
    for (let index = 0; index < count; index++) {
      const offset = index * queue.messageBytes;
      const length = Math.min(queue.messageLength(index), queue.messageBytes);
      if (decodePacketMessage(queue.view, offset, length, held) === QUEUE.packet) {
        counts.held++;
        const { view } = queue;
        const outcome = parsePacket(view, held.payloadOffset, held.payloadLength, heldHeader);
        const isSyn = isKnock(outcome) && heldHeader.protocol === PROTOCOL.tcp;
        waiting.push({
          id: held.id,
          from: isSyn && held.mark === 0 ? sourceOf(heldHeader) : undefined,
          port: heldHeader.destinationPort,
          isLetIn: false,
        });
      } else {
        counts.undecoded++;
        isOverdue = true;
      }
    }
    return count;
  };

  /** Lets go on what waits, and what is overdue, by the last packet that was read. */
  const letGo = (nowMs: number) => {
    const last = isOverdue ? waiting.at(-1) : waiting.findLast(({ isLetIn }) => !isLetIn);
    waiting = [];
    if (last !== undefined) isOverdue = !tryVerdict(() => queue.accept(last.id), nowMs);
  };

  /** Where it fails, the packets wait; the verdict of the next batch covers them, too. */
  const tryVerdict = (give: () => void, nowMs: number): boolean => {
    try {
      give();
      return true;
    } catch (cause) {
      if (!(cause instanceof KernelError)) throw cause;
      const { message: reason } = cause;
      if (throttles.error.admit(nowMs)) log("error", "verdict failed", { reason });
      return false;
    }
  };

  return {
    adopt(grants, nowMs) {
      granter.adopt(grants, nowMs);
    },

    reload(next, other) {
      config = next;
      machine = other;
      granter.reload(config);
    },

    handleBatch(time) {
      const { read, wentWell } = takeCopies(false, time);
      const held = takeHeld();
      if (waiting.length > 0) {
        // Whatever it waits for was copied before it.
        if (wentWell) takeCopies(true, time);
        // The grants stand: the kernel carries out what is sent to it before the call returns.
        letGo(time.nowMs);
      }
      if (held > 0 || read > 0) return true;
      granter.settle();
      return false;
    },

    tick(nowMs) {
      granter.settle();
      for (const line of lines) line();
      lines = [];
      const expired = granter.takeExpired(nowMs);
      for (const [source, ended] of bySource(expired)) {
        log("info", "expired", { source, ...portFields(ended) });
      }
      for (const [of, throttle] of Object.entries(throttles)) {
        const count = throttle.takeOmitted(nowMs);
        if (count > 0) log("info", "omitted", { of, count });
      }
      const refused = refusedSyns.takeUntold(nowMs);
      if (refused > 0) log("info", "omitted", { of: "refused", count: refused });
      if (lostUntold > 0 && nowMs >= lossDueMs) {
        log("warning", "knocks lost", {
          count: lostUntold,
          hint:
            "packets came faster than they could be read; who knocked meanwhile must knock again",
        });
        lostUntold = 0;
        lossDueMs = nowMs + LOSS_INTERVAL_MS;
      }
      tellUnjudged(nowMs);
      return expired;
    },

    get dueMs() {
      const times = [
        granter.nextEndMs,
        refusedSyns.dueMs,
        lostUntold > 0 ? lossDueMs : undefined,
        ...Object.values(throttles).map((throttle) => throttle.dueMs),
      ];
      const due = times.filter((time) => time !== undefined);
      return due.length > 0 ? Math.min(...due) : undefined;
    },

    openGrants: granter.openGrants,
    isGranted: granter.isGranted,

    get copied() {
      return counts.packets + counts.lost;
    },

    get lost() {
      return counts.lost;
    },

    counters() {
      const outcomes = PARSE_NAMES.map((name, index) => [name, parsed[index] ?? 0] as const);
      const unusual = outcomes.filter(([name, count]) => name !== "tcp" && count > 0);
      return { ...counts, ...granter.counts, ...Object.fromEntries(unusual) };
    },
  };
}

/** The source of the packet, copied, since the header is filled again. */
function sourceOf({ family, word0, word1, word2, word3 }: PacketHeader): Source {
  return { family, word0, word1, word2, word3 };
}
