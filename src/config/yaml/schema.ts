// The configuration file: what may stand where, how it reads, and what editors tell of it. The JSON
// schema in config/ is made of this, too.

import * as v from "valibot";
import {
  DECOYS_MAX,
  GRANTS_RANGE,
  SEQUENCE_PORTS_MIN,
  SOURCES_RANGE,
  STEPS_MAX,
} from "../../limits.ts";
import { about, choice, count, map, mapOf, text } from "../../yaml/shape.ts";
import { rangeText } from "../config.ts";
import { DEFAULTS, KNOCK_DEFAULTS } from "../defaults.ts";
import { parseEndpoint, parseRange } from "../ports.ts";
import { parsePrefix } from "../prefix.ts";
import { parseTime, TIME_PATTERN, timeText } from "../time.ts";
import { knockStep } from "./step_schema.ts";

/** Doors of a configuration: the machine takes more, a person does not. */
export const DOORS_MAX = 4_096;

/** Ports that one door opens: each is a grant of its own in the kernel. */
export const OPENS_MAX = 256;

/** Networks in `from`: they are compared one after the other. */
const PREFIXES_MAX = 256;

/** Of rotating sequences: fewer knocks or ports could be guessed, more are no use. */
const ROTATING_KNOCKS = { min: 3, max: 16 };
const ROTATING_PORTS_MIN = 256;
const ROTATING_STEP_MS = { min: 10_000, max: 3_600_000 };

/** A user is one byte of the message. */
const USER_ID_MAX = 255;

/** Ports of each layout: a byte of 256 values, once or for each of 16 places. */
export const LAYOUT_PORTS = { window: 256, indexed: 4_096 } as const;

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;

export const name = v.pipe(
  v.string(),
  v.regex(NAME, "a name is 1 to 32 letters, digits, - and _, and begins with a letter or a digit"),
);

function range(description: string) {
  const pattern = "^(tcp|udp)/[0-9]+(-[0-9]+)?$";
  return text(parseRange, "ports such as tcp/22 or tcp/9090-9099", { description, pattern });
}

function time(description: string) {
  return text(parseTime, "a time such as 20s or 500ms", {
    description: `${description} A number and ms, s, m or h.`,
    pattern: TIME_PATTERN,
  });
}

const opens = v.pipe(
  v.array(
    range("Ports of one protocol: tcp/22, udp/51820, tcp/9090-9099"),
    "a list of ports such as [tcp/22]",
  ),
  v.minLength(1, "a door opens one port at least"),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const ports = dataset.value.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    if (ports <= OPENS_MAX) return;
    addIssue({ message: `a door opens ${OPENS_MAX} ports at most, these are ${ports}` });
  }),
  about("The guarded ports. Nobody gets in there who has not knocked."),
);

export const plain = v.pipe(
  v.array(knockStep, "a list of knocks such as [tcp/7000, udp/8123, icmp/56]"),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const { length } = dataset.value;
    if (length >= SEQUENCE_PORTS_MIN && length <= STEPS_MAX) return;
    const bounds = `${SEQUENCE_PORTS_MIN} to ${STEPS_MAX}`;
    addIssue({ message: `a sequence has ${bounds} knocks, this one ${length}` });
  }),
  about("A plain sequence: always the same, so whoever records it can repeat it."),
);

export const secretFile = v.pipe(
  v.string("the path of a file"),
  v.nonEmpty("a path has a character at least"),
  about(
    "File of the secret, readable by its owner only (mode 0600). Relative to this file; systemd's " +
      "credentials go first.",
  ),
);

