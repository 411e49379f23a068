// Tells which of some files were changed (inotify(7)). Their folders are watched, since editors put a new
// file in the place of the old one. While nothing changes it costs nothing: its descriptor is waited for.

import { ERRNO, KernelError } from "../src/errors.ts";
import { LITTLE_ENDIAN } from "../src/bytes/endian.ts";
import { check, cstringBytes, errno, libc } from "./libc.ts";

const IN = {
  /** Its mode or owner changed: one that was refused may be right now. */
  IN_ATTRIB: 0x4,
  IN_CLOSE_WRITE: 0x8,
  IN_MOVED_FROM: 0x40,
  IN_MOVED_TO: 0x80,
  IN_CREATE: 0x100,
  IN_DELETE: 0x200,
  IN_Q_OVERFLOW: 0x4000,
  /** The folder is gone, and its watch with it. */
  IN_IGNORED: 0x8000,
  IN_ONLYDIR: 0x0100_0000,
  IN_NONBLOCK: 0o4000,
  IN_CLOEXEC: 0o2000000,
} as const;
const WATCHED = IN.IN_ATTRIB | IN.IN_CLOSE_WRITE | IN.IN_MOVED_FROM | IN.IN_MOVED_TO |
  IN.IN_CREATE | IN.IN_DELETE;

// struct inotify_event: wd i32, mask u32, cookie u32, len u32, and len bytes of name, padded with NUL.
const EVENT_BYTES = 16;
const MASK = 4;
const LENGTH = 12;

/** Some hundred events, and at least one with the longest name. */
const BUFFER_BYTES = 16 * 1024;
/** Reads of one call. Whoever may write to the folder can go on for ever; the rest comes next time. */
const READS_MAX = 64;

export interface FileWatch extends Disposable {
  /** Can be read when there is something to take. */
  readonly fd: number;
  /**
   * The paths, as they were given, that were changed, made, replaced or removed since the last call; where
   * the kernel lost count, all. A writer may not be done yet: read the file a little later.
   */
  takeChanged(): string[];
}

/**
 * Watches files that are there or may be there one day. Of a symbolic link the link itself is watched.
 *
 * @throws {KernelError} ENOENT, ENOTDIR or EACCES when a file's folder cannot be watched; ENOSPC or EMFILE
 *   when the user has too many watches (sysctl fs.inotify).
 */
export function openFileWatch(paths: readonly string[]): FileWatch {
  const flags = IN.IN_NONBLOCK | IN.IN_CLOEXEC;
  const fd = check("watch files", libc().inotify_init1(flags));
  const buffer = new Uint8Array(BUFFER_BYTES);
  const view = new DataView(buffer.buffer);
  /** By watch descriptor, which is the same for the same folder; then by name. */
  const watched = new Map<number, Map<string, Set<string>>>();
  let open = true;
  const close = () => {
    if (open) libc().close(fd);
    open = false;
  };
  try {
    for (const path of paths) add(path);
  } catch (error) {
    close();
    throw error;
  }

  function add(path: string): void {
    const nameAt = path.lastIndexOf("/") + 1;
    const folder = nameAt === 0 ? "." : path.slice(0, nameAt);
    const bytes = cstringBytes(folder);
    const watch = libc().inotify_add_watch(fd, bytes, WATCHED | IN.IN_ONLYDIR);
    const names = mapGet(watched, check(`watch ${folder}`, watch), () => new Map());
    mapGet(names, path.slice(nameAt), () => new Set<string>()).add(path);
  }

  /** Paths that one event is about. */
  function concerned(watch: number, mask: number, name: string): Iterable<string> {
    if (mask & IN.IN_Q_OVERFLOW) return paths;
    const names = watched.get(watch);
    if (mask & IN.IN_IGNORED) return [...names?.values() ?? []].flatMap((same) => [...same]);
    return names?.get(name) ?? [];
  }

  function readEvents(length: number, changed: Set<string>): void {
    for (let offset = 0; offset + EVENT_BYTES <= length;) {
      const nameStart = offset + EVENT_BYTES;
      const nameEnd = nameStart + view.getUint32(offset + LENGTH, LITTLE_ENDIAN);
      const [name = ""] = new TextDecoder().decode(buffer.subarray(nameStart, nameEnd)).split("\0");
      const watch = view.getInt32(offset, LITTLE_ENDIAN);
      const mask = view.getUint32(offset + MASK, LITTLE_ENDIAN);
      for (const path of concerned(watch, mask, name)) changed.add(path);
      offset = nameEnd;
    }
  }

  return {
    fd,
    takeChanged() {
      const changed = new Set<string>();
      for (let reads = 0; open && reads < READS_MAX; reads++) {
        const length = Number(libc().read(fd, buffer, BigInt(buffer.length)));
        if (length >= 0) readEvents(length, changed);
        else if (errno() === ERRNO.EAGAIN) break;
        else if (errno() !== ERRNO.EINTR) throw new KernelError("read changes of files", errno());
      }
      return [...changed];
    },
    [Symbol.dispose]: close,
  };
}

function mapGet<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
