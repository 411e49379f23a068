// EncryptedLock: what opens, for whom, and what a flood can spend.

import assert from "node:assert/strict";
import type { Port } from "../../../src/config/config.ts";
import { Secret } from "../../../src/config/secret.ts";
import { nodeCrypto as crypto } from "../../../src/crypto/node_crypto.ts";
import { EncryptedLock, type LockUser } from "../../../src/knock/encrypted_lock.ts";
import {
  encryptedSequence,
  type Layout,
  MESSAGE_BYTES,
  portsOf,
  STEP_MS,
} from "../../../src/knock/encrypted_message.ts";
import type { EventTime } from "../../../src/knock/lock.ts";
import type { PacketHeader, Source } from "../../../src/packet/header.ts";
import { ipv4, ipv6, syn } from "../../support/naive_machine.ts";

const FIRST = 40_000;
const NOW: EventTime = { nowMs: 5_000_000, unixMs: 1_700_000_000_000 };
const HOME = ipv4(0xc0000201);

function user(id: number, name = `user${id}`): LockUser {
  const aes = new Secret(new Uint8Array(32).fill(id));
  return { id, name, keys: { aes, hmac: new Secret(new Uint8Array(32).fill(255 - id)) } };
}

const alice = user(1, "alice");
const bob = user(2, "bob");

function lockOf(
  layout: Layout,
  options: Partial<{ users: LockUser[]; trialsPerSecond: number }> = {},
) {
  const users = [bob, alice];
  const common = {
    crypto,
    door: "vault",
    firstPort: FIRST,
    withinMs: 10_000,
    key: [1, 2] as const,
  };
  return new EncryptedLock({ ...common, layout, users, ...options });
}

function sequenceOf(layout: Layout, source: Source, unixMs = NOW.unixMs, who = alice): number[] {
  const ports = { first: FIRST as Port };
  const sender = { keys: who.keys, door: "vault", userId: who.id };
  return encryptedSequence({ ...sender, crypto, layout, ports, source, unixMs });
}

let packets = 0;

/** A new SYN, unlike all others. */
function knock(source: Source, destinationPort: number): PacketHeader {
  packets++;
  return syn({ ...source, destinationPort, sequence: packets, sourcePort: packets & 0xffff });
}

const at = (ms: number): EventTime => ({ nowMs: NOW.nowMs + ms, unixMs: NOW.unixMs + ms });

/** Knocks in order, 5 ms apart; what each led to. */
function knockAll(lock: EncryptedLock, source: Source, ports: readonly number[], time = NOW) {
  return ports.map((port, index) => {
    const { nowMs, unixMs } = time;
    const effect = lock.step(knock(source, port), {
      nowMs: nowMs + 5 * index,
      unixMs: unixMs + 5 * index,
    });
    return effect && { ...effect };
  });
}

const opens = (effects: readonly unknown[]) => effects.some((effect) => effect !== undefined);

/** A test with ciphers of node:crypto, which are resources that live as long as the process. */
const test = (name: string, fn: () => void) => Deno.test({ name, fn, sanitizeResources: false });

