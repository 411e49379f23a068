// Files that the configuration names, read by the server: it has no permission for files, so libc reads.

import { readRegularFile } from "../../ffi/file.ts";
import { KernelError } from "../errors.ts";
import type { Files } from "../config/files.ts";

/** Of a file: far more than any configuration, secret or list of sequences has. */
export const FILE_BYTES_MAX = 1024 * 1024;

/**
 * Regular files of up to FILE_BYTES_MAX. Reasons are names of errno(3): ENOENT, EACCES, EFBIG for a longer
 * one, EISDIR for a folder, EINVAL for a device, a pipe or a socket.
 */
export const serverFiles: Files = {
  read(path) {
    try {
      const { bytes, status } = readRegularFile(path, FILE_BYTES_MAX);
      return { bytes, mode: status.mode, owner: status.owner };
    } catch (error) {
      if (error instanceof KernelError) return { reason: error.code };
      throw error;
    }
  },
};
