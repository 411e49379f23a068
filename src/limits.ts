// Everything that somebody on the network can make grow, with its bound and the reason for it.

/** Knocks of one sequence. Ten, as in the kernel module that pk succeeds. */
export const SEQUENCE_PORTS_MIN = 2;
export const SEQUENCE_PORTS_MAX = 10;

/** Time for a whole sequence: a person typing commands makes it, a slow scan does not. */
export const WITHIN_MS = 10_000;

/** Extension headers that are followed in one packet. Real ones have at most two or three. */
export const EXTENSION_HEADERS_MAX = 8;

/**
 * How long a packet is known as one of a completed sequence. Linux repeats a SYN for 63 s, others
 * for less; clients that always send the same source port and sequence number knock anew after it.
 */
export const REPEATED_MS = 120_000;

/** Attempts remembered at once: 113 bytes each with eight knocks, 7.4 MB when all are touched. */
export const SOURCES_MAX = 65_536;

/** Attempts of one IPv6 /64, which is what one customer has: 2^64 addresses cost nothing. */
export const ATTEMPTS_PER_PREFIX_MAX = 16;

/** Grants at once for each family: the `size` of the kernel's set. A full set refuses new ones. */
export const GRANTS_MAX = 65_536;

/** Sessions older than pk that are let through: more than a host has on a guarded port. */
export const INHERITED_MAX = 65_536;

/** Silence after which such a session ends: nf_conntrack_tcp_timeout_established, five days. */
export const INHERITED_MS = 432_000_000;

/** Longest grant: setTimeout and poll(2) count 31 bits of milliseconds, 24 days. */
export const GRANT_MS_MAX = 2_147_483_647;

/** Log lines a second of each kind that a stranger can cause; the rest are counted. */
export const LINES_PER_SECOND = 10;

/** Packets that wait in the kernel for a verdict. When full, they pass on to `guard` unseen. */
export const QUEUE_LENGTH_MAX = 8_192;

/** Receive buffer of the queue's socket, for the messages of so many packets. */
export const QUEUE_BUFFER_BYTES = 32 * 1024 * 1024;

/** Packets read, judged and let go at once: a batch. */
export const BATCH_PACKETS = 256;

/** How long a turn may last before signals and log lines get theirs. */
export const TURN_MS = 100;

/** How long to stay awake for the next packet: longer than clients leave between knocks. */
export const LINGER_MS = 20;

/** Bytes of a packet copied to us: IPv6 extension headers before TCP may take several hundred. */
export const COPY_RANGE_BYTES = 1_024;

/** Bytes for one queued packet's netlink message: the copied range and its attributes. */
export const MESSAGE_BYTES = 1_536;

/** How long an ack of the kernel may take before held packets go on without it. */
export const ACK_TIMEOUT_MS = 1_000;
