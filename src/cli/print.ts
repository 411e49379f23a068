// Text that was asked for, on standard output.

import { HostError } from "../errors.ts";

/**
 * Writes all of the text. A reader that has seen enough (`pk --help | head`) is no error.
 *
 * @throws {HostError} when it cannot be written, on a full disk for one.
 */
export function print(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return;
    const reason = error instanceof Error ? error.message : String(error);
    throw new HostError(`Cannot write to standard output: ${reason}`, "Look at where it goes to");
  }
}
