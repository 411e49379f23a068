// Doors with changing sequences against packets of any kind. An input is a list of knocks; some of them
// are the next right one of a client, so that every state is reached. Nothing is thrown, no budget of
// memory is left, and no door opens to who has not knocked most of its sequence on purpose.

import type { Door, EncryptedKnock, RotatingKnock } from "../../../src/config/config.ts";
import { Secret } from "../../../src/config/secret.ts";
import { nodeCrypto as crypto } from "../../../src/crypto/node_crypto.ts";
import { EncryptedLock } from "../../../src/knock/encrypted_lock.ts";
import { encryptedSequence, type MessageKeys } from "../../../src/knock/encrypted_message.ts";
import type { EventTime, Lock } from "../../../src/knock/lock.ts";
import { KnockMachine } from "../../../src/knock/machine.ts";
import { RotatingLock } from "../../../src/knock/rotating_lock.ts";
import { rotatingSequence, timeStepAt } from "../../../src/knock/rotating_sequence.ts";
import { PROTOCOL } from "../../../src/knock/rules.ts";
import { emptyHeader, type PacketHeader, type Source } from "../../../src/packet/header.ts";
import { encryptedDoor, endpoint, rotatingDoor } from "../../support/configs.ts";
import { ipv4, ipv6 } from "../../support/naive_machine.ts";
import type { Arena } from "../arena.ts";
import { fold } from "../digest.ts";
import type { Target } from "../harness.ts";
import { byteMutators } from "../mutate_bytes.ts";
import { expect } from "../oracle.ts";
import type { Random } from "../random.ts";

const KEY = [0x03020100, 0x87060504] as const;
const DECOY = 6_000;
/** So many knocks of so large a range that nobody gets far in it by chance. */
const knock: Partial<RotatingKnock> = { knocks: 8 };
/** They overlap: one packet can be of all of them. */
const DOORS: readonly Door[] = [
  rotatingDoor({ name: "tcp", ports: "tcp/20000-28191", knock }),
  rotatingDoor({ name: "udp", ports: "udp/20000-28191", knock: { ...knock, bindSource: false } }),
  encryptedDoor({ name: "window", ports: "tcp/20000-20255" }),
  encryptedDoor({ name: "indexed", ports: "tcp/20100-24195", layout: "indexed" }),
];
const KEYS: MessageKeys = {
  aes: new Secret(new Uint8Array(32).fill(1)),
  hmac: new Secret(new Uint8Array(32).fill(2)),
};
const SOURCES: readonly Source[] = [
  ...[0, 1, 2].map((host) => ipv4(0xc0000200 + host)),
  ...[0, 1, 2].map((host) => ipv6(0x20010db8, host >> 1, 0, host)),
];
const PROTOCOLS = [PROTOCOL.tcp, PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.icmp, PROTOCOL.icmp6];
const FLAGS = [2, 2, 2, 2, 0xc2, 0x12, 0, 0xff];
/** Time before a knock. The wall clock goes along, and sometimes back. */
const STEPS_MS = [0, 0, 0, 1, 1, 5, 5, 20, 20, 100, 250, 1_000, 3_000, 11_000, 31_000, -61_000];

/**
 *    0    1    2         4           6          8            12
 *   +----+----+---------+-----------+----------+------------+
 *   |what|who | port    |source port|time,flags| sequence   |
 *   +----+----+---------+-----------+----------+------------+
 */
const RECORD_BYTES = 12;
const RECORDS_MAX = 24;
/** Above this `what` is a client's next knock at one of the doors. */
const CLIENT = 64;
const MEMORY_BYTES_MAX = 256 * 1024 * 1024;

function lockOf({ name: door, knock, withinMs }: Door): Lock {
  const shared = { crypto, door, withinMs, key: KEY };
  if (knock.kind === "rotating") {
    const small = { attemptsMax: 64, parkedMax: 64, portsKnownMax: 1_024 };
    return new RotatingLock({ ...knock, ...shared, ...small });
  }
  const { layout, ports, users } = knock as EncryptedKnock;
  return new EncryptedLock({
    ...shared,
    layout,
    firstPort: ports.first,
    users: users.map((user) => ({ ...user, keys: KEYS })),
    sourcesMax: 64,
  });
}

/** What a client of the door knocks. */
function sequenceOf({ name: door, knock }: Door, source: Source, unixMs: number): number[] {
  if (knock.kind === "rotating") {
    const timeStep = timeStepAt(unixMs, knock.stepMs);
    const bound = knock.bindSource ? source : undefined;
    return rotatingSequence({ ...knock, crypto, door, timeStep, source: bound });
  }
  const { layout, ports } = knock as EncryptedKnock;
  return encryptedSequence({
    ...{ crypto, door, layout, ports, source, unixMs },
    ...{ keys: KEYS, userId: 1 },
  });
}

interface Client {
  readonly ports: readonly number[];
  next: number;
}

