// knockd.conf as knockd 0.8 reads it: lines to sections, every directive with its aliases. What makes
// knockd refuse to start is a mistake here, too; what it lets slip through (a port that is no number)
// is kept as written, for those behind to say. Pure.

import type { Transport } from "../config/config.ts";

export const FLAG_NAMES = ["fin", "syn", "rst", "psh", "ack", "urg"] as const;

/** A TCP flag that has to be set or, as `!ack`, clear. */
export interface KnockdFlag {
  readonly name: typeof FLAG_NAMES[number];
  readonly set: boolean;
}

export interface KnockdStep {
  readonly protocol: Transport;
  /** 1 to 65535, or undefined where knockd has let something else through. */
  readonly port: number | undefined;
  /** As written. */
  readonly text: string;
}

/** A section that is not `[options]`. Commands are undefined when not there, "" when left empty. */
export interface KnockdDoor {
  readonly name: string;
  /** Line of its title, from 1. */
  readonly line: number;
  readonly sequence?: readonly KnockdStep[];
  readonly oneTimeFile?: string;
  /** Seconds; 0 or less where it was no number. */
  readonly seqTimeoutS: number;
  readonly flags: readonly KnockdFlag[];
  readonly target?: string;
  readonly start?: string;
  readonly start6?: string;
  /** Seconds between start and stop. */
  readonly cmdTimeoutS: number;
  readonly stop?: string;
  readonly stop6?: string;
}

/** `[options]`. */
export interface KnockdOptions {
  readonly useSyslog?: true;
  readonly logFile?: string;
  readonly pidFile?: string;
  readonly interface?: string;
}

/** Why knockd itself refuses the file. */
export interface Mistake {
  /** From 1. */
  readonly line: number;
  readonly text: string;
  readonly reason: string;
}

export interface KnockdFile {
  readonly options: KnockdOptions;
  readonly doors: readonly KnockdDoor[];
  readonly mistakes: readonly Mistake[];
}

const SEQ_TIMEOUT_S = 25;
const CMD_TIMEOUT_S = 10;
const STEPS_MAX = 32;
const NAME_LENGTH_MAX = 127;

type Parsed<T> = { readonly value: Partial<T> } | { readonly reason: string };
type Directives<T> = Readonly<Record<string, (value: string) => Parsed<T>>>;

const OPTIONS: Directives<KnockdOptions> = {
  logfile: (logFile) => ({ value: { logFile } }),
  pidfile: (pidFile) => ({ value: { pidFile } }),
  interface: (name) => ({ value: { interface: name } }),
};

const start = (text: string): Parsed<KnockdDoor> => ({ value: { start: text } });
const start6 = (text: string): Parsed<KnockdDoor> => ({ value: { start6: text } });
const seqTimeout = (text: string): Parsed<KnockdDoor> => ({ value: { seqTimeoutS: atoi(text) } });

const DOOR: Directives<KnockdDoor> = {
  sequence: (text) => {
    const sequence = parseKnockdSequence(text);
    return "reason" in sequence ? sequence : { value: { sequence: sequence.steps } };
  },
  one_time_sequences: (oneTimeFile) => ({ value: { oneTimeFile } }),
  seq_timeout: seqTimeout,
  timeout: seqTimeout,
  tcpflags: parseFlags,
  target: (target) => ({ value: { target } }),
  start_command: start,
  command: start,
  start_command_6: start6,
  command_6: start6,
  cmd_timeout: (text) => ({ value: { cmdTimeoutS: atoi(text) } }),
  stop_command: (stop) => ({ value: { stop } }),
  stop_command_6: (stop6) => ({ value: { stop6 } }),
};

/**
 * Reads a knockd.conf. Never throws; what knockd would refuse is in `mistakes`.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { parseKnockd } from "./knockd_grammar.ts";
 * const { doors } = parseKnockd("[ssh]\nSequence = 7000, 8000:UDP\nCommand = true\n");
 * assert.deepEqual(doors[0]?.sequence?.map(({ protocol, port }) => `${protocol}/${port}`), [
 *   "tcp/7000",
 *   "udp/8000",
 * ]);
 * ```
 */
