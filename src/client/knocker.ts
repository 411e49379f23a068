// Carries out a sequence: each step one packet, with the delays that its door asks for.

import type { Step } from "../config/config.ts";
import { SYN_ONLY } from "../config/config.ts";
import { UsageError } from "../errors.ts";
import type { Destination, KnockSockets } from "./knock_sockets.ts";

/** Enough that receive queues on several processors keep the order, and nobody notices. */
export const DELAY_MS = 5;

/** What `knock` sends. */
const DATAGRAM = new Uint8Array(1);

/** How much later than `after` a knock goes out: the way may take longer for one than for the next. */
const MARGIN_MS = 50;

export interface Sent {
  readonly step: Step;
  /** Since the first knock. */
  readonly atMs: number;
}

/**
 * Sends all knocks of a sequence.
 *
 * @param delayMs between two knocks where their door does not ask for more.
 * @param tell is called after each knock.
 * @throws {HostError} for what the network of this host refuses.
 */
export async function sendKnocks(
  sockets: KnockSockets,
  to: Destination,
  steps: readonly Step[],
  delayMs: number,
  tell: (sent: Sent) => void = () => {},
): Promise<void> {
  let first: number | undefined;
  for (const [index, step] of steps.entries()) {
    if (index > 0) await sleep(gapMs(step, delayMs));
    first ??= performance.now();
    const atMs = performance.now() - first;
    await sendKnock(sockets, to, step, index + 1);
    tell({ step, atMs });
  }
}

/**
 * How long to wait before a knock: within what its door asks for.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { tcpStep } from "../config/config.ts";
 * import { gapMs } from "./knocker.ts";
 * assert.equal(gapMs({ ...tcpStep(7000), afterMs: 200, beforeMs: 3000 }, 5), 250);
 * assert.equal(gapMs({ ...tcpStep(7000), beforeMs: 3000 }, 10_000), 2950);
 * ```
 */
export function gapMs({ afterMs, beforeMs }: Step, delayMs: number): number {
  if (afterMs === 0 && delayMs < beforeMs / 2) return delayMs;
  const marginMs = Math.min(MARGIN_MS, (beforeMs - afterMs) / 2);
  return Math.min(Math.max(delayMs, afterMs + marginMs), beforeMs - marginMs);
}

/**
 * Refuses what cannot be knocked from here at all, before a part of it was.
 *
 * @throws {UsageError | HostError}
 */
export function requireKnockable(
  sockets: Pick<KnockSockets, "requireEcho">,
  steps: readonly Step[],
  to: Destination,
): void {
  const { family } = to.address;
  const other = 10 - family;
  for (const { protocol, port, flags } of steps) {
    if (protocol === "icmp" && family === 6 || protocol === "icmp6" && family === 4) {
      throw new UsageError(
        `Cannot send ${protocol}/${port} to ${to.text}: it is an echo request of IPv${other}`,
        `Use ${family === 6 ? "icmp6" : "icmp"} instead, or the host's address of IPv${other}`,
      );
    }
    if (protocol === "icmp" || protocol === "icmp6") sockets.requireEcho(to, port);
    if (protocol === "tcp" && (SYN_ONLY.value & flags.mask) !== flags.value) {
      throw new UsageError(
        `Cannot send tcp/${port} with the flags that its door asks for: this takes raw packets`,
        "Knock with nping --tcp --flags FLAGS, which needs root",
      );
    }
  }
}

function sendKnock(
  sockets: KnockSockets,
  to: Destination,
  { protocol, port }: Step,
  place: number,
): Promise<void> {
  switch (protocol) {
    case "tcp":
      return sockets.tcp(to, port);
    case "udp":
      return sockets.udp(to, port, DATAGRAM);
    case "icmp":
    case "icmp6":
      return sockets.echo(to, pingPayload(port), place);
  }
}

/** Bytes before which ping puts the time, where there is room for it: struct timeval. */
const TIME_BYTES = 16;

/** As ping fills it (iputils): the time, then 0x10, 0x11, … */
function pingPayload(length: number): Uint8Array<ArrayBuffer> {
  const payload = Uint8Array.from({ length }, (_, index) => index & 0xff);
  if (length >= TIME_BYTES) {
    const view = new DataView(payload.buffer);
    const us = BigInt(Date.now()) * 1000n;
    view.setBigInt64(0, us / 1_000_000n, true);
    view.setBigInt64(8, us % 1_000_000n, true);
  }
  return payload;
}

/** Waits; not at all for 0, so that knocks go out back to back. */
async function sleep(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}
