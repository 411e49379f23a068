// Crosses out a line of a file of one-time sequences. The file belongs to the administrator, who may
// edit it at any moment: it is read anew, and replaced in one step only if nobody has changed it since.

import { writeFileDurably } from "../../ffi/durable_file.ts";
import { readRegularFile, realPath } from "../../ffi/file.ts";
import { ERRNO, KernelError } from "../errors.ts";
import { FILE_BYTES_MAX } from "./server_files.ts";

/** Of a file that is being edited all the time. */
const TRIES_MAX = 8;
const END_OF_LINE = 0x0a;

/**
 * Crosses out the first line that equals `line` but for blanks around it and is not crossed out yet, by
 * "# used", the time and a blank before it. That is on disk when it returns. Of several equal lines each
 * may be used once.
 *
 * @returns "gone" when there is no such line any more: then nothing may be opened by it.
 * @throws {KernelError} when that cannot be written: then nothing may be opened either. EPERM: the file
 *   is somebody else's, and pk may not make such files (CAP_CHOWN).
 */
export function useOneTimeSequence(path: string, line: string): "used" | "gone" {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const found = readIfThere(path);
    const start = found && startOfLine(found.bytes, line.trim());
    if (found === undefined || start === undefined) return "gone";
    const mark = new TextEncoder().encode(`# used ${new Date().toISOString()} `);
    const marked = insert(found.bytes, start, mark);
    const isUnchanged = (at: string) => isSame(found, readIfThere(at));
    if (writeFileDurably(found.path, marked, found.status.mode, isUnchanged)) return "used";
  }
  throw new KernelError(`cross out a line of ${path}`, ERRNO.EAGAIN, "somebody keeps changing it");
}

type Found = NonNullable<ReturnType<typeof readIfThere>>;

/** The file and where it is when symbolic links are followed, since the link itself is to stay. */
function readIfThere(path: string) {
  try {
    const real = realPath(path);
    return { path: real, ...readRegularFile(real, FILE_BYTES_MAX) };
  } catch (error) {
    if (error instanceof KernelError && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Offset of the first line of this text; the text of a sequence never begins with "#". */
function startOfLine(bytes: Uint8Array, text: string): number | undefined {
  const decoder = new TextDecoder();
  if (text === "" || text.startsWith("#")) return undefined;
  for (let start = 0; start < bytes.length;) {
    const found = bytes.indexOf(END_OF_LINE, start);
    const end = found === -1 ? bytes.length : found;
    if (decoder.decode(bytes.subarray(start, end)).trim() === text) return start;
    start = end + 1;
  }
  return undefined;
}

function insert(bytes: Uint8Array, offset: number, more: Uint8Array): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(bytes.length + more.length);
  result.set(bytes.subarray(0, offset));
  result.set(more, offset);
  result.set(bytes.subarray(offset), offset + more.length);
  return result;
}

function isSame(before: Found, now: Found | undefined): boolean {
  return now !== undefined && now.status.identity === before.status.identity &&
    now.status.mode === before.status.mode &&
    now.bytes.length === before.bytes.length &&
    now.bytes.every((byte, index) => byte === before.bytes[index]);
}
