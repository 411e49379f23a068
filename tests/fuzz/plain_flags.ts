// What each flag's text means, said anew from the help and the limits, without regular expressions. A
// text that means nothing is undefined: then the default must stand in and a finding must tell it.

import {
  type Config,
  type Door,
  PUBLIC_SEQUENCE,
  QUEUE_NUMBER,
  SYN_ONLY,
} from "../../src/config/config.ts";
import type { ParsedFlags, RawFlags } from "../../src/config/flags.ts";
import {
  DECOYS_MAX,
  GRANT_MS_MAX,
  GRANTS_MAX,
  GRANTS_RANGE,
  SEQUENCE_PORTS_MAX,
  SEQUENCE_PORTS_MIN,
  SOURCES_MAX,
  SOURCES_RANGE,
  WITHIN_MS,
} from "../../src/limits.ts";
import { expect, fail } from "./oracle.ts";

type Value = string | number | undefined;

interface Plain {
  readonly name: Exclude<keyof RawFlags, "tableOwner">;
  readonly flag: string;
  readonly read: (text: string) => Value;
  readonly fallback: Value;
  readonly pick: (config: Config) => Value;
}

/** Stands for a value that is there and is undefined. */
const NONE = "none";

/** In the order in which parseFlags() tells its findings. */
const PLAIN: readonly Plain[] = [
  {
    name: "portSeq",
    flag: "--port-seq",
    read: (text) => ports(text, SEQUENCE_PORTS_MIN, SEQUENCE_PORTS_MAX),
    fallback: PUBLIC_SEQUENCE.join(),
    pick: ({ doors }) => sequenceOf(doors[0]).join(),
  },
  {
    name: "portDest",
    flag: "--port-dest",
    read: (text) => number(text, 1, 65_535),
    fallback: 10_090,
    pick: ({ doors }) => portOf(doors[0]),
  },
  {
    name: "ruleTimer",
    flag: "--rule-timer",
    read: time,
    fallback: 20_000,
    pick: ({ doors }) => doors[0]?.timeoutMs,
  },
  {
    name: "within",
    flag: "--within",
    read: time,
    fallback: WITHIN_MS,
    pick: ({ doors }) => doors[0]?.withinMs,
  },
  {
    name: "refuse",
    flag: "--refuse",
    read: (text) => word(text, "drop", "reset"),
    fallback: "drop",
    pick: ({ refuse }) => refuse,
  },
  {
    name: "onExpire",
    flag: "--on-expire",
    read: (text) => word(text, "keep", "cut"),
    fallback: "keep",
    pick: ({ doors }) => doors[0]?.onExpire,
  },
  {
    name: "decoys",
    flag: "--decoys",
    read: (text) => text === NONE ? "" : ports(text, 1, DECOYS_MAX),
    fallback: "",
    pick: ({ decoys }) => tcpPorts(decoys).join(),
  },
  {
    name: "ban",
    flag: "--ban",
    read: (text) => text === NONE ? NONE : wholeSeconds(time(text)),
    fallback: NONE,
    pick: ({ banMs }) => banMs ?? NONE,
  },
  {
    name: "sourcesMax",
    flag: "--sources-max",
    read: (text) => number(text, SOURCES_RANGE.min, SOURCES_RANGE.max),
    fallback: SOURCES_MAX,
    pick: ({ sourcesMax }) => sourcesMax,
  },
  {
    name: "grantsMax",
    flag: "--grants-max",
    read: (text) => number(text, GRANTS_RANGE.min, GRANTS_RANGE.max),
    fallback: GRANTS_MAX,
    pick: ({ grantsMax }) => grantsMax,
  },
  {
    name: "queueNum",
    flag: "--queue-num",
    read: (text) => number(text, 0, 65_535),
    fallback: QUEUE_NUMBER,
    pick: ({ queueNumber }) => queueNumber,
  },
  {
    name: "logFormat",
    flag: "--log-format",
    read: (text) => word(text, "text", "json"),
    fallback: "text",
    pick: ({ log }) => log.format,
  },
  {
    name: "logLevel",
    flag: "--log-level",
    read: (text) => text === "warn" ? "warning" : word(text, "debug", "info", "warning", "error"),
    fallback: "info",
    pick: ({ log }) => log.level,
  },
];

/** Lines as the flags' values; an empty one is a flag that was not given. */
export function rawFlags(lines: readonly string[]): RawFlags {
  const given = PLAIN.map(({ name }, index) => [name, lines[index] || undefined] as const);
  return { ...Object.fromEntries(given), tableOwner: true };
}

