// The compiled pk with a configuration file: a folder of its own with the YAML and what it names, and a
// folder for its state, so that tests can edit the one and look into the other.

import { type Daemon, spawnPk } from "./pk.ts";

const READY_MS = 30_000;

export interface Configured extends Daemon {
  /** Where pk.yaml and the files it names are. */
  readonly folder: string;
  /** Where pk keeps what it must not forget. */
  readonly state: string;
  /** Writes a file of that folder as an editor does: a new one takes its place. */
  write(name: string, text: string): Promise<void>;
  read(name: string): Promise<string>;
  /** Writes pk.yaml, asks pk to read it, and waits for "reloaded" (or another event). */
  reload(yaml: string, event?: string): Promise<void>;
}

export interface ConfiguredOptions {
  /** Files beside pk.yaml, by name. */
  readonly files?: Readonly<Record<string, string>>;
  /** Folders of a pk before this one, which go on. */
  readonly folders?: Pick<Configured, "folder" | "state">;
  /** Further flags of `pk run`. */
  readonly flags?: readonly string[];
  /** What goes before pk. */
  readonly wrap?: readonly string[];
  /** What is logged: "debug" where it is left out. */
  readonly level?: "debug" | "info";
}

/** Starts `pk run` in a namespace and waits until it is ready. Its log is JSON. */
export async function startConfigured(
  ns: string,
  yaml: string,
  { files = {}, folders, flags = [], wrap = [], level = "debug" }: ConfiguredOptions = {},
): Promise<Configured> {
  const folder = folders?.folder ?? await Deno.makeTempDir({ prefix: "pk-config-" });
  const state = folders?.state ?? `${folder}/state`;
  const write = async (name: string, text: string) => {
    const part = `${folder}/.${name}.part`;
    await Deno.writeTextFile(part, text, { mode: 0o600 });
    await Deno.rename(part, `${folder}/${name}`);
  };
  for (const [name, text] of Object.entries(files)) await write(name, text);
  await write("pk.yaml", withLog(yaml, level));
  const daemon = spawnPk(
    ns,
    ["run", "--config", `${folder}/pk.yaml`, ...flags],
    ["env", `STATE_DIRECTORY=${state}`, ...wrap],
  );
  const configured: Configured = {
    ...daemon,
    folder,
    state,
    write,
    read: (name) => Deno.readTextFile(`${folder}/${name}`),
    async reload(text, event = "reloaded") {
      const nth = daemon.seen(event).length + 1;
      await write("pk.yaml", withLog(text, level));
      daemon.kill("SIGHUP");
      await daemon.event(event, {}, { nth });
    },
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true }).catch(() => {}); // another pk had it, too
    },
  };
  try {
    await daemon.event("ready", {}, { timeoutMs: READY_MS });
    return configured;
  } catch (error) {
    await configured[Symbol.asyncDispose]();
    throw error;
  }
}

function withLog(yaml: string, level: string): string {
  return `${yaml}\nlog: { format: json, level: ${level} }\n`;
}
