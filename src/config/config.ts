// The configuration as exact types. Text becomes these at the edge (flags.ts), and nobody checks
// again behind it.

/** A TCP port, 1 to 65535. */
export type Port = number & { readonly brand: "Port" };

/** A span of time in milliseconds, 1 or more. */
export type Milliseconds = number & { readonly brand: "Milliseconds" };

/** A guarded service and what opens it. */
export interface Door {
  /** TCP ports to be knocked, in order. */
  readonly sequence: readonly Port[];
  /** From the first knock to the last. */
  readonly withinMs: Milliseconds;
  /** The guarded TCP port. */
  readonly port: Port;
  /** How long the port stays open for the source that knocked. */
  readonly timeoutMs: Milliseconds;
}

/** What happens to a SYN that may not come in: nothing, or a reset as from a closed port. */
export type Refusal = "drop" | "reset";

/** What happens to connections made while a grant was open, when it ends. */
export type OnExpire = "keep" | "cut";

export type LogFormat = "text" | "json";
export type LogLevel = "debug" | "info" | "warning" | "error";

export interface Config {
  readonly doors: readonly Door[];
  readonly refuse: Refusal;
  readonly onExpire: OnExpire;
  /** TCP ports that nobody knocks on but who guesses: they set a source back to the start. */
  readonly decoys: readonly Port[];
  /** How long a decoy keeps its source from knocking at all; undefined does not. */
  readonly banMs: Milliseconds | undefined;
  /** Netfilter queue and log group, 0 to 65535. */
  readonly queueNumber: number;
  /** Protect the table from everybody else, where the kernel can (Linux 6.9). */
  readonly tableOwner: boolean;
  readonly sourcesMax: number;
  readonly grantsMax: number;
  readonly log: { readonly format: LogFormat; readonly level: LogLevel };
}

/** The sequence that everybody can read in the source: of use for a first try only. */
export const PUBLIC_SEQUENCE = [80, 81, 82, 83, 84, 85, 86, 87].map((port) => port as Port);

/** Fixed at random once: a number that others seldom use. */
export const QUEUE_NUMBER = 27_085;
