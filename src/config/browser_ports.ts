// Ports that no browser connects to by HTTP: the Fetch standard, "port blocking", as Chromium,
// Firefox and Safari have it. Other protocols live there, which a page could talk to by a request.

import type { PortRange } from "./config.ts";

/** Bad ports of the Fetch standard, without 0, which is no port here. */
export const BROWSER_BLOCKED_PORTS: ReadonlySet<number> = new Set(
  [1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95]
    .concat([101, 102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143])
    .concat([161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556])
    .concat([563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190])
    .concat([5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080]),
);

/**
 * Those of some ports that browsers block, in the order they are given.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { blockedPorts } from "./browser_ports.ts";
 * assert.deepEqual(blockedPorts([7000, 6667, 22]), [6667, 22]);
 * ```
 */
export function blockedPorts(ports: readonly number[]): number[] {
  return ports.filter((port) => BROWSER_BLOCKED_PORTS.has(port));
}

/**
 * Those of a range that browsers block. A rotating sequence of a range that has some cannot always be
 * knocked from a browser.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { blockedInRange } from "./browser_ports.ts";
 * assert.deepEqual(blockedInRange({ first: 6000, last: 6600 }), [6000, 6566]);
 * assert.deepEqual(blockedInRange({ first: 20000, last: 21023 }), []);
 * ```
 */
export function blockedInRange(
  { first, last }: { readonly [bound in keyof Omit<PortRange, "protocol">]: number },
): number[] {
  return [...BROWSER_BLOCKED_PORTS].filter((port) => first <= port && port <= last);
}
