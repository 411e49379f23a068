// What client commands take as text → values. Pure.

import type { Endpoint } from "../config/config.ts";
import { parseEndpoint } from "../config/ports.ts";
import { parseTime } from "../config/time.ts";
import { UsageError } from "../errors.ts";
import { DELAY_MS } from "./knocker.ts";
import type { Family } from "./resolve.ts";

/** More than a minute between two knocks is a mistake: no door waits so long. */
const DELAY_MS_MAX = 60_000;

/** As long as a server's door may need, and a person waits. */
const TIMEOUT_MS = 10_000;

/**
 * `-d MS`
 *
 * @throws {UsageError}
 */
export function delayOf(text: string | undefined): number {
  if (text === undefined) return DELAY_MS;
  const delayMs = /^\d{1,6}$/.test(text) ? Number(text) : Infinity;
  if (delayMs <= DELAY_MS_MAX) return delayMs;
  throw cannotUse("-d", text, `a delay is 0 to ${DELAY_MS_MAX} milliseconds`);
}

/**
 * `--timeout TIME`
 *
 * @throws {UsageError}
 */
export function timeoutOf(text: string | undefined): number {
  if (text === undefined) return TIMEOUT_MS;
  const parsed = parseTime(text);
  if ("value" in parsed) return parsed.value;
  throw cannotUse("--timeout", text, parsed.reason);
}

/**
 * `-4`, `-6`
 *
 * @throws {UsageError}
 */
export function familyOf({ ipv4, ipv6 }: { ipv4: boolean; ipv6: boolean }): Family {
  if (ipv4 && ipv6) throw new UsageError("Cannot use both -4 and -6", "Take one of them");
  return ipv4 ? 4 : ipv6 ? 6 : undefined;
}

/**
 * A port that answers when it is open: "22", "tcp/22".
 *
 * @param what where it was typed: "--wait".
 * @throws {UsageError}
 */
export function tcpPortOf(what: string, text: string): Endpoint {
  const parsed = parseEndpoint(/^\d+$/.test(text) ? `tcp/${text}` : text);
  if ("reason" in parsed) throw cannotUse(what, text, parsed.reason);
  if (parsed.value.protocol === "tcp") return parsed.value;
  throw cannotUse(what, text, "nothing tells whether a UDP port is open");
}

function cannotUse(what: string, text: string, reason: string): UsageError {
  return new UsageError(`Cannot use ${what} ${JSON.stringify(text)}: ${reason}`);
}
