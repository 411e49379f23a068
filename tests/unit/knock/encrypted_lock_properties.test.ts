// EncryptedLock against a naive one, at every step of generated streams: sequences of several users,
// sources and steps, whole, in part, shuffled or doubled, among garbage, repeated segments and pauses.
// The naive lock goes the other way: it seals what could be knocked now, and looks whether it was.

import fc from "fast-check";
import assert from "node:assert/strict";
import { Secret } from "../../../src/config/secret.ts";
import { nodeCrypto } from "../../../src/crypto/node_crypto.ts";
import type { KnockCrypto } from "../../../src/knock/crypto.ts";
import { EncryptedLock, type LockUser } from "../../../src/knock/encrypted_lock.ts";
import {
  type Layout,
  portsOf,
  sealMessage,
  STEP_MS,
} from "../../../src/knock/encrypted_message.ts";
import type { PacketHeader, Source } from "../../../src/packet/header.ts";
import { ipv4, ipv6, syn } from "../../support/naive_machine.ts";

const FIRST = 61_440;
const WITHIN_MS = 2_000;
const UNIX_MS = 1_700_000_015_000;
const DOOR = "vault";

const users: LockUser[] = [0, 7, 255].map((id) => ({
  id,
  name: `user${id}`,
  keys: {
    aes: new Secret(new Uint8Array(32).fill(id)),
    hmac: new Secret(new Uint8Array(32).fill(id ^ 0x5a)),
  },
}));

const sources = [ipv4(0xc0000201), ipv4(0xc0000202), ipv6(0x20010db8, 0, 0, 1)];

/** One cipher for each key: they live as long as the process. */
const crypto: KnockCrypto = {
  ...nodeCrypto,
  aesEncrypt: onceForEachKey(nodeCrypto.aesEncrypt),
  aesDecrypt: onceForEachKey(nodeCrypto.aesDecrypt),
};

function onceForEachKey<T>(make: (key: Uint8Array) => T): (key: Uint8Array) => T {
  const made = new Map<string, T>();
  return (key) => {
    const known = made.get(key.join()) ?? make(key);
    made.set(key.join(), known);
    return known;
  };
}

const blocks = new Map<string, Uint8Array>();

function blockOf(user: LockUser, source: Source, step: number): Uint8Array {
  const name = [user.id, sources.indexOf(source), step].join();
  const sender = { keys: user.keys, door: DOOR, userId: user.id, source };
  const block = blocks.get(name) ?? sealMessage(crypto, sender, step);
  blocks.set(name, block);
  return block;
}

const stepOfTime = (unixMs: number) => Math.floor(unixMs / STEP_MS);

interface Knock {
  readonly offset: number;
  readonly ms: number;
}

/** What one source has knocked, all of it. */
interface NaiveAttempt {
  readonly layout: Layout;
  readonly source: Source;
  knocks: Knock[];
  packets: { packet: PacketHeader; ms: number }[];
}

function naiveStep(attempt: NaiveAttempt, packet: PacketHeader, ms: number, unixMs: number) {
  const { layout, source } = attempt;
  const silentMs = ms - (attempt.packets.at(-1)?.ms ?? -Infinity);
  if (attempt.packets.some((earlier) => earlier.packet === packet)) return undefined;
  if (silentMs > WITHIN_MS) attempt.knocks = [];
  attempt.packets.push({ packet, ms });
  attempt.knocks.push({ offset: packet.destinationPort - FIRST, ms });
  const now = stepOfTime(unixMs);
  for (const user of users) {
    for (const step of [now - 1, now, now + 1]) {
      const block = blockOf(user, source, step);
      const knocked = layout === "window"
        ? wasKnockedInOrder(attempt.knocks, block, ms)
        : wasKnockedAnyhow(attempt.knocks, block, ms);
      if (!knocked) continue;
      attempt.knocks = [];
      return { stage: 16, of: 16, timeStep: step, user: user.name };
    }
  }
  return undefined;
}

function wasKnockedInOrder(knocks: readonly Knock[], block: Uint8Array, ms: number): boolean {
  const last = knocks.slice(-16);
  return last.length === 16 && ms - (last[0] as Knock).ms <= WITHIN_MS &&
    last.every(({ offset }, place) => offset === block[place]);
}

/** At each place the value is the newest but for one or two others, two in all places together. */
function wasKnockedAnyhow(knocks: readonly Knock[], block: Uint8Array, ms: number): boolean {
  const newestFirst = knocks.toReversed();
  const lastPlace = (newestFirst[0] as Knock).offset >> 8;
  let newer = 0;
  for (let place = 0; place < 16; place++) {
    const here = newestFirst.filter(({ offset }) => offset >> 8 === place);
    const values = [...new Set(here.map(({ offset }) => offset & 255))];
    const rank = values.indexOf(block[place] as number);
    const knock = here.find(({ offset }) => (offset & 255) === block[place]);
    if (knock === undefined || ms - knock.ms > WITHIN_MS) return false;
    if (place === lastPlace && rank > 0) return false;
    newer += rank;
  }
  return newer <= 2;
}

interface Event {
  readonly source: number;
  readonly waitMs: number;
  readonly does:
    | {
      readonly kind: "sequence";
      readonly user: number;
      readonly skew: number;
      readonly as: number;
    }
    | { readonly kind: "spoiled"; readonly user: number; readonly at: number; readonly by: number }
    | { readonly kind: "garbage"; readonly offsets: readonly number[] }
    | { readonly kind: "repeat"; readonly back: number };
}

