// Sections of knockd to doors of pk: what each one opens, to which knocks, for how long, and what a
// person has to be told. A door that cannot be as it stands is kept, but out of use. Pure.

import { type PortRange, rangeText, type Step, tcpStep, type Transport } from "../config/config.ts";
import { strengthOfSteps } from "../knock/strength.ts";
import { GRANT_MS_MAX } from "../limits.ts";
import { OTHER_COMMAND, understand, type Understood } from "./knockd_command.ts";
import type { KnockdDoor, KnockdFlag, KnockdStep } from "./knockd_grammar.ts";
import { range } from "./meaning.ts";

/** A sentence beside a door. */
export interface Note {
  /** It needs a person. */
  readonly toDo: boolean;
  readonly text: string;
  /** The line of knockd that it is about: "start_command = …" */
  readonly about?: string;
}

export interface ImportedDoor {
  readonly name: string;
  readonly section: KnockdDoor;
  readonly notes: readonly Note[];
  /** As it stands, pk would refuse it: written as a comment. */
  readonly outOfUse: boolean;
  readonly opens: readonly PortRange[];
  readonly steps: readonly KnockdStep[];
  /** To be looked at besides a plain SYN's; empty is pk's own way. */
  readonly flags: readonly KnockdFlag[];
  /** Where the sequences in pk's form are, for a door with one-time sequences. */
  readonly oneTimeFile: string | undefined;
  readonly withinS: number;
  readonly forS: number;
  /** Prefixes; empty is everybody. */
  readonly from: readonly string[];
}

/** A section whose command only shuts what another one opened: pk needs none. */
export interface ClosingSection {
  readonly section: KnockdDoor;
  readonly notes: readonly Note[];
}

export interface ImportedDoors {
  readonly doors: readonly ImportedDoor[];
  readonly closing: readonly ClosingSection[];
}

/** Where knockd left a door open without end. */
const FOR_S = 30;
/** Where knockd's timeout let nobody in. */
const WITHIN_S = 25;
const STEPS_MIN = 2;
const NAME_LENGTH_MAX = 32;
const SECONDS_MAX = Math.floor(GRANT_MS_MAX / 1000);
const STOP_ADVICE =
  "pk shuts by itself what it opened, and runs no commands: see whether this one " +
  "does anything more that is still needed.";
/** Stands in a door out of use whose ports nobody knows. */
const PLACEHOLDER = range("tcp", 22, 22);

interface Section {
  readonly door: KnockdDoor;
  readonly name: string;
  /** What the command for IPv4 does, or that for IPv6 where there is no other. */
  readonly start: Understood;
}

/**
 * Doors of all sections.
 *
 * @param oneTimeFolder where sequences converted from one-time files are, if they were.
 */
export function importDoors(
  sections: readonly KnockdDoor[],
  oneTimeFolder: string | undefined,
): ImportedDoors {
  const taken = new Set<string>();
  const understood = sections.map((door): Section => ({
    door,
    name: doorName(door.name, taken),
    start: understand(door.start || door.start6 || ""),
  }));
  const isClosing = ({ start }: Section) =>
    start.closes && start.opens.length === 0 && start.unknown.length === 0;
  const closers = understood.filter(isClosing);
  const openers = understood.filter((section) => !isClosing(section));
  const doors = openers.map((section) => importDoor(section, closers, oneTimeFolder));
  return {
    doors: withoutGuardedKnocks(doors),
    closing: closers.map((section) => importClosing(section, openers)),
  };
}

