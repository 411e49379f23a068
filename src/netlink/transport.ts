// What a conversation with the kernel needs of a socket. A test's kernel is one such function pair.

export interface Transport {
  /** Sends one datagram. The kernel carries requests out before this returns. */
  send(bytes: Uint8Array<ArrayBuffer>): void;
  /** One datagram, or undefined when none came within the time (milliseconds). */
  receive(timeoutMs?: number): Uint8Array | undefined;
}
