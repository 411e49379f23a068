// What is allowed in a configuration and seldom wise.

import type { Config, Door } from "../config/config.ts";
import { strengthOfSteps } from "../knock/strength.ts";

export interface ConfigWarning {
  /** Name of the door; null where it is about the whole. */
  readonly door: string | null;
  readonly message: string;
  /** What to do. */
  readonly hint: string;
}

/** Everything that deserves a word. */
export function warningsOf(config: Config): ConfigWarning[] {
  const { doors, decoys, banMs } = config;
  return [
    ...doors.flatMap((door) => warningsOfDoor(door, decoys)),
    ...(banMs === undefined || decoys.length > 0 ? [] : [{
      door: null,
      message: "A ban does nothing without decoys",
      hint: "Add decoys, or take ban away",
    }]),
  ];
}

function warningsOfDoor(door: Door, decoys: Config["decoys"]): ConfigWarning[] {
  const { name, knock, weakAccepted } = door;
  switch (knock.kind) {
    case "plain": {
      const { weaknesses } = strengthOfSteps(knock.steps, decoys);
      if (weakAccepted || weaknesses.length === 0) return [];
      return [{
        door: name,
        message: `The sequence of door "${name}" ${weaknesses.join(", ")}`,
        hint: 'Take ports at random, and more of them; or say "weak: accepted"',
      }];
    }
    case "one-time":
      if (knock.sequences.length > 0) return [];
      return [{
        door: name,
        message: `Door "${name}" does not open: all sequences of ${knock.file} are used up`,
        hint: "Add lines to it",
      }];
    case "rotating":
    case "encrypted":
      return [];
  }
}
