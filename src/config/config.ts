// The configuration as exact types. Text becomes these at the edge (flags.ts, yaml.ts), and nobody
// checks again behind it.

import type { Source } from "../packet/header.ts";
import type { Secret } from "./secret.ts";

/** A TCP or UDP port, 1 to 65535. */
export type Port = number & { readonly brand: "Port" };

/** A span of time in milliseconds, 1 or more. */
export type Milliseconds = number & { readonly brand: "Milliseconds" };

export type Transport = "tcp" | "udp";

/** Ports of one protocol, `last` included. One port is a range, too. */
export interface PortRange {
  readonly protocol: Transport;
  readonly first: Port;
  readonly last: Port;
}

/** A port of one protocol. */
export interface Endpoint {
  readonly protocol: Transport;
  readonly port: Port;
}

/** Bits of the TCP flags that are looked at, and what they have to be (RFC 9293: FIN 1, SYN 2, …). */
export interface FlagTest {
  readonly mask: number;
  readonly value: number;
}

/** One knock of a sequence. */
export interface Step {
  /** icmp and icmp6 are echo requests. */
  readonly protocol: Transport | "icmp" | "icmp6";
  /** Destination port; of an echo request the bytes of its payload, 0 to 65507. */
  readonly port: number;
  /** Of TCP: which segments count. A SYN without ACK, RST and FIN unless said otherwise. */
  readonly flags: FlagTest;
  /** At least so long after the knock before; 0 is at once. */
  readonly afterMs: number;
  /** At most so long after the knock before; Infinity is any time. */
  readonly beforeMs: number;
}

/** SYN without ACK, RST and FIN: what begins a connection. */
export const SYN_ONLY: FlagTest = { mask: 0x17, value: 0x02 };

/** A sequence that is always the same. */
export interface PlainKnock {
  readonly kind: "plain";
  /** 2 to 32. */
  readonly steps: readonly Step[];
}

/** Sequences in a file, each valid once. */
export interface OneTimeKnock {
  readonly kind: "one-time";
  /** Absolute path. */
  readonly file: string;
  /** Those not used up yet. */
  readonly sequences: readonly OneTimeSequence[];
}

export interface OneTimeSequence {
  /** The line of the file, without its end. */
  readonly line: string;
  readonly steps: readonly Step[];
}

/** A sequence that follows from a secret, the time and the source: PROTOCOL.md. */
export interface RotatingKnock {
  readonly kind: "rotating";
  readonly secret: Secret;
  /** What the sequence is taken from. */
  readonly ports: PortRange;
  /** Knocks of the sequence. */
  readonly knocks: number;
  /** Length of a time step. */
  readonly stepMs: Milliseconds;
  /** The sequence differs from source to source. */
  readonly bindSource: boolean;
}

/** A message encrypted into knocks: PROTOCOL.md. */
export interface EncryptedKnock {
  readonly kind: "encrypted";
  readonly users: readonly EncryptedUser[];
  /** `window`: 256 ports, the order is the place. `indexed`: 16 x 256 ports, place in the port. */
  readonly layout: "window" | "indexed";
  readonly ports: PortRange;
}

export interface EncryptedUser {
  /** 0 to 255. */
  readonly id: number;
  readonly name: string;
  /** The passphrase. */
  readonly secret: Secret;
}

export type Knock = PlainKnock | OneTimeKnock | RotatingKnock | EncryptedKnock;

/** Addresses with the same first bits. */
export interface Prefix {
  readonly address: Readonly<Source>;
  /** 0 to 32 or to 128. */
  readonly length: number;
}

/** Guarded services and what opens them. */
export interface Door {
  /** Letters, digits, `-` and `_`: it stands in logs and in derived sequences. */
  readonly name: string;
  /** The guarded ports. */
  readonly opens: readonly PortRange[];
  readonly knock: Knock;
  /** From the first knock to the last. */
  readonly withinMs: Milliseconds;
  /** How long the ports stay open for the source that knocked. */
  readonly timeoutMs: Milliseconds;
  /** What happens to connections when the time is over. The same for all doors of a port. */
  readonly onExpire: OnExpire;
  /** Who may try; empty is everybody. */
  readonly from: readonly Prefix[];
  /** No warning that the sequence is easy to guess. */
  readonly weakAccepted: boolean;
}

/** What happens to a SYN that may not come in: nothing, or a reset as from a closed port. */
export type Refusal = "drop" | "reset";

/** What happens to connections made while a grant was open, when it ends. */
export type OnExpire = "keep" | "cut";

/**
 * What is asked of a segment that begins no connection: that connection tracking knows its connection
 * (stateful), or nothing (stateless).
 */
export type Filter = "stateful" | "stateless";

export type LogFormat = "text" | "json";
export type LogLevel = "debug" | "info" | "warning" | "error";

export interface Config {
  readonly doors: readonly Door[];
  readonly refuse: Refusal;
  /** With `stateless`, TCP doors keep connections and UDP doors cut them: CONNECTIONS_OF_STATELESS. */
  readonly filter: Filter;
  /** Ports that nobody knocks on but who guesses: they set a source back to the start. */
  readonly decoys: readonly Endpoint[];
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

/**
 * What can become of connections that connection tracking does not know: segments of TCP tell that they
 * begin nothing, datagrams do not.
 */
export const CONNECTIONS_OF_STATELESS: Readonly<Record<Transport, OnExpire>> = {
  tcp: "keep",
  udp: "cut",
};

/** Fixed at random once: a number that others seldom use. */
export const QUEUE_NUMBER = 27_085;

/** A knock on a TCP port as a plain sequence has it: a SYN, at any time. */
export function tcpStep(port: number): Step {
  return { protocol: "tcp", port, flags: SYN_ONLY, afterMs: 0, beforeMs: Infinity };
}

/** All ports of ranges, one after the other, each once. */
export function endpointsOf(ranges: readonly PortRange[]): Endpoint[] {
  const endpoints = new Map<string, Endpoint>();
  for (const { protocol, first, last } of ranges) {
    for (let port = Number(first); port <= last; port++) {
      endpoints.set(`${protocol}/${port}`, { protocol, port: port as Port });
    }
  }
  return [...endpoints.values()];
}

/** "tcp/22", "tcp/9090-9099" */
export function rangeText({ protocol, first, last }: PortRange): string {
  return first === last ? `${protocol}/${first}` : `${protocol}/${first}-${last}`;
}
