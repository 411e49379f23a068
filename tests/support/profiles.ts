// hosts.yaml and the files it names in a folder of their own, and pk's client with them.

import { enter, type Outcome, run } from "./netns.ts";
import { PK } from "./pk.ts";

export interface Profiles extends AsyncDisposable {
  readonly folder: string;
  /** The command line of `pk COMMAND …` with these profiles. */
  command(command: "knock" | "connect", ...args: string[]): [string, ...string[]];
  /** Runs it to its end. */
  run(command: "knock" | "connect", ...args: string[]): Promise<Outcome>;
}

/**
 * Writes profiles for a client in a namespace.
 *
 * @param hosts what stands under `hosts:`, in flow style or indented by two.
 * @param files what it names, by name; readable by their owner only.
 */
export async function writeProfiles(
  ns: string,
  hosts: string,
  files: Readonly<Record<string, string>> = {},
): Promise<Profiles> {
  const folder = await Deno.makeTempDir({ prefix: "pk-client-" });
  await Deno.mkdir(`${folder}/pk`);
  await Deno.writeTextFile(`${folder}/pk/hosts.yaml`, `hosts:\n${hosts}\n`);
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/pk/${name}`, text, { mode: 0o600 });
  }
  const command = (...args: string[]): [string, ...string[]] => [
    ...enter(ns),
    "env",
    `XDG_CONFIG_HOME=${folder}`,
    `XDG_STATE_HOME=${folder}/state`,
    PK,
    ...args,
  ];
  return {
    folder: `${folder}/pk`,
    command,
    run: (...args) => run(...command(...args)),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}
