// What a configuration file is read with: where its paths begin, and who runs pk.

import { readTextFile } from "../../ffi/file.ts";
import { folderOf, pathFrom } from "../config/secret_file.ts";
import type { Environment } from "../config/yaml.ts";

/** The surroundings of a configuration file. */
export function environmentOf(file: string): Environment {
  return {
    credentialsFolder: Deno.env.get("CREDENTIALS_DIRECTORY"),
    folder: pathFrom(Deno.cwd(), folderOf(file)),
    uid: ownUid(),
  };
}

/**
 * The effective user, without the permission that Deno asks for it; undefined where the system does not
 * tell.
 */
export function ownUid(): number | undefined {
  if (Deno.build.os !== "linux") return undefined;
  const uid = /^Uid:\s*\d+\s+(\d+)/m.exec(readTextFile("/proc/self/status") ?? "")?.[1];
  return uid === undefined ? undefined : Number(uid);
}