function locksJudge(): (arena: Arena) => number {
  const machine = new KnockMachine({
    doors: DOORS,
    locks: new Map(DOORS.map((door, index) => [index, lockOf(door)])),
    decoys: [endpoint(`tcp/${DECOY}`)],
    sourcesMax: 256,
    perPrefixMax: 16,
    key: KEY,
  });
  const clients = new Map<number, Client>();
  /** Knocks on purpose since a door opened last: of each source and door, or of all sources. */
  const given = new Map<number, number>();
  const packet = emptyHeader();
  const memory = memoryBytes();
  let time: EventTime = { nowMs: 1_000, unixMs: 1_700_000_000_000 };

  /** The next knock of a client, who begins anew when he is through, or when much time has gone by. */
  const nextKnock = (door: number, source: Source, place: number): number => {
    let client = clients.get(place);
    if (client === undefined || client.next === client.ports.length) {
      client = { ports: sequenceOf(DOORS[door] as Door, source, time.unixMs), next: 0 };
      clients.set(place, client);
    }
    given.set(place, (given.get(place) ?? 0) + 1);
    return client.ports[client.next++] as number;
  };

  const placeOf = (door: number, source: number) => {
    const { knock } = DOORS[door] as Door;
    const shared = knock.kind === "rotating" && !knock.bindSource;
    return door * SOURCES.length + (shared ? 0 : source);
  };

  /** Fills in the packet of a record. */
  const read = ({ bytes, view }: Arena, at: number): number => {
    const what = bytes[at] as number;
    const source = (bytes[at + 1] as number) % SOURCES.length;
    const gapMs = STEPS_MS[(bytes[at + 6] as number) & 15] as number;
    const { nowMs, unixMs } = time;
    time = { nowMs: nowMs + Math.max(0, gapMs), unixMs: unixMs + gapMs };
    Object.assign(packet, SOURCES[source], {
      protocol: PROTOCOLS[what % PROTOCOLS.length],
      sourcePort: view.getUint16(at + 4),
      destinationPort: 20_000 + view.getUint16(at + 2) % 8_200,
      sequence: view.getUint32(at + 8),
      flags: FLAGS[(bytes[at + 7] as number) & 7],
    });
    if (what >= CLIENT) {
      const door = what % DOORS.length;
      const place = placeOf(door, source);
      packet.destinationPort = nextKnock(door, SOURCES[source] as Source, place);
      packet.protocol = DOORS[door]?.name === "udp" ? PROTOCOL.udp : PROTOCOL.tcp;
      packet.flags = 2;
    } else if (what === 0) packet.destinationPort = DECOY;
    return source;
  };

  return (arena) => {
    let way = 0;
    let outcome = 0;
    const { length } = arena;
    for (let at = 0; at + RECORD_BYTES <= length; at += RECORD_BYTES) {
      const source = read(arena, at);
      const count = machine.step(packet, time);
      for (let index = 0; index < count; index++) {
        const { door, stage, of, timeStep, user } = machine.effect(index);
        expect(stage >= 1 && stage <= of, () => `stage ${stage} of ${of}`);
        expect(isWatched(packet, door), () => `a knock at no port of door ${door}`);
        expect(Number.isInteger(timeStep), () => `time step ${timeStep}`);
        expect((user === "alice") === (door >= 2), () => `user ${user} at door ${door}`);
        outcome = Math.max(outcome, stage === of ? 2 : 1);
        way = fold(way, door * 32 + stage);
        if (stage < of) continue;
        const place = placeOf(door, source);
        const knocks = given.get(place) ?? 0;
        expect(knocks >= of / 2, () => `door ${door} opened to ${knocks} right knocks of ${of}`);
        given.delete(place);
      }
    }
    for (const [door, lock] of machine.locks) {
      const unjudged = lock.takeUnjudged();
      expect(unjudged >= 0 && unjudged <= RECORDS_MAX, () => `${unjudged} unjudged at ${door}`);
    }
    const grown = memoryBytes() - memory;
    expect(grown < MEMORY_BYTES_MAX, () => `${grown >> 20} MB more than before`);
    return outcome | way << 8;
  };
}

function isWatched({ protocol, destinationPort }: PacketHeader, door: number): boolean {
  const { ports } = (DOORS[door] as Door).knock as RotatingKnock | EncryptedKnock;
  return protocol === PROTOCOL[ports.protocol] && destinationPort >= ports.first &&
    destinationPort <= ports.last;
}

function memoryBytes(): number {
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/** One record becomes a client's, and some more of the same behind it. */
function clientKnocks({ bytes, length }: Arena, random: Random): void {
  const records = Math.floor(length / RECORD_BYTES);
  if (records === 0) return;
  const what = CLIENT + random.below(256 - CLIENT);
  const source = random.below(2);
  const first = random.below(records);
  const count = random.once(4) ? 1 : 16;
  for (let index = first; index < Math.min(records, first + count); index++) {
    const at = index * RECORD_BYTES;
    bytes[at] = what;
    bytes[at + 1] = source;
    bytes[at + 6] = random.below(8);
    // Unlike all before, or they are retransmissions.
    for (let byte = 8; byte < RECORD_BYTES; byte++) bytes[at + byte] = random.next();
  }
}

export const locks: Target = {
  name: "locks",
  capacity: RECORD_BYTES * RECORDS_MAX,
  share: 0.4,
  episode: 1_024,
  seeds: () =>
    [0, 1, 64, 255].map((value) =>
      Uint8Array.from(
        { length: RECORD_BYTES * RECORDS_MAX },
        (_, at) => value * 31 + at * (at % RECORD_BYTES) & 0xff,
      )
    ),
  mutators: [...Array.from({ length: byteMutators.length }, () => clientKnocks), ...byteMutators],
  outcomes: ["nothing", "stage", "opened"],
  newJudge: locksJudge,
};
