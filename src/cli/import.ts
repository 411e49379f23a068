// pk import knockd FILE: prints what a knockd.conf becomes.

import {
  argument,
  command,
  constant,
  type InferValue,
  message,
  object,
  option,
  optional,
  string,
} from "@optique/core";
import { writeLine } from "../daemon/log.ts";
import { HostError } from "../errors.ts";
import { importKnockd, type OneTimeFile, printable } from "../import/knockd_to_yaml.ts";
import type { Mistake } from "../import/knockd_grammar.ts";
import { convertOneTime } from "../import/one_time.ts";
import { EXIT } from "./exit.ts";
import { print } from "./print.ts";

const STDIN = "-";

const knockd = command(
  "knockd",
  object({
    command: constant("import"),
    file: argument(string({ metavar: "FILE" }), {
      description: message`A knockd.conf; - is standard input`,
    }),
    oneTimeOut: optional(option("--one-time-out", string({ metavar: "FOLDER" }), {
      description:
        message`Convert files of one-time sequences, too: into this folder, as DOOR.sequences`,
    })),
  }),
  {
    brief: message`Print what a configuration of knockd becomes`,
    description:
      message`Prints pk's configuration (YAML) on standard output. What pk does not do, such as running commands, stands beside its door as a comment that begins with "To do".`,
    footer:
      message`Exit codes: 0 all is understood, 4 printed but something in it needs a person (see each "To do"), 3 the file has mistakes for which knockd would refuse it, 1 it cannot be read.`,
  },
);

/** What may be typed. */
export const importConfig = command("import", knockd, {
  brief: message`Take over the configuration of another port knocker`,
  description:
    message`Prints pk's configuration for that of another port knocker: pk import knockd /etc/knockd.conf > pk.yaml`,
});

export type ImportArguments = InferValue<typeof importConfig>;

/** @returns the exit code. */
export async function importCommand(
  { file, oneTimeOut }: Pick<ImportArguments, "file" | "oneTimeOut">,
): Promise<number> {
  const shown = file === STDIN ? "standard input" : file;
  const oneTimeFolder = oneTimeOut === undefined ? undefined : await realFolder(oneTimeOut);
  const imported = importKnockd(await readText(file), { file: shown, oneTimeFolder });
  if ("mistakes" in imported) return refuse(shown, imported.mistakes);
  if (oneTimeFolder !== undefined) {
    for (const files of imported.oneTimeFiles) {
      const mistakes = await convert(files);
      if (mistakes.length > 0) return refuse(files.from, mistakes);
    }
  }
  print(imported.yaml);
  if (imported.toDos === 0) return EXIT.ok;
  const places = imported.toDos === 1 ? "One place needs" : `${imported.toDos} places need`;
  writeLine(`pk: ${places} a person: see each "To do" in the output`);
  return EXIT.attention;
}

/** Never writes over a file: it may hold sequences that clients have. */
async function convert({ from, to }: OneTimeFile): Promise<readonly Mistake[]> {
  const converted = convertOneTime(await readText(from));
  if ("mistakes" in converted) return converted.mistakes;
  try {
    await Deno.writeTextFile(to, converted.text, { createNew: true, mode: 0o600 });
  } catch (error) {
    throw new HostError(
      `Cannot write ${to}: ${reasonOf(error)}`,
      error instanceof Deno.errors.AlreadyExists
        ? "Move that file away, or name another folder"
        : "Name a folder that you may write to",
    );
  }
  return [];
}

function refuse(file: string, mistakes: readonly Mistake[]): number {
  for (const { line, text, reason } of mistakes) {
    writeLine(`pk: ${printable(`${file}:${line}: ${reason}`)}`);
    writeLine(`    ${printable(text)}`);
  }
  writeLine("pk: Nothing was printed: mend this first, knockd itself refuses it");
  return EXIT.configuration;
}

async function readText(file: string): Promise<string> {
  try {
    if (file === STDIN) return await new Response(Deno.stdin.readable).text();
    return await Deno.readTextFile(file);
  } catch (error) {
    throw new HostError(`Cannot read ${file}: ${reasonOf(error)}`, "See that the file is there");
  }
}

async function realFolder(folder: string): Promise<string> {
  try {
    return await Deno.realPath(folder);
  } catch (error) {
    throw new HostError(`Cannot use ${folder}: ${reasonOf(error)}`, "Name a folder that is there");
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
