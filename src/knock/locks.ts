// The locks of a configuration's doors. One of a door that stays the same goes on as it is.

import type { Door } from "../config/config.ts";
import { ROTATING_HMACS_PER_SECOND_MAX } from "../limits.ts";
import type { KnockCrypto } from "./crypto.ts";
import { EncryptedLock } from "./encrypted_lock.ts";
import type { Keyring } from "./keyring.ts";
import type { Lock } from "./lock.ts";
import { RotatingLock } from "./rotating_lock.ts";
import { sameKnock } from "./same.ts";
import type { HashKey } from "./siphash.ts";

/** Doors with their locks, by index of the door. */
export interface LockedDoors {
  readonly doors: readonly Door[];
  readonly locks: ReadonlyMap<number, Lock>;
}

export interface LocksOptions {
  readonly doors: readonly Door[];
  readonly crypto: KnockCrypto;
  readonly key: HashKey;
  /** Prepared for these doors. */
  readonly keyring: Keyring;
  readonly previous?: LockedDoors | undefined;
}

/** Locks for the doors whose sequences change. Those of the configuration before are as they were. */
export function createLocks(
  { doors, previous, ...shared }: LocksOptions,
): ReadonlyMap<number, Lock> {
  const locks = new Map<number, Lock>();
  doors.forEach((door, index) => {
    const before = previous?.doors.findIndex((other) => sameKnock(other, door)) ?? -1;
    const lock = previous?.locks.get(before) ?? lockOf(door, shared);
    if (lock !== undefined) locks.set(index, lock);
  });
  return locks;
}

/** Gives each rotating door of a configuration that is in use from now on its share of HMACs. */
export function shareBudget(locks: ReadonlyMap<number, Lock>): void {
  const rotating = [...locks.values()].filter((lock) => lock instanceof RotatingLock);
  for (const lock of rotating) {
    lock.setBudget(Math.ceil(ROTATING_HMACS_PER_SECOND_MAX / rotating.length));
  }
}

type Shared = Pick<LocksOptions, "crypto" | "key" | "keyring">;

function lockOf(
  { name: door, knock, withinMs }: Door,
  { crypto, key, keyring }: Shared,
): Lock | undefined {
  switch (knock.kind) {
    case "rotating": {
      const hmacsPerSecondMax = ROTATING_HMACS_PER_SECOND_MAX;
      return new RotatingLock({ ...knock, crypto, door, withinMs, key, hmacsPerSecondMax });
    }
    case "encrypted":
      return new EncryptedLock({
        crypto,
        door,
        layout: knock.layout,
        firstPort: knock.ports.first,
        users: knock.users.map((user) => ({ ...user, keys: keyring.keysOf(door, user) })),
        withinMs,
        key,
      });
    case "plain":
    case "one-time":
      return undefined;
  }
}
