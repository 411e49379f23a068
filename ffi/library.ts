// From a soname to a handle. Nothing is opened at import; a missing library is a clear error that
// names the packages. This folder is the only place with Deno.dlopen and pointers.

import { HostError } from "../src/errors.ts";

type Symbols = Deno.ForeignLibraryInterface;

/** A library that stays open as long as the process. */
export interface Library<S extends Symbols> {
  readonly symbols: Deno.StaticForeignLibraryInterface<S>;
}

/**
 * Opens a library by its soname.
 *
 * @param packages the distributions' packages, to name when it is missing.
 * @throws {HostError} when the library or one of the symbols is missing.
 */
export function openLibrary<const S extends Symbols>(
  soname: string,
  symbols: S,
  packages: string,
): Library<S> {
  try {
    return Deno.dlopen(soname, symbols);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const reason = words.replace(/^(Could not open library: )+/, "");
    throw new HostError(`Cannot open ${soname}: ${reason}`, `Install it: ${packages}`);
  }
}

/** A function that opens the library at its first call and keeps it. */
export function once<T>(open: () => T): () => T {
  let opened: { readonly value: T } | undefined;
  return () => (opened ??= { value: open() }).value;
}
