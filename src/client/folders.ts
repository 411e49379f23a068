// Where a client's files are: the XDG Base Directory Specification, and what Windows has for it.

import { HostError } from "../errors.ts";

/** Reads an environment variable. */
export type Environment = (name: string) => string | undefined;

/**
 * The folder of hosts.yaml.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { configFolder } from "./folders.ts";
 * const home = (name: string) => name === "HOME" ? "/home/alice" : undefined;
 * assert.equal(configFolder(home, "linux"), "/home/alice/.config/pk");
 * ```
 *
 * @throws {HostError} where no variable tells.
 */
export function configFolder(env: Environment, os: string): string {
  return folder(env, "XDG_CONFIG_HOME", os === "windows" ? "APPDATA" : undefined, ".config");
}

/**
 * The folder of what a client remembers.
 *
 * @throws {HostError} where no variable tells.
 */
export function stateFolder(env: Environment, os: string): string {
  const windows = os === "windows" ? "LOCALAPPDATA" : undefined;
  return folder(env, "XDG_STATE_HOME", windows, ".local/state");
}

/** The specification ignores relative paths. */
function folder(
  env: Environment,
  variable: string,
  windows: string | undefined,
  inHome: string,
): string {
  for (const name of [variable, ...(windows === undefined ? [] : [windows])]) {
    const path = env(name);
    if (path !== undefined && isAbsolute(path)) return `${path}/pk`;
  }
  const home = env("HOME") ?? env("USERPROFILE");
  if (home) return `${home}/${inHome}/pk`;
  throw new HostError("Cannot tell where your files are", `Set HOME or ${variable}`);
}

function isAbsolute(path: string): boolean {
  return /^([/\\]|[A-Za-z]:[/\\])/.test(path);
}