export function parseKnockd(text: string): KnockdFile {
  const mistakes: Mistake[] = [];
  const doors: KnockdDoor[] = [];
  let options: KnockdOptions = {};
  let section: "none" | "options" | "door" = "none";
  text.split("\n").forEach((raw, index) => {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) return;
    const refuse = (reason: string): void => {
      mistakes.push({ line: index + 1, text: line, reason });
    };

    if (line.startsWith("[") && line.endsWith("]")) {
      const name = line.slice(1, -1);
      section = name === "options" ? "options" : "door";
      if (section === "options") return;
      if (name === "" || name.length > NAME_LENGTH_MAX) refuse("a section has a name");
      doors.push({
        name,
        line: index + 1,
        seqTimeoutS: SEQ_TIMEOUT_S,
        flags: [],
        cmdTimeoutS: CMD_TIMEOUT_S,
      });
      return;
    }
    if (section === "none") return refuse("all directives belong to a section such as [openSSH]");
    if (/^usesyslog$/i.test(line)) {
      options = { ...options, useSyslog: true };
      return;
    }
    const [, key = "", value = ""] = /^([^=]*)=(.*)$/.exec(line) ?? [];
    const name = key.trim().toLowerCase();
    if (section === "options") {
      const parsed = read(OPTIONS, "[options]", name, value.trim());
      if ("reason" in parsed) refuse(parsed.reason);
      else options = { ...options, ...parsed.value };
      return;
    }
    const parsed = read(DOOR, "a door", name, value.trim());
    const door = doors.pop();
    if (door === undefined) return;
    if ("reason" in parsed) refuse(parsed.reason);
    doors.push("reason" in parsed ? door : { ...door, ...parsed.value });
  });
  doors.forEach((door, index) => {
    if (door.sequence !== undefined || door.oneTimeFile !== undefined) return;
    const end = doors[index + 1]?.line ?? Infinity;
    const isToldOf = ({ line, text }: Mistake) =>
      door.line < line && line < end && /^sequence\b/i.test(text);
    if (mistakes.some(isToldOf)) return;
    const reason = "a door needs a Sequence or One_Time_Sequences";
    mistakes.push({ line: door.line, text: `[${door.name}]`, reason });
  });
  mistakes.sort((one, other) => one.line - other.line);
  return { options, doors, mistakes };
}

/** `7000,8000:udp` as knockd reads it, in a configuration and in a one-time file. */
export function parseKnockdSequence(
  text: string,
): { readonly steps: readonly KnockdStep[] } | { readonly reason: string } {
  const steps: KnockdStep[] = [];
  for (const part of text.split(",")) {
    const [port = "", protocol = "tcp"] = part.split(":").map((piece) => piece.trim());
    const transport = protocol.toLowerCase();
    if (transport !== "tcp" && transport !== "udp") {
      return { reason: `${JSON.stringify(protocol)} is no protocol: tcp or udp` };
    }
    const number = atoi(port);
    if (number > 65_535) return { reason: `${port} is no port: 1 to 65535` };
    const whole = /^\d+$/.test(port) && number > 0;
    steps.push({ protocol: transport, port: whole ? number : undefined, text: part.trim() });
  }
  if (steps.length <= STEPS_MAX) return { steps };
  return { reason: `a sequence has at most ${STEPS_MAX} ports, this one ${steps.length}` };
}

function read<T>(
  directives: Directives<T>,
  section: string,
  name: string,
  value: string,
): Parsed<T> {
  const parse = Object.hasOwn(directives, name) ? directives[name] : undefined;
  if (parse !== undefined) return parse(value);
  return { reason: `no directive of ${section}; there are ${Object.keys(directives).join(", ")}` };
}

function parseFlags(text: string): Parsed<KnockdDoor> {
  const flags: KnockdFlag[] = [];
  for (const part of text.split(",")) {
    const lower = part.toLowerCase();
    const name = FLAG_NAMES.find((known) => known === lower.replace(/^!/, ""));
    if (name === undefined) {
      const hint = part.trim() === part ? "" : ", without blanks";
      return { reason: `${JSON.stringify(part)} is no TCP flag: ${FLAG_NAMES.join(", ")}${hint}` };
    }
    flags.push({ name, set: !lower.startsWith("!") });
  }
  return { value: { flags } };
}

/** atoi(3): what is no number is 0. */
function atoi(text: string): number {
  return Number(/^\s*([+-]?\d+)/.exec(text)?.[1] ?? 0);
}
