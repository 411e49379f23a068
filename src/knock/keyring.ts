// The keys of users of encrypted doors. A passphrase takes a third of a second of another thread, so keys
// are derived before they are asked for, and kept as long as a configuration has the same user.

import type { Door, EncryptedUser } from "../config/config.ts";
import type { Secret } from "../config/secret.ts";
import type { KnockCrypto } from "./crypto.ts";
import { deriveKeys, type MessageKeys } from "./encrypted_message.ts";

/** Each derivation takes 32 MB and a processor. */
const DERIVED_AT_ONCE = 2;

interface Entry {
  readonly door: string;
  readonly id: number;
  readonly secret: Secret;
  readonly keys: MessageKeys;
}

export class Keyring {
  readonly #crypto: KnockCrypto;
  #entries: readonly Entry[] = [];

  constructor(crypto: KnockCrypto) {
    this.#crypto = crypto;
  }

  /** Derives the keys of all users, but for those it has; forgets others. */
  async prepare(doors: readonly Door[]): Promise<void> {
    const wanted = doors.flatMap(({ name, knock }) =>
      knock.kind === "encrypted" ? knock.users.map((user) => ({ door: name, user })) : []
    );
    const entries: Entry[] = [];
    const rest = wanted.values();
    const derive = async () => {
      for (const { door, user: { id, secret } } of rest) {
        const keys = this.#find(door, id, secret)?.keys ??
          await deriveKeys(this.#crypto, secret, door, id);
        entries.push({ door, id, secret, keys });
      }
    };
    await Promise.all(Array.from({ length: DERIVED_AT_ONCE }, derive));
    this.#entries = entries;
  }

  /** The keys of a user that was prepared. */
  keysOf(door: string, { id, secret }: EncryptedUser): MessageKeys {
    const entry = this.#find(door, id, secret);
    if (entry === undefined) throw new TypeError(`No keys were prepared for user ${id}`);
    return entry.keys;
  }

  #find(door: string, id: number, secret: Secret): Entry | undefined {
    return this.#entries.find((entry) =>
      entry.door === door && entry.id === id && entry.secret.equals(secret)
    );
  }
}
