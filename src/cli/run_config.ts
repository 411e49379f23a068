// pk run: guards the doors of a configuration file in the foreground.

import { command, message, object, option, optional, string } from "@optique/core";
import type { Config } from "../config/config.ts";
import { folderOf, pathFrom } from "../config/secret_file.ts";
import { parseConfig } from "../config/yaml.ts";
import { runDaemon } from "../daemon/daemon.ts";
import { openLog } from "../daemon/log.ts";
import { serverFiles } from "../daemon/server_files.ts";
import { ConfigError } from "../errors.ts";
import { CONFIG_FILE } from "./check.ts";
import { dryRunText } from "./dry_run.ts";
import { EXIT } from "./exit.ts";
import { print } from "./print.ts";

export const run = command(
  "run",
  object({
    config: optional(option("--config", "-c", string({ metavar: "FILE" }), {
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
      message`Guards in the foreground until it is stopped. SIGHUP reads the file again: a good one takes effect as a whole, a bad one changes nothing.`,
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
  const environment = {
    credentialsFolder: Deno.env.get("CREDENTIALS_DIRECTORY"),
    folder: pathFrom(Deno.cwd(), folderOf(file)),
  };
  let text = readConfig(file);
  const refresh = (): Config => {
    const config = parseConfig(text, file, serverFiles, environment);
    return noTableOwner ? { ...config, tableOwner: false } : config;
  };
  const reload = (): Config => {
    const before = text;
    text = readConfig(file);
    try {
      return refresh();
    } catch (error) {
      text = before;
      throw error;
    }
  };
  const config = refresh();
  if (dryRun) {
    print(dryRunText(config));
    return EXIT.ok;
  }
  const log = openLog(config.log.format, config.log.level);
  await runDaemon(config, { reload, refresh }, log);
  return EXIT.ok;
}

function readConfig(file: string): Uint8Array {
  const found = serverFiles.read(file);
  if ("bytes" in found) return found.bytes;
  throw new ConfigError(file, [{
    file,
    line: 1,
    column: 1,
    message: `Cannot read it: ${found.reason}`,
    hint: "Copy pk.example.yaml to start from, or name another file (--config FILE)",
    excerpt: undefined,
  }]);
}
