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
  IN_DELETE_SELF: 0x400,
  IN_MOVE_SELF: 0x800,
  IN_Q_OVERFLOW: 0x4000,
  /** The folder is gone, and its watch with it. */
  IN_IGNORED: 0x8000,
  IN_ONLYDIR: 0x0100_0000,
  /** Where the folder is watched already, for more events from now on. */
  IN_MASK_ADD: 0x2000_0000,
  IN_NONBLOCK: 0o4000,
  IN_CLOEXEC: 0o2000000,
} as const;
const ITSELF = IN.IN_DELETE_SELF | IN.IN_MOVE_SELF;
const WATCHED = ITSELF | IN.IN_ATTRIB | IN.IN_CLOSE_WRITE | IN.IN_MOVED_FROM | IN.IN_MOVED_TO |
  IN.IN_CREATE | IN.IN_DELETE;
/** After these another folder may be where a watched one was, and nothing is told of it. */
const LOST = ITSELF | IN.IN_IGNORED | IN.IN_Q_OVERFLOW;

/** The name in events of a folder itself. */
const FOLDER_ITSELF = "";

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
   * `takeChanged` has found that a folder was moved or removed, or that the kernel lost count: what is at
   * the paths now may not be watched. Open another one.
   */
  readonly isStale: boolean;
  /**
   * The paths, as they were given, that were changed, made, replaced or removed since the last call, or a
   * folder of theirs was; where the kernel lost count, all. A writer may not be done yet: read the file a
   * little later.
   */
  takeChanged(): string[];
}

/**
 * Watches files that are there or may be there one day. Of a symbolic link the link itself is watched:
 * what else a path leads through is the caller's to name.
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
  let isStale = false;
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
    const watch = check(`watch ${folder}`, watchFolder(folder, WATCHED));
    tell(path, watch, path.slice(nameAt));
    tell(path, watch, FOLDER_ITSELF);
    for (const above of foldersAbove(folder)) {
      const watch = watchFolder(above, ITSELF);
      // Through some a path may lead that pk must not read.
      if (watch !== -1) tell(path, watch, FOLDER_ITSELF);
      else if (errno() !== ERRNO.EACCES) throw new KernelError(`watch ${above}`, errno());
    }
  }

  function watchFolder(folder: string, events: number): number {
    const mask = events | IN.IN_ONLYDIR | IN.IN_MASK_ADD;
    return libc().inotify_add_watch(fd, cstringBytes(folder), mask);
  }

  /** A path is to be told when there is an event of this name. */
  function tell(path: string, watch: number, name: string): void {
    const names = mapGet(watched, watch, () => new Map<string, Set<string>>());
    mapGet(names, name, () => new Set<string>()).add(path);
  }

  /** Paths that one event is about. */
  function concerned(watch: number, mask: number, name: string): Iterable<string> {
    return mask & IN.IN_Q_OVERFLOW ? paths : watched.get(watch)?.get(name) ?? [];
  }

  function readEvents(length: number, changed: Set<string>): void {
    for (let offset = 0; offset + EVENT_BYTES <= length;) {
      const nameStart = offset + EVENT_BYTES;
      const nameEnd = nameStart + view.getUint32(offset + LENGTH, LITTLE_ENDIAN);
      const [name = ""] = new TextDecoder().decode(buffer.subarray(nameStart, nameEnd)).split("\0");
      const watch = view.getInt32(offset, LITTLE_ENDIAN);
      const mask = view.getUint32(offset + MASK, LITTLE_ENDIAN);
      if (mask & LOST) isStale = true;
      for (const path of concerned(watch, mask, name)) changed.add(path);
      offset = nameEnd;
    }
  }

  return {
    fd,
    get isStale() {
      return isStale;
    },
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

/** "/a/b" and "/a" of "/a/b/c/". Nobody moves "/". */
function foldersAbove(folder: string): string[] {
  const names = folder.split("/").slice(0, -1);
  return names.slice(0, -1).map((_, index) => names.slice(0, index + 1).join("/"))
    .filter((above) => above !== "");
}

function mapGet<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
