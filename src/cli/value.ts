// What an option takes.

import { message, type NonEmptyString, string } from "@optique/core";

/** Any text but a flag: in `--port-seq --strict` the ports were forgotten. */
export function value(metavar: NonEmptyString) {
  const needed = message`requires ${metavar}, not another flag`;
  return string({ metavar, pattern: /^(?!--)/, errors: { patternMismatch: needed } });
}