const event: fc.Arbitrary<Event> = fc.record({
  source: fc.nat({ max: sources.length - 1 }),
  waitMs: fc.oneof(
    { weight: 5, arbitrary: fc.nat({ max: 20 }) },
    { weight: 1, arbitrary: fc.constantFrom(251, 1_900, 1_925, 1_926, 2_000, 2_001, 15_000) },
  ),
  does: fc.oneof(
    { weight: 4, arbitrary: sequenceEvent() },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("spoiled" as const),
        user: fc.nat({ max: 2 }),
        at: fc.nat({ max: 15 }),
        by: fc.integer({ min: 1, max: 255 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("garbage" as const),
        offsets: fc.array(fc.nat({ max: 4_095 }), { maxLength: 6 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("repeat" as const), back: fc.nat({ max: 25 }) }),
    },
  ),
});

function sequenceEvent() {
  return fc.record({
    kind: fc.constant("sequence" as const),
    user: fc.nat({ max: 2 }),
    skew: fc.constantFrom(0, 0, 0, -1, 1, -2, 2),
    as: fc.constantFrom(0, 0, 0, 1, 2, 3, 4),
  });
}

/** The offsets that an event knocks on. */
function offsetsOf({ does, source }: Event, layout: Layout, unixMs: number): number[] {
  if (does.kind === "repeat") return [];
  if (does.kind === "garbage") return does.offsets.map((offset) => offset % portsOf(layout));
  const step = stepOfTime(unixMs) + (does.kind === "sequence" ? does.skew : 0);
  const block = blockOf(users[does.user] as LockUser, sources[source] as Source, step);
  const offsets = [...block].map((value, place) =>
    layout === "window" ? value : place << 8 | value
  );
  if (does.kind === "spoiled") {
    return offsets.flatMap((offset, place) =>
      place === does.at ? [offset, offset & ~255 | (offset + does.by) & 255] : [offset]
    );
  }
  return [
    offsets,
    offsets.toReversed(),
    offsets.flatMap((offset) => [offset, offset]),
    offsets.slice(1),
    [...offsets.slice(8), ...offsets.slice(0, 8)],
  ][does.as] as number[];
}

function compare(layout: Layout, events: readonly Event[]): number {
  const lock = new EncryptedLock({
    crypto,
    door: DOOR,
    layout,
    firstPort: FIRST,
    users,
    withinMs: WITHIN_MS,
    key: [3, 4],
    sourcesMax: 256,
    trialsPerSecond: 1e9,
  });
  const attempts: NaiveAttempt[] = sources.map((source) => (
    { layout, source, knocks: [], packets: [] }
  ));
  let ms = 1_000;
  let count = 0;
  let opened = 0;
  const both = (attempt: NaiveAttempt, packet: PacketHeader) => {
    const unixMs = UNIX_MS + ms;
    const effect = lock.step(packet, { nowMs: ms, unixMs });
    assert.deepEqual(effect, naiveStep(attempt, packet, ms, unixMs));
    if (effect !== undefined) opened++;
  };
  for (const event of events) {
    ms += event.waitMs;
    const attempt = attempts[event.source] as NaiveAttempt;
    const earlier = event.does.kind === "repeat" && attempt.packets.at(-1 - event.does.back);
    if (earlier) both(attempt, earlier.packet);
    for (const offset of offsetsOf(event, layout, UNIX_MS + ms)) {
      const ports = { destinationPort: FIRST + offset, sourcePort: 1_024 + count % 60_000 };
      both(attempt, syn({ ...attempt.source, ...ports, sequence: count++ }));
      ms += 5;
    }
  }
  assert.equal(lock.takeUnjudged(), 0);
  return opened;
}

for (const layout of ["window", "indexed"] as const) {
  Deno.test({
    name: `EncryptedLock ${layout} equals the naive lock at every step`,
    sanitizeResources: false,
    fn() {
      let opened = 0;
      fc.assert(
        fc.property(fc.array(event, { minLength: 1, maxLength: 25 }), (events) => {
          opened += compare(layout, events);
        }),
        { numRuns: 200 },
      );
      assert(opened > 50, "the streams open doors");
    },
  });

  Deno.test({
    name: `EncryptedLock ${layout} opens whatever came before, one pause or none`,
    sanitizeResources: false,
    fn() {
      const garbage = fc.array(fc.nat({ max: 4_095 }), { maxLength: 60 });
      fc.assert(
        fc.property(garbage, fc.constantFrom(0, 400, 3_000), (offsets, waitMs) => {
          const before: Event = { source: 0, waitMs: 0, does: { kind: "garbage", offsets } };
          const does = { kind: "sequence", user: 1, skew: 0, as: 0 } as const;
          assert(compare(layout, [before, { source: 0, waitMs, does }]) === 1);
        }),
        { numRuns: 200 },
      );
    },
  });
}

Deno.test({
  name: "EncryptedLock indexed opens in any order, with any of them doubled",
  sanitizeResources: false,
  fn() {
    const order = fc.shuffledSubarray([...Array(32).keys()].map((at) => at % 16), {
      minLength: 32,
    });
    fc.assert(fc.property(order, (places) => {
      const block = blockOf(users[1] as LockUser, sources[0] as Source, stepOfTime(UNIX_MS));
      const offsets = places.map((place) => place << 8 | (block[place] as number));
      const does = { kind: "garbage", offsets } as const;
      assert(compare("indexed", [{ source: 0, waitMs: 0, does }]) >= 1);
    }));
  },
});
