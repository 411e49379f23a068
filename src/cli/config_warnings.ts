// What is allowed in a configuration and seldom wise.

import type { Config, Door } from "../config/config.ts";
import type { Log } from "../daemon/log.ts";
import { strengthOfSteps } from "../knock/strength.ts";

/** A grant that is shorter ends before most clients have connected. */
const OPEN_MS_LEAST = 1_000;

/** Knocks that have to be quicker seldom arrive in time. */
const WITHIN_MS_LEAST = 100;

export interface ConfigWarning {
  /** Name of the door; null where it is about the whole. */
  readonly door: string | null;
  readonly message: string;
  /** What to do. */
  readonly hint: string;
}

/** Everything that deserves a word. */
export function warningsOf(config: Config): ConfigWarning[] {
  const { doors, decoys } = config;
  return [
    ...doors.flatMap((door) => warningsOfDoor(door, decoys)),
    ...warningsOfSettings(config, "file"),
  ];
}

/** Settings that are hardly meant: those of what the daemon itself does not tell. */
export function warningsOfSettings(
  { doors, decoys, banMs }: Config,
  writtenAs: "file" | "flags",
): ConfigWarning[] {
  const inFile = writtenAs === "file";
  return [
    ...doors.flatMap((door) => warningsOfTimes(door, inFile)),
    ...(banMs === undefined || decoys.length > 0 ? [] : [{
      door: null,
      message: "A ban does nothing without decoys",
      hint: inFile ? "Add decoys, or take ban away" : "Add --decoys, or take --ban away",
    }]),
  ];
}

function warningsOfTimes({ name, timeoutMs, withinMs }: Door, inFile: boolean): ConfigWarning[] {
  const short = [
    ...(timeoutMs < OPEN_MS_LEAST
      ? [{ key: "for", flag: "--rule-timer", ms: timeoutMs, verb: "connect", seconds: 20 }]
      : []),
    ...(withinMs < WITHIN_MS_LEAST
      ? [{ key: "within", flag: "--within", ms: withinMs, verb: "knock", seconds: 10 }]
      : []),
  ];
  return short.map(({ key, flag, ms, verb, seconds }) => {
    const what = inFile ? `"${key}" of door "${name}"` : flag;
    const time = `${ms} millisecond${ms === 1 ? "" : "s"}`;
    return {
      door: name,
      message: `${what} is ${time}, and few ${verb} so fast`,
      hint: `${inFile ? "" : "A number alone is milliseconds: "}${seconds}s is ${seconds} seconds`,
    };
  });
}

/** Writes warnings into the daemon's log. */
export function logWarnings(warnings: readonly ConfigWarning[], log: Log): void {
  for (const { door, message: reason, hint } of warnings) {
    log("warning", "seldom wise", { ...(door === null ? {} : { door }), reason, hint });
  }
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
