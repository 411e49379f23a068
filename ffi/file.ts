// Files by way of libc: Deno reads nothing under /proc without all permissions, and has no locks
// whose holder the kernel names.

import { ERRNO, KernelError } from "../src/errors.ts";
import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { check, cstringBytes, errno, libc } from "./libc.ts";

const ARM = Deno.build.arch === "aarch64";

/** Flags of open(2): asm-generic/fcntl.h, and where it differs, arm64's own. */
export const O = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_NOCTTY: 0o400,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_DIRECTORY: ARM ? 0o40000 : 0o200000,
  O_NOFOLLOW: ARM ? 0o100000 : 0o400000,
  O_CLOEXEC: 0o2000000,
} as const;
const PATH_MAX = 4096;
const F = { F_GETLK: 5, F_SETLK: 6 } as const;
const F_WRLCK = 1;
const F_UNLCK = 2;

/**
 * A whole file, for the small ones of /proc.
 *
 * @throws {KernelError}
 */
export function readFile(path: string): Uint8Array<ArrayBuffer> {
  const fd = openFile(path, O.O_RDONLY);
  try {
    return readAll(fd, path, Infinity);
  } finally {
    libc().close(fd);
  }
}

/**
 * A whole regular file and what the system says of it. Nothing waits, whatever the path leads to.
 *
 * @throws {KernelError} EFBIG when it has more than `bytesMax`; EISDIR for a folder, EINVAL for a
 *   device, a pipe or a socket.
 */
export function readRegularFile(
  path: string,
  bytesMax: number,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly status: FileStatus } {
  const fd = openFile(path, O.O_RDONLY | O.O_NONBLOCK | O.O_NOCTTY);
  try {
    const status = fileStatus(fd, path);
    if (status.type === S_IFDIR) throw new KernelError(`read ${path}`, ERRNO.EISDIR);
    if (status.type !== S_IFREG) {
      throw new KernelError(`read ${path}`, ERRNO.EINVAL, "it is not a regular file");
    }
    return { bytes: readAll(fd, path, bytesMax), status };
  } finally {
    libc().close(fd);
  }
}

/** open(2), which a signal does not end. The descriptor is not handed on to other programs. */
export function openFile(path: string, flags: number, mode = 0): number {
  const name = cstringBytes(path);
  return uninterrupted(`open ${path}`, () => libc().open(name, flags | O.O_CLOEXEC, mode));
}

/**
 * The result of a call that is made again when a signal ended it.
 *
 * @throws {KernelError}
 */
export function uninterrupted<T extends number | bigint>(operation: string, call: () => T): T {
  while (true) {
    const result = call();
    if (Number(result) !== -1) return result;
    const code = errno();
    if (code !== ERRNO.EINTR) throw new KernelError(operation, code);
  }
}

function readAll(fd: number, path: string, bytesMax: number): Uint8Array<ArrayBuffer> {
  let bytes = new Uint8Array(4096);
  let length = 0;
  while (true) {
    const rest = bytes.subarray(length);
    const read = () => libc().read(fd, rest, BigInt(rest.length));
    const count = Number(uninterrupted(`read ${path}`, read));
    if (count === 0) return bytes.slice(0, length);
    length += count;
    if (length > bytesMax) throw new KernelError(`read ${path}`, ERRNO.EFBIG);
    if (length === bytes.length) {
      const larger = new Uint8Array(bytes.length * 2);
      larger.set(bytes);
      bytes = larger;
    }
  }
}

/** What statx(2) says of a file. */
export interface FileStatus {
  /** S_IFMT bits: S_IFREG is a regular file. */
  readonly type: number;
  /** Permission bits, such as 0o600. */
  readonly mode: number;
  readonly owner: number;
  readonly group: number;
  /** The same for the same file as long as it is there. */
  readonly identity: string;
  /** Length. */
  readonly bytes: number;
}

export const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const S_IFMT = 0o170000;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
// struct statx (linux/stat.h), as far as it is read here: uid u32, gid u32, mode u16, ino u64, size u64,
// and the device as major u32, minor u32.
const STATX_BYTES = 256;
const STX = { UID: 20, GID: 24, MODE: 28, INO: 32, SIZE: 40, DEV_MAJOR: 136, DEV_MINOR: 140 };

