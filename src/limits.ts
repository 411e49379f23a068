// Everything that somebody on the network can make grow, with its bound and the reason for it.

/** Knocks of one sequence on the command line. Ten, as in the kernel module that pk succeeds. */
export const SEQUENCE_PORTS_MIN = 2;
export const SEQUENCE_PORTS_MAX = 10;

/** Knocks of one sequence in a file: as many as a packet can be found among in one word of bits. */
export const STEPS_MAX = 32;

/**
 * Sequences that one packet can begin, of all doors and files: each makes such a packet dearer for
 * all. The table of attempts grows with them.
 */
export const SHARED_FIRST_MAX = 8;

/** Time for a whole sequence: a person typing commands makes it, a slow scan does not. */
export const WITHIN_MS = 10_000;

/** Extension headers that are followed in one packet. Real ones have at most two or three. */
export const EXTENSION_HEADERS_MAX = 8;

/**
 * How long a packet is known as one of a completed sequence. Linux repeats a SYN for 63 s, others
 * for less; clients that always send the same source port and sequence number knock anew after it.
 */
export const REPEATED_MS = 120_000;

/** What an administrator may choose for a bound. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Ports that set a source back: more than that deserve a sequence that is hard to guess. */
export const DECOYS_MAX = 64;

/** Attempts remembered at once: 113 bytes each with eight knocks, 7.4 MB when all are touched. */
export const SOURCES_MAX = 65_536;

/** At least a few for each stage of the longest sequence; at most what takes half a gigabyte. */
export const SOURCES_RANGE: Range = { min: 256, max: 4_194_304 };

/**
 * Attempts of one network: of an IPv6 /64, which is what one customer has and whose 2^64 addresses cost
 * nothing, or of one IPv4 address. For each sequence that one packet can begin.
 */
export const ATTEMPTS_PER_PREFIX_MAX = 16;

/** Grants at once for each family: the `size` of the kernel's set. A full set refuses new ones. */
export const GRANTS_MAX = 65_536;

/** One transaction writes all of them anew where somebody took the table away. */
export const GRANTS_RANGE: Range = { min: 1, max: 1_000_000 };

/**
 * A door renews its own grant when it would end so much later, or an eighth of its time: who knocks on
 * and on costs the kernel and the log no more than that.
 */
export const RENEWAL_MS = 250;

/** Sources that a decoy keeps out at once, of each family. When full, others are not banned. */
export const BANNED_MAX = 65_536;

/** Sessions older than pk that are let through: more than a host has on a guarded port. */
export const INHERITED_MAX = 65_536;

/**
 * How long, a year: nothing renews it. What is left of one that has ended lets segments other than SYNs of
 * these two ends through, which belong to nothing.
 */
export const INHERITED_MS = 31_536_000_000;

/**
 * Connections remembered as legitimate, where somebody may take the table away: as many as are let
 * through at the start. Those beyond are cut with the ones that came in meanwhile.
 */
export const LEGITIMATE_MAX = 65_536;

/**
 * Guarded ports whose sockets are listed one port after the other, some 3 ms each, however few there are.
 * Of more all of the host's are listed, some microseconds each, however many.
 */
export const PORTS_LISTED_MAX = 8;

/** Sockets ended at once, some 20 ms; forged SYNs can make many while the table is away. */
export const CUTS_MAX = 1_024;

/** Longest grant: setTimeout and poll(2) count 31 bits of milliseconds, 24 days. */
export const GRANT_MS_MAX = 2_147_483_647;

/** Log lines a second of each kind that a stranger can cause; the rest are counted. */
export const LINES_PER_SECOND = 10;

/**
 * How long after one of the last two knocks a SYN to a guarded port waits for the grant: as long as
 * clients wait before they send it again.
 */
export const FINISHING_MS = 1_000;

/** Sources so marked at once, of each family. When full, newcomers' first SYN does not wait. */
export const FINISHING_MAX = 131_072;

/** SYNs that wait in the kernel for a verdict. When full, they pass on to `guard` at once. */
export const QUEUE_LENGTH_MAX = 8_192;

/** Receive buffer of the queue's socket, for the messages of so many packets. */
export const QUEUE_BUFFER_BYTES = 16 * 1024 * 1024;

/**
 * How often the queue is read for somebody who has completed a sequence alone, to be let in before the
 * grant is written: 30 to 50 us, in which a client sends a SYN after the last knock.
 */
export const LET_IN_TRIES = 24;

/** Bytes of a held packet that come along: more than the headers of all but strange ones take. */
export const HELD_COPY_RANGE_BYTES = 128;

/** Bytes for the message of one held packet: the copied range and what the kernel says of it. */
export const HELD_MESSAGE_BYTES = 512;

