// What is wrong between doors: a port that has two meanings, and knocks that nobody can complete.

import type { YamlDocument } from "../../yaml/document.ts";
import {
  CONNECTIONS_OF_STATELESS,
  type Door,
  type Endpoint,
  endpointsOf,
  type Filter,
  type PortRange,
  rangeText,
  type Step,
} from "../config.ts";
import { SHARED_FIRST_MAX } from "../../limits.ts";
import { MIXED_FAMILIES, type OneTimeLines } from "../one_time.ts";
import { PORT_MAX } from "../ports.ts";
import { stepText } from "../step.ts";
import { timeText } from "../time.ts";

/** Bytes of an echo request in one packet: Ethernet's 1500 without the headers of IPv6 and ICMPv6. */
const UNFRAGMENTED_ECHO_BYTES = 1500 - 40 - 8;

/** A door that is right in itself. */
export interface DraftDoor extends Omit<Door, "knock"> {
  /** Undefined where a file that it needs cannot be used. */
  readonly knock: Door["knock"] | undefined;
  /** Ports that the knocks of a changing sequence are in, and the key that says it. */
  readonly knockRange: { readonly ports: PortRange; readonly key: string } | undefined;
  readonly lines: OneTimeLines["sequences"];
}

/** Reports everything that is wrong between doors and decoys. */
export function reportConflicts(
  doors: readonly DraftDoor[],
  decoys: readonly Endpoint[],
  filter: Filter,
  document: YamlDocument,
): void {
  const guarded = guardedBy(doors, document);
  const decoy = meanings(decoys.map((endpoint, index) => ({
    endpoint,
    words: () => `is a decoy (line ${document.lineOf(["decoys", index])})`,
  })));
  decoys.forEach(({ protocol, port }, index) => {
    const other = guarded.first(protocol, port, port);
    if (other === undefined) return;
    const message = `${protocol}/${port} cannot be a decoy: it ${other.words()}`;
    document.report({ path: ["decoys", index], message });
  });
  reportSharedFirst(doors, document);
  reportSharedFiles(doors, document);
  for (const door of doors) {
    reportKnocks(door, [guarded, decoy], document);
    reportRange(door, [guarded, decoy], document);
    reportLines(door, [guarded, decoy], document);
    reportImpossible(door, document);
    if (filter === "stateless") {
      reportUntracked(door, document);
      reportFragmented(door, document);
    }
  }
}

/** What ports mean, by protocol and number. */
interface Meanings {
  /** The meaning of the first port of a range that has one. */
  first(protocol: string, first: number, last: number): Meaning | undefined;
}

interface Meaning {
  readonly endpoint: Endpoint;
  /** "is a decoy (line 7)" */
  readonly words: () => string;
}

function meanings(all: readonly Meaning[]): Meanings {
  const tables: Record<string, (Meaning | undefined)[]> = {};
  for (const protocol of ["tcp", "udp"]) {
    const table = new Array<Meaning | undefined>(PORT_MAX + 2).fill(undefined);
    for (const meaning of all) {
      if (meaning.endpoint.protocol === protocol) table[meaning.endpoint.port] ??= meaning;
    }
    // For a port without a meaning, that of the next one that has one.
    for (let port = PORT_MAX; port >= 0; port--) table[port] ??= table[port + 1];
    tables[protocol] = table;
  }
  return {
    first: (protocol, first, last) => {
      const next = tables[protocol]?.[first];
      return next !== undefined && next.endpoint.port <= last ? next : undefined;
    },
  };
}

