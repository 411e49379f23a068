// Flags as text → Config. As in the kernel module that pk succeeds, a value that is missing or wrong
// falls back to its default, and for every wrong one there is a finding to be told. Pure.

import {
  DECOYS_MAX,
  GRANT_MS_MAX,
  GRANTS_RANGE,
  type Range,
  SEQUENCE_PORTS_MAX,
  SEQUENCE_PORTS_MIN,
  SOURCES_RANGE,
} from "../limits.ts";
import {
  type Config,
  CONNECTIONS_OF_STATELESS,
  type Filter,
  type LogFormat,
  type LogLevel,
  type Milliseconds,
  type OnExpire,
  type Port,
  PUBLIC_SEQUENCE,
  type Refusal,
  tcpStep,
} from "./config.ts";
import { DEFAULTS } from "./defaults.ts";

/** The flags' values as they were typed; undefined where they were not. */
export interface RawFlags {
  readonly portSeq?: string | undefined;
  readonly portDest?: string | undefined;
  readonly ruleTimer?: string | undefined;
  readonly within?: string | undefined;
  readonly refuse?: string | undefined;
  readonly filter?: string | undefined;
  readonly onExpire?: string | undefined;
  readonly decoys?: string | undefined;
  readonly ban?: string | undefined;
  readonly sourcesMax?: string | undefined;
  readonly grantsMax?: string | undefined;
  readonly queueNum?: string | undefined;
  readonly logFormat?: string | undefined;
  readonly logLevel?: string | undefined;
  readonly tableOwner: boolean;
}

/** A value that could not be used. */
export interface Finding {
  /** "--port-dest" */
  readonly flag: string;
  /** As typed. */
  readonly value: string;
  readonly reason: string;
  /** The default that is used instead, as it would be typed. */
  readonly used: string;
}

export interface ParsedFlags {
  readonly config: Config;
  readonly findings: readonly Finding[];
  /** The sequence in use is the one that everybody knows. */
  readonly publicSequence: boolean;
  /** Why no default can mend this: flags contradict each other. */
  readonly conflict: Conflict | undefined;
}

/** What is wrong, and what to do. */
interface Conflict {
  readonly message: string;
  readonly hint: string;
}

/** What parsing a value comes to: the value, or why it is none. */
type Parsed<T> = { readonly value: T } | { readonly reason: string };

/** Name of the one door that flags describe. */
export const FLAGS_DOOR = "main";

/** Flags to a configuration, with what was found wrong in them. */
export function parseFlags(flags: RawFlags): ParsedFlags {
  const findings: Finding[] = [];
  const take = <T>(
    flag: string,
    text: string | undefined,
    parse: (text: string) => Parsed<T>,
    fallback: string,
  ): T => {
    const parsed = parse(text ?? fallback);
    if ("value" in parsed) return parsed.value;
    findings.push({ flag, value: text ?? "", reason: parsed.reason, used: fallback });
    return take(flag, fallback, parse, fallback);
  };
  const sequence = take("--port-seq", flags.portSeq, parseSequence, PUBLIC_SEQUENCE.join(","));
  const port = take("--port-dest", flags.portDest, parsePort, "10090");
  const timeoutMs = take("--rule-timer", flags.ruleTimer, parseTimer, String(DEFAULTS.timeoutMs));
  const withinMs = take("--within", flags.within, parseTimer, String(DEFAULTS.withinMs));
  const refuse = take("--refuse", flags.refuse, parseRefusal, DEFAULTS.refuse);
  const filter = take("--filter", flags.filter, parseFilter, DEFAULTS.filter);
  const onExpire = take("--on-expire", flags.onExpire, parseOnExpire, DEFAULTS.onExpire);
  const decoys = take("--decoys", flags.decoys, parseDecoys, "none");
  const banMs = take("--ban", flags.ban, parseBan, "none");
  const sourcesMax = take(
    "--sources-max",
    flags.sourcesMax,
    parseSources,
    String(DEFAULTS.sourcesMax),
  );
  const grantsMax = take("--grants-max", flags.grantsMax, parseGrants, String(DEFAULTS.grantsMax));
  const queueNumber = take(
    "--queue-num",
    flags.queueNum,
    parseQueueNumber,
    String(DEFAULTS.queueNumber),
  );
  const format = take("--log-format", flags.logFormat, parseLogFormat, DEFAULTS.logFormat);
  const level = take("--log-level", flags.logLevel, parseLogLevel, DEFAULTS.logLevel);
  return {
    config: {
      doors: [{
        name: FLAGS_DOOR,
        opens: [{ protocol: "tcp", first: port, last: port }],
        knock: { kind: "plain", steps: sequence.map(tcpStep) },
        withinMs,
        timeoutMs,
        onExpire,
        from: [],
        weakAccepted: false,
      }],
      refuse,
      filter,
      decoys: decoys.map((decoy) => ({ protocol: "tcp", port: decoy })),
      banMs,
      queueNumber,
      tableOwner: flags.tableOwner,
      sourcesMax,
      grantsMax,
      log: { format, level },
    },
    findings,
    publicSequence: sequence.join() === PUBLIC_SEQUENCE.join(),
    conflict: conflictOf(sequence, port, decoys) ?? filterConflictOf(filter, onExpire),
  };
}

