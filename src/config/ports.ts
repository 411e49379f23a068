// Ports as text: "tcp/22", "udp/51820", "tcp/9090-9099".

import type { Endpoint, Port, PortRange } from "./config.ts";
import type { Parsed } from "./parsed.ts";

export const PORT_MAX = 65_535;

const PORT_REASON = `a port is a number from 1 to ${PORT_MAX}`;

/**
 * Ports of one protocol.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseRange } from "./ports.ts";
 * assert.deepEqual(parseRange("tcp/9090-9099"), {
 *   value: { protocol: "tcp", first: 9090, last: 9099 },
 * });
 * assert.deepEqual(parseRange("tcp/0"), { reason: "a port is a number from 1 to 65535" });
 * ```
 */
export function parseRange(text: string): Parsed<PortRange> {
  const [, protocol, from = "", to = from] = /^(tcp|udp)\/([^-]*)(?:-(.*))?$/.exec(text) ?? [];
  if (protocol !== "tcp" && protocol !== "udp") {
    return { reason: "ports are tcp or udp, a slash, and a number or two: tcp/22, udp/9090-9099" };
  }
  const first = portOf(from);
  const last = portOf(to);
  if (first === undefined || last === undefined) return { reason: PORT_REASON };
  if (first > last) return { reason: `the lower port comes first: ${protocol}/${last}-${first}` };
  return { value: { protocol, first, last } };
}

/** One port of a protocol. */
export function parseEndpoint(text: string): Parsed<Endpoint> {
  const parsed = parseRange(text);
  if ("reason" in parsed) return parsed;
  const { protocol, first, last } = parsed.value;
  if (first !== last) return { reason: "this is a place for one port, not for a range" };
  return { value: { protocol, port: first } };
}

/** Decimal digits only: no sign, no point, no blanks. */
export function portOf(text: string): Port | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= PORT_MAX ? port as Port : undefined;
}
