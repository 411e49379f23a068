// Which of some files were changed, also where a folder or a link that leads to them was exchanged: then
// the watch is opened anew, and tried again where that fails.

import { readLink } from "../../ffi/file.ts";
import { type FileWatch, openFileWatch } from "../../ffi/file_watch.ts";
import { KernelError } from "../errors.ts";
import { WATCHDOG_MS } from "../limits.ts";
import type { Log } from "./log.ts";

/** Links on the way to a file that the kernel follows, at most (path_resolution(7)). */
const LINKS_MAX = 40;

/** A watch on files, which is opened anew when what leads to them is another folder or link. */
export interface FilesWatch extends Disposable {
  /** Undefined where nothing is watched. */
  readonly fd: number | undefined;
  /** When opening it is tried again, by `keep`; or Infinity. */
  readonly dueMs: number;
  /** Was a file changed since the last call? */
  takeChanged(): boolean;
  /**
   * Watches these files and what leads to them now.
   *
   * @returns whether the watch was opened anew; what was changed before that is not told.
   */
  keep(files: readonly string[], nowMs: number): boolean;
}

/** Without a watch pk goes on, and reads edited files when it is told to. */
export function createFilesWatch(log: Log): FilesWatch {
  let watch: FileWatch | undefined;
  /** The paths that `watch` was opened for. */
  let watched = "";
  let dueMs = Infinity;
  let told = false;

  const close = () => {
    watch?.[Symbol.dispose]();
    watch = undefined;
    dueMs = Infinity;
  };

  const open = (files: readonly string[]): boolean => {
    // An editor may follow a link, and then another folder's file changes.
    const paths = [...new Set(files.flatMap(wayTo))];
    if (watch !== undefined && !watch.isStale && paths.join("\0") === watched) return false;
    close();
    if (files.length > 0) watch = openFileWatch(paths);
    watched = paths.join("\0");
    told = false;
    return watch !== undefined;
  };

  return {
    get fd() {
      return watch?.fd;
    },
    get dueMs() {
      return dueMs;
    },
    takeChanged: () => watch !== undefined && watch.takeChanged().length > 0,
    keep(files, nowMs) {
      try {
        return open(files);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        close();
        dueMs = nowMs + WATCHDOG_MS;
        if (!told) tellNotWatched(error, log);
        told = true;
        return false;
      }
    },
    [Symbol.dispose]: close,
  };
}

function tellNotWatched({ message }: KernelError, log: Log): void {
  log("warning", "files not watched", {
    reason: message,
    hint:
      "send SIGHUP after each edit of a one-time file until pk can watch them; a usual cause is " +
      "the limit fs.inotify.max_user_instances",
  });
}

/**
 * Names that decide which file is at an absolute path, each in a folder without symbolic links: the links
 * on the way, one after the other, and the file that they lead to; where something is not there, the first
 * name that is missing.
 *
 * @throws {KernelError} ENOTDIR or EACCES where no way leads on.
 */
export function wayTo(path: string): string[] {
  const way: string[] = [];
  const names = path.split("/");
  let at = "";
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === "" || name === ".") continue;
    const next = `${at}/${name}`;
    const found = linkTarget(next);
    if (found === "missing") return [...way, next];
    if (found === "no link") at = next;
    else {
      way.push(next);
      // Links that lead to each other: any of them may be replaced.
      if (way.length > LINKS_MAX) return way;
      names.unshift(...found.target.split("/"));
      if (found.target.startsWith("/")) at = "";
    }
  }
  return [...way, at === "" ? "/" : at];
}

function linkTarget(path: string): { readonly target: string } | "no link" | "missing" {
  try {
    return { target: readLink(path) };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    if (error.code === "ENOENT") return "missing";
    if (error.code === "EINVAL") return "no link";
    throw error;
  }
}
