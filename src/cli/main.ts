// From arguments to an exit code: the one place that turns errors into lines for a person.

import { openLog, writeLine } from "../daemon/log.ts";
import { ConfigError, HostError, KernelError, UsageError } from "../errors.ts";
import { HELP_HINT, parseArguments, parseWith } from "./arguments.ts";
import { isCommand, loadCommand } from "./commands.ts";
import { EXIT } from "./exit.ts";
import { print } from "./print.ts";
import { runCommand } from "./run.ts";

const JSON_ASKED = /--log-format[= ]json( |$)/;

const KERNEL_HINT =
  "Start pk again; if it happens again, report it with the kernel's version (uname -r)";

const FILES_HINT = "Let pk have more open files (ulimit -n 1024, or LimitNOFILE= in its unit)";

/** Runs one command line. Never throws for what a person or the host did. */
export async function main(args: readonly string[], version: string): Promise<number> {
  const [name] = args;
  let helpHint = HELP_HINT;
  try {
    if (isCommand(name) && !isFlagsRun(args)) {
      helpHint = `See pk ${name} --help`;
      const { parser, run, spelling } = await loadCommand(name);
      const request = parseWith(parser, spelling(args), version, {}, helpHint);
      return "output" in request ? tell(request.output) : await run(request.arguments);
    }
    const request = parseArguments(name === "run" ? args.slice(1) : args, version);
    if ("output" in request) return tell(request.output);
    const { arguments: asked } = request;
    return await runCommand({ ...asked, tableOwner: !asked.noTableOwner });
  } catch (error) {
    const json = JSON_ASKED.test(args.join(" "));
    if (error instanceof UsageError) {
      return refuse(json, error.message, error.hint ?? helpHint, EXIT.usage);
    }
    if (error instanceof ConfigError) return refuseConfig(json, error);
    if (error instanceof HostError) return refuse(json, error.message, error.hint, EXIT.failure);
    if (error instanceof KernelError) {
      const hint = error.code === "EMFILE" ? FILES_HINT : KERNEL_HINT;
      return refuse(json, error.message, hint, EXIT.failure);
    }
    throw error;
  }
}

/**
 * `pk run --port-seq …` means the flags of one door, as they are without `run`.
 *
 * @throws {UsageError} where there is a file, too.
 */
export function isFlagsRun(args: readonly string[]): boolean {
  if (args[0] !== "run") return false;
  const [flag] = args.find((word) => /^--port[-_](seq|dest)(=|$)/.test(word))?.split("=") ?? [];
  const [file] = args.find((word) => /^(--config|-c)(=|$)/.test(word))?.split("=") ?? [];
  if (flag === undefined || file === undefined) return flag !== undefined;
  throw new UsageError(
    `${file} and ${flag} cannot be used together`,
    "A file has doors of its own: leave one of the two out",
  );
}

function tell(text: string): number {
  print(`${text}\n`);
  return EXIT.ok;
}

/** Everything that is wrong in a file. */
function refuseConfig(json: boolean, error: ConfigError): number {
  if (!json) {
    // In a journal the lines of a file, which may have knocks in them, are out of place.
    const words = Deno.stderr.isTerminal() ? error.drawing() : error.message;
    for (const line of words.split("\n")) writeLine(line);
    writeLine(`pk: error: Cannot use ${error.file}: ${count(error.problems.length, "problem")}.`);
    return EXIT.configuration;
  }
  const log = openLog("json", "error");
  for (const { file, line, column, message, hint } of error.problems) {
    const more = hint === undefined ? {} : { hint };
    log("error", "configuration problem", { file, line, column, reason: message, ...more });
  }
  return refuse(
    json,
    `Cannot use ${error.file}`,
    "pk check shows what is wrong",
    EXIT.configuration,
  );
}

function count(number: number, noun: string): string {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}

/** One line: what is wrong, and what to do. */
function refuse(
  json: boolean,
  message: string,
  hint: string | undefined,
  code: number,
): number {
  if (json) {
    openLog("json", "error")("error", "ended", {
      reason: message,
      ...(hint === undefined ? {} : { hint }),
    });
    return code;
  }
  const end = /[.?!]$/.test(message) ? "" : ".";
  writeLine(`pk: error: ${message}${hint === undefined ? "" : `${end} ${hint}`}`);
  return code;
}