for (const layout of ["window", "indexed"] as const) {
  test(`${layout}: the last of sixteen knocks opens, and says who and when`, () => {
    const lock = lockOf(layout);
    for (const source of [HOME, ipv6(0x20010db8, 0, 0, 7)]) {
      const effects = knockAll(lock, source, sequenceOf(layout, source));
      const timeStep = Math.floor(NOW.unixMs / STEP_MS);
      assert.deepEqual(effects.at(-1), { stage: 16, of: 16, timeStep, user: "alice" });
      assert(!opens(effects.slice(0, -1)));
    }
    assert.equal(lock.takeUnjudged(), 0);
  });

  test(`${layout}: opens one step early or late, with the step of the message, and no more`, () => {
    for (const skew of [-2, -1, 0, 1, 2]) {
      const sent = NOW.unixMs + skew * STEP_MS;
      const effect = knockAll(lockOf(layout), HOME, sequenceOf(layout, HOME, sent)).at(-1);
      const step = Math.floor(sent / STEP_MS);
      assert.equal(effect?.timeStep, Math.abs(skew) <= 1 ? step : undefined, `${skew} steps`);
    }
  });

  test(`${layout}: a message does not open from another address or family`, () => {
    const ports = sequenceOf(layout, HOME);
    for (const source of [ipv4(0xc0000202), ipv6(0, 0, 0, 0xc0000201)]) {
      assert(!opens(knockAll(lockOf(layout), source, ports)));
    }
  });

  test(`${layout}: a message for another door, or of nobody known, does not open`, () => {
    const ports = { first: FIRST as Port };
    const { keys } = alice;
    const common = { keys, crypto, layout, ports, source: HOME, unixMs: NOW.unixMs };
    const door = encryptedSequence({ ...common, door: "other", userId: 1 });
    const userId = encryptedSequence({ ...common, door: "vault", userId: 3 });
    for (const sequence of [door, userId, sequenceOf(layout, HOME, NOW.unixMs, user(9))]) {
      assert(!opens(knockAll(lockOf(layout), HOME, sequence)));
    }
  });

  test(`${layout}: opens once more at once: that a step opens once is kept elsewhere`, () => {
    const lock = lockOf(layout);
    const ports = sequenceOf(layout, HOME);
    assert(opens(knockAll(lock, HOME, ports)));
    assert(opens(knockAll(lock, HOME, ports, at(100))));
  });

  test(`${layout}: knocks later than the door's time do not count`, () => {
    const ports = sequenceOf(layout, HOME);
    for (const [gapMs, open] of [[9_900, true], [9_931, false], [10_001, false]] as const) {
      const lock = lockOf(layout);
      assert(!opens(knockAll(lock, HOME, ports.slice(0, 1))));
      const rest = ports.slice(1).map((port, index) => [port, gapMs + 5 * index] as const);
      const effects = rest.map(([port, ms]) => lock.step(knock(HOME, port), at(ms)));
      assert.equal(opens(effects), open, `${gapMs} ms`);
    }
  });

  test(`${layout}: a slow sequence, with pauses inside, opens`, () => {
    const lock = lockOf(layout);
    const effects = sequenceOf(layout, HOME).map((port, index) =>
      lock.step(knock(HOME, port), at(index * 600))
    );
    assert(effects[15] !== undefined);
  });

  test(`${layout}: repeated segments change nothing, anywhere, also minutes later`, () => {
    const lock = lockOf(layout);
    const sent = sequenceOf(layout, HOME).map((port) => knock(HOME, port));
    const effects = sent.flatMap((packet, index) =>
      sent.slice(0, index + 1).map((earlier) => [packet, earlier])
        .flatMap(([packet, earlier]) => [packet, earlier])
        .map((each) => lock.step(each as PacketHeader, at(5 * index)))
    );
    assert.equal(effects.filter((effect) => effect !== undefined).length, 1);
    for (const packet of sent) assert.equal(lock.step(packet, at(60_000)), undefined);
    const later = sequenceOf(layout, HOME, NOW.unixMs + 61_000);
    const mixed = later.flatMap((port, index) => {
      const time = at(61_000 + 5 * index);
      const repeated = lock.step(sent[index] as PacketHeader, time);
      return [repeated, lock.step(knock(HOME, port), time)];
    });
    assert(mixed.at(-1) !== undefined);
  });

  test(`${layout}: datagrams from one source port are knocks, not repetitions`, () => {
    const hours = Array.from({ length: 24 }, (_, hour) => at(hour * 3_600_000));
    const repeating = ({ unixMs }: EventTime) =>
      new Set(sequenceOf("window", HOME, unixMs)).size < MESSAGE_BYTES;
    const time = hours.find(repeating) ?? assert.fail("none has a port twice");
    const lock = lockOf(layout);
    const effects = sequenceOf(layout, HOME, time.unixMs).map((destinationPort) =>
      lock.step({ ...syn({ ...HOME, destinationPort }), protocol: 17, flags: 0, sequence: 0 }, time)
    );
    assert(effects.at(-1) !== undefined);
  });

  test(`${layout}: a source that is set back begins anew`, () => {
    const lock = lockOf(layout);
    const ports = sequenceOf(layout, HOME);
    knockAll(lock, HOME, ports.slice(0, 15));
    lock.setBack(HOME);
    lock.setBack(ipv4(1));
    assert(!opens(knockAll(lock, HOME, ports.slice(15))));
    assert(opens(knockAll(lock, HOME, ports)));
  });

  test(`${layout}: a wall clock that jumps breaks nothing`, () => {
    const lock = lockOf(layout);
    let nowMs = NOW.nowMs;
    for (const unixMs of [0, -1e15, NaN, Infinity, 2 ** 53, NOW.unixMs]) {
      const ports = sequenceOf(layout, HOME);
      const effects = ports.map((port) => lock.step(knock(HOME, port), { nowMs: nowMs++, unixMs }));
      assert.equal(opens(effects), unixMs === NOW.unixMs, `${unixMs}`);
    }
  });

  test(`${layout}: ports outside the range are no knocks`, () => {
    const lock = lockOf(layout);
    const ports = sequenceOf(layout, HOME);
    const mixed = ports.flatMap((port) => [FIRST - 1, port, FIRST + portsOf(layout), 0, 65_535]);
    assert(opens(knockAll(lock, HOME, mixed)));
  });

  test(`${layout}: sources do not disturb each other, those of one network neither`, () => {
    const lock = lockOf(layout);
    const sources = Array.from({ length: 16 }, (_, index) => ipv6(0x20010db8, 1, index, index));
    const all = sources.map((source) => sequenceOf(layout, source));
    const effects = Array.from(
      { length: 16 },
      (_, place) =>
        sources.map((source, index) =>
          lock.step(knock(source, all[index]?.[place] as number), at(place)) !== undefined
        ),
    ).at(-1);
    assert.deepEqual(effects, sources.map(() => true));
  });

  test(`${layout}: a door without users never opens`, () => {
    const effects = knockAll(lockOf(layout, { users: [] }), HOME, sequenceOf(layout, HOME));
    assert(!opens(effects));
  });

  test(`${layout}: 256 users, each with its number`, () => {
    const users = Array.from({ length: 256 }, (_, id) => user(id));
    const lock = lockOf(layout, { users });
    for (const id of [0, 100, 255]) {
      const ports = sequenceOf(layout, HOME, NOW.unixMs, users[id]);
      const effect = knockAll(lock, HOME, ports, at(id * 20)).at(-1);
      assert.equal(effect?.user, `user${id}`);
    }
  });

  // Sixteen knocks from ever new addresses: each is like a client's. Four times what can be tried.
  test(`${layout}: a flood beyond the budget is counted, and each client has its chance`, () => {
    const lock = lockOf(layout, { trialsPerSecond: 2 * 500 });
    const flood = sequenceOf(layout, ipv4(1));
    let opened = 0;
    // 2,000 sequences a second, for five seconds; one of 25 is a client's.
    for (let index = 0; index < 10_000; index++) {
      const time = at(index / 2);
      const source = ipv4(0x0b000000 + index);
      const isClient = index % 25 === 0;
      const ports = isClient ? sequenceOf(layout, source, time.unixMs) : flood;
      for (const port of ports) if (lock.step(knock(source, port), time)) opened++;
    }
    const share = opened / 400;
    assert(share > 0.2 && share < 0.35, `${share}`);
    const unjudged = lock.takeUnjudged();
    assert(unjudged > 7_000 && unjudged < 7_600, `${unjudged}`);
    assert.equal(lock.takeUnjudged(), 0);
  });

  test(`${layout}: who knocks on and on does not keep out who knocks sixteen times`, () => {
    const lock = lockOf(layout, { trialsPerSecond: 2 * 500 });
    const flood = sequenceOf(layout, ipv4(1));
    let opened = 0;
    // 100 addresses with 100 knocks a second each, and five clients: not before those had their turn.
    for (let index = 0; index < 30_000; index++) {
      const time = at(index / 10);
      const port = flood[Math.floor(index / 100) % 16] as number;
      assert.equal(lock.step(knock(ipv4(0x0b000000 + index % 100), port), time), undefined);
      if (index % 2_000 > 0 || index < 4_000) continue;
      const client = ipv4(0x0c000000 + index);
      for (const port of sequenceOf(layout, client, time.unixMs)) {
        if (lock.step(knock(client, port), time)) opened++;
      }
    }
    assert.equal(opened, 13);
    assert(lock.takeUnjudged() > 20_000);
  });
}

