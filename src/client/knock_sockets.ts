// What a client needs of the system to knock: one packet at a time to one address, chosen once. Linux
// has it in linux_sockets.ts; everywhere else portable_sockets.ts does what Deno's own sockets can.

import type { Source } from "../packet/header.ts";

/** Where knocks go. */
export interface Destination {
  readonly address: Readonly<Source>;
  /** As Deno takes it: "192.0.2.7", "fe80::1%eth0". */
  readonly text: string;
  /** Index of the interface of a link-local address; else 0. */
  readonly scope: number;
}

export interface KnockSockets {
  /** One SYN; whatever answers gets no further. */
  tcp(to: Destination, port: number): Promise<void>;
  /** One datagram. */
  udp(to: Destination, port: number, payload: Uint8Array<ArrayBuffer>): Promise<void>;
  /** One echo request of the address's family. */
  echo(to: Destination, payload: Uint8Array<ArrayBuffer>, sequence: number): Promise<void>;
  /**
   * Refuses where echo requests of so many bytes cannot be sent at all. Sends nothing.
   *
   * @throws {HostError}
   */
  requireEcho(to: Destination, bytes: number): void;
  /** The own address that packets to a destination carry. Sends nothing. */
  sourceTowards(to: Destination): Promise<Source>;
  /** The index of an interface, 0 where there is none of that name. */
  interfaceIndex(name: string): number;
}
