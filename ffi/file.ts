// Files by way of libc: Deno reads nothing under /proc without all permissions, and has no locks
// whose holder the kernel names.

import { ERRNO, KernelError } from "../src/errors.ts";
import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { check, cstringBytes, errno, libc } from "./libc.ts";

const O = {
  O_RDONLY: 0,
  O_RDWR: 2,
  O_CREAT: 0o100,
  O_NOFOLLOW: 0o400000,
  O_CLOEXEC: 0o2000000,
} as const;
const F = { F_GETLK: 5, F_SETLK: 6 } as const;
const F_WRLCK = 1;
const F_UNLCK = 2;

/**
 * A whole file, for the small ones of /proc.
 *
 * @throws {KernelError}
 */
export function readFile(path: string): Uint8Array<ArrayBuffer> {
  const fd = check(`open ${path}`, libc().open(cstringBytes(path), O.O_RDONLY | O.O_CLOEXEC, 0));
  try {
    let bytes = new Uint8Array(4096);
    let length = 0;
    while (true) {
      const count = Number(
        check(
          `read ${path}`,
          libc().read(fd, bytes.subarray(length), BigInt(bytes.length - length)),
        ),
      );
      if (count === 0) return bytes.slice(0, length);
      length += count;
      if (length === bytes.length) {
        const larger = new Uint8Array(bytes.length * 2);
        larger.set(bytes);
        bytes = larger;
      }
    }
  } finally {
    libc().close(fd);
  }
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
  const target = new Uint8Array(256);
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
