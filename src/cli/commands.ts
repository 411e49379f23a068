// The commands of pk: their names, what they are for, and where they are. A command's code is loaded
// when it is asked for, since a server has no use for the client's.

import { command, constant, type Message, message, object, type Parser } from "@optique/core";

/** A command as it can be run: its parser, and what to do with the values. */
export interface Loaded<T = unknown> {
  readonly parser: Parser<"sync", T, unknown>;
  /** @returns the exit code. */
  readonly run: (values: T) => Promise<number> | number;
  /** What the parser cannot read is spelled otherwise first. */
  readonly spelling: (args: readonly string[]) => readonly string[];
}

interface Command {
  readonly brief: Message;
  readonly load: () => Promise<Loaded>;
}

const commands = {
  run: {
    brief: message`Guard the doors of a configuration file, /etc/pk/pk.yaml`,
    load: async () => {
      const { run, runConfigCommand } = await import("./run_config.ts");
      return loaded(run, runConfigCommand);
    },
  },
  check: {
    brief: message`Look for mistakes in a configuration file; touches nothing`,
    load: async () => {
      const { check, checkCommand } = await import("./check.ts");
      return loaded(check, checkCommand);
    },
  },
  down: {
    brief: message`Stop pk and remove everything it has put into the kernel`,
    load: async () => {
      const { down, downCommand } = await import("./down.ts");
      return loaded(down, downCommand);
    },
  },
  knock: {
    brief: message`Knock on a host's ports, or as a profile of hosts.yaml says`,
    load: async () => {
      const { knock, knockCommand, knockSpelling } = await import("./knock.ts");
      return loaded(knock, knockCommand, knockSpelling);
    },
  },
  connect: {
    brief: message`Knock, then join standard input and output with the connection`,
    load: async () => {
      const { connect, connectCommand } = await import("./connect.ts");
      return loaded(connect, connectCommand);
    },
  },
  page: {
    brief: message`Make a page that knocks from a browser`,
    load: async () => {
      const { page, pageCommand } = await import("./page.ts");
      return loaded(page, pageCommand);
    },
  },
  secret: {
    brief: message`Make a secret, with a QR code`,
    load: async () => {
      const { secret, secretCommand } = await import("./secret.ts");
      return loaded(secret, secretCommand);
    },
  },
  import: {
    brief: message`Turn knockd's configuration into pk's`,
    load: async () => {
      const { importConfig, importCommand } = await import("./import.ts");
      return loaded(importConfig, importCommand);
    },
  },
} satisfies Record<string, Command>;

export type CommandName = keyof typeof commands;

/** Is it the name of a command? */
export function isCommand(word: string | undefined): word is CommandName {
  return word !== undefined && Object.hasOwn(commands, word);
}

export function loadCommand(name: CommandName): Promise<Loaded> {
  return commands[name].load();
}

/** The name alone as a parser, for help and for suggestions. */
export function nameOf(name: CommandName) {
  return command(name, object({ command: constant("name") }), { brief: commands[name].brief });
}

/** Parser and command fit each other: that is all that is asked of them here. */
function loaded<T>(
  parser: Parser<"sync", T, unknown>,
  run: (values: T) => Promise<number> | number,
  spelling: Loaded["spelling"] = (args) => args,
): Loaded {
  return { parser, run, spelling } as Loaded as Loaded<unknown>;
}
