// hosts.yaml: the profiles of a person, found by name or by the host that they are for.

import type { Profile } from "./profile.ts";
import { reasonHint, reasonText } from "../config/secret_file.ts";
import { configFolder } from "./folders.ts";
import type { Here } from "./here.ts";
import { denoFiles } from "./files.ts";
import { parseKnocks } from "./typed_knocks.ts";
import { profilesOf } from "./hosts_schema.ts";
import { HostError, UsageError } from "../errors.ts";
import { nearest } from "../yaml/nearest.ts";

export interface HostsFile {
  readonly path: string;
  /** By name, in the order of the file. */
  readonly profiles: ReadonlyMap<string, Profile>;
}

/**
 * Reads the profiles.
 *
 * @param path undefined takes the person's own file.
 * @throws {ConfigError} with everything that is wrong in it.
 * @throws {HostError} where it cannot be read.
 */
export function hostsFile(here: Here, path?: string): HostsFile {
  const file = path ?? `${configFolder(here.env, here.os)}/hosts.yaml`;
  const found = denoFiles.read(file);
  if (!("reason" in found)) return { path: file, profiles: profilesOf(found.bytes, file) };
  if (found.reason === "ENOENT") {
    throw new HostError(
      `There are no profiles: no file ${file}`,
      "Write one (pk knock --help shows its form), or knock with ports: pk knock HOST 7000 8000",
    );
  }
  throw new HostError(
    `Cannot read ${file}: ${reasonText(found.reason)}`,
    reasonHint(found.reason) ?? "Look at who may read it",
  );
}

/**
 * The profile of that name, or else one for that host: of several, the one that opens the port.
 *
 * @throws {UsageError} where there is none, with the nearest name.
 */
export function findProfile(
  { path, profiles }: HostsFile,
  wanted: string,
  port?: number,
): Profile {
  const named = profiles.get(wanted);
  if (named !== undefined) return named;
  const ofHost = [...profiles.values()].filter(({ host }) => sameHost(host, wanted));
  const profile = ofHost.find(({ opens }) => opens?.port === port) ?? ofHost[0];
  if (profile !== undefined) return profile;
  const names = [...profiles.keys()];
  const meant = nearest(wanted, names);
  throw new UsageError(
    `There is no profile ${JSON.stringify(wanted)} in ${path}, by name or by host`,
    meant === undefined ? `It has: ${names.join(", ")}` : `Did you mean ${meant}?`,
  );
}

/**
 * A profile of what was typed: a host and its knocks.
 *
 * @throws {UsageError}
 */
export function typedProfile(host: string, knocks: readonly string[], udp: boolean): Profile {
  const parsed = parseKnocks(knocks, udp ? "udp" : "tcp");
  if ("reason" in parsed) {
    throw new UsageError(`Cannot knock: ${parsed.reason}`, "See pk knock --help");
  }
  return {
    name: undefined,
    host,
    door: "",
    opens: undefined,
    knock: { kind: "plain", steps: parsed.value },
    address: undefined,
  };
}

/** Names have no case; addresses may be in brackets. */
function sameHost(one: string, other: string): boolean {
  const plain = (host: string) => host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  return plain(one) === plain(other);
}
