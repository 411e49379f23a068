// Files as a client and a tool read them: through Deno. The daemon has no permission for files and reads
// through libc: src/daemon/server_files.ts.

import type { Files, FoundFile } from "../config/files.ts";
import type { FileProblem, SecretPlace } from "../config/secret_file.ts";
import { HostError } from "../errors.ts";

/** Of a file: more than any configuration, secret or list of sequences has. */
const FILE_BYTES_MAX = 1024 * 1024;

/**
 * Regular files. Reasons are names of errno(3); EFBIG for a file that is too large, EISDIR for a
 * folder, EINVAL for a device, a pipe or a socket, EOPNOTSUPP for what is under /dev, /proc and /sys.
 */
export const denoFiles: Files = {
  read(path) {
    try {
      // Asked by name first: to open a pipe is to wait for its other end.
      if (Deno.statSync(path).isDirectory) return { reason: "EISDIR" };
      if (!Deno.statSync(path).isFile) return { reason: "EINVAL" };
      using file = Deno.openSync(path);
      return readOpened(file);
    } catch (error) {
      return { reason: reasonOf(error) };
    }
  },
};

/** Where relative paths begin; absolute ones stay. */
export const HERE: SecretPlace = { folder: "" };

/**
 * What was read.
 *
 * @throws {HostError} with the problem, where there is one.
 */
export function requireRead<T extends object>(read: T | FileProblem): T {
  if ("message" in read && "hint" in read) throw new HostError(read.message, read.hint);
  return read as T;
}

/** The mode is that of the file that is read, whatever its name has come to stand for. */
function readOpened(file: Deno.FsFile): FoundFile | { readonly reason: string } {
  const { mode, uid, size, isFile } = file.statSync();
  if (!isFile) return { reason: "EINVAL" };
  if (size > FILE_BYTES_MAX) return { reason: "EFBIG" };
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const count = file.readSync(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  return {
    bytes: bytes.subarray(0, length),
    mode: mode === null ? undefined : mode & 0o7777,
    owner: uid ?? undefined,
  };
}

function reasonOf(error: unknown): string {
  // Whatever it is allowed to read, Deno asks for all permissions where a kernel shows itself in files.
  if (error instanceof Deno.errors.NotCapable) return "EOPNOTSUPP";
  if (!(error instanceof Error)) return String(error);
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