export function expectFlags(raw: RawFlags, parsed: ParsedFlags): void {
  const { config, findings, conflict, publicSequence } = parsed;
  const wrong: string[] = [];
  for (const { name, flag, read, fallback, pick } of PLAIN) {
    const text = raw[name];
    const meant = text === undefined ? fallback : read(text);
    if (meant === undefined) wrong.push(`${flag} ${text}`);
    const value = pick(config);
    expect(
      value === (meant ?? fallback),
      () => `${flag} ${JSON.stringify(text)} became ${value} instead of ${meant ?? fallback}`,
    );
  }
  const told = findings.map(({ flag, value }) => `${flag} ${value}`);
  expect(told.join("\n") === wrong.join("\n"), () => `told "${told}" instead of "${wrong}"`);
  for (const { reason, used } of findings) expect(reason !== "" && used !== "", () => "no reason");

  const [door] = config.doors;
  const sequence = sequenceOf(door);
  const guarded = portOf(door);
  const decoys = tcpPorts(config.decoys);
  const clash = [...sequence, ...decoys].includes(guarded) ||
    decoys.some((decoy) => sequence.includes(decoy));
  expect((conflict !== undefined) === clash, () => `conflict ${conflict}, ${clash} expected`);
  const known = sequence.join() === PUBLIC_SEQUENCE.join();
  expect(publicSequence === known, () => `publicSequence ${publicSequence}`);
  expect(config.doors.length === 1, () => `${config.doors.length} doors`);
  expect(door?.from.length === 0 && !door.weakAccepted, () => "a door with choices of files");
  expect(config.tableOwner === raw.tableOwner, () => `tableOwner ${config.tableOwner}`);
}

/** Ports of a sequence that flags describe: plain SYNs, at any time. */
function sequenceOf(door: Door | undefined): number[] {
  const { knock } = door ?? {};
  if (knock?.kind !== "plain") fail("no plain door");
  const others = knock.steps.filter(({ flags, afterMs, beforeMs }) =>
    flags !== SYN_ONLY || afterMs !== 0 || beforeMs !== Infinity
  );
  expect(others.length === 0, () => "a knock that is no plain SYN");
  return tcpPorts(knock.steps);
}

function portOf(door: Door | undefined): number {
  const [range, ...others] = door?.opens ?? [];
  expect(others.length === 0 && range?.first === range?.last, () => "more ports than one");
  return tcpPorts(range === undefined ? [] : [{ ...range, port: range.first }])[0] ?? 0;
}

function tcpPorts(all: readonly { readonly protocol: string; readonly port: number }[]): number[] {
  return all.map(({ protocol, port }) => protocol === "tcp" ? port : fail(`a port of ${protocol}`));
}

function ports(text: string, min: number, max: number): string | undefined {
  const list = text.split(",").map((port) => number(port, 1, 65_535));
  return list.includes(undefined) || list.length < min || list.length > max
    ? undefined
    : list.join();
}

function time(text: string): number | undefined {
  const trimmed = text.trim();
  const [unit, factor] = UNITS.find(([one]) => trimmed.endsWith(one)) ?? ["", 1];
  const count = digits(trimmed.slice(0, trimmed.length - unit.length), 10);
  const value = (count ?? 0) * factor;
  return value >= 1 && value <= GRANT_MS_MAX ? value : undefined;
}

const UNITS = [["ms", 1], ["s", 1_000], ["m", 60_000], ["h", 3_600_000]] as const;

/** Rounded up, and still a time that pk can wait for. */
function wholeSeconds(timeMs: number | undefined): number | undefined {
  const rounded = timeMs === undefined ? Infinity : Math.ceil(timeMs / 1_000) * 1_000;
  return rounded <= GRANT_MS_MAX ? rounded : undefined;
}

function word(text: string, ...words: readonly string[]): string | undefined {
  return words.find((one) => one === text);
}

function number(text: string, min: number, max: number): number | undefined {
  const value = digits(text.trim(), 7);
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

/** Digits only, so many at most. */
function digits(text: string, digitsMax: number): number | undefined {
  if (text === "" || text.length > digitsMax) return undefined;
  let value = 0;
  for (const character of text) {
    const digit = "0123456789".indexOf(character);
    if (digit === -1) return undefined;
    value = value * 10 + digit;
  }
  return value;
}
