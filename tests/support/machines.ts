// Machines of plain doors for tests, without clocks.

import type { Door, Milliseconds } from "../../src/config/config.ts";
import type { EventTime } from "../../src/knock/lock.ts";
import { plainDoor } from "./configs.ts";

/** A door to be opened by SYNs to these ports. */
export function sequenceDoor(sequence: readonly number[], withinMs = 10_000): Door {
  return plainDoor({
    name: sequence.join("-"),
    steps: sequence.map((port) => `tcp/${port}` as const),
    withinMs: withinMs as Milliseconds,
  });
}

/** A moment, of which nobody asks what the wall clock says. */
export function at(nowMs: number): EventTime {
  return { nowMs, unixMs: 0 };
}
