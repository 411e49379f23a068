// Writes a private file as a whole: who reads it meanwhile, or after a crash, sees the old or the new.

import { HostError } from "../errors.ts";

/**
 * Replaces a file, which only its owner may read afterwards. It is on disk when this returns.
 *
 * @throws {HostError}
 */
export function replaceFile(path: string, text: string): void {
  const real = realPath(path);
  const part = `${real}.${crypto.randomUUID().slice(0, 8)}.part`;
  try {
    {
      using file = Deno.openSync(part, { createNew: true, write: true, mode: 0o600 });
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      file.syncSync();
    }
    Deno.renameSync(part, real);
  } catch (error) {
    try {
      Deno.removeSync(part);
    } catch {
      // It was not made at all.
    }
    throw cannotWrite(path, error);
  }
}

/** Behind symbolic links, which are to stay. */
function realPath(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    return path; // there is no such file yet
  }
}

/** Why a file cannot be written, as an error. */
export function cannotWrite(path: string, error: unknown): HostError {
  const reason = error instanceof Error ? error.message : String(error);
  return new HostError(`Cannot write ${path}: ${reason}`, "Look at who may write there");
}
