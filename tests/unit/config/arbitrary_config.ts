// Configurations of every kind that are right, for property tests. Knocks, guarded ports, decoys and
// ranges come from parts of the ports of their own, so that they do not meet.

import fc from "fast-check";
import {
  type Config,
  CONNECTIONS_OF_STATELESS,
  type Door,
  type Endpoint,
  type Knock,
  type Milliseconds,
  type Port,
  type PortRange,
  type Prefix,
  type Step,
  SYN_ONLY,
} from "../../../src/config/config.ts";
import { maskedTo } from "../../../src/config/prefix.ts";
import { Secret } from "../../../src/config/secret.ts";
import { stepText } from "../../../src/config/step.ts";
import { GRANT_MS_MAX, GRANTS_RANGE, SOURCES_RANGE } from "../../../src/limits.ts";
import { FOLDER } from "./config_yaml.ts";

const GUARDED = { min: 1, max: 9_999 };
const DECOYS = { min: 10_000, max: 19_999 };
const KNOCKS = { min: 20_000, max: 59_999 };

const transport = fc.constantFrom("tcp" as const, "udp" as const);
const time = (min: number, max: number) => fc.integer({ min, max }).map((ms) => ms as Milliseconds);
const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/)
  .filter((name) => !["constructor", "prototype"].includes(name));

function range(size: number, { min, max } = KNOCKS): fc.Arbitrary<PortRange> {
  return fc.tuple(transport, fc.integer({ min, max: max - size + 1 })).map(([protocol, first]) => ({
    protocol,
    first: first as Port,
    last: first + size - 1 as Port,
  }));
}

const flags = fc.tuple(fc.integer({ min: 1, max: 255 }), fc.nat(255))
  .map(([mask, value]) => ({ mask, value: mask & value }));

/** Of a sequence that has WITHIN_MS at least. */
const WITHIN_MS = 64_000;
const delays = fc.tuple(fc.constantFrom(0, 1, 200, 2_000), fc.constantFrom(2_000, 3_500, Infinity))
  .map(([afterMs, beforeMs]) => ({ afterMs, beforeMs }));

const bareStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ protocol: transport, port: fc.integer(KNOCKS) }),
  fc.record({ protocol: fc.constant("icmp" as const), port: fc.nat(65_507) }),
).map((step) => ({ ...step, flags: SYN_ONLY, afterMs: 0, beforeMs: Infinity }));

const step: fc.Arbitrary<Step> = fc.tuple(bareStep, fc.option(flags), delays)
  .map(([step, flags, delays]) => ({
    ...step,
    ...delays,
    flags: step.protocol === "tcp" && flags !== null ? flags : SYN_ONLY,
  }));

const plain: fc.Arbitrary<Knock> = fc.tuple(
  bareStep,
  fc.array(step, { minLength: 1, maxLength: 31 }),
)
  .map(([first, others]) => ({ kind: "plain", steps: [first, ...others] }));

const oneTime: fc.Arbitrary<Knock> = fc.tuple(
  name,
  fc.uniqueArray(fc.array(bareStep, { minLength: 2, maxLength: 32 }), {
    maxLength: 5,
    selector: (steps) => steps.map(stepText).join(),
  }),
).map(([name, all]) => ({
  kind: "one-time",
  file: `${FOLDER}/${name}.sequences`,
  sequences: all.map((steps) => ({ line: steps.map(stepText).join(", "), steps })),
}));

const rotating: fc.Arbitrary<Knock> = fc.record({
  kind: fc.constant("rotating" as const),
  secret: fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => new Secret(bytes)),
  ports: fc.integer({ min: 256, max: 5_000 }).chain((size) => range(size)),
  knocks: fc.integer({ min: 3, max: 16 }),
  stepMs: fc.integer({ min: 10, max: 3_600 }).map((seconds) => seconds * 1_000 as Milliseconds),
  bindSource: fc.boolean(),
});

const passphrase = fc.string({ minLength: 8, maxLength: 80, unit: "grapheme" })
  .filter((text) => !/[\r\n\0\ufeff]/.test(text) && [...text].length <= 1_024 && isWellFormed(text))
  .map((text) => new Secret(new TextEncoder().encode(text)));

function isWellFormed(text: string): boolean {
  return new TextDecoder().decode(new TextEncoder().encode(text)) === text;
}

const encrypted: fc.Arbitrary<Knock> = fc.constantFrom("window" as const, "indexed" as const).chain(
  (layout) =>
    fc.record({
      kind: fc.constant("encrypted" as const),
      layout: fc.constant(layout),
      ports: range(layout === "window" ? 256 : 4_096),
      users: fc.uniqueArray(fc.tuple(fc.nat(255), name, passphrase), {
        minLength: 1,
        maxLength: 5,
        comparator: (one, other) =>
          one[0] === other[0] || one[1] === other[1] || one[2].equals(other[2]),
      }).map((users) => users.map(([id, name, secret]) => ({ id, name, secret }))),
    }),
);

