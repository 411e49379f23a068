// A knockd.conf to a configuration of pk, as YAML with comments: for a person to read and finish. Pure.

import { rangeText } from "../config/config.ts";
import {
  type ClosingSection,
  flagText,
  importDoors,
  type ImportedDoor,
  type Note,
} from "./knockd_doors.ts";
import {
  type KnockdOptions,
  type KnockdStep,
  type Mistake,
  parseKnockd,
} from "./knockd_grammar.ts";

/** A file of one-time sequences that a door has. */
export interface OneTimeFile {
  /** In knockd's form. */
  readonly from: string;
  /** In pk's form. */
  readonly to: string;
}

export interface ImportedKnockd {
  readonly yaml: string;
  /** Places that need a person. */
  readonly toDos: number;
  readonly oneTimeFiles: readonly OneTimeFile[];
}

export interface ImportOptions {
  /** As the comment at the top has it. */
  readonly file: string;
  /** Where the one-time files are converted to, if they are. */
  readonly oneTimeFolder?: string | undefined;
}

const WIDTH = 100;

/**
 * Converts a knockd.conf.
 *
 * @returns the configuration, or why knockd itself refuses the file. Never throws.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { importKnockd } from "./knockd_to_yaml.ts";
 * const conf = `[ssh]
 *   sequence = 7391,2044:udp,9120,4467
 *   start_command = ufw allow from %IP% to any port 22 proto tcp
 *   stop_command = ufw delete allow from %IP% to any port 22 proto tcp`;
 * const imported = importKnockd(conf, { file: "knockd.conf" });
 * assert.ok("yaml" in imported && imported.toDos === 0);
 * assert.match(imported.yaml, /knock: \[tcp\/7391, udp\/2044, tcp\/9120, tcp\/4467\]\n/);
 * ```
 */
export function importKnockd(
  text: string,
  { file, oneTimeFolder }: ImportOptions,
): ImportedKnockd | { readonly mistakes: readonly Mistake[] } {
  const { options, doors: sections, mistakes } = parseKnockd(text);
  if (mistakes.length > 0) return { mistakes };
  const { doors, closing } = importDoors(sections, oneTimeFolder);
  const lines = [
    ...optionLines(options),
    "version: 1",
    "doors:",
    ...doors.flatMap(doorLines),
    ...closing.flatMap(closingLines),
  ];
  const notes = [...doors, ...closing].flatMap((one) => one.notes);
  const toDos = notes.filter(({ toDo }) => toDo).length;
  const used = doors.filter(({ outOfUse }) => !outOfUse);
  return {
    yaml: [...headLines(file, used, toDos), ...lines, ""].join("\n"),
    toDos: used.length === 0 ? Math.max(1, toDos) : toDos,
    oneTimeFiles: doors.flatMap(({ section, oneTimeFile }) =>
      section.oneTimeFile === undefined || oneTimeFile === undefined
        ? []
        : [{ from: section.oneTimeFile, to: oneTimeFile }]
    ),
  };
}

function headLines(file: string, used: readonly ImportedDoor[], toDos: number): string[] {
  const ports = [...new Set(used.flatMap(({ opens }) => opens.map(rangeText)))].join(", ");
  const lines = comment("", `Made from ${file} by pk import knockd. Before it is of use:`);
  const points: string[] = [];
  if (used.length === 0) points.push("There is no door yet that pk would take: finish one.");
  if (toDos > 0) points.push(`Look at each "To do" below: ${toDos}.`);
  points.push("Check it: pk check --config FILE.");
  if (ports !== "") {
    points.push(
      `Let your firewall accept ${ports} from everybody, once pk runs. pk shuts them for who did ` +
        "not knock; where the firewall drops them, no knock opens them.",
    );
  }
  points.push("Stop knockd, and take away rules that it has left behind.");
  points.push("pk opens over IPv4 and IPv6 alike, and logs each grant itself.");
  return [...lines, ...points.flatMap((point) => comment("", point, "- "))];
}

