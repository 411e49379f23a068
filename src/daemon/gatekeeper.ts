// One batch of queued packets: parse each, step the machine, write the grants they earned in one
// transaction, and after its ack let all packets go with one verdict. Log lines wait for a quiet moment.

import type { PacketQueue } from "../../ffi/packet_queue.ts";
import type { Config, Door } from "../config/config.ts";
import { KernelError } from "../errors.ts";
import { writeGrants } from "../firewall/firewall.ts";
import type { Grant } from "../firewall/grant.ts";
import { type Effect, KnockMachine } from "../knock/machine.ts";
import type { HashKey } from "../knock/siphash.ts";
import { ATTEMPTS_PER_PREFIX_MAX, LINES_PER_SECOND, MESSAGE_BYTES } from "../limits.ts";
import type { Conversation } from "../netlink/conversation.ts";
import { decodePacketMessage, emptyQueuedPacket, QUEUE } from "../nfqueue/packet_message.ts";
import { formatAddress } from "../packet/address.ts";
import { emptyHeader, type PacketHeader } from "../packet/header.ts";
import { PARSE, PARSE_NAMES } from "../packet/outcome.ts";
import { parsePacket } from "../packet/parse.ts";
import { createGrantBook } from "./grant_book.ts";
import type { Fields, Log } from "./log.ts";
import { createThrottle } from "./throttle.ts";

export interface GatekeeperOptions {
  readonly config: Config;
  readonly kernel: Conversation;
  readonly queue: Pick<PacketQueue, "receive" | "view" | "messageLength" | "accept">;
  readonly log: Log;
  readonly key: HashKey;
}

export interface Gatekeeper {
  /** Grants that stand in the kernel already. */
  adopt(grants: readonly Grant[], nowMs: number): void;
  /** Handles what waits in the queue, a batch at most; false when nothing was there. */
  handleBatch(nowMs: number): boolean;
  /** Writes the log lines of the batches before, and of grants that ended and lines left out. */
  tick(nowMs: number): void;
  /** When `tick` will have something to tell, or undefined. */
  readonly dueMs: number | undefined;
  openGrants(nowMs: number): Grant[];
  /** Packets and what became of them, for the last log line. */
  counters(): Fields;
}

