// What a client remembers of a profile from one run to the next: the last time step whose sequence it
// knocked, since each opens once. While one run has the memory, another one waits for it, so that two
// sessions that start together do not knock the same sequence.

import { HostError } from "../errors.ts";
import { cannotWrite, replaceFile } from "./replace_file.ts";

/** What is remembered. */
export interface Remembered {
  /** The last time step whose sequence was knocked. */
  readonly timeStep?: number;
  /** When the last sequence was knocked, in ms since 1970. */
  readonly knockedAt?: number;
}

export interface Memory extends Disposable {
  readonly last: Remembered;
  /** Writes it to disk before it returns. */
  remember(what: Remembered): void;
}

/**
 * Opens the memory of a profile, when no other run has it.
 *
 * @param folder is made where it is missing.
 * @throws {HostError} where the folder cannot be written to.
 */
export async function openMemory(folder: string, profile: string): Promise<Memory> {
  const file = `${folder}/${profile}.json`;
  let lock: Deno.FsFile | undefined;
  try {
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    lock = await Deno.open(`${folder}/${profile}.lock`, {
      create: true,
      write: true,
      mode: 0o600,
    });
    await lock.lock(true);
    const held = lock;
    return {
      last: await read(file),
      remember: (what) => replaceFile(file, `${JSON.stringify(what)}\n`),
      [Symbol.dispose]: () => held.close(),
    };
  } catch (error) {
    lock?.close();
    throw new HostError(
      cannotWrite(file, error).message,
      "Look at who may write there; XDG_STATE_HOME names another folder for what pk remembers",
    );
  }
}

/** What cannot be read is nothing that could be remembered: it costs one time step at most. */
async function read(file: string): Promise<Remembered> {
  try {
    const { timeStep, knockedAt } = JSON.parse(await Deno.readTextFile(file));
    return {
      ...(Number.isSafeInteger(timeStep) ? { timeStep } : {}),
      ...(Number.isSafeInteger(knockedAt) ? { knockedAt } : {}),
    };
  } catch {
    return {};
  }
}
