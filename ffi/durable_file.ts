// Files whose content has to outlive kill -9 and a power cut: what these functions have written is on
// disk when they return (fsync(2), the folder's too), and what they could not write leaves the file as
// it was.

import { ERRNO, KernelError } from "../src/errors.ts";
import { fileStatus, O, openFile, pathStatus, S_IFREG, uninterrupted } from "./file.ts";
import { cstringBytes, libc } from "./libc.ts";

/** Of the file that is written beside the one to replace. One that a kill left behind is replaced. */
const NEW_SUFFIX = ".pk-new";
const AT_FDCWD = -100;
const RENAME_EXCHANGE = 2;

/**
 * Writes a whole file in one step: readers see the old one or the new one. The new one has owner and
 * permission bits of the one that it replaces, but not its access control list or its hard links.
 *
 * @param mode permission bits where no file is there yet.
 * @param isAsExpected looks at the file that is replaced, at the path that it is given: before, and once
 *   more when nobody else can replace it any more. False leaves everything as it was.
 * @returns whether it was written.
 * @throws {KernelError} EPERM when the owner cannot be kept (CAP_CHOWN); ENOSPC; ELOOP when the path is a
 *   symbolic link (see `realPath`).
 */
export function writeFileDurably(
  path: string,
  bytes: Uint8Array<ArrayBuffer>,
  mode: number,
  isAsExpected?: (path: string) => boolean,
): boolean {
  const temporary = `${path}${NEW_SUFFIX}`;
  let fd: number | undefined = createFile(temporary);
  try {
    setOwnerAndMode(fd, path, mode);
    writeAll(fd, path, bytes);
    sync(fd, path);
    libc().close(fd);
    fd = undefined;
    if (isAsExpected === undefined) replace(temporary, path);
    else if (!replaceExpected(temporary, path, isAsExpected)) {
      libc().unlink(cstringBytes(temporary));
      return false;
    }
  } catch (error) {
    if (fd !== undefined) libc().close(fd);
    libc().unlink(cstringBytes(temporary));
    throw error;
  }
  syncFolder(folderOf(path));
  return true;
}

function replace(temporary: string, path: string): void {
  const names = [cstringBytes(temporary), cstringBytes(path)] as const;
  uninterrupted(`replace ${path}`, () => libc().rename(...names));
}

/** Between a look and a rename an editor could put a file of its own there, which would be lost. */
function replaceExpected(
  temporary: string,
  path: string,
  isAsExpected: (path: string) => boolean,
): boolean {
  if (!isAsExpected(path)) return false;
  try {
    exchange(temporary, path);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (error.code === "ENOENT") return false;
    if (error.code !== "EINVAL") throw error;
    replace(temporary, path); // a file system that cannot exchange, as NFS
    return true;
  }
  const expected = isAsExpected(temporary);
  if (expected) libc().unlink(cstringBytes(temporary));
  else exchange(temporary, path);
  return expected;
}

function exchange(temporary: string, path: string): void {
  const names = [cstringBytes(temporary), cstringBytes(path)] as const;
  uninterrupted(
    `replace ${path}`,
    () => libc().renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE),
  );
}

/** A file that only grows. */
export interface AppendFile extends Disposable {
  /**
   * Does the path still lead to this file, with nothing in it but what was written here? False as well
   * when nobody can tell any more what is on disk: then the file has to be written anew.
   */
  isIntact(): boolean;
  /** @throws {KernelError} after which the file ends where it did, or is no longer intact. */
  append(bytes: Uint8Array<ArrayBuffer>): void;
}

/**
 * Opens a file to append to it; what is behind `length` bytes is cut off.
 *
 * @throws {KernelError} ELOOP when the path is a symbolic link.
 */
export function openAppendFile(path: string, length: number): AppendFile {
  const fd = openFile(path, O.O_WRONLY | O.O_APPEND | O.O_NOFOLLOW);
  let open = true;
  let end = length;
  let intact = true;
  let identity: string;
  const cut = () => uninterrupted(`shorten ${path}`, () => libc().ftruncate(fd, BigInt(end)));
  const close = () => {
    if (open) libc().close(fd);
    open = false;
    intact = false;
  };
  try {
    const status = fileStatus(fd, path);
    identity = status.identity;
    if (status.bytes > length) cut();
  } catch (error) {
    close();
    throw error;
  }
  return {
    isIntact() {
      if (!intact) return false;
      const status = pathStatus(path);
      return status?.identity === identity && status.bytes === end;
    },
    append(bytes) {
      if (!open) throw new KernelError(`write ${path}`, ERRNO.EBADF);
      // Until all is well nobody knows: after a failed fsync(2) the kernel may forget what it could not
      // write, and the next one would not tell.
      intact = false;
      try {
        writeAll(fd, path, bytes);
      } catch (error) {
        cut();
        intact = true;
        throw error;
      }
      sync(fd, path);
      end += bytes.length;
      intact = true;
    },
    [Symbol.dispose]: close,
  };
}

function createFile(path: string): number {
  const flags = O.O_WRONLY | O.O_CREAT | O.O_EXCL | O.O_NOFOLLOW;
  try {
    return openFile(path, flags, 0o600);
  } catch (error) {
    if (!(error instanceof KernelError && error.code === "EEXIST")) throw error;
    const name = cstringBytes(path);
    uninterrupted(`remove ${path}`, () => libc().unlink(name));
    return openFile(path, flags, 0o600);
  }
}

function setOwnerAndMode(fd: number, path: string, mode: number): void {
  const old = pathStatus(path);
  if (old !== undefined && old.type !== S_IFREG) {
    throw new KernelError(`replace ${path}`, ERRNO.ELOOP, "it is not a regular file");
  }
  const made = fileStatus(fd, path);
  if (old !== undefined && (old.owner !== made.owner || old.group !== made.group)) {
    uninterrupted(`keep the owner of ${path}`, () => libc().fchown(fd, old.owner, old.group));
  }
  // After the owner: a change of that takes bits away. Before the content, which nobody may read earlier.
  uninterrupted(`keep the mode of ${path}`, () => libc().fchmod(fd, old?.mode ?? mode));
}

function writeAll(fd: number, path: string, bytes: Uint8Array<ArrayBuffer>): void {
  for (let done = 0; done < bytes.length;) {
    const rest = bytes.subarray(done);
    const write = () => libc().write(fd, rest, BigInt(rest.length));
    done += Number(uninterrupted(`write ${path}`, write));
  }
}

function sync(fd: number, path: string): void {
  uninterrupted(`write ${path} to disk`, () => libc().fsync(fd));
}

/** A name is on disk only when its folder is. */
function syncFolder(path: string): void {
  const fd = openFile(path, O.O_RDONLY | O.O_DIRECTORY);
  try {
    sync(fd, path);
  } finally {
    libc().close(fd);
  }
}

function folderOf(path: string): string {
  const end = path.lastIndexOf("/");
  return end === -1 ? "." : path.slice(0, end) || "/";
}
