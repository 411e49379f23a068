// Makes the machine of a configuration, with what its doors need beside it: cryptography, which a
// server of plain doors does not load, and the store of used steps.

import type { Config, Door } from "../config/config.ts";
import type { KnockCrypto } from "../knock/crypto.ts";
import { Keyring } from "../knock/keyring.ts";
import { createLocks, shareBudget } from "../knock/locks.ts";
import { KnockMachine } from "../knock/machine.ts";
import type { HashKey } from "../knock/siphash.ts";
import { ATTEMPTS_PER_PREFIX_MAX } from "../limits.ts";
import { HostError, KernelError } from "../errors.ts";
import type { Log } from "./log.ts";
import { openUsedSteps, type UsedSteps } from "./used_steps.ts";

export interface Doors extends Disposable {
  /** Loads and derives what these doors need; on other threads, where that takes long. */
  prepare(doors: readonly Door[]): Promise<void>;
  /** A machine for doors that are prepared; what `previous` knows of those that are the same goes on. */
  machineOf(config: Config, previous?: KnockMachine): KnockMachine;
  /** A machine is in use from now on: its locks share the processor's time. */
  share(machine: KnockMachine): void;
  /** Steps that were used, where a door needs to know. */
  readonly used: UsedSteps | undefined;
}

export function createDoors(key: HashKey, log: Log): Doors {
  let crypto: KnockCrypto | undefined;
  let keyring: Keyring | undefined;
  let used: UsedSteps | undefined;

  /** Where it cannot be read, these doors stay shut, and say so; each opening tries anew. */
  const openStore = () => {
    const folder = stateFolder();
    const store = openUsedSteps(folder);
    try {
      store.take([]);
    } catch (error) {
      if (!(error instanceof KernelError || error instanceof HostError)) throw error;
      const hint = error instanceof HostError ? error.hint : hintOf(error.code, folder);
      log("error", "used steps unknown", { reason: error.message, hint });
    }
    return store;
  };

  return {
    async prepare(doors) {
      if (!doors.some(isLocked)) return;
      crypto ??= (await import("../crypto/node_crypto.ts")).nodeCrypto;
      keyring ??= new Keyring(crypto);
      used ??= openStore();
      await keyring.prepare(doors);
    },
    machineOf(config, previous) {
      const { doors } = config;
      return new KnockMachine({
        doors,
        locks: crypto === undefined || keyring === undefined
          ? new Map()
          : createLocks({ doors, crypto, key, keyring, previous }),
        decoys: config.decoys,
        sourcesMax: config.sourcesMax,
        perPrefixMax: ATTEMPTS_PER_PREFIX_MAX,
        key,
        ...(previous === undefined ? {} : { previous }),
      });
    },
    share: ({ locks }) => shareBudget(locks),
    get used() {
      return used;
    },
    [Symbol.dispose]() {
      used?.[Symbol.dispose]();
      used = undefined;
    },
  };
}

/** What to do about a folder in which pk cannot read or write its files, by errno. */
function hintOf(code: string, folder: string): string {
  switch (code) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return `make the folder ${folder} writable for pk`;
    case "ENOENT":
    case "ENOTDIR":
      return `make the folder ${folder}`;
    case "ENOSPC":
    case "EDQUOT":
      return "make room on its disk";
    default:
      return `pk keeps plain files there: look at what is in their place (ls -l ${folder})`;
  }
}

/** Does its sequence follow from the time, so that each step may open it only once? */
function isLocked({ knock: { kind } }: Door): boolean {
  return kind === "rotating" || kind === "encrypted";
}

/** The service manager's folder for what has to last (systemd.exec(5), StateDirectory). */
function stateFolder(): string {
  return Deno.env.get("STATE_DIRECTORY") ?? "/var/lib/pk";
}
