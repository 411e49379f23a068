// Secrets in files: who may read them, and what they hold. No message repeats what is in one.

import type { Files, FoundFile } from "./files.ts";
import { parseKey, Secret } from "./secret.ts";

/** Characters of a passphrase: whoever records knocks can try passphrases at home. */
const PASSPHRASE_MIN = 8;
const PASSPHRASE_MAX = 1_024;

/** Why a file cannot be used, and what to do. */
export interface FileProblem {
  readonly message: string;
  readonly hint: string;
}

/** Where a file may be. */
export interface SecretPlace {
  /** Of the file that names it. */
  readonly folder: string;
  /** systemd's $CREDENTIALS_DIRECTORY, which goes first. */
  readonly credentialsFolder?: string | undefined;
  /** Who runs pk: only their files and those of root are taken. Undefined takes anybody's. */
  readonly uid?: number | undefined;
}

/** The path of what a file in a folder names. */
export function pathFrom(folder: string, path: string): string {
  if (/^([A-Za-z]:)?[\\/]/.test(path) || folder === "") return path;
  return /[\\/]$/.test(folder) ? folder + path : `${folder}/${path}`;
}

/** The folder of a file; "" is the current one. */
export function folderOf(file: string): string {
  const end = Math.max(file.lastIndexOf("/"), file.lastIndexOf("\\"));
  return end < 0 ? "" : file.slice(0, Math.max(end, 1));
}

/** A key as `pk secret` writes it. */
export function readKey(files: Files, path: string, place: SecretPlace): Secret | FileProblem {
  const found = readSecretFile(files, path, place);
  if ("message" in found) return found;
  const key = parseKey(textOf(found.bytes) ?? "");
  if (key !== undefined) return key;
  return {
    message: `${found.path} does not hold a key`,
    hint: `A key is 32 letters and digits in groups; "pk secret" makes one`,
  };
}

/** A passphrase: all of the file but the end of its last line. */
export function readPassphrase(
  files: Files,
  path: string,
  place: SecretPlace,
): Secret | FileProblem {
  const found = readSecretFile(files, path, place);
  if ("message" in found) return found;
  const passphrase = textOf(found.bytes)?.replace(/\r?\n$/, "");
  const hint = `"pk secret" makes one that nobody guesses`;
  if (passphrase === undefined || /[\r\n\0]/.test(passphrase)) {
    return { message: `${found.path} does not hold a passphrase: that is one line of text`, hint };
  }
  const { length } = [...passphrase];
  if (length >= PASSPHRASE_MIN && length <= PASSPHRASE_MAX) {
    return new Secret(new TextEncoder().encode(passphrase));
  }
  const range = `${PASSPHRASE_MIN} to ${PASSPHRASE_MAX} characters`;
  return { message: `${found.path} does not hold a passphrase of ${range}`, hint };
}

/** The bytes of a file that nobody else may read. */
export function readSecretFile(
  files: Files,
  path: string,
  { folder, credentialsFolder, uid }: SecretPlace,
): { readonly path: string; readonly bytes: Uint8Array } | FileProblem {
  if (parseKey(path) !== undefined) {
    return {
      message: "This is a key, not the path of a file that holds one",
      hint: "Keep it in a file of its own (chmod 600), and take a new one: this one was seen",
    };
  }
  if (credentialsFolder !== undefined && !/[\\/]/.test(path)) {
    const credential = pathFrom(credentialsFolder, path);
    const found = files.read(credential);
    // systemd lets one more user in by an access list, which shows as a bit of the group.
    if (!("reason" in found)) return asPrivate(credential, found, 0o007);
    if (found.reason !== "ENOENT") return unreadable(credential, found.reason);
  }
  const own = pathFrom(folder, path);
  const found = files.read(own);
  if ("reason" in found) return unreadable(own, found.reason);
  if (!isForeign(found, uid)) return asPrivate(own, found, 0o077);
  // Root with all its rights reads it; the service has none of them, and would not start.
  return { message: `${own} ${ownerText(found)}, not to who runs pk`, hint: takeOver(own, uid) };
}

function asPrivate(path: string, { bytes, mode }: FoundFile, forbidden: number) {
  if (mode === undefined || (mode & forbidden) === 0) return { path, bytes };
  return { message: `Others may read ${path} (${modeText(mode)})`, hint: `chmod 600 ${path}` };
}

/** Does it belong to neither root nor who runs pk? */
export function isForeign({ owner }: FoundFile, uid: number | undefined): boolean {
  return owner !== undefined && uid !== undefined && owner !== 0 && owner !== uid;
}

/** "belongs to another user (uid 1000)" */
export function ownerText({ owner }: FoundFile): string {
  return `belongs to another user (uid ${owner})`;
}

/** "mode 0640" */
export function modeText(mode: number): string {
  return `mode ${(mode & 0o777).toString(8).padStart(4, "0")}`;
}

/** What makes a file one that only who runs pk may read and change. */
export function takeOver(path: string, uid: number | undefined): string {
  return `chown ${uid || "root"} ${path} && chmod 600 ${path}`;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "there is no such folder",
  EACCES: "reading it is not allowed",
  EPERM: "reading it is not allowed",
  EISDIR: "it is a folder",
  EFBIG: "it is too large",
  EINVAL: "it is not a regular file",
  EOPNOTSUPP: "pk does not read what is under /dev, /proc and /sys",
};

const REGULAR_HINT = "It has to be a regular file";
const OWNER_HINT = "It has to belong to who runs pk: root, for the server";

/** What helps, where it is not the path that is wrong. */
const HINTS: Readonly<Record<string, string>> = {
  EACCES: OWNER_HINT,
  EPERM: OWNER_HINT,
  EISDIR: REGULAR_HINT,
  EINVAL: REGULAR_HINT,
  EFBIG: "Is this the right file?",
  EOPNOTSUPP: "Copy it into a regular file, and name that one",
};

function unreadable(path: string, reason: string): FileProblem {
  return {
    message: `Cannot read ${path}: ${reasonText(reason)}`,
    hint: reasonHint(reason) ?? "A path is relative to the folder of this file",
  };
}

/** What helps against a reason; undefined where the path may be wrong. */
export function reasonHint(reason: string): string | undefined {
  return HINTS[reason];
}

/** Why a file cannot be read, in words: "there is no such file (ENOENT)". */
export function reasonText(reason: string): string {
  const words = REASONS[reason];
  return words === undefined ? reason : `${words} (${reason})`;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
