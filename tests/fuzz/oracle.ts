// What the judges of several targets have in common.

import { DecodeError, KernelError } from "../../src/errors.ts";
import type { Arena } from "./arena.ts";
import { digest, fold } from "./digest.ts";
import type { Judge } from "./harness.ts";

/** A decoder said something that it must not say. */
export class OracleError extends Error {
  override readonly name = "OracleError";
}

export function fail(problem: string): never {
  throw new OracleError(problem);
}

export function expect(holds: boolean, problem: () => string): void {
  if (!holds) fail(problem());
}

/** A view that counts the reads through it: what a decoder that works in place costs at most. */
export class CountingView extends DataView<ArrayBuffer> {
  reads = 0;

  override getUint8(at: number): number {
    this.reads++;
    return super.getUint8(at);
  }

  override getUint16(at: number, littleEndian?: boolean): number {
    this.reads++;
    return super.getUint16(at, littleEndian);
  }

  override getUint32(at: number, littleEndian?: boolean): number {
    this.reads++;
    return super.getUint32(at, littleEndian);
  }
}

export const VALUE_OUTCOMES = ["value", "DecodeError", "KernelError"] as const;

/**
 * Judges a decoder that gives a value or throws: nothing but DecodeError or KernelError, and the same
 * at both places of the arena. `check` looks at the value and tells its shape as a number;
 * `onRefusal` asks whether there was a reason.
 */
export function valueJudge<T>(
  decode: (bytes: Uint8Array<ArrayBuffer>) => T,
  check: (value: T, bytes: Uint8Array<ArrayBuffer>) => number,
  onRefusal: (bytes: Uint8Array<ArrayBuffer>) => void = () => {},
): Judge {
  return (arena: Arena) => {
    const front = arena.front();
    const value = attempt(() => decode(front));
    const again = attempt(() => decode(arena.atBack()));
    expect(digest(value) === digest(again), () => "reads outside: another value at another place");
    if (value instanceof Error) onRefusal(front);
    if (value instanceof DecodeError) return 1 | wayOf(value) << 8;
    if (value instanceof KernelError) return 2 | fold(0, value.errno) << 8;
    return fold(0, check(value as T, front)) << 8;
  };
}

/** The value, or the error where it is one that may be thrown. */
export function attempt<T>(decode: () => T): T | DecodeError | KernelError {
  try {
    return decode();
  } catch (error) {
    if (error instanceof DecodeError || error instanceof KernelError) return error;
    throw error;
  }
}

/** What could not be read, roughly where, and by how much. */
function wayOf({ message, offset, need, have }: DecodeError): number {
  const what = message.charCodeAt(12) * 256 + message.charCodeAt(13);
  return fold(fold(what, Math.min(offset, 64)), Math.min(need, 32) * 64 + Math.min(have, 32));
}