test("window: who knocked wrongly during a flood comes in after a pause", () => {
  for (const [pauseMs, open] of [[100, false], [251, true]] as const) {
    const lock = lockOf("window", { trialsPerSecond: 2 * 100 });
    const wrong = sequenceOf("window", ipv4(1));
    // 400 addresses knock on and on, 20 times a second each, and take all that is shared.
    const flood = (fromMs: number, toMs: number) => {
      for (let ms = fromMs; ms < toMs; ms++) {
        for (let each = 0; each < 8; each++) {
          const source = ipv4(0x0b000000 + (ms * 8 + each) % 400);
          lock.step(knock(source, wrong[ms % 16] as number), at(ms));
        }
      }
    };
    flood(0, 5_000);
    assert(!opens(knockAll(lock, HOME, [...wrong, ...wrong, ...wrong], at(5_000))));
    flood(5_240, 5_240 + pauseMs);
    const last = at(5_240 + pauseMs);
    assert.equal(opens(knockAll(lock, HOME, sequenceOf("window", HOME), last)), open, `${pauseMs}`);
  }
});

test("window: who had little goes before who had much, also with knocks before the right ones", () => {
  const lock = lockOf("window", { trialsPerSecond: 2 * 400 });
  const wrong = sequenceOf("window", ipv4(1));
  let opened = 0;
  // 20 addresses with 100 knocks a second each, for 20 seconds; then five clients among them.
  for (let knocks = 0; knocks < 50_000; knocks++) {
    const time = at(knocks / 2);
    lock.step(knock(ipv4(0x0b000000 + knocks % 20), wrong[knocks % 16] as number), time);
    if (knocks < 40_000 || knocks % 2_000 > 0) continue;
    const client = ipv4(0x0c000000 + knocks);
    for (const port of [...wrong.slice(0, 5), ...sequenceOf("window", client, time.unixMs)]) {
      if (lock.step(knock(client, port), time)) opened++;
    }
  }
  assert.equal(opened, 5);
});