const word = fc.nat(0xffff_ffff);
const prefix: fc.Arbitrary<Prefix> = fc.oneof(
  fc.tuple(word, fc.nat(32)).map(([word3, length]) => ({
    address: { family: 4 as const, word0: 0, word1: 0, word2: 0, word3 },
    length,
  })),
  fc.tuple(word, word, word, word, fc.nat(128)).map(([word0, word1, word2, word3, length]) => ({
    address: { family: 6 as const, word0, word1, word2, word3 },
    length,
  })),
).map(({ address, length }) => ({ address: maskedTo(address, length), length }))
  .filter(({ address: { family, word0, word1, word2 } }) =>
    family === 4 || word0 !== 0 || word1 !== 0 || word2 !== 0xffff
  );

const anyIpv4: Prefix = {
  address: { family: 4, word0: 0, word1: 0, word2: 0, word3: 0 },
  length: 0,
};

const door: fc.Arbitrary<Omit<Door, "opens">> = fc.record({
  name,
  knock: fc.oneof(plain, oneTime, rotating, encrypted),
  withinMs: time(WITHIN_MS, GRANT_MS_MAX),
  timeoutMs: time(1, GRANT_MS_MAX),
  onExpire: fc.constantFrom("keep" as const, "cut" as const),
  // Echo requests of IPv4 need a source that can send them.
  from: fc.array(prefix, { maxLength: 3 }).map((all) => all.length === 0 ? [] : [anyIpv4, ...all]),
  weakAccepted: fc.boolean(),
});

/** Each door has ports of its own. */
const doors: fc.Arbitrary<Door[]> = fc.uniqueArray(door, {
  minLength: 1,
  maxLength: 5,
  comparator: (one, other) => one.name === other.name || fileOf(one.knock) === fileOf(other.knock),
}).chain((doors) =>
  fc.tuple(...doors.map((door, index) =>
    fc.array(
      fc.integer({ min: 1, max: 50 }).chain((size) =>
        range(size, { min: GUARDED.min + 1_000 * index, max: GUARDED.min + 1_000 * index + 999 })
      ),
      { minLength: 1, maxLength: 5 },
    ).map((opens): Door => ({ ...door, opens }))
  ))
);

function fileOf(knock: Knock): unknown {
  return knock.kind === "one-time" ? knock.file : Symbol("no file");
}

/** Any configuration that is right. */
export const arbitraryConfig: fc.Arbitrary<Config> = fc.record({
  doors,
  refuse: fc.constantFrom("drop" as const, "reset" as const),
  filter: fc.constantFrom("stateful" as const, "stateless" as const),
  decoys: fc.array(
    fc.record({ protocol: transport, port: fc.integer(DECOYS) }) as fc.Arbitrary<Endpoint>,
    { maxLength: 64 },
  ),
  banMs: fc.option(time(1, GRANT_MS_MAX / 1_000 | 0).map((s) => s * 1_000 as Milliseconds), {
    nil: undefined,
  }),
  queueNumber: fc.nat(65_535),
  tableOwner: fc.boolean(),
  sourcesMax: fc.integer(SOURCES_RANGE),
  grantsMax: fc.integer(GRANTS_RANGE),
  log: fc.record({
    format: fc.constantFrom("text" as const, "json" as const),
    level: fc.constantFrom(...["debug", "info", "warning", "error"] as const),
  }),
}).map((config) => config.filter === "stateful" ? config : withoutTracking(config));

/**
 * Each door with one protocol, whose connections end as they can without connection tracking, and with
 * pings that come in one packet.
 */
function withoutTracking(config: Config): Config {
  const doors = config.doors.map((door): Door => {
    const protocol = door.opens[0]?.protocol ?? "tcp";
    const opens = door.opens.filter((range) => range.protocol === protocol);
    const knock = unfragmented(door.knock);
    return { ...door, opens, knock, onExpire: CONNECTIONS_OF_STATELESS[protocol] };
  });
  return { ...config, doors };
}

function unfragmented(knock: Knock): Knock {
  const isLarge = ({ protocol, port }: Step) => protocol === "icmp" && port > 1_452;
  if (knock.kind === "one-time") {
    return { ...knock, sequences: knock.sequences.filter(({ steps }) => !steps.some(isLarge)) };
  }
  if (knock.kind !== "plain") return knock;
  return {
    ...knock,
    steps: knock.steps.map((one) => isLarge(one) ? { ...one, port: 1_452 } : one),
  };
}
