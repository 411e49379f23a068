// The locks of a configuration's doors: which live on when it is read anew, and that a decoy takes a
// source back to the start in all of them.

import assert from "node:assert/strict";
import type { Config, Door, EncryptedKnock, Milliseconds } from "../../../src/config/config.ts";
import { keyText, Secret } from "../../../src/config/secret.ts";
import { nodeCrypto } from "../../../src/crypto/node_crypto.ts";
import type { KnockCrypto } from "../../../src/knock/crypto.ts";
import { EncryptedLock } from "../../../src/knock/encrypted_lock.ts";
import { encryptedSequence } from "../../../src/knock/encrypted_message.ts";
import { Keyring } from "../../../src/knock/keyring.ts";
import { createLocks, type LockedDoors, shareBudget } from "../../../src/knock/locks.ts";
import type { EventTime, Lock } from "../../../src/knock/lock.ts";
import { KnockMachine } from "../../../src/knock/machine.ts";
import { RotatingLock } from "../../../src/knock/rotating_lock.ts";
import { rotatingSequence, timeStepAt } from "../../../src/knock/rotating_sequence.ts";
import { ROTATING_HMACS_PER_SECOND_MAX } from "../../../src/limits.ts";
import type { Source } from "../../../src/packet/header.ts";
import {
  configOf,
  encryptedDoor,
  oneTimeDoor,
  plainDoor,
  rotatingDoor,
} from "../../support/configs.ts";
import { countingCrypto } from "../../support/counting_crypto.ts";
import { ipv4, ipv6, syn } from "../../support/naive_machine.ts";

const KEY = [0x03020100, 0x87060504] as const;
const UNIX_MS = 1_700_000_000_000;
const HOME = ipv4(0xc0000201);
const AWAY = ipv6(0x20010db8, 0, 0, 1);

/** Ciphers of node:crypto are resources that live as long as the process. */
const test = (name: string, fn: () => void | Promise<void>) =>
  Deno.test({ name, fn, sanitizeResources: false });

/** What `pk secret` makes costs no time, unlike a passphrase. */
const users = [{
  id: 1,
  name: "alice",
  secret: new Secret(new TextEncoder().encode(keyText(new Uint8Array(20).fill(9)))),
}];

const doors: readonly Door[] = [
  plainDoor({ name: "plain" }),
  rotatingDoor({ name: "admin" }),
  oneTimeDoor({ name: "once" }),
  encryptedDoor({ name: "window", users }),
  encryptedDoor({ name: "indexed", layout: "indexed", users }),
];

test("createLocks() makes a lock for each door whose sequence changes", async () => {
  const locks = await locksOf(doors);
  assert.deepEqual([...locks.keys()], [1, 3, 4]);
  assert.ok(locks.get(1) instanceof RotatingLock);
  assert.ok(locks.get(3) instanceof EncryptedLock);
});

test("createLocks() keeps the locks of doors that stay, wherever they stand now", async () => {
  const keyring = new Keyring(nodeCrypto);
  const locks = await locksOf(doors, undefined, keyring);
  const anew = [
    encryptedDoor({ name: "indexed", layout: "indexed", users, opens: ["udp/9"] }),
    rotatingDoor({ name: "admin", timeoutMs: 5 as Milliseconds }),
    encryptedDoor({ name: "window", users, onExpire: "cut" }),
  ];
  const others = await locksOf(anew, { doors, locks }, keyring);
  assert.deepEqual([...others.keys()], [0, 1, 2]);
  assert.equal(others.get(0), locks.get(4));
  assert.equal(others.get(1), locks.get(1));
  assert.equal(others.get(2), locks.get(3));
});

