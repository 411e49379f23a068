// What parsing a packet can come to. Hostile bytes are no errors: each packet ends in one of these
// small numbers, which index an array of counters.

/** Outcomes of `parsePacket`. Only after those that `isKnock` is the header filled in. */
export const PARSE = {
  /** A whole TCP header of a whole packet from a possible source. */
  tcp: 0,
  /** Likewise of UDP. */
  udp: 1,
  /** Likewise an echo request of ICMP or ICMPv6. */
  echo: 2,
  /** Another upper layer, one that cannot be seen (ESP), or another message of ICMP. */
  notKnock: 3,
  /** A part of a packet. The kernel reassembles before the queue, so a real knock is never one. */
  fragment: 4,
  /** The packet says that it goes on, but no more of it was captured. */
  truncated: 5,
  /** The bytes contradict themselves or their RFC. */
  malformed: 6,
  /** A source that no peer can have: unspecified, loopback, multicast, reserved, IPv4-mapped. */
  badSource: 7,
  /** More IPv6 extension headers than EXTENSION_HEADERS_MAX. */
  tooManyHeaders: 8,
} as const;

export type ParseName = keyof typeof PARSE;
export type ParseOutcome = typeof PARSE[ParseName];

/** The name of each outcome, at the outcome's index. */
export const PARSE_NAMES: readonly ParseName[] = Object.keys(PARSE) as ParseName[];

/** Is it a packet of a kind that can be a knock, with its header filled in? */
export function isKnock(outcome: ParseOutcome): boolean {
  return outcome <= PARSE.echo;
}
