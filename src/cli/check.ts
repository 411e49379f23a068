// pk check: is the configuration right? Reads it as the daemon does, and touches nothing.

import { command, type InferValue, message, object, option, optional } from "@optique/core";
import { type Config, endpointsOf } from "../config/config.ts";
import type { Files } from "../config/files.ts";
import { denoFiles } from "../client/files.ts";
import type { Environment } from "../config/yaml.ts";
import { ConfigError } from "../errors.ts";
import { type ConfigWarning, warningsOf } from "./config_warnings.ts";
import { dryRunText } from "./dry_run.ts";
import { environmentOf } from "./environment.ts";
import { EXIT } from "./exit.ts";
import { fileWarningsOf } from "./file_warnings.ts";
import { print } from "./print.ts";
import { path } from "./value.ts";

/** Where packages and pk.service have it. */
export const CONFIG_FILE = "/etc/pk/pk.yaml";

export const check = command(
  "check",
  object({
    config: optional(option("--config", "-c", path("FILE"), {
      description: message`The configuration file. Default: /etc/pk/pk.yaml`,
    })),
    dryRun: option("--dry-run", {
      description: message`Print the ruleset that it comes to, as nft text`,
    }),
    json: option("--json", {
      description: message`One object on standard output: ok, problems, warnings`,
    }),
  }),
  {
    brief: message`Say whether a configuration file is right, and what is wrong in it`,
    description:
      message`Reads the file and those that it names, and tells all problems with their places. Needs no privilege but to read them, and touches nothing. Exit code 3 means that there are problems.`,
  },
);

export type CheckFlags = InferValue<typeof check>;

/** What `--json` prints. Keys may be added, none goes away. */
interface Result {
  readonly file: string;
  readonly ok: boolean;
  readonly problems: readonly {
    readonly file: string;
    readonly line: number;
    readonly column: number;
    readonly message: string;
    readonly hint: string | null;
  }[];
  readonly warnings: readonly ConfigWarning[];
  /** With --dry-run. */
  readonly ruleset?: string;
}

/** @returns the exit code. */
export async function checkCommand(
  { config = CONFIG_FILE, ...flags }: CheckFlags,
): Promise<number> {
  const environment = environmentOf(config);
  const { code, output, diagnostics } = await checkFile(config, flags, denoFiles, environment);
  tell(diagnostics);
  print(output);
  return code;
}

/** All of it: unlike a daemon, a check can wait for who reads it. */
function tell(diagnostics: readonly string[]): void {
  const bytes = new TextEncoder().encode(diagnostics.map((line) => `${line}\n`).join(""));
  for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
}

/** What a check comes to. */
export interface Checked {
  /** Exit code. */
  readonly code: number;
  /** For standard output. */
  readonly output: string;
  /** Lines for standard error. */
  readonly diagnostics: readonly string[];
}

/** Checks a file. Paths in it are relative to the folder of the environment. */
export async function checkFile(
  file: string,
  { dryRun, json }: Pick<CheckFlags, "dryRun" | "json">,
  files: Files,
  environment: Environment,
): Promise<Checked> {
  // Loaded when it is needed: pk without a file has no use for a YAML parser.
  const { readConfig } = await import("../config/yaml.ts");
  let config: Config;
  try {
    config = readConfig(file, files, environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const code = EXIT.configuration;
    if (json) return { code, output: jsonText(refusal(error)), diagnostics: [] };
    const count = counted(error.problems.length, "problem");
    const diagnostics = [
      ...error.drawing().split("\n"),
      `pk: error: ${count} in the configuration`,
    ];
    return { code, output: "", diagnostics };
  }
  const warnings = [
    ...warningsOf(config),
    ...fileWarningsOf(file, config, files, environment.uid),
  ];
  const ruleset = dryRun ? dryRunText(config) : undefined;
  if (json) {
    const shown = ruleset === undefined ? {} : { ruleset };
    const output = jsonText({ file, ok: true, problems: [], warnings, ...shown });
    return { code: EXIT.ok, output, diagnostics: [] };
  }
  return {
    code: EXIT.ok,
    output: ruleset ?? `${file}: ${summaryOf(config)}\n`,
    diagnostics: warnings.map(({ message, hint }) => `pk: warning: ${message}. ${hint}`),
  };
}

function refusal({ file, problems }: ConfigError): Result {
  return {
    file,
    ok: false,
    problems: problems.map(({ file, line, column, message, hint = null }) => ({
      file,
      line,
      column,
      message,
      hint,
    })),
    warnings: [],
  };
}

function jsonText(result: Result): string {
  return `${JSON.stringify(result)}\n`;
}

/** "3 doors (2 plain, 1 rotating), 5 guarded ports, 2 decoys" */
export function summaryOf({ doors, decoys }: Config): string {
  const kinds = Map.groupBy(doors, ({ knock }) => knock.kind);
  const each = [...kinds].map(([kind, of]) => `${of.length} ${kind}`).join(", ");
  const guarded = endpointsOf(doors.flatMap(({ opens }) => opens)).length;
  return [
    `${counted(doors.length, "door")} (${each})`,
    counted(guarded, "guarded port"),
    ...(decoys.length === 0 ? [] : [counted(decoys.length, "decoy")]),
  ].join(", ");
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