function conflictOf(
  sequence: readonly Port[],
  port: Port,
  decoys: readonly Port[],
): Conflict | undefined {
  if (sequence.includes(port)) {
    return {
      message: `Cannot guard port ${port} and knock on it: --port-dest is in --port-seq, too`,
      hint: "Choose another --port-dest, or a sequence without that port",
    };
  }
  const both = decoys.find((decoy) => decoy === port || sequence.includes(decoy));
  if (both === undefined) return undefined;
  const other = both === port ? "--port-dest" : "--port-seq";
  return {
    message: `Cannot use port ${both} as a decoy: it is in ${other}, too`,
    hint: "Choose another port in --decoys",
  };
}

function filterConflictOf(filter: Filter, onExpire: OnExpire): Conflict | undefined {
  if (filter === "stateful" || onExpire === CONNECTIONS_OF_STATELESS.tcp) return undefined;
  return {
    message: "Cannot cut connections that are not tracked",
    hint: "Leave out --on-expire cut, or --filter stateless",
  };
}

const PORT_REASON = "a port is a number from 1 to 65535";

function parsePort(text: string): Parsed<Port> {
  const value = wholeNumber(text);
  return value >= 1 && value <= 65_535 ? { value: value as Port } : { reason: PORT_REASON };
}

function parseSequence(text: string): Parsed<readonly Port[]> {
  const parsed = text.split(",").map((part) => parsePort(part.trim()));
  const ports = parsed.flatMap((port) => "value" in port ? [port.value] : []);
  if (ports.length < parsed.length) return { reason: PORT_REASON };
  if (ports.length < SEQUENCE_PORTS_MIN || ports.length > SEQUENCE_PORTS_MAX) {
    const range = `${SEQUENCE_PORTS_MIN} to ${SEQUENCE_PORTS_MAX}`;
    return { reason: `a sequence has ${range} ports, this one ${ports.length}` };
  }
  return { value: ports };
}

function parseDecoys(text: string): Parsed<readonly Port[]> {
  if (text === "none") return { value: [] };
  const parsed = text.split(",").map((part) => parsePort(part.trim()));
  const ports = parsed.flatMap((port) => "value" in port ? [port.value] : []);
  if (ports.length < parsed.length) return { reason: PORT_REASON };
  if (ports.length <= DECOYS_MAX) return { value: ports };
  return { reason: `there can be ${DECOYS_MAX} decoys, these are ${ports.length}` };
}

function parseRefusal(text: string): Parsed<Refusal> {
  if (text === "drop" || text === "reset") return { value: text };
  return { reason: "a refused SYN gets drop (no answer) or reset (as from a closed port)" };
}

function parseFilter(text: string): Parsed<Filter> {
  if (text === "stateful" || text === "stateless") return { value: text };
  return { reason: "a filter is stateful (connections are tracked) or stateless" };
}

function parseOnExpire(text: string): Parsed<OnExpire> {
  if (text === "keep" || text === "cut") return { value: text };
  return { reason: "connections of a grant that ends: keep or cut" };
}

const UNIT_MS: Readonly<Record<string, number>> = {
  "": 1,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};

const TIMER_REASON =
  "a timer is 1 (milliseconds) to 596h (24 days; h is the largest unit), such as 20000, 20s or 2m";

function parseTimer(text: string): Parsed<Milliseconds> {
  const [, digits = "", unit = ""] = /^(\d{1,10})(ms|s|m|h)?$/.exec(text.trim()) ?? [];
  const value = digits === "" ? Number.NaN : Number(digits) * (UNIT_MS[unit] ?? 1);
  if (value >= 1 && value <= GRANT_MS_MAX) return { value: value as Milliseconds };
  return { reason: TIMER_REASON };
}

/** The kernel's sets keep whole seconds exactly. */
function parseBan(text: string): Parsed<Milliseconds | undefined> {
  if (text === "none") return { value: undefined };
  const parsed = parseTimer(text);
  if ("reason" in parsed) return parsed;
  const rounded = Math.ceil(parsed.value / 1_000) * 1_000;
  return rounded <= GRANT_MS_MAX ? { value: rounded as Milliseconds } : { reason: TIMER_REASON };
}

function parseSources(text: string): Parsed<number> {
  return parseCount(text, SOURCES_RANGE);
}

function parseGrants(text: string): Parsed<number> {
  return parseCount(text, GRANTS_RANGE);
}

function parseCount(text: string, { min, max }: Range): Parsed<number> {
  const value = wholeNumber(text);
  return value >= min && value <= max
    ? { value }
    : { reason: `this is a number from ${min} to ${max}` };
}

function parseQueueNumber(text: string): Parsed<number> {
  const value = wholeNumber(text);
  if (value <= 65_535) return { value };
  return { reason: "a queue number is a number from 0 to 65535" };
}

function parseLogFormat(text: string): Parsed<LogFormat> {
  if (text === "text" || text === "json") return { value: text };
  return { reason: "a log format is text or json" };
}

function parseLogLevel(text: string): Parsed<LogLevel> {
  switch (text) {
    case "debug":
    case "info":
    case "warning":
    case "error":
      return { value: text };
    case "warn":
      return { value: "warning" };
    default:
      return { reason: "a log level is debug, info, warning or error" };
  }
}

/** Decimal digits only, or NaN: no sign, no point, no 0x, no blanks but around. */
function wholeNumber(text: string): number {
  return /^\d{1,7}$/.test(text.trim()) ? Number(text) : Number.NaN;
}