test("window: knocks swapped, lost or forged in between do not open; knocked again they do", () => {
  const lock = lockOf("window");
  const ports = sequenceOf("window", HOME);
  const swapped = [...ports.slice(0, 7), ...ports.slice(7, 9).reverse(), ...ports.slice(9)];
  const forged = [...ports.slice(0, 7), FIRST, ...ports.slice(7)];
  for (const wrong of [swapped, forged, ports.slice(1), ports.slice(0, 15)]) {
    assert(!opens(knockAll(lock, HOME, wrong)));
  }
  assert(opens(knockAll(lock, HOME, ports)));
});

test("indexed: two places that were forged after their knock open, in every place but the last", () => {
  const ports = sequenceOf("indexed", HOME);
  const other = (port: number) => FIRST + ((port - FIRST) ^ 0x55);
  for (let place = 0; place < 15; place++) {
    const twice = [place, (place + 4) % 15].map((index) => other(ports[index] as number));
    const mixed = [...ports.slice(0, 15), ...twice, ports[15] as number];
    assert(opens(knockAll(lockOf("indexed"), HOME, mixed)), `${place}`);
    const three = [...mixed.slice(0, 17), other(ports[(place + 8) % 15] as number), mixed[17]];
    assert(!opens(knockAll(lockOf("indexed"), HOME, three as number[])), `${place}`);
  }
  const again = [1, 2].map((by) => FIRST + ((ports[3] as number) - FIRST ^ by));
  assert(
    opens(knockAll(lockOf("indexed"), HOME, [...ports.slice(0, 15), ...again, ...ports.slice(15)])),
  );
});
