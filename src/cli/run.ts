// pk [flags]: guards in the foreground, or prints what it would install.

import type { Config } from "../config/config.ts";
import { type Finding, parseFlags, type RawFlags } from "../config/flags.ts";
import { runDaemon } from "../daemon/daemon.ts";
import { type Log, openLog, writeLine } from "../daemon/log.ts";
import { rulesetOf, rulesetText } from "../firewall/ruleset.ts";
import { UsageError } from "../errors.ts";
import { HELP_HINT } from "./arguments.ts";
import { logWarnings, warningsOfSettings } from "./config_warnings.ts";
import { EXIT } from "./exit.ts";
import { print } from "./print.ts";

export interface RunFlags extends RawFlags {
  readonly strict: boolean;
  readonly dryRun: boolean;
}

/** @returns the exit code. */
export async function runCommand(flags: RunFlags): Promise<number> {
  const { config, findings, publicSequence, conflict } = parseFlags(flags);
  const log = openLog(config.log.format, config.log.level);
  const level = flags.strict ? "error" : "warning";
  for (const finding of findings) tellFinding(config, log, level, finding);
  if (flags.strict && findings.length > 0) return endRefused(config, log);
  if (publicSequence) tellPublicSequence(config, log);
  if (conflict !== undefined) {
    throw new UsageError(conflict.message, conflict.hint);
  }
  for (const warning of warningsOfSettings(config, "flags")) {
    const { message, hint } = warning;
    tell(config, `warning: ${message}. ${hint}`, () => logWarnings([warning], log));
  }
  if (flags.dryRun) {
    print(rulesetText(rulesetOf(config, "queue"), config.tableOwner));
    return EXIT.ok;
  }
  await runDaemon(config, { reload: undefined, refresh: () => config, accept: () => {} }, log);
  return EXIT.ok;
}

function tellFinding(config: Config, log: Log, level: "warning" | "error", finding: Finding): void {
  const { used, ...refused } = finding;
  const { flag, value, reason } = refused;
  const consequence = level === "error" ? "refused" : `using the default ${used}`;
  tell(
    config,
    `${level}: Cannot use ${flag} ${JSON.stringify(value)}: ${reason}; ${consequence}`,
    () => {
      if (level === "error") log(level, "flag refused", refused);
      else log(level, "default used", { ...finding });
    },
  );
}

/** To a person the flags have been told, each in a sentence. */
function endRefused({ log: { format } }: Config, log: Log): number {
  if (format === "json") {
    log("error", "ended", { reason: "flags were refused", hint: HELP_HINT });
  }
  return EXIT.usage;
}

function tellPublicSequence(config: Config, log: Log): void {
  const sentence = "The sequence in use is the public default, which every attacker knows; " +
    "choose your own with --port-seq";
  tell(config, `warning: ${sentence}`, () => log("warning", "public sequence", { hint: sentence }));
}

/** To a person as a sentence, to a program as an event. */
function tell(config: Config, sentence: string, asEvent: () => void): void {
  if (config.log.format === "json") asEvent();
  else writeLine(`pk: ${sentence}`);
}
