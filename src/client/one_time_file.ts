// A file of one-time sequences, one a line. The first that is left is crossed out before it is
// knocked, whether or not it arrives: who listened on the way could use it after us. The server takes
// any line that it still has, so one that was lost on the way locks nobody out.

import type { Step } from "../config/config.ts";
import { parseOneTimeLines } from "../config/one_time.ts";
import { readSecretFile } from "../config/secret_file.ts";
import { HostError } from "../errors.ts";
import { denoFiles, HERE, requireRead } from "./files.ts";
import { replaceFile } from "./replace_file.ts";

/** The first sequence that is left. */
export interface OneTime {
  readonly steps: readonly Step[];
  /** How many are left after it. */
  readonly left: number;
  /**
   * Writes to disk that it is used up.
   *
   * @throws {HostError}
   */
  crossOut(): void;
}

/**
 * Reads the first sequence that is left.
 *
 * @throws {HostError} where none is left, or the file cannot be used.
 */
export function firstLeft(path: string): OneTime {
  const { bytes } = requireRead(readSecretFile(denoFiles, path, HERE));
  const text = new TextDecoder().decode(bytes);
  const { sequences: [first, ...others], wrong } = parseOneTimeLines(text);
  const [bad] = wrong;
  if (bad !== undefined && (first === undefined || bad.lineNumber < first.lineNumber)) {
    throw new HostError(
      `Cannot use line ${bad.lineNumber} of ${path}: ${bad.reason}`,
      'Mend it or put "#" before it, here and at the server',
    );
  }
  if (first === undefined) {
    throw new HostError(
      `All sequences of ${path} are used up`,
      "Write new ones into it, and into the server's file",
    );
  }
  const lines = text.split("\n");
  const at = first.lineNumber - 1;
  return {
    steps: first.steps,
    left: others.length,
    crossOut: () => {
      const used = `# used ${new Date().toISOString()} ${lines[at]}`;
      replaceFile(path, lines.with(at, used).join("\n"));
    },
  };
}
