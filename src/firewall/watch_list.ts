// What of a configuration the kernel has to know: which packets are knocks and which ports are guarded,
// but nothing of sequences. Several doors become one list each.
//
// **Invariant:** a guarded port is no port of `flagged`: what is judged before connection tracking at a
// guarded port are SYNs and datagrams only, never a segment of somebody's connection.

import {
  type Config,
  type Door,
  type Endpoint,
  endpointsOf,
  type FlagTest,
  type Port,
  type Step,
  SYN_ONLY,
  type Transport,
} from "../config/config.ts";

/** The last knock and the one before, since CPUs can swap the last one with the SYN that follows. */
const FINAL_KNOCKS = 2;

/** An echo request with so many bytes of data. */
export interface Echo {
  readonly protocol: "icmp" | "icmp6";
  readonly bytes: number;
}

/** Ports in the sets of that name. A set that no rule would ask is not there. */
export interface PortSets {
  /** TCP ports of knocks that are nothing else and not the last: what is copied at once. */
  readonly early?: readonly Endpoint[];
  /** All at which SYNs or datagrams are looked at. */
  readonly watched: readonly Endpoint[];
  readonly guarded: readonly Endpoint[];
  /** Those of the guarded ones whose connections outlive a grant, where both kinds are tracked. */
  readonly kept?: readonly Endpoint[];
  /** Where segments with other flags than a first SYN's are looked at. */
  readonly flagged?: readonly Endpoint[];
  /** Where only guessers knock, and are banned for it. */
  readonly decoys?: readonly Endpoint[];
  /** The last knocks of each sequence. */
  readonly finals: readonly Endpoint[];
  /** All knocks of sequences that change, each of which can be the last. */
  readonly ranges?: readonly Endpoint[];
}

export interface WatchList {
  readonly ports: PortSets;
  /** What flags count at flagged ports, each once. */
  readonly flagTests: readonly FlagTest[];
  /** All echo requests that are knocks, each once. */
  readonly echoes: readonly Echo[];
  /** The last knocks among them. */
  readonly finalEchoes: readonly Echo[];
  /** What has to be asked for: protocols of watched and of guarded ports, by what becomes of these. */
  readonly protocols: {
    readonly watched: ReadonlySet<Transport>;
    readonly guarded: ReadonlySet<Transport>;
    readonly kept: ReadonlySet<Transport>;
    readonly cut: ReadonlySet<Transport>;
  };
}

/** The watch list of a configuration. */
export function watchListOf({ doors, decoys, banMs, filter }: Config): WatchList {
  const sequences = doors.flatMap(sequencesOf);
  const steps = sequences.flat();
  const lastSteps = sequences.flatMap((sequence) => sequence.slice(-FINAL_KNOCKS));
  const changing = endpointsOf(doors.flatMap(changingPorts));

  const guarded = endpointsOf(doors.flatMap(({ opens }) => opens));
  const knocks = endpointsOfSteps(steps.filter((step) => !hasFlags(step)));
  const watched = [
    ...guarded,
    ...knocks,
    ...changing,
    ...decoys,
  ];
  const finals = endpointsOfSteps(lastSteps);
  const early = without(knocks, [...guarded, ...finals, ...changing, ...decoys])
    .filter(({ protocol }) => protocol === "tcp");
  const cut = opened(doors, "cut");
  const kept = without(opened(doors, "keep"), cut);
  const bothAsked = filter === "stateful" && kept.length > 0 && cut.length > 0;
  const flagged = without(endpointsOfSteps(steps.filter(hasFlags)), guarded);
  return {
    ports: {
      ...(early.length === 0 ? {} : { early: ascending(early) }),
      watched: ascending(watched),
      guarded: ascending(guarded),
      ...(bothAsked ? { kept: ascending(kept) } : {}),
      ...(flagged.length === 0 ? {} : { flagged: ascending(flagged) }),
      ...(banMs === undefined || decoys.length === 0 ? {} : { decoys: ascending(decoys) }),
      finals: ascending(finals),
      ...(changing.length === 0 ? {} : { ranges: ascending(changing) }),
    },
    flagTests: flagged.length === 0 ? [] : distinct(
      steps.filter(hasFlags).map(({ flags }) => flags),
      ({ mask, value }) => mask << 8 | value,
    ),
    echoes: echoesOf(steps),
    finalEchoes: echoesOf(lastSteps),
    protocols: {
      watched: protocolsOf(watched),
      guarded: protocolsOf(guarded),
      kept: protocolsOf(kept),
      cut: protocolsOf(cut),
    },
  };
}

function sequencesOf({ knock }: Door): (readonly Step[])[] {
  switch (knock.kind) {
    case "plain":
      return [knock.steps];
    case "one-time":
      return knock.sequences.map(({ steps }) => steps);
    case "rotating":
    case "encrypted":
      return [];
  }
}

/** The ports among which a sequence changes: each of them can be its last knock. */
function changingPorts({ knock }: Door) {
  return knock.kind === "rotating" || knock.kind === "encrypted" ? [knock.ports] : [];
}

/** Ports of doors whose connections are kept or cut. */
function opened(doors: readonly Door[], onExpire: Door["onExpire"]): Endpoint[] {
  return endpointsOf(
    doors.filter((door) => door.onExpire === onExpire).flatMap(({ opens }) => opens),
  );
}

/** Is it a TCP step for other segments than first SYNs? */
function hasFlags({ protocol, flags }: Step): boolean {
  return protocol === "tcp" && (flags.mask !== SYN_ONLY.mask || flags.value !== SYN_ONLY.value);
}

function endpointsOfSteps(steps: readonly Step[]): Endpoint[] {
  return steps.flatMap(({ protocol, port }) =>
    protocol === "tcp" || protocol === "udp" ? [{ protocol, port: port as Port }] : []
  );
}

function echoesOf(steps: readonly Step[]): Echo[] {
  const echoes = steps.flatMap(({ protocol, port }): Echo[] =>
    protocol === "icmp" || protocol === "icmp6" ? [{ protocol, bytes: port }] : []
  );
  return distinct(echoes, ({ protocol, bytes }) => `${protocol}/${bytes}`);
}

function protocolsOf(endpoints: readonly Endpoint[]): ReadonlySet<Transport> {
  return new Set(endpoints.map(({ protocol }) => protocol));
}

/** By protocol and port, each once. */
function ascending(endpoints: readonly Endpoint[]): Endpoint[] {
  return distinct(endpoints, keyOf).sort((a, b) =>
    a.protocol === b.protocol ? a.port - b.port : a.protocol < b.protocol ? -1 : 1
  );
}

function without(endpoints: readonly Endpoint[], others: readonly Endpoint[]): Endpoint[] {
  const keys = new Set(others.map(keyOf));
  return endpoints.filter((endpoint) => !keys.has(keyOf(endpoint)));
}

function keyOf({ protocol, port }: Endpoint): string {
  return `${protocol}/${port}`;
}

/** One of those with the same key. */
function distinct<T>(values: readonly T[], key: (value: T) => unknown): T[] {
  return [...new Map(values.map((value) => [key(value), value])).values()];
}
