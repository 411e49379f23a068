// What an option takes.

import { message, type NonEmptyString, string } from "@optique/core";

/** Any text but a flag: in `--port-seq --strict` the ports were forgotten. */
export function value(metavar: NonEmptyString) {
  const needed = message`requires ${metavar}, not another flag`;
  return string({ metavar, pattern: /^(?!--)/, errors: { patternMismatch: needed } });
}

/** The path of a file: as `value`, and not empty, as it is where a variable of a script has no value. */
export function path(metavar: NonEmptyString) {
  const needed = (text: string) =>
    message`requires ${metavar}, not ${text === "" ? "an empty text" : "another flag"}`;
  return string({ metavar, pattern: /^(?!--)./s, errors: { patternMismatch: needed } });
}