export function createGatekeeper(
  { config, kernel, queue, log, key }: GatekeeperOptions,
): Gatekeeper {
  const { doors } = config;
  const machine = new KnockMachine({
    rules: doors,
    sourcesMax: config.sourcesMax,
    perPrefixMax: ATTEMPTS_PER_PREFIX_MAX,
    key,
  });
  const guarded = new Set<number>(doors.map((door) => door.port));
  const book = createGrantBook();
  const packet = emptyQueuedPacket();
  const header = emptyHeader();
  const parsed = new Float64Array(PARSE_NAMES.length);
  const counts = { packets: 0, knocks: 0, granted: 0, failed: 0, refused: 0, undecoded: 0 };
  const throttles = {
    knock: createThrottle(LINES_PER_SECOND),
    refused: createThrottle(LINES_PER_SECOND),
    error: createThrottle(LINES_PER_SECOND),
  };

  /** Grants that the packets of this batch earned. */
  let earned: Grant[] = [];
  /** Lines to be written when no packet waits for it. */
  let lines: (() => void)[] = [];

  const handlePacket = (nowMs: number) => {
    const outcome = parsePacket(queue.view, packet.payloadOffset, packet.payloadLength, header);
    parsed[outcome] = (parsed[outcome] ?? 0) + 1;
    if (outcome !== PARSE.tcp) return;
    const effects = machine.step(header, nowMs);
    for (let index = 0; index < effects; index++) handleEffect(machine.effect(index), nowMs);
    if (guarded.has(header.destinationPort)) handleGuarded(nowMs);
  };

  const handleEffect = ({ door, stage, of }: Effect, nowMs: number) => {
    counts.knocks++;
    if (stage === of) earned.push(grantOf(header, doors[door] as Door));
    // Stage 1 is what every scanner reaches.
    if (stage === 1 && config.log.level !== "debug") return;
    if (!throttles.knock.admit(nowMs)) return;
    const source = formatAddress(header);
    lines.push(() => log(stage === 1 ? "debug" : "info", "knock", { source, stage, of }));
  };

  const handleGuarded = (nowMs: number) => {
    const { destinationPort: port } = header;
    if (book.has(header, port, nowMs) || earned.some((grant) => isFor(grant, header))) return;
    counts.refused++;
    if (!throttles.refused.admit(nowMs)) return;
    const source = formatAddress(header);
    lines.push(() => log("info", "refused", { source, port }));
  };

  const writeEarned = (nowMs: number) => {
    const refusals = tryWrite();
    for (const grant of earned) {
      const refusal = refusals.find((one) => one.grant === grant);
      const fields = { source: formatAddress(grant.source), port: grant.port };
      if (refusal === undefined) {
        counts.granted++;
        book.add(grant, nowMs);
        lines.push(() => log("info", "granted", { ...fields, timeoutMs: grant.timeoutMs }));
        continue;
      }
      counts.failed++;
      if (!throttles.error.admit(nowMs)) continue;
      lines.push(() => log("error", "grant failed", { ...fields, reason: refusal.error.message }));
    }
  };

  const tryWrite = () => {
    try {
      return writeGrants(kernel, earned);
    } catch (cause) {
      // Whatever happened, the packets must go on; a broken socket shows again at the next grant.
      const reason = cause instanceof Error ? cause.message : String(cause);
      return earned.map((grant) => ({ grant, error: new Error(reason) }));
    }
  };

  return {
    adopt(grants, nowMs) {
      for (const grant of grants) book.add(grant, nowMs);
    },

    handleBatch(nowMs) {
      const count = queue.receive();
      if (count === 0) return false;
      let lastId: number | undefined;
      for (let index = 0; index < count; index++) {
        const length = Math.min(queue.messageLength(index), MESSAGE_BYTES);
        if (
          decodePacketMessage(queue.view, index * MESSAGE_BYTES, length, packet) !== QUEUE.packet
        ) {
          counts.undecoded++;
          continue;
        }
        lastId = packet.id;
        counts.packets++;
        handlePacket(nowMs);
      }
      if (earned.length > 0) writeEarned(nowMs);
      if (lastId !== undefined) accept(lastId, nowMs);
      if (earned.length > 0) earned = [];
      return true;
    },

    tick(nowMs) {
      for (const line of lines) line();
      lines = [];
      for (const { source, port } of book.takeExpired(nowMs)) {
        log("info", "expired", { source: formatAddress(source), port });
      }
      for (const [of, throttle] of Object.entries(throttles)) {
        const count = throttle.takeOmitted(nowMs);
        if (count > 0) log("info", "omitted", { of, count });
      }
    },

    get dueMs() {
      const times = [book.nextEndMs, ...Object.values(throttles).map((throttle) => throttle.dueMs)];
      const due = times.filter((time) => time !== undefined);
      return due.length > 0 ? Math.min(...due) : undefined;
    },

    openGrants: (nowMs) => book.open(nowMs),

    counters() {
      const outcomes = PARSE_NAMES.map((name, index) => [name, parsed[index] ?? 0] as const);
      const unusual = outcomes.filter(([name, count]) => name !== "tcp" && count > 0);
      return { ...counts, ...Object.fromEntries(unusual) };
    },
  };

  function accept(lastId: number, nowMs: number): void {
    try {
      queue.accept(lastId);
    } catch (cause) {
      if (!(cause instanceof KernelError)) throw cause;
      // The packets wait; the verdict of the next batch covers them, too.
      if (throttles.error.admit(nowMs)) log("error", "verdict failed", { reason: cause.message });
    }
  }
}

/** A grant for the source of the packet, copied, since the header is filled again. */
function grantOf(header: PacketHeader, door: Door): Grant {
  const { family, word0, word1, word2, word3 } = header;
  return {
    source: { family, word0, word1, word2, word3 },
    port: door.port,
    timeoutMs: door.timeoutMs,
  };
}

function isFor({ source, port }: Grant, header: PacketHeader): boolean {
  return port === header.destinationPort && source.family === header.family &&
    source.word3 === header.word3 && source.word2 === header.word2 &&
    source.word1 === header.word1 && source.word0 === header.word0;
}