function importDoor(
  { door, name, start }: Section,
  closers: readonly Section[],
  oneTimeFolder: string | undefined,
): ImportedDoor {
  const notes: Note[] = [];
  const toDo = (text: string, about?: string) => {
    notes.push({ toDo: true, text, ...(about === undefined ? {} : { about }) });
  };
  const say = (text: string) => notes.push({ toDo: false, text });
  let outOfUse = false;
  const stop = understand((door.start ? door.stop : door.stop6 ?? door.stop) ?? "");

  const commandKey = door.start ? "start_command" : "start_command_6";
  for (const { command, advice } of start.unknown) toDo(advice, `${commandKey}: ${command}`);
  for (const { command, advice } of stop.unknown) {
    const again = start.unknown.some((other) => other.advice === advice);
    if (advice === OTHER_COMMAND) toDo(STOP_ADVICE, `stop_command: ${command}`);
    else if (!again) toDo(advice, `stop_command: ${command}`);
  }
  if (!door.start && !door.start6) toDo("The door runs no command: put what it is to open here.");
  if (start.opens.length === 0) {
    outOfUse = true;
    const guess = start.suspected.length > 0 ? "is a guess" : "is made up";
    toDo(
      `What it opens ${guess}: put in what is right, and \`for\`, then take the # away; or leave the door out.`,
    );
  }
  if (start.everybody) {
    toDo("The command let everybody in; pk lets in the source that knocked, and nobody else.");
  }
  for (const remark of start.remarks) say(remark);

  const forS = openFor(door, start, stop, closers, notes);
  const { steps, problem } = stepsOf(door);
  if (problem !== undefined) {
    outOfUse = true;
    toDo(problem);
  }
  if (problem === undefined && steps.length > 0) {
    const { weaknesses } = strengthOfSteps(steps.map(asStep), []);
    if (weaknesses.length > 0) {
      say(
        `The sequence is easy to guess: it ${weaknesses.join("; it ")}.`,
      );
    }
  }
  const flags = matchesPlainSyn(door.flags) ? [] : door.flags;
  if (flags.length > 0) {
    say(
      "Clients that open connections to knock, knock(1) among them, send a plain SYN: not these.",
    );
  }
  const oneTimeFile = door.oneTimeFile === undefined
    ? undefined
    : `${oneTimeFolder === undefined ? "" : `${oneTimeFolder}/`}${name}.sequences`;
  if (oneTimeFile !== undefined) tellOneTime(door, oneTimeFolder !== undefined, flags, notes);
  if (door.target !== undefined) {
    toDo(
      "pk takes knocks at this host's own addresses, at all of them, and guards this host only. " +
        "Was it an address of another host, run pk there.",
      `target = ${door.target}`,
    );
  }
  let withinS = door.seqTimeoutS;
  if (withinS <= 0) {
    toDo("With this time knockd let nobody in: choose `within`.", `seq_timeout = ${withinS}`);
    withinS = WITHIN_S;
  }
  return {
    name,
    section: door,
    notes,
    outOfUse,
    opens: start.opens.length > 0 ? start.opens : suspectedOf(start),
    steps: oneTimeFile === undefined ? steps : [],
    flags,
    oneTimeFile,
    withinS: Math.min(withinS, SECONDS_MAX),
    forS: Math.min(forS, SECONDS_MAX),
    from: familiesOf(door, start, notes),
  };
}

/** How long the door stays open, in seconds. */
function openFor(
  door: KnockdDoor,
  start: Understood,
  stop: Understood,
  closers: readonly Section[],
  notes: Note[],
): number {
  const stops = stop.closes || stop.unknown.length > 0 ? door.cmdTimeoutS : undefined;
  const ends = [start.forS, stops].filter((end) => end !== undefined);
  if (ends.length === 0) {
    // That a person has to look has been said.
    if (start.opens.length === 0) return FOR_S;
    const closer = closers.find((section) => overlaps(section.start.closedPorts, start.opens));
    const until = closer === undefined ? "for good" : `until [${closer.door.name}] was knocked`;
    notes.push({
      toDo: true,
      text: `knockd left it open ${until}; pk shuts it by itself. Choose \`for\`: the time to ` +
        "connect in, since connections made live on (`then: keep`).",
    });
    return FOR_S;
  }
  if (stop.closes && stop.closedPorts.length > 0 && start.opens.length > 0) {
    if (!sameRanges(stop.closedPorts, start.opens)) {
      notes.push({
        toDo: false,
        text: "knockd's stop_command took back another rule than start_command added; pk shuts " +
          "all that it opened.",
      });
    }
  }
  const seconds = Math.min(...ends);
  if (seconds >= 1) return Math.ceil(seconds);
  notes.push({
    toDo: true,
    text: "knockd shut it at once again: choose `for`.",
    about: `cmd_timeout = ${door.cmdTimeoutS}`,
  });
  return FOR_S;
}

/** The steps, and why pk cannot take them. */
function stepsOf(
  { sequence = [], oneTimeFile }: KnockdDoor,
): { readonly steps: readonly KnockdStep[]; readonly problem?: string } {
  if (oneTimeFile !== undefined) return { steps: [] };
  const wrong = sequence.filter(({ port }) => port === undefined);
  if (wrong.length > 0) {
    const texts = wrong.map(({ text }) => JSON.stringify(text)).join(", ");
    const problem = `knockd does not refuse ${texts} in the sequence, but it is no port: put in ` +
      "1 to 65535 instead of 0, then take the # away.";
    return { steps: sequence, problem };
  }
  if (sequence.length >= STEPS_MIN) return { steps: sequence };
  const problem = "A single knock is no secret: every port scan sends it. pk takes two at least, " +
    "better four: choose them, tell the clients, then take the # away.";
  return { steps: sequence, problem };
}