test("shareBudget() shares the HMACs of a second among the rotating doors that there are now", () => {
  const crypto = countingCrypto();
  const keyring = new Keyring(crypto);
  const four = ["admin", "b", "c", "d"].map((name) => rotatingDoor({ name }));
  const nextLocks = (doors: readonly Door[], previous?: LockedDoors) => ({
    doors,
    locks: createLocks({ doors, crypto, key: KEY, keyring, previous }),
  });
  let nowMs = 0;
  let sent = 0;
  /** What the first door spends on a crowd of forged sources that knock twice each. */
  const spent = ({ locks }: LockedDoors) => {
    crypto.hmacs = 0;
    nowMs += 60_000;
    for (let nth = 0; nth < 10_000; nth++) {
      const source = ipv4(++sent);
      for (const destinationPort of [20_000, 20_001]) {
        const packet = syn({ ...source, destinationPort, sequence: sent });
        locks.get(0)?.step(packet, { nowMs, unixMs: UNIX_MS });
      }
    }
    return crypto.hmacs;
  };
  // A burst is what comes in 0.2 s, of which a quarter is kept for attempts under way.
  const about = (found: number, expected: number) =>
    assert.ok(Math.abs(found - expected) < expected / 20, `${found}, not ${expected}`);
  const alone = nextLocks(four.slice(0, 1));
  shareBudget(alone.locks);
  about(spent(alone), ROTATING_HMACS_PER_SECOND_MAX * 0.15);
  const together = nextLocks(four, alone);
  assert.equal(together.locks.get(0), alone.locks.get(0));
  about(spent(alone), ROTATING_HMACS_PER_SECOND_MAX * 0.15); // it may yet be refused
  shareBudget(together.locks);
  about(spent(together), ROTATING_HMACS_PER_SECOND_MAX * 0.15 / 4);
  const again = nextLocks(four.slice(0, 1), together);
  shareBudget(again.locks);
  about(spent(again), ROTATING_HMACS_PER_SECOND_MAX * 0.15);
});

test("createLocks() makes the lock of a door anew where its secret or anything else has changed", async () => {
  const locks = await locksOf(doors);
  const secret = new Secret(new TextEncoder().encode(keyText(new Uint8Array(20).fill(8))));
  const anew = [
    rotatingDoor({ name: "admin", knock: { secret } }),
    encryptedDoor({ name: "window", users: [{ id: 1, name: "alice", secret }] }),
    encryptedDoor({ name: "indexed", layout: "indexed", users, withinMs: 5 as Milliseconds }),
    rotatingDoor({ name: "renamed" }),
  ];
  const others = await locksOf(anew, { doors, locks });
  assert.equal(others.size, 4);
  const before = new Set(locks.values());
  for (const lock of others.values()) assert.ok(!before.has(lock));
});

test("a machine that takes over goes on in the middle of every sequence", async () => {
  const { config, knocks, machineOf, step } = await stage();
  for (const [name, ports] of Object.entries(knocks(HOME))) {
    const machine = machineOf(config);
    const half = ports.slice(0, -2);
    for (const port of half) step(machine, HOME, port);
    const next = machineOf(config, machine);
    const opened = ports.slice(-2).flatMap((port) => step(next, HOME, port));
    assert.deepEqual(opened, [name]);
  }
});

test("a decoy takes its source back to the start at every lock, and no other source", async () => {
  const { config, knocks, machineOf, step } = await stage();
  const machine = machineOf(config);
  for (const name of Object.keys(knocks(HOME)) as (keyof ReturnType<typeof knocks>)[]) {
    const [ports, theirs] = [knocks(HOME)[name], knocks(AWAY)[name]];
    const middle = ports.length >> 1;
    const knock = (source: Source, ports: readonly number[]) =>
      ports.flatMap((port) => step(machine, source, port));
    knock(HOME, ports.slice(0, middle));
    knock(AWAY, theirs.slice(0, middle));
    knock(HOME, [DECOY]);
    assert.deepEqual(knock(HOME, ports.slice(middle)), [], `${name} after a decoy`);
    assert.deepEqual(knock(AWAY, theirs.slice(middle)), [name], `${name} from elsewhere`);
    assert.deepEqual(knock(HOME, ports), [name], `${name} from the start`);
  }
});

test("a decoy knocked last of all but one keeps every lock shut", async () => {
  const { config, knocks, machineOf, step } = await stage();
  const machine = machineOf(config);
  for (const [name, ports] of Object.entries(knocks(HOME))) {
    const all = [...ports.slice(0, -1), DECOY, ...ports.slice(-1)];
    assert.deepEqual(all.flatMap((port) => step(machine, HOME, port)), [], name);
  }
});

