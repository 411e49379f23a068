// The kinds of floods: how forged sources walk along the ports. All are SYNs as Linux sends them.

import { type FamilyName, GUARDED_PORT, KNOCK_PORTS } from "./addresses.ts";
import type { Order } from "./generator.ts";

export interface Flood {
  readonly name: string;
  readonly ports: readonly number[];
  /** Ports that each source comes to, drawn by chance; all of them in order where it is left out. */
  readonly drawn?: number;
  /** Sources that are on their way at the same time; all of them where it is left out. */
  readonly wave?: number;
}

/** As many as pk can have at each stage when its table is full (limits.ts, stageQuotas). */
const WAVE = 4_096;

export const FIRST_KNOCK: Flood = {
  name: "the first knock port",
  ports: KNOCK_PORTS.slice(0, 1),
};
/** Each source comes to every port, in an order that is no part of the sequence. */
export const ALL_KNOCKS: Flood = {
  name: "all knock ports",
  ports: [84, 81, 86, 80, 83, 87, 82, 85],
  wave: 1,
};
export const GUARDED: Flood = { name: "the guarded port", ports: [GUARDED_PORT] };
/** Only somebody who knows most of the sequence can do this. */
export const PARTIAL: Flood = {
  name: "sequences up to the last knock",
  ports: KNOCK_PORTS.slice(0, -1),
  wave: WAVE,
};
export const SAME_KNOCK: Flood = { name: "all sources at the same knock", ports: KNOCK_PORTS };
/** Only somebody who knows the sequence can do this: one SYN in eight earns a grant. */
export const COMPLETE: Flood = { name: "complete sequences", ports: KNOCK_PORTS, wave: WAVE };

/** An order for a flood but for its size and rate. */
export type Walk = Omit<Order, "count" | "rate">;

export function walk(flood: Flood, family: FamilyName, sources: number): Walk {
  const { ports, drawn, wave = sources } = flood;
  return { family, sources, ports, wave, ...(drawn === undefined ? {} : { drawn }) };
}

/** Whether its SYNs are knocks: of those the kernel makes a copy each. */
export function isKnocks(flood: Flood): boolean {
  return !flood.ports.includes(GUARDED_PORT);
}
