// Text that was asked for, on standard output.

import { outputError } from "../output.ts";

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
    const told = outputError(error);
    if (told !== undefined) throw told;
  }
}
