// What parsing a packet can come to. Hostile bytes are no errors: each packet ends in one of these
// small numbers, which index an array of counters.

/** Outcomes of `parsePacket`. Only after `tcp` is the header filled in. */
export const PARSE = {
  /** A whole TCP header of a whole packet from a possible source. */
  tcp: 0,
  /** Another upper layer, or one that cannot be seen (ESP). */
  notTcp: 1,
  /** A part of a packet. The kernel reassembles before the queue, so a real knock is never one. */
  fragment: 2,
  /** The packet says that it goes on, but no more of it was captured. */
  truncated: 3,
  /** The bytes contradict themselves or their RFC. */
  malformed: 4,
  /** A source that no peer can have: unspecified, loopback, multicast, reserved, IPv4-mapped. */
  badSource: 5,
  /** More IPv6 extension headers than EXTENSION_HEADERS_MAX. */
  tooManyHeaders: 6,
} as const;

export type ParseName = keyof typeof PARSE;
export type ParseOutcome = typeof PARSE[ParseName];

/** The name of each outcome, at the outcome's index. */
export const PARSE_NAMES: readonly ParseName[] = Object.keys(PARSE) as ParseName[];
