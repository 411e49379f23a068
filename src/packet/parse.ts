// An IP packet as netfilter queues it, from raw bytes to the fields that decide. In place: nothing
// is allocated, nothing thrown, nothing read outside the range, and the work is bounded.
// Checksums are not verified: IPv4's was, by the kernel before it; those of upper layers are not.

import type { PacketHeader } from "./header.ts";
import { parseIpv4 } from "./ipv4.ts";
import { parseIpv6 } from "./ipv6.ts";
import { PARSE, type ParseOutcome } from "./outcome.ts";

/**
 * Parses the IPv4 or IPv6 packet at `offset`, of which `length` bytes were captured; they must lie
 * in the view. Fills in `header` and says what it is in, `PARSE.tcp`, `udp` or `echo`, or says what the
 * packet is instead; then the header's content means nothing.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { emptyHeader } from "./header.ts";
 * import { PARSE } from "./outcome.ts";
 * import { parsePacket } from "./parse.ts";
 * const view = new DataView(new ArrayBuffer(20));
 * assert.ok(parsePacket(view, 0, 20, emptyHeader()) === PARSE.malformed);
 * ```
 */
export function parsePacket(
  view: DataView,
  offset: number,
  length: number,
  header: PacketHeader,
): ParseOutcome {
  if (length < 1) return PARSE.truncated;
  const version = view.getUint8(offset) >>> 4;
  if (version === 4) return parseIpv4(view, offset, length, header);
  if (version === 6) return parseIpv6(view, offset, length, header);
  return PARSE.malformed;
}
