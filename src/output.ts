// Standard output that takes no more: its reader has seen enough, or it cannot be written.

import { HostError } from "./errors.ts";

/** What there is to tell of a failed write; undefined where who reads has gone away, which is no error. */
export function outputError(error: unknown): HostError | undefined {
  const { BrokenPipe, ConnectionReset } = Deno.errors;
  if (error instanceof BrokenPipe || error instanceof ConnectionReset) return undefined;
  const reason = error instanceof Error ? error.message : String(error);
  return new HostError(`Cannot write to standard output: ${reason}`, "Look at where it goes to");
}