export const rotating = map("A rotating knock", {
  "secret-file": secretFile,
  ports: v.optional(
    v.pipe(
      range("What the sequence is taken from. Client and server have to agree."),
      v.check(
        ({ first, last }) => last - first + 1 >= ROTATING_PORTS_MIN,
        `a rotating sequence needs a range of ${ROTATING_PORTS_MIN} ports at least`,
      ),
    ),
    rangeText(KNOCK_DEFAULTS.rotating.ports),
  ),
  knocks: v.pipe(
    v.optional(
      count(ROTATING_KNOCKS.min, ROTATING_KNOCKS.max),
      KNOCK_DEFAULTS.rotating.knocks,
    ),
    about("Knocks of the sequence."),
  ),
  step: v.optional(
    v.pipe(
      time("How long a sequence is valid."),
      v.check(
        (ms) => ms >= ROTATING_STEP_MS.min && ms <= ROTATING_STEP_MS.max && ms % 1_000 === 0,
        "a time step is 10s to 1h, in whole seconds",
      ),
    ),
    timeText(KNOCK_DEFAULTS.rotating.stepMs),
  ),
  "bind-source": v.pipe(
    v.optional(v.boolean(), KNOCK_DEFAULTS.rotating.bindSource),
    about(
      "The sequence depends on the source address. Behind a NAT whose address the client does not " +
        "know, turn it off: whoever sees the knocks can then be quicker than their sender.",
    ),
  ),
});

export const oneTime = map("A one-time knock", {
  file: v.pipe(
    v.string("the path of a file"),
    v.nonEmpty("a path has a character at least"),
    about(
      'File of sequences, one a line, such as "tcp/7000, udp/8123, icmp/56", readable by its owner ' +
        "only (mode 0600). Each is valid once; pk crosses it out with a #.",
    ),
  ),
});

const user = map("A user", {
  id: v.pipe(count(0, USER_ID_MAX), about("What the message says. Each user has another.")),
  "secret-file": secretFile,
});

const encrypted = v.pipe(
  map("An encrypted knock", {
    layout: v.pipe(
      v.optional(choice("window", "indexed"), KNOCK_DEFAULTS.encrypted.layout),
      about(
        "window: 256 ports, knocks have to arrive in order. indexed: 4096 ports, in any order.",
      ),
    ),
    ports: v.optional(
      range("256 ports that nobody uses, or 4096 of them with the layout indexed."),
    ),
    users: v.pipe(
      mapOf(name, user, "a map from names of users to what they have"),
      v.minEntries(1, "there is one user at least"),
      v.maxEntries(USER_ID_MAX + 1, `there are ${USER_ID_MAX + 1} users at most`),
      about("Who may come in, by name. The name of who did is logged."),
    ),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed || dataset.value.ports === undefined) return;
    const { layout, ports } = dataset.value;
    if (ports.last - ports.first + 1 === LAYOUT_PORTS[layout]) return;
    addIssue({
      input: rangeText(ports),
      message: `the layout ${layout} has ${LAYOUT_PORTS[layout]} ports`,
      path: [
        { type: "object", origin: "value", input: dataset.value, key: "ports", value: ports },
      ],
    });
  }),
);

const kinds = v.pipe(
  map("A kind of knock", {
    rotating: v.pipe(
      v.optional(rotating),
      about("A sequence that follows from a secret, the time and the source."),
    ),
    "one-time": v.pipe(
      v.optional(oneTime),
      about("Sequences that are each valid once, from a file."),
    ),
    encrypted: v.pipe(
      v.optional(encrypted),
      about("A message, encrypted into sixteen knocks, that says which user knocks."),
    ),
  }),
  v.minEntries(1, "a door has one kind of knock: a list, rotating, one-time or encrypted"),
  v.maxEntries(1, "a door has one kind of knock: a list, rotating, one-time or encrypted"),
);

/** What stands under the name of a door. */
export const doorSchema = map("A door", {
  opens,
  knock: v.pipe(
    v.union([plain, kinds], "a list of knocks, or a map with rotating, one-time or encrypted"),
    about("What opens the door: a list of knocks, or a kind whose sequence changes."),
  ),
  within: v.optional(
    time("From the first knock to the last."),
    timeText(DEFAULTS.withinMs),
  ),
  for: v.optional(
    time("How long the ports stay open for the source that knocked."),
    timeText(DEFAULTS.timeoutMs),
  ),
  then: v.pipe(
    v.optional(choice("keep", "cut"), DEFAULTS.onExpire),
    about(
      "Connections made while the door was open live on (keep) or end with the time (cut). The same " +
        "for all doors of a port.",
    ),
  ),
  from: v.optional(
    v.pipe(
      v.array(
        text(parsePrefix, "a network such as 192.0.2.0/24", {
          description: "192.0.2.0/24, 2001:db8::/32, or one address",
        }),
        "a list of networks such as [192.0.2.0/24]",
      ),
      v.minLength(1, "nobody could come in; leave the key out for everybody"),
      v.maxLength(PREFIXES_MAX, `there are ${PREFIXES_MAX} networks at most`),
      about("Who may try. Without it, everybody."),
    ),
  ),
  weak: v.optional(
    v.pipe(
      v.literal("accepted", "accepted"),
      about("No warning that the sequence is easy to guess."),
    ),
  ),
});

