// The locks of a configuration's doors. One of a door that stays the same goes on as it is, but with the
// share of the processor's time that there is for it now.

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

/** Locks for the doors whose sequences change. */
export function createLocks(
  { doors, previous, ...shared }: LocksOptions,
): ReadonlyMap<number, Lock> {
  const locks = new Map<number, Lock>();
  const rotating = doors.filter(({ knock }) => knock.kind === "rotating").length;
  const hmacsPerSecondMax = Math.ceil(ROTATING_HMACS_PER_SECOND_MAX / rotating);
  doors.forEach((door, index) => {
    const before = previous?.doors.findIndex((other) => sameKnock(other, door)) ?? -1;
    const lock = previous?.locks.get(before) ?? lockOf(door, { ...shared, hmacsPerSecondMax });
    if (lock instanceof RotatingLock) lock.setBudget(hmacsPerSecondMax);
    if (lock !== undefined) locks.set(index, lock);
  });
  return locks;
}

interface Shared extends Pick<LocksOptions, "crypto" | "key" | "keyring"> {
  /** Each rotating door's share of the processor's time. */
  readonly hmacsPerSecondMax: number;
}

function lockOf(
  { name: door, knock, withinMs }: Door,
  { crypto, key, keyring, hmacsPerSecondMax }: Shared,
): Lock | undefined {
  switch (knock.kind) {
    case "rotating":
      return new RotatingLock({ ...knock, crypto, door, withinMs, key, hmacsPerSecondMax });
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
