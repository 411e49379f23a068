// What pk reads of a packet: one object, filled in place again for every packet, so that the hot
// path allocates nothing.

/**
 * Source address as four 32-bit words in network order. An IPv4 address is (0, 0, 0, address) with
 * `family` 4, which keeps it apart from every IPv6 address, IPv4-mapped ones included.
 */
export interface Source {
  family: 4 | 6;
  word0: number;
  word1: number;
  word2: number;
  word3: number;
}

export function isSameSource(a: Readonly<Source>, b: Readonly<Source>): boolean {
  return a.family === b.family && a.word0 === b.word0 && a.word1 === b.word1 &&
    a.word2 === b.word2 && a.word3 === b.word3;
}

/** The fields of a knock that decide. Numbers are unsigned. */
export interface PacketHeader extends Source {
  /** IP protocol number of the upper layer: TCP 6, UDP 17, ICMP 1, ICMPv6 58. */
  protocol: number;
  /** 0 to 65535; of an echo request its identifier. */
  sourcePort: number;
  /** 1 to 65535; of an echo request the bytes of its payload, 0 to 65527. */
  destinationPort: number;
  /** TCP sequence number, 32 bits; of an echo request its sequence number, 16 bits; of UDP 0. */
  sequence: number;
  /** Of TCP, else 0: the low eight bits: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128. */
  flags: number;
}

/** A header object to be filled by `parsePacket`. */
export function emptyHeader(): PacketHeader {
  return {
    family: 4,
    word0: 0,
    word1: 0,
    word2: 0,
    word3: 0,
    protocol: 0,
    sourcePort: 0,
    destinationPort: 0,
    sequence: 0,
    flags: 0,
  };
}