/** Where only guessers knock. */
export const decoysSchema = v.pipe(
  v.array(
    text(parseEndpoint, "a port such as tcp/7001", {
      description: "tcp/7001 or udp/7001",
      pattern: "^(tcp|udp)/[0-9]+$",
    }),
    "a list of ports such as [tcp/7001]",
  ),
  v.maxLength(DECOYS_MAX, `there are ${DECOYS_MAX} decoys at most`),
  about("Ports that set a source back to the start of every sequence, so that scans get nowhere."),
);

/** What is asked of segments that begin no connection. */
export const filterSchema = v.pipe(
  v.optional(choice("stateful", "stateless"), DEFAULTS.filter),
  about(
    "stateful: at a guarded port a segment passes when connection tracking knows its connection. " +
      "stateless: what begins a connection is judged alone and nothing is tracked, for hosts that do " +
      "not track connections already; then TCP is kept and UDP is cut.",
  ),
);

/** The whole file. */
export const configSchema = map("A configuration", {
  version: v.pipe(
    v.optional(v.literal(1, "1, the only version there is")),
    about("Version of this format."),
  ),
  doors: v.pipe(
    mapOf(name, doorSchema, "a map from names of doors to what they are"),
    v.minEntries(1, "there is one door at least"),
    v.maxEntries(DOORS_MAX, `there are ${DOORS_MAX} doors at most`),
    about("What is guarded, and what opens it, by name."),
  ),
  refuse: v.pipe(
    v.optional(choice("drop", "reset"), DEFAULTS.refuse),
    about(
      "What who did not knock sees at a guarded port: nothing (drop), or a reset as from a closed " +
        "port (reset).",
    ),
  ),
  filter: filterSchema,
  decoys: v.optional(decoysSchema, []),
  ban: v.optional(
    v.pipe(
      time("How long a source that touched a decoy cannot knock. Forged packets can ban others."),
      v.check((ms) => ms % 1_000 === 0, "the kernel counts a ban in whole seconds"),
    ),
  ),
  "table-owner": v.pipe(
    v.optional(v.boolean(), DEFAULTS.tableOwner),
    about("Nobody else can change pk's table while it runs, where the kernel can (Linux 6.9)."),
  ),
  "queue-num": v.pipe(
    v.optional(count(0, 65_535), DEFAULTS.queueNumber),
    about("Number of the netfilter queue and log group."),
  ),
  limits: v.optional(
    v.pipe(
      map("The map of limits", {
        "sources-max": v.pipe(
          v.optional(count(SOURCES_RANGE.min, SOURCES_RANGE.max), DEFAULTS.sourcesMax),
          about("Sources in the middle of a sequence that are remembered."),
        ),
        "grants-max": v.pipe(
          v.optional(count(GRANTS_RANGE.min, GRANTS_RANGE.max), DEFAULTS.grantsMax),
          about("Grants open at once, of IPv4 and of IPv6; more are refused."),
        ),
      }),
      about("Bounds of what strangers can make grow."),
    ),
    {},
  ),
  log: v.optional(
    v.pipe(
      map("The map of log", {
        format: v.pipe(
          v.optional(choice("text", "json"), DEFAULTS.logFormat),
          about("One event a line, for people or for programs."),
        ),
        level: v.pipe(
          v.optional(choice("debug", "info", "warning", "error"), DEFAULTS.logLevel),
          about("What is logged: this and what is worse."),
        ),
      }),
      about("Events on standard error."),
    ),
    {},
  ),
});

export type DoorInFile = v.InferOutput<typeof doorSchema>;