/** Receive buffer for copies of knocks: about 200 ms of a flood of 150,000 a second. */
export const LOG_BUFFER_BYTES = 16 * 1024 * 1024;

/** Copies read before what is held goes on: more than the buffer holds. */
export const COPIES_MAX = 65_536;

/** Packets read at once: a batch. */
export const BATCH_PACKETS = 256;

/** How long a turn may last before signals and log lines get theirs. */
export const TURN_MS = 100;

/** Copies in one turn that are a flood: 10,000 a second. */
export const FLOOD_COPIES = 1_000;

/** How long copies are collected in a flood before they are read, while nothing is held. */
export const COLLECT_MS = 1;

/** How long to stay awake for the next packet: longer than clients leave between knocks. */
export const LINGER_MS = 20;

/** Bytes of a packet copied to us: IPv6 extension headers before TCP may take several hundred. */
export const COPY_RANGE_BYTES = 1_024;

/** Bytes for the message of one copy: the copied range and its attributes. */
export const LOG_MESSAGE_BYTES = 1_536;

/** How often a daemon at work collects its garbage; it takes some 10 ms. */
export const GARBAGE_MS = 60_000;

/** How often the daemon compares what the kernel counted with what it has read. */
export const WATCHDOG_MS = 30_000;

/** Of the connections that may be tracked: with so many it is told, before the kernel drops new ones. */
export const TRACKING_FULL_SHARE = 0.9;

/** Below, it is told anew when the table fills again. */
export const TRACKING_CALM_SHARE = 0.7;

/** How long an ack of the kernel may take before held packets go on without it. */
export const ACK_TIMEOUT_MS = 1_000;

/** Bytes read of other programs' rulesets: some ten thousand rules. Behind it nothing is said. */
export const HOST_RULESET_BYTES_MAX = 4 * 1024 * 1024;

/** How long the look at the start may take, which is late by that much. */
export const HOST_FIRST_LOOK_MS_MAX = 2_000;

/** How long a later one may take, while what comes has to wait. */
export const HOST_LOOK_MS_MAX = 250;

/** Between two looks, which grants cause. */
export const HOST_LOOK_INTERVAL_MS = 60_000;

/** Expressions and elements that one walk through a base chain takes in. */
export const HOST_STEPS_MAX = 100_000;

/**
 * Sources remembered by each encrypted door: 9 MB with the window layout, 15 MB with the indexed one,
 * when all are touched. Half are new ones: a second knock within 100 ms is in time among 150,000 forged
 * ones a second.
 */
export const ENCRYPTED_SOURCES_MAX = 32_768;

/** A source that was silent for so long begins a sequence: clients leave a few milliseconds. */
export const ENCRYPTED_PAUSE_MS = 250;

/**
 * Decryptions that each encrypted door tries in a second: some 130 ms of it. With 100 users these are
 * 10,000 sequences, what 160,000 knocks a second can make.
 */
export const ENCRYPTED_TRIALS_PER_SECOND = 1_000_000;

/** After a pause as many at once as in so much time: some 30 ms. */
export const ENCRYPTED_BURST_MS = 250;

/** Sequences tried of one source after its first: so many make it the last one where trials are short. */
export const ENCRYPTED_SHARE_MAX = 256;

/** Attempts at one rotating door at once. One takes a right knock, which is 1 in 300 by chance. */
export const ROTATING_ATTEMPTS_MAX = 8_192;

/**
 * Knocks at one rotating door that wait for a second one of their source: 22 bytes each. A flood of
 * 100,000 new sources a second turns them over in 2.6 s; clients need 5 ms, a browser less than 1 s.
 */
export const ROTATING_PARKED_MAX = 262_144;

/** Ports of sequences that one rotating door remembers: three a source at least, 6 bytes each. */
export const ROTATING_PORTS_KNOWN_MAX = 524_288;

/** HMACs a second for all rotating doors together: some 3 us each, so 15 % of a processor. */
export const ROTATING_HMACS_PER_SECOND_MAX = 50_000;

/** How often it is looked whether knocks come faster than they are read. */
export const SHEDDING_WINDOW_MS = 250;

/**
 * Copies that may be lost in that time, of all. At 8 % every second person is heard with all of eight
 * knocks, as with two shares.
 */
export const LOSS_SHARE_MAX = 0.1;

/** Knocks read a second, below which a loss is not one of a flood that lasts, but is told late. */
export const LOSING_READS_MIN = 5_000;

/** Beyond capacity, how long the same share of the sources is heard: a sequence takes some 40 ms to 2 s. */
export const HEARD_MS = 4_000;

/** How much of what can be read the share that is heard may bring. */
export const HEARD_CAPACITY_SHARE = 0.8;

/** Shares that take turns: everybody's comes once in 64 s or so. */
export const HEARD_SHARES_MAX = 16;
