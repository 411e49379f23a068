// From arguments to an exit code: the one place that turns errors into lines for a person.

import { openLog, writeLine } from "../daemon/log.ts";
import { HostError, KernelError, UsageError } from "../errors.ts";
import { parseArguments } from "./arguments.ts";
import { downCommand } from "./down.ts";
import { EXIT } from "./exit.ts";
import { print } from "./print.ts";
import { runCommand } from "./run.ts";

const JSON_ASKED = /--log-format[= ]json( |$)/;

const KERNEL_HINT =
  "Start pk again; if it happens again, report it with the kernel's version (uname -r)";

/** Runs one command line. Never throws for what a person or the host did. */
export async function main(args: readonly string[], version: string): Promise<number> {
  try {
    const request = parseArguments(args, version);
    if ("output" in request) {
      print(`${request.output}\n`);
      return EXIT.ok;
    }
    const { arguments: asked } = request;
    switch (asked.command) {
      case "down":
        return await downCommand();
      case "run":
        return await runCommand({ ...asked, tableOwner: !asked.noTableOwner });
    }
  } catch (error) {
    const json = JSON_ASKED.test(args.join(" "));
    if (error instanceof UsageError) return refuse(json, error.message, error.hint, EXIT.usage);
    if (error instanceof HostError) return refuse(json, error.message, error.hint, EXIT.failure);
    if (error instanceof KernelError) return refuse(json, error.message, KERNEL_HINT, EXIT.failure);
    throw error;
  }
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