function optionLines(options: KnockdOptions): string[] {
  const lines: string[] = [];
  const log = "pk logs to standard error: under systemd, journalctl -u pk.";
  const say = (option: string, text: string) => lines.push(...comment("", `${option}: ${text}`));
  if (options.interface !== undefined) {
    say(`Interface = ${options.interface}`, "pk takes knocks on all interfaces but loopback.");
  }
  if (options.useSyslog) say("UseSyslog", log);
  if (options.logFile !== undefined) say(`LogFile = ${options.logFile}`, log);
  if (options.pidFile !== undefined) {
    say(`PidFile = ${options.pidFile}`, "pk stays in the foreground, systemd knows its process.");
  }
  return lines.length === 0 ? ["#"] : ["#", "# Options of knockd:", ...lines, "#"];
}

function doorLines(door: ImportedDoor): string[] {
  const { oneTimeFile, outOfUse } = door;
  const settings = [
    `${key(door.name)}:`,
    `  opens: [${door.opens.map(rangeText).join(", ")}]`,
    ...(oneTimeFile === undefined
      ? knockLines(door)
      : [`  knock: { one-time: { file: ${JSON.stringify(printable(oneTimeFile))} } }`]),
    `  within: ${timeText(door.withinS)}`,
    `  for: ${timeText(door.forS)}`,
    ...(door.from.length === 0 ? [] : [`  from: ["${door.from.join('", "')}"]`]),
  ];
  return [
    ...titleLines(door),
    ...door.notes.flatMap(noteLines),
    ...settings.map((line) => outOfUse ? `  # ${line}` : `  ${line}`),
  ];
}

function closingLines(closing: ClosingSection): string[] {
  return [...titleLines(closing), ...closing.notes.flatMap(noteLines)];
}

function titleLines({ section }: { readonly section: ImportedDoor["section"] }): string[] {
  return ["", ...comment("  ", `[${section.name}], line ${section.line}`)];
}

function noteLines({ toDo, text, about }: Note): string[] {
  const prefix = toDo ? "To do: " : "";
  return [
    ...comment("  ", `${prefix}${text}`),
    // A command is one line, however long: it may be copied from here.
    ...(about === undefined ? [] : [`  #   ${printable(about)}`]),
  ];
}

function knockLines({ steps, flags }: ImportedDoor): string[] {
  if (flags.length === 0) return [`  knock: [${steps.map(stepText).join(", ")}]`];
  const tests = flags.map((flag) => flag.set ? flagText(flag) : `"${flagText(flag)}"`).join(", ");
  return [
    "  knock:",
    ...steps.map((step) =>
      `    - ${stepText(step)}${step.protocol === "tcp" ? `: { flags: [${tests}] }` : ""}`
    ),
  ];
}

function stepText({ protocol, port }: KnockdStep): string {
  return `${protocol}/${port ?? 0}`;
}

/** A name as a key of YAML: in quotes where it could be read as something else. */
function key(name: string): string {
  const plain = /^[A-Za-z][A-Za-z0-9_-]*$/.test(name) &&
    !/^(true|false|null|yes|no|on|off|y|n)$/i.test(name);
  return plain ? name : `"${name}"`;
}

function timeText(seconds: number): string {
  if (seconds % 3_600 === 0) return `${seconds / 3_600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}

/** Text as comment lines of at most WIDTH columns, the first with a mark such as "- ". */
function comment(indent: string, text: string, mark = ""): string[] {
  const lines: string[] = [];
  let line = `${indent}# ${mark}`;
  const follow = `${indent}# ${" ".repeat(mark.length)}`;
  for (const word of printable(text).split(" ")) {
    const joined = /[# -] $/.test(line) ? `${line}${word}` : `${line} ${word}`;
    if (joined.length <= WIDTH || line === follow) {
      line = joined;
    } else {
      lines.push(line);
      line = `${follow}${word}`;
    }
  }
  return [...lines, line].map((one) => one.trimEnd());
}

/** Without what could end a comment or drive a terminal. */
export function printable(text: string): string {
  return text.toWellFormed().replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\ufffe\uffff]/gu, "?");
}
