// Configurations for tests, from what a test is about; everything else has a default:
//
//   configOf({ doors: [plainDoor({ opens: ["tcp/22"], steps: ["tcp/7000", "udp/8123"] })] })
//
// Ports are written as in a configuration file.

import type {
  Config,
  Door,
  EncryptedKnock,
  Endpoint,
  Milliseconds,
  OneTimeKnock,
  Port,
  PortRange,
  RotatingKnock,
  Step,
  Transport,
} from "../../src/config/config.ts";
import { SYN_ONLY } from "../../src/config/config.ts";
import { Secret } from "../../src/config/secret.ts";
import { GRANTS_MAX, SOURCES_MAX, WITHIN_MS } from "../../src/limits.ts";

/** "tcp/22", "udp/9090-9099" */
type Ports = `${Transport}/${string}`;

/** "tcp/7000", "icmp/56", or one with options. */
type StepText = `${Step["protocol"]}/${number}` | Step;

/** What a door has that does not depend on its kind. */
type DoorChoices = Partial<Omit<Door, "opens" | "knock">> & { readonly opens?: readonly Ports[] };

/** A configuration; without doors it has one, plainDoor(). */
export function configOf(
  { decoys = [], ...others }: Partial<Omit<Config, "decoys">> & {
    readonly decoys?: readonly Ports[];
  } = {},
): Config {
  return {
    doors: [plainDoor()],
    refuse: "drop",
    filter: "stateful",
    decoys: decoys.map(endpoint),
    banMs: undefined,
    queueNumber: 4_660,
    tableOwner: true,
    sourcesMax: SOURCES_MAX,
    grantsMax: GRANTS_MAX,
    log: { format: "json", level: "debug" },
    ...others,
  };
}

/** A door to tcp/22 with the sequence tcp/7000, tcp/8000, tcp/9000. */
export function plainDoor(
  { steps = ["tcp/7000", "tcp/8000", "tcp/9000"], ...others }: DoorChoices & {
    readonly steps?: readonly StepText[];
  } = {},
): Door {
  return door({ kind: "plain", steps: steps.map((one) => stepOf(one)) }, others);
}

/** A door with sequences that are each valid once. */
export function oneTimeDoor(
  { sequences = [["tcp/7000", "tcp/8000"]], file = "/etc/pk/once", ...others }: DoorChoices & {
    readonly sequences?: readonly (readonly StepText[])[];
    readonly file?: string;
  } = {},
): Door {
  const knock: OneTimeKnock = {
    kind: "one-time",
    file,
    sequences: sequences.map((steps) => ({
      line: steps.map((one) => typeof one === "string" ? one : `${one.protocol}/${one.port}`)
        .join(", "),
      steps: steps.map((one) => stepOf(one)),
    })),
  };
  return door(knock, others);
}

/** A door whose sequence follows from a secret and the time. */
export function rotatingDoor(
  { ports = "tcp/20000-21023", knock = {}, ...others }: DoorChoices & {
    readonly ports?: Ports;
    readonly knock?: Partial<Omit<RotatingKnock, "kind" | "ports">>;
  } = {},
): Door {
  return door({
    kind: "rotating",
    secret: new Secret(new Uint8Array(20).fill(7)),
    ports: rangeOf(ports),
    knocks: 5,
    stepMs: 30_000 as Milliseconds,
    bindSource: true,
    ...knock,
  }, others);
}

/** A door that takes encrypted messages; its one user is alice, number 1. */
export function encryptedDoor(
  { layout = "window", ports, users, ...others }: DoorChoices & {
    readonly layout?: EncryptedKnock["layout"];
    readonly ports?: Ports;
    readonly users?: EncryptedKnock["users"];
  } = {},
): Door {
  const alice = { id: 1, name: "alice", secret: new Secret(new TextEncoder().encode("open up")) };
  return door({
    kind: "encrypted",
    users: users ?? [alice],
    layout,
    ports: rangeOf(ports ?? (layout === "window" ? "tcp/22000-22255" : "tcp/24000-28095")),
  }, others);
}

/** "tcp/7000": a knock at any time, of TCP a SYN; with other choices where given. */
export function stepOf(text: StepText, choices: Partial<Step> = {}): Step {
  if (typeof text !== "string") return { ...text, ...choices };
  const [, protocol, number] = /^(tcp|udp|icmp6?)\/(\d+)$/.exec(text) ?? [];
  if (protocol === undefined) throw new TypeError(`Not a step: ${text}`);
  return {
    protocol: protocol as Step["protocol"],
    port: Number(number),
    flags: SYN_ONLY,
    afterMs: 0,
    beforeMs: Infinity,
    ...choices,
  };
}

/** "tcp/9090-9099" */
export function rangeOf(text: string): PortRange {
  const [, protocol, first, last = first] = /^(tcp|udp)\/(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  if (protocol === undefined) throw new TypeError(`Not ports: ${text}`);
  return {
    protocol: protocol as Transport,
    first: Number(first) as Port,
    last: Number(last) as Port,
  };
}

/** "udp/53" */
export function endpoint(text: string): Endpoint {
  const { protocol, first } = rangeOf(text);
  return { protocol, port: first };
}

function door(knock: Door["knock"], { opens = ["tcp/22"], ...others }: DoorChoices): Door {
  return {
    name: "ssh",
    opens: opens.map(rangeOf),
    knock,
    withinMs: WITHIN_MS as Milliseconds,
    timeoutMs: 30_000 as Milliseconds,
    onExpire: "keep",
    from: [],
    weakAccepted: false,
    ...others,
  };
}
