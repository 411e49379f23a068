// What may open only once, kept on disk: a captured knock must not open a second time, neither after
// kill -9 and a power cut, nor when the clock was set back.
//
// **Invariant:** a use is on disk before `take` says that it is new. Whatever cannot be written or read
// opens nothing.

import { type AppendFile, openAppendFile, writeFileDurably } from "../../ffi/durable_file.ts";
import {
  type FileLock,
  lockFile,
  makeFolder,
  pathStatus,
  readRegularFile,
} from "../../ffi/file.ts";
import { ERRNO, HostError, KernelError } from "../errors.ts";
import {
  decodePast,
  encodePast,
  isStep,
  parseUse,
  type Past,
  recordLine,
  type Use,
  useText,
} from "./used_steps_file.ts";

export type { Use } from "./used_steps_file.ts";

/**
 * Uses remembered one by one: a busy site's two a minute for five days. They take 1 MB of disk and 2 MB
 * of memory. Of more, the older half is forgotten, and everything as old as that is refused.
 */
export const USES_MAX = 16_384;

/** Of a file that this module has written: a record has 300 bytes at most, and doors are few. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;
const FILE_NAME = "used-steps";

export interface UsedSteps extends Disposable {
  /**
   * Notes uses on disk before it returns: one fsync(2) for all of them, none where nothing is new. The
   * file is read by the first call, which may be `take([])`. After an error the next call tries anew.
   *
   * @returns for each whether it is new; of equal ones the first. Others are replays.
   * @throws {KernelError} when they cannot be written: then none of them counts as new.
   * @throws {HostError} when the file is damaged, or another process has it.
   */
  take(uses: readonly Use[]): boolean[];
  /**
   * Steps of this door up to here are refused, whoever used them; undefined where there is no such step.
   * Who is refused for it has a clock that was set back, or the host has: a line in the log.
   */
  floor(door: string): number | undefined;
}

/**
 * Used steps in a folder, which is made where it is not there: systemd's $STATE_DIRECTORY, or
 * /var/lib/pk. Nobody else may write there; a lock keeps a pk of another network namespace away.
 */
export function openUsedSteps(folder: string, usesMax = USES_MAX): UsedSteps {
  const path = `${folder}/${FILE_NAME}`;
  let past: Past | undefined;
  let file: AppendFile | undefined;
  let lock: FileLock | undefined;

  /** What is on disk already, made ready to be appended to. */
  const load = (): Past => {
    makeFolder(folder, 0o700);
    lock ??= lockFolder(folder);
    const found = readIfThere(path);
    if (found === undefined) return { uses: new Set(), floors: new Map() };
    const { past, wholeBytes } = decodePast(found, path);
    file = openAppendFile(path, wholeBytes);
    return past;
  };

  /** Writes everything anew: the file is not there, was tampered with, has failed, or is too long. */
  const rewrite = (whole: Past): void => {
    makeFolder(folder, 0o700);
    file?.[Symbol.dispose]();
    const bytes = encodePast(whole);
    writeFileDurably(path, bytes, 0o600);
    file = openAppendFile(path, bytes.length);
  };

  return {
    take(uses) {
      past ??= load();
      const { isNew, texts } = judge(past, uses);
      if (texts.length === 0) return isNew;
      if (file?.isIntact() && past.uses.size + texts.length <= usesMax) {
        file.append(new TextEncoder().encode(texts.map(recordLine).join("")));
        for (const text of texts) past.uses.add(text);
      } else {
        const whole = prune(past, texts, usesMax);
        rewrite(whole);
        past = whole;
      }
      return isNew;
    },
    floor: (door) => past?.floors.get(door),
    [Symbol.dispose]() {
      file?.[Symbol.dispose]();
      file = undefined;
      past = undefined;
      lock?.[Symbol.dispose]();
      lock = undefined;
    },
  };
}

/** The lock of pk is one for each network namespace, and files are the same in all of them. */
function lockFolder(folder: string): FileLock {
  const lock = lockFile(`${folder}/lock`);
  if (!("holder" in lock)) return lock;
  throw new HostError(
    `Cannot use ${folder}: process ${lock.holder} keeps its used steps there`,
    "Give each pk a folder of its own: STATE_DIRECTORY=/var/lib/pk-NAME",
  );
}

/** Which uses are new, and the texts of those. */
function judge(
  { uses: known, floors }: Past,
  uses: readonly Use[],
): { isNew: boolean[]; texts: string[] } {
  const texts = new Set<string>();
  const isNew = uses.map((use) => {
    const text = useText(use);
    if (!isStep(use.step) || use.step <= (floors.get(use.door) ?? -1)) return false;
    if (known.has(text) || texts.has(text)) return false;
    texts.add(text);
    return true;
  });
  return { isNew, texts: [...texts] };
}

/**
 * The past with further uses, of which the oldest are forgotten where there are too many. Old is what was
 * used long ago: doors have steps of different lengths, which cannot be compared.
 */
function prune(past: Past, texts: readonly string[], usesMax: number): Past {
  const uses = [...past.uses];
  const excess = uses.length + texts.length > usesMax ? uses.length - (usesMax >> 1) : 0;
  const floors = new Map(past.floors);
  for (const text of uses.slice(0, Math.max(0, excess))) {
    const { door, step } = parseUse(text);
    floors.set(door, Math.max(step, floors.get(door) ?? step));
  }
  const kept = uses.slice(Math.max(0, excess)).filter((text) => {
    const { door, step } = parseUse(text);
    return step > (floors.get(door) ?? -1);
  });
  return { uses: new Set([...kept, ...texts]), floors };
}

function readIfThere(path: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return readRegularFile(path, FILE_BYTES_MAX).bytes;
  } catch (error) {
    if (!(error instanceof KernelError && error.code === "ENOENT")) throw error;
    if (pathStatus(path) === undefined) return undefined;
    // Nothing could be written there: better told now than when somebody knocks.
    throw new KernelError(`read ${path}`, ERRNO.ELOOP, "it is a symbolic link to nothing");
  }
}
