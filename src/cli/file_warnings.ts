// Who owns the files of a configuration, and who else may read or change them. Root with all its rights
// does not notice; the service, which has one right alone, stays down at the next boot.

import type { Config } from "../config/config.ts";
import type { Files, FoundFile } from "../config/files.ts";
import { isForeign, modeText, ownerText, takeOver } from "../config/secret_file.ts";
import type { ConfigWarning } from "./config_warnings.ts";

/** A file, and what it is for. */
interface KeptFile {
  readonly path: string;
  /** The door that it belongs to; null is the configuration itself. */
  readonly door: string | null;
  /** Are there knocks in it? */
  readonly secret: boolean;
}

/**
 * What is careless about the configuration file and its files of one-time sequences. Those of secrets are
 * refused when they are read.
 *
 * @param uid who runs pk; undefined where nobody knows.
 */
export function fileWarningsOf(
  file: string,
  { doors }: Config,
  files: Files,
  uid: number | undefined,
): ConfigWarning[] {
  const secret = doors.some(({ knock }) => knock.kind === "plain");
  const kept: KeptFile[] = [
    { path: file, door: null, secret },
    ...doors.flatMap(({ name, knock }) =>
      knock.kind === "one-time" ? [{ path: knock.file, door: name, secret: true }] : []
    ),
  ];
  return kept.flatMap(({ path, door, secret }) => {
    const found = files.read(path);
    if ("reason" in found) return [];
    const careless = carelessnessOf(found, secret, uid);
    if (careless.length === 0) return [];
    return [{ door, message: `${path} ${careless.join(", and ")}`, hint: takeOver(path, uid) }];
  });
}

function carelessnessOf(found: FoundFile, secret: boolean, uid: number | undefined): string[] {
  const { mode = 0 } = found;
  const others = (mode & 0o022) !== 0
    ? [`can be changed by others (${modeText(mode)})`]
    : secret && (mode & 0o077) !== 0
    ? [`has knocks in it that others may read (${modeText(mode)})`]
    : [];
  return [...(isForeign(found, uid) ? [ownerText(found)] : []), ...others];
}