/** The guarded ports. Doors of one port treat connections alike when the time is over. */
function guardedBy(doors: readonly DraftDoor[], document: YamlDocument): Meanings {
  const owners = new Map<string, DraftDoor>();
  const all: Meaning[] = [];
  for (const door of doors) {
    const words = () => `is opened by door "${door.name}" (line ${lineOf(door, document)})`;
    const different = new Set<DraftDoor>();
    for (const endpoint of endpointsOf(door.opens)) {
      const port = `${endpoint.protocol}/${endpoint.port}`;
      const owner = owners.get(port);
      if (owner === undefined) {
        owners.set(port, door);
        all.push({ endpoint, words });
      } else if (owner.onExpire !== door.onExpire && !different.has(owner)) {
        different.add(owner);
        document.report({
          path: ["doors", door.name, "opens"],
          message: `${port} has "then: ${owner.onExpire}" at door "${owner.name}" (line ${
            lineOf(owner, document)
          }), and "then: ${door.onExpire}" here`,
          hint: "All doors of a port need the same",
        });
      }
    }
  }
  return meanings(all);
}

function lineOf({ name }: DraftDoor, document: YamlDocument): number {
  return document.lineOf(["doors", name, "opens"]);
}

/** Without connection tracking a port's protocol decides what becomes of its connections. */
function reportUntracked({ name, opens, onExpire }: DraftDoor, document: YamlDocument): void {
  opens.forEach(({ protocol }, index) => {
    const needed = CONNECTIONS_OF_STATELESS[protocol];
    if (needed === onExpire) return;
    document.report({
      path: ["doors", name, "opens", index],
      message: `With "filter: stateless", ports of ${protocol} need "then: ${needed}"`,
      hint: "A door has one protocol then; or use filter: stateful, which tracks connections",
    });
  });
}

/** Fragments are put together for connection tracking only: no rule would see the whole ping. */
function reportFragmented({ name, knock, lines }: DraftDoor, document: YamlDocument): void {
  const message = `With "filter: stateless", a ping of more than ${UNFRAGMENTED_ECHO_BYTES} ` +
    "bytes comes in fragments, which nobody puts together";
  const hint = "Take fewer bytes, or the stateful filter";
  if (knock?.kind === "plain") {
    knock.steps.forEach((step, index) => {
      if (!isFragmented(step)) return;
      document.report({ path: ["doors", name, "knock", index], message, hint });
    });
  }
  for (const { steps, lineNumber } of lines) {
    if (knock?.kind !== "one-time" || !steps.some(isFragmented)) continue;
    const place = { file: knock.file, line: lineNumber, column: 1 };
    document.reportElsewhere({ ...place, message, hint, excerpt: undefined });
  }
}

function isFragmented({ protocol, port }: Step): boolean {
  return (protocol === "icmp" || protocol === "icmp6") && port > UNFRAGMENTED_ECHO_BYTES;
}

function reportKnocks(
  { name, knock }: DraftDoor,
  others: readonly Meanings[],
  document: YamlDocument,
): void {
  if (knock?.kind !== "plain") return;
  knock.steps.forEach((step, index) => {
    const { protocol, port } = step;
    const other = firstOf(others, protocol, port, port);
    if (other === undefined) return;
    const message = `${stepText(step)} cannot be a knock: it ${other.words()}`;
    document.report({ path: ["doors", name, "knock", index], message });
  });
}

function reportRange(
  { name, knockRange }: DraftDoor,
  others: readonly Meanings[],
  document: YamlDocument,
): void {
  if (knockRange === undefined) return;
  const { ports: { protocol, first, last }, key } = knockRange;
  const other = firstOf(others, protocol, first, last);
  if (other === undefined) return;
  const text = rangeText(knockRange.ports);
  const message =
    `${text} cannot be for knocks: ${protocol}/${other.endpoint.port} ${other.words()}`;
  const hint = "Choose another range with the key ports, here and in clients";
  document.report({ path: ["doors", name, "knock", key, "ports"], message, hint });
}

/** The file is secret: no message says a port of it. */
function reportLines(
  { name, knock, lines }: DraftDoor,
  others: readonly Meanings[],
  document: YamlDocument,
): void {
  if (knock?.kind !== "one-time") return;
  for (const { steps, lineNumber } of lines) {
    const at = steps.findIndex(({ protocol, port }) =>
      firstOf(others, protocol, port, port) !== undefined
    );
    if (at < 0) continue;
    document.reportElsewhere({
      file: knock.file,
      line: lineNumber,
      column: 1,
      message: `Knock ${at + 1} is a port that a door opens, or a decoy`,
      hint: `The file belongs to door "${name}"`,
      excerpt: undefined,
    });
  }
}