function tellOneTime(
  { oneTimeFile = "" }: KnockdDoor,
  converted: boolean,
  flags: readonly KnockdFlag[],
  notes: Note[],
): void {
  const about = `one_time_sequences = ${oneTimeFile}`;
  notes.push(
    converted ? { toDo: false, text: "Sequences not used yet were converted.", about } : {
      toDo: true,
      text: "pk writes sequences otherwise: a line such as 1234,5678:udp is tcp/1234, udp/5678. " +
        "pk import with --one-time-out FOLDER converts the file.",
      about,
    },
  );
  if (flags.length === 0) return;
  const names = flags.map(flagText).join(",");
  const text = "Steps of one-time sequences are SYNs; pk looks at no other flags in them.";
  notes.push({ toDo: true, text, about: `tcpflags = ${names}` });
}

/** Prefixes for a door that knockd opened over one family only. */
function familiesOf(door: KnockdDoor, start: Understood, notes: Note[]): readonly string[] {
  if (!door.start && door.start6) return ["::/0"];
  if (door.start6 === "") return ["0.0.0.0/0"];
  if (door.start6 !== undefined) {
    const six = understand(door.start6);
    if (six.unknown.length > 0 || !sameRanges(six.opens, start.opens)) {
      notes.push({
        toDo: true,
        text: "For IPv6 knockd ran another command; pk opens the same over both: see `opens`.",
        about: `start_command_6 = ${door.start6}`,
      });
    }
  }
  return [];
}

function importClosing({ door, start }: Section, openers: readonly Section[]): ClosingSection {
  const shut = openers.filter((opener) =>
    overlaps(start.closedPorts, opener.start.opens) ||
    (start.closedPorts.length === 0 && opener.start.opens.length > 0)
  );
  if (shut.length === 0) {
    const text = "Left out: it takes a rule away that nothing here adds. See what it is for.";
    return { section: door, notes: [{ toDo: true, text, about: `command = ${door.start ?? ""}` }] };
  }
  const names = shut.map(({ name }) => name).join(", ");
  const text = `Left out: pk shuts ${names} by itself when \`for\` is over, nobody has to knock.`;
  return { section: door, notes: [{ toDo: false, text }] };
}

/** A port is guarded or knocked on, never both: pk refuses it. */
function withoutGuardedKnocks(doors: readonly ImportedDoor[]): ImportedDoor[] {
  const guarded = doors.filter(({ outOfUse }) => !outOfUse).flatMap(({ opens }) => opens);
  return doors.map((door) => {
    const both = door.steps.find(({ protocol, port }) =>
      port !== undefined && guarded.some((ports) => includes(ports, protocol, port))
    );
    if (both === undefined) return door;
    const text = `${both.protocol}/${both.port} is guarded, so nobody can knock on it: choose ` +
      "another port, tell the clients, then take the # away.";
    return { ...door, outOfUse: true, notes: [...door.notes, { toDo: true, text }] };
  });
}

/** What clients send that open a connection: a SYN with no other flag. */
function matchesPlainSyn(flags: readonly KnockdFlag[]): boolean {
  return flags.every(({ name, set }) => set === (name === "syn"));
}

/** "syn", "!ack" */
export function flagText({ name, set }: KnockdFlag): string {
  return set ? name : `!${name}`;
}

function suspectedOf({ suspected }: Understood): readonly PortRange[] {
  return suspected.length > 0 ? suspected : [PLACEHOLDER];
}

/** As the sequence is judged: flags and times make no difference. */
function asStep({ protocol, port }: KnockdStep): Step {
  return { ...tcpStep(port ?? 0), protocol };
}

function includes(ports: PortRange, protocol: Transport, port: number): boolean {
  return ports.protocol === protocol && ports.first <= port && port <= ports.last;
}

function overlaps(some: readonly PortRange[], others: readonly PortRange[]): boolean {
  return some.some((one) =>
    others.some((other) =>
      one.protocol === other.protocol && one.first <= other.last && other.first <= one.last
    )
  );
}

function sameRanges(some: readonly PortRange[], others: readonly PortRange[]): boolean {
  const texts = (ranges: readonly PortRange[]) => [...new Set(ranges.map(rangeText))].sort().join();
  return texts(some) === texts(others);
}

/** A section's name made one of pk: letters, digits, - and _, each once. */
function doorName(title: string, taken: Set<string>): string {
  const clean = title.replace(/[^A-Za-z0-9_-]+/g, "-").replace(/^[-_]+|-+$/g, "") || "door";
  let name = clean.slice(0, NAME_LENGTH_MAX);
  for (let count = 2; taken.has(name); count++) {
    name = `${clean.slice(0, NAME_LENGTH_MAX - String(count).length - 1)}-${count}`;
  }
  taken.add(name);
  return name;
}
