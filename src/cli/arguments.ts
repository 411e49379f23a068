// The command line: what may be typed, and its help.

import {
  constant,
  formatMessage,
  type InferValue,
  lineBreak,
  message,
  object,
  option,
  optional,
  or,
  type Parser,
  type RunOptions,
  runParserSync,
} from "@optique/core";
import { UsageError } from "../errors.ts";
import { nameOf } from "./commands.ts";
import { value } from "./value.ts";

const run = object({
  command: constant("run"),
  portSeq: optional(option("--port-seq", value("PORTS"), {
    description:
      message`2 to 10 TCP ports to be knocked, in this order. Default: 80,81,82,83,84,85,86,87, which everybody knows`,
  })),
  portDest: optional(option("--port-dest", value("PORT"), {
    description: message`The guarded TCP port. Default: 10090`,
  })),
  ruleTimer: optional(option("--rule-timer", value("TIME"), {
    description:
      message`How long the port stays open for who knocked: milliseconds, or 20s, 2m. Default: 20000`,
  })),
  within: optional(option("--within", value("TIME"), {
    description: message`Time for the whole sequence. Default: 10s`,
  })),
  onExpire: optional(option("--on-expire", value("HOW"), {
    description:
      message`keep: connections made while the port was open live on; cut: they end with the timer. Default: keep`,
  })),
  refuse: optional(option("--refuse", value("HOW"), {
    description:
      message`What who did not knock sees at the guarded port: drop (no answer) or reset (as from a closed port). Default: drop`,
  })),
  filter: optional(option("--filter", value("HOW"), {
    description:
      message`stateful: segments pass when connection tracking knows their connection; stateless: only what begins a connection is judged, and nothing is tracked. Default: stateful`,
  })),
  decoys: optional(option("--decoys", value("PORTS"), {
    description:
      message`TCP ports that set a source back to the start of the sequence, so that scans get nowhere. Default: none`,
  })),
  ban: optional(option("--ban", value("TIME"), {
    description:
      message`How long a source that touched a decoy cannot knock. Forged packets can ban others: see SECURITY.md. Default: none`,
  })),
  strict: option("--strict", {
    description: message`Refuse a wrong value instead of using its default`,
  }),
  dryRun: option("--dry-run", {
    description: message`Print the ruleset as nft text and touch nothing; needs no privilege`,
  }),
  logFormat: optional(option("--log-format", value("FORMAT"), {
    description: message`text or json, one event a line on standard error. Default: text`,
  })),
  logLevel: optional(option("--log-level", value("LEVEL"), {
    description: message`debug, info, warning or error. Default: info`,
  })),
  queueNum: optional(option("--queue-num", value("N"), {
    description: message`Number of the netfilter queue and log group. Default: 27085`,
  })),
  sourcesMax: optional(option("--sources-max", value("N"), {
    description: message`Sources in the middle of a sequence that are remembered. Default: 65536`,
  })),
  grantsMax: optional(option("--grants-max", value("N"), {
    description:
      message`Grants open at once, of IPv4 and of IPv6; more are refused. Default: 65536`,
  })),
  // For tests on kernels that could protect the table: take the way of those that cannot.
  noTableOwner: option("--no-table-owner", { hidden: true }),
});

// All but `run` are read by parsers of their own: here they are for help, and for who mistypes them.
const all = or(
  nameOf("run"),
  nameOf("check"),
  nameOf("down"),
  nameOf("knock"),
  nameOf("connect"),
  nameOf("page"),
  nameOf("secret"),
  nameOf("import"),
  run,
);

export type Arguments = InferValue<typeof run>;

/** What was asked for: values, or text for standard output. */
export type Request<T> = { readonly arguments: T } | { readonly output: string };

/**
 * Reads the command line of flags without a command.
 *
 * @throws {UsageError} for what cannot be understood, with the nearest thing that can.
 */
export function parseArguments(args: readonly string[], version: string): Request<Arguments> {
  // An alternative of nothing matches nothing: without arguments pk runs.
  const parser = args.length === 0 ? run : all;
  return parseWith(parser as typeof run, args.map(moduleSpelling), version, {
    brief: message`pk hides ports and opens them to who knocks: a secret sequence of ports.`,
    description:
      message`Without a command, pk guards a port in the foreground until it is stopped.`,
    examples: [
      ...message`pk --port-seq 7153,2918,8461,5307,9822 --decoys 4000,6500,9000 --port-dest 22`,
      lineBreak(),
      ...message`pk --port-seq 7153,2918,8461,5307,9822 --port-dest 22 --dry-run`,
      lineBreak(),
      ...message`pk run --config /etc/pk/pk.yaml`,
      lineBreak(),
      ...message`pk knock server.example.net 7153 2918 8461 5307 9822`,
      lineBreak(),
      ...message`pk down`,
    ],
    footer:
      message`When pk stops, guarded ports stay shut; pk down opens everything again. Exit codes: 0 ended as asked, 1 the host lacks or forbids something, 2 wrong usage, 3 wrong configuration.`,
  });
}

/** Where to look when a command line is wrong: for the flags without a command. */
export const HELP_HINT = "See pk --help";

type Words = Pick<RunOptions<void, never>, "brief" | "description" | "examples" | "footer">;

/** Reads a command line with any parser. */
export function parseWith<T>(
  parser: Parser<"sync", T, unknown>,
  args: readonly string[],
  version: string,
  words: Words = {},
  hint = HELP_HINT,
): Request<T> {
  const output: string[] = [];
  const parsed = runParserSync<Parser<"sync", T, unknown>, undefined, never>(parser, "pk", args, {
    colors: false,
    maxWidth: 90,
    aboveError: "none",
    stdout: (text) => output.push(text),
    stderr: () => {},
    help: { option: { names: ["--help", "-h"] }, onShow: () => undefined },
    version: {
      value: `pk ${version}`,
      option: { names: ["--version", "-V"] },
      onShow: () => undefined,
    },
    onError: (_code, words) => {
      const line = formatMessage(words, { quotes: false }).replace(/\s+/g, " ").trim();
      throw new UsageError(line, hint);
    },
    ...words,
  });
  return parsed === undefined ? { output: output.join("\n") } : { arguments: parsed };
}

/** The kernel module's parameters were spelled with underscores. */
function moduleSpelling(argument: string): string {
  return argument.replace(
    /^--(port_seq|port_dest|rule_timer)(?=$|=)/,
    (flag) => flag.replace("_", "-"),
  );
}