function firstOf(
  others: readonly Meanings[],
  protocol: string,
  first: number,
  last: number,
): Meaning | undefined {
  for (const meanings of others) {
    const found = meanings.first(protocol, first, last);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Each sequence that a knock can begin makes that knock dearer: a flood of it would stall everybody. */
function reportSharedFirst(doors: readonly DraftDoor[], document: YamlDocument): void {
  const begun = new Map<string, number>();
  const isOneTooMany = (step: Step | undefined) => {
    if (step === undefined) return false;
    const count = (begun.get(stepText(step)) ?? 0) + 1;
    begun.set(stepText(step), count);
    return count === SHARED_FIRST_MAX + 1;
  };
  const message = `More than ${SHARED_FIRST_MAX} sequences begin with the same knock`;
  const hint = "Let sequences begin with different knocks: each makes a flood of that one dearer";
  for (const { name, knock, lines } of doors) {
    if (knock?.kind === "plain" && isOneTooMany(knock.steps[0])) {
      document.report({ path: ["doors", name, "knock", 0], message, hint });
    }
    for (const { steps, lineNumber } of lines) {
      if (knock?.kind !== "one-time" || !isOneTooMany(steps[0])) continue;
      const place = { file: knock.file, line: lineNumber, column: 1 };
      document.reportElsewhere({ ...place, message, hint, excerpt: undefined });
    }
  }
}

/** What one door uses up would be used up for the other. */
function reportSharedFiles(doors: readonly DraftDoor[], document: YamlDocument): void {
  const owners = new Map<string, string>();
  for (const { name, knock } of doors) {
    if (knock?.kind !== "one-time") continue;
    const owner = owners.get(knock.file);
    owners.set(knock.file, owner ?? name);
    if (owner === undefined) continue;
    const message = `Door "${owner}" has the same file of one-time sequences`;
    const hint = "Give each door a file of its own";
    document.report({ path: ["doors", name, "knock", "one-time", "file"], message, hint });
  }
}

/** Sequences that no source can complete, however it knocks. */
function reportImpossible(
  { name, knock, withinMs, from }: DraftDoor,
  document: YamlDocument,
): void {
  if (knock?.kind !== "plain") return;
  const { steps } = knock;
  const path = ["doors", name, "knock"];
  const within = timeText(withinMs);
  steps.forEach(({ afterMs, beforeMs }, index) => {
    const report = (message: string, hint?: string) =>
      document.report({ path: [...path, index], message, hint });
    if (index === 0 && (afterMs > 0 || beforeMs < Infinity)) {
      report("The first knock has none before it: after and before say nothing here");
    } else if (afterMs > withinMs) {
      report(`after is longer than the whole sequence may take (within: ${within})`);
    } else if (beforeMs < Infinity && beforeMs > withinMs) {
      report(`before is longer than the whole sequence may take (within: ${within})`);
    }
  });
  const leastMs = steps.slice(1).reduce((sum, { afterMs }) => sum + afterMs, 0);
  if (leastMs > withinMs && steps.slice(1).every(({ afterMs }) => afterMs <= withinMs)) {
    const message = `Nobody can knock it: the knocks take ${timeText(leastMs)}, and there are ` +
      `${within} for them`;
    document.report({ path, at: "key", message, hint: `Set within to more than that` });
  }
  const echo = { icmp: 4, icmp6: 6 } as const;
  const families = new Set(
    steps.flatMap(({ protocol }) => protocol === "icmp" || protocol === "icmp6" ? [protocol] : []),
  );
  if (families.size > 1) return document.report({ path, at: "key", message: MIXED_FAMILIES });
  for (const family of families) {
    if (from.length === 0 || from.some(({ address }) => address.family === echo[family])) continue;
    const message = `Nobody can knock it: ${family} is of IPv${echo[family]}, and no source in ` +
      `"from" is`;
    document.report({ path, at: "key", message });
  }
}