test("a keyring derives each passphrase once, and keeps it as long as it is asked for", async () => {
  const crypto = countingCrypto();
  const keyring = new Keyring(crypto);
  const [user] = knockOf(encryptedDoor({ name: "window" })).users;
  assert.ok(user);
  assert.throws(() => keyring.keysOf("window", user), TypeError);
  await keyring.prepare([encryptedDoor({ name: "window" }), rotatingDoor()]);
  const keys = keyring.keysOf("window", user);
  await keyring.prepare([plainDoor(), encryptedDoor({ name: "window", opens: ["udp/9"] })]);
  assert.equal(keyring.keysOf("window", user), keys);
  assert.equal(crypto.derived, 1);
  // The door and the number are in the keys, too.
  assert.throws(() => keyring.keysOf("other", user), TypeError);
  assert.throws(() => keyring.keysOf("window", { ...user, id: 2 }), TypeError);
  await keyring.prepare([rotatingDoor()]);
  assert.throws(() => keyring.keysOf("window", user), TypeError);
});

test("Keyring.prepare() derives no more than two keys at once", async () => {
  let now = 0;
  let most = 0;
  const slow: KnockCrypto = {
    ...nodeCrypto,
    async scrypt(passphrase, _salt, length) {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 1));
      now--;
      return new Uint8Array(length).fill(passphrase.length);
    },
  };
  const users = Array.from({ length: 30 }, (_, id) => ({
    id,
    name: `u${id}`,
    secret: new Secret(new TextEncoder().encode(`passphrase ${id}`)),
  }));
  const keyring = new Keyring(slow);
  await keyring.prepare([encryptedDoor({ name: "window", users })]);
  for (const user of users) keyring.keysOf("window", user);
  assert.equal(most, 2);
});

const DECOY = 6_000;

async function locksOf(
  doors: readonly Door[],
  previous?: LockedDoors,
  keyring = new Keyring(nodeCrypto),
): Promise<ReadonlyMap<number, Lock>> {
  await keyring.prepare(doors);
  return createLocks({ doors, crypto: nodeCrypto, key: KEY, keyring, previous });
}

function knockOf({ knock }: Door): EncryptedKnock {
  assert.ok(knock.kind === "encrypted");
  return knock;
}

/** A configuration with locks of every kind, what a client knocks there, and its machines. */
async function stage() {
  const crypto = nodeCrypto;
  const keyring = new Keyring(crypto);
  await keyring.prepare(doors);
  const config: Config = configOf({ doors, decoys: [`tcp/${DECOY}`], sourcesMax: 256 });
  const machineOf = ({ doors }: Config, previous?: KnockMachine) =>
    new KnockMachine({
      doors,
      locks: createLocks({ doors, crypto, key: KEY, keyring, previous }),
      decoys: config.decoys,
      sourcesMax: 256,
      perPrefixMax: 16,
      key: KEY,
      ...(previous === undefined ? {} : { previous }),
    });
  const knocks = (source: Source) => {
    const [, admin, , window, indexed] = doors;
    return {
      admin: rotating(admin, source),
      window: encrypted(window, source),
      indexed: encrypted(indexed, source),
    };
  };

  function rotating(door: Door | undefined, source: Source): number[] {
    assert.ok(door?.knock.kind === "rotating");
    const timeStep = timeStepAt(UNIX_MS, door.knock.stepMs);
    return rotatingSequence({ ...door.knock, crypto, door: door.name, timeStep, source });
  }

  function encrypted(door: Door | undefined, source: Source): number[] {
    assert.ok(door?.knock.kind === "encrypted");
    const { layout, ports, users: [user] } = door.knock;
    assert.ok(user);
    const keys = keyring.keysOf(door.name, user);
    const sender = { keys, door: door.name, userId: user.id };
    return encryptedSequence({ ...sender, crypto, layout, ports, source, unixMs: UNIX_MS });
  }

  let sent = 0;
  /** A new SYN 5 ms after the one before: names of the doors that it opens. */
  const step = (machine: KnockMachine, source: Source, destinationPort: number): string[] => {
    sent++;
    const time: EventTime = { nowMs: 1_000 + 5 * sent, unixMs: UNIX_MS + 5 * sent };
    const packet = syn({ ...source, destinationPort, sourcePort: 1_024 + sent, sequence: sent });
    return Array.from({ length: machine.step(packet, time) }, (_, index) => machine.effect(index))
      .filter(({ stage, of }) => stage === of)
      .map(({ door }) => config.doors[door]?.name ?? "");
  };
  return { config, knocks, machineOf, step };
}
