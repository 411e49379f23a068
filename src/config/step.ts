// A knock as text: "tcp/7000", "udp/8123", "icmp/56". The server's files, the client's profiles and its
// command line share it.

import { type Step, SYN_ONLY } from "./config.ts";
import type { Parsed } from "./parsed.ts";
import { PORT_MAX, portOf } from "./ports.ts";

/** Bytes that an echo request can carry: 65,535 without the headers (RFC 791, RFC 8200, RFC 792). */
export const ECHO_BYTES_MAX = { icmp: 65_507, icmp6: 65_527 } as const;

/** For JSON schemas. */
export const STEP_PATTERN = "^(tcp|udp|icmp|icmp6)/[0-9]+$";

/**
 * A knock at any time; of TCP a SYN.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { tcpStep } from "./config.ts";
 * import { parseStep } from "./step.ts";
 * assert.deepEqual(parseStep("tcp/7000"), { value: tcpStep(7000) });
 * assert.deepEqual(parseStep("udp/0"), { reason: "a port is a number from 1 to 65535" });
 * ```
 */
export function parseStep(text: string): Parsed<Step> {
  const [, protocol = "", number = ""] = /^([^/]*)\/(.*)$/.exec(text) ?? [];
  switch (protocol) {
    case "tcp":
    case "udp": {
      const port = portOf(number);
      if (port === undefined) return { reason: `a port is a number from 1 to ${PORT_MAX}` };
      return { value: step(protocol, port) };
    }
    case "icmp":
    case "icmp6": {
      const bytes = /^\d{1,5}$/.test(number) ? Number(number) : Infinity;
      const most = ECHO_BYTES_MAX[protocol];
      if (bytes > most) return { reason: `an echo request carries 0 to ${most} bytes` };
      return { value: step(protocol, bytes) };
    }
    default:
      return {
        reason: "a knock is tcp, udp, icmp or icmp6, a slash, and a port or a number of bytes: " +
          "tcp/7000, udp/8123, icmp/56",
      };
  }
}

/** "tcp/7000"; what else it asks for is left out. */
export function stepText({ protocol, port }: Pick<Step, "protocol" | "port">): string {
  return `${protocol}/${port}`;
}

function step(protocol: Step["protocol"], port: number): Step {
  return { protocol, port, flags: SYN_ONLY, afterMs: 0, beforeMs: Infinity };
}