/** The status of an open file; `path` is for the words of an error. */
export function fileStatus(fd: number, path: string): FileStatus {
  const bytes = new Uint8Array(STATX_BYTES);
  const result = libc().statx(fd, cstringBytes(""), AT_EMPTY_PATH, STATX_BASIC_STATS, bytes);
  check(`look at ${path}`, result);
  return parseStatus(bytes);
}

/** The status of what is at a path, be it a symbolic link; undefined where nothing is. */
export function pathStatus(path: string): FileStatus | undefined {
  const bytes = new Uint8Array(STATX_BYTES);
  const name = cstringBytes(path);
  const result = libc().statx(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, bytes);
  if (result === -1 && errno() === ERRNO.ENOENT) return undefined;
  check(`look at ${path}`, result);
  return parseStatus(bytes);
}

function parseStatus(bytes: Uint8Array<ArrayBuffer>): FileStatus {
  const view = new DataView(bytes.buffer);
  const u32 = (offset: number) => view.getUint32(offset, LITTLE_ENDIAN);
  const u64 = (offset: number) => view.getBigUint64(offset, LITTLE_ENDIAN);
  const mode = view.getUint16(STX.MODE, LITTLE_ENDIAN);
  return {
    type: mode & S_IFMT,
    mode: mode & ~S_IFMT,
    owner: u32(STX.UID),
    group: u32(STX.GID),
    identity: `${u32(STX.DEV_MAJOR)}:${u32(STX.DEV_MINOR)}:${u64(STX.INO)}`,
    bytes: Number(u64(STX.SIZE)),
  };
}

/**
 * The path without symbolic links.
 *
 * @throws {KernelError} ENOENT when nothing is there.
 */
export function realPath(path: string): string {
  const resolved = new Uint8Array(PATH_MAX);
  if (libc().realpath(cstringBytes(path), resolved) === null) {
    throw new KernelError(`find ${path}`, errno());
  }
  return new TextDecoder().decode(resolved.subarray(0, resolved.indexOf(0)));
}

/** As `readFile`, as text; undefined where the file is not there or cannot be read. */
export function readTextFile(path: string): string | undefined {
  try {
    return new TextDecoder().decode(readFile(path));
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}

/** Where a symbolic link points to. */
export function readLink(path: string): string {
  const target = new Uint8Array(PATH_MAX);
  const count = Number(
    check(`read link ${path}`, libc().readlink(cstringBytes(path), target, BigInt(target.length))),
  );
  return new TextDecoder().decode(target.subarray(0, count));
}

/** Makes a folder unless it is there. */
export function makeFolder(path: string, mode: number): void {
  if (libc().mkdir(cstringBytes(path), mode) === -1 && errno() !== ERRNO.EEXIST) {
    throw new KernelError(`make folder ${path}`, errno());
  }
}

/** A lock that ends with the process, however it ends. */
export type FileLock = Disposable;

/**
 * Takes the lock of a file, which is made where it is not there (fcntl(2), F_SETLK).
 *
 * @returns the lock, or the pid of who has it.
 * @throws {KernelError} when the file cannot be opened.
 */
export function lockFile(path: string): FileLock | { readonly holder: number } {
  const flags = O.O_RDWR | O.O_CREAT | O.O_NOFOLLOW | O.O_CLOEXEC;
  const fd = check(`open ${path}`, libc().open(cstringBytes(path), flags, 0o600));
  if (libc().fcntl(fd, F.F_SETLK, flock(F_WRLCK)) === 0) {
    let open = true;
    return {
      [Symbol.dispose]() {
        if (open) libc().close(fd);
        open = false;
      },
    };
  }
  // The kernel itself says who has it; the file's content could lie.
  const lock = flock(F_WRLCK);
  libc().fcntl(fd, F.F_GETLK, lock);
  libc().close(fd);
  const view = new DataView(lock.buffer);
  const released = view.getInt16(0, LITTLE_ENDIAN) === F_UNLCK;
  return released ? lockFile(path) : { holder: view.getInt32(24, LITTLE_ENDIAN) };
}

// struct flock of 64-bit Linux: l_type i16, l_whence i16, pad 4, l_start i64, l_len i64, l_pid i32, pad 4.
// A length of 0 is the whole file.
function flock(type: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setInt16(0, type, LITTLE_ENDIAN);
  return bytes;
}
