// pk run: guards the doors of a configuration file in the foreground.

import { command, message, object, option, optional } from "@optique/core";
import type { Config } from "../config/config.ts";
import { parseConfig, readText } from "../config/yaml.ts";
import { runDaemon } from "../daemon/daemon.ts";
import { openLog } from "../daemon/log.ts";
import { serverFiles } from "../daemon/server_files.ts";
import { CONFIG_FILE } from "./check.ts";
import { logWarnings, warningsOfSettings } from "./config_warnings.ts";
import { dryRunText } from "./dry_run.ts";
import { environmentOf } from "./environment.ts";
import { EXIT } from "./exit.ts";
import { fileWarningsOf } from "./file_warnings.ts";
import { print } from "./print.ts";
import { path } from "./value.ts";

export const run = command(
  "run",
  object({
    config: optional(option("--config", "-c", path("FILE"), {
      description: message`The configuration. Default: /etc/pk/pk.yaml`,
    })),
    dryRun: option("--dry-run", {
      description: message`Print the ruleset as nft text and touch nothing; needs no privilege`,
    }),
    // For tests on kernels that could protect the table: take the way of those that cannot.
    noTableOwner: option("--no-table-owner", { hidden: true }),
  }),
  {
    brief: message`Guard the doors of a configuration file`,
    description:
      message`Guards in the foreground until it is stopped. SIGHUP reads the file again: a good one takes effect as a whole, a bad one changes nothing. In place of a file it takes the flags of one door, as pk --help has them.`,
  },
);

export interface RunConfigFlags {
  readonly config: string | undefined;
  readonly dryRun: boolean;
  readonly noTableOwner: boolean;
}

/** @returns the exit code. */
export async function runConfigCommand(
  { config: file = CONFIG_FILE, dryRun, noTableOwner }: RunConfigFlags,
): Promise<number> {
  // Before there is a handler a terminal that goes away, or an early reload, would end pk.
  Deno.addSignalListener("SIGHUP", () => {});
  const environment = environmentOf(file);
  let inUse = readText(file, serverFiles);
  let latest = inUse;
  const parse = (text: Uint8Array): Config => {
    latest = text;
    const config = parseConfig(text, file, serverFiles, environment);
    return noTableOwner ? { ...config, tableOwner: false } : config;
  };
  const config = parse(inUse);
  if (dryRun) {
    print(dryRunText(config));
    return EXIT.ok;
  }
  const log = openLog(config.log.format, config.log.level);
  const warned = (config: Config): Config => {
    logWarnings([
      ...warningsOfSettings(config, "file"),
      ...fileWarningsOf(file, config, serverFiles, environment.uid),
    ], log);
    return config;
  };
  await runDaemon(warned(config), {
    reload: () => warned(parse(readText(file, serverFiles))),
    refresh: () => parse(inUse),
    accept: () => inUse = latest,
  }, log);
  return EXIT.ok;
}
