// A new configuration on its way: somebody asks for it, or a file of one-time sequences has changed; it
// is read, and what its doors need is prepared on other threads while knocks go on.

import type { Config } from "../config/config.ts";
import { ConfigError, HostError, KernelError } from "../errors.ts";
import type { Doors } from "./doors.ts";
import { createFilesWatch } from "./files_watch.ts";
import type { Log } from "./log.ts";
import { tellPassphrases } from "./report.ts";

/** Whoever changes a file may not be done with it yet. */
const SETTLE_MS = 100;

/** Where a configuration comes from, so that it can be read again. */
export interface ConfigSource {
  /** The whole, when asked by SIGHUP; undefined where flags are all there is. Throws ConfigError. */
  readonly reload: (() => Config) | undefined;
  /** The configuration in use, with what its one-time files have now. Throws ConfigError. */
  readonly refresh: () => Config;
  /** What was read last is in use from now on. */
  readonly accept: () => void;
}

export interface ReloaderOptions {
  readonly source: ConfigSource;
  /** In use when the daemon starts. */
  readonly config: Config;
  readonly doors: Pick<Doors, "prepare">;
  readonly log: Log;
  /** Called from elsewhere in the event loop when `take` has something new to do. */
  readonly wake: () => void;
}

export interface Reloader extends Disposable {
  /**
   * Becomes readable when a file was changed; undefined where none is watched. Another one after `take` or
   * `accept` has opened the watch anew.
   */
  readonly fd: number | undefined;
  /** When `take` has something to do, or Infinity. */
  readonly dueMs: number;
  /** Somebody wants the configuration to be read again. */
  ask(): void;
  /**
   * Reads what is to be read again. To be called when `fd`, `wake` or `dueMs` say so, and sooner.
   *
   * @returns a configuration all of whose needs are there, to be used or refused.
   */
  take(nowMs: number): Config | undefined;
  /** What `take` gave is in use from now on. */
  accept(config: Config, nowMs: number): void;
  /** Says why a configuration is not used: the one of before stays. Throws what is no such reason. */
  refuse(error: unknown): void;
}

export function createReloader(options: ReloaderOptions): Reloader {
  const { source, doors, log, wake } = options;
  let { config } = options;
  const files = createFilesWatch(log);
  files.keep(oneTimeFiles(config), performance.now());
  let asked = false;
  let refreshAtMs = Infinity;
  /** Passphrases of a configuration become keys: one after the other. */
  let preparing = false;
  let prepared: Config | undefined;

  const refreshSoon = (nowMs: number) => {
    refreshAtMs = Math.min(refreshAtMs, nowMs + SETTLE_MS);
  };

  /** Whatever was changed before the files were watched is read once more. */
  const keepWatch = (nowMs: number) => {
    if (files.keep(oneTimeFiles(config), nowMs)) refreshSoon(nowMs);
  };

  /** How the configuration is to be read again, where somebody asks for it or a file has changed. */
  const nextReading = (nowMs: number): (() => Config) | undefined => {
    if (asked) {
      asked = false;
      if (source.reload !== undefined) return source.reload;
      log("info", "hangup ignored", { hint: "stop pk with SIGTERM or pk down" });
    }
    if (nowMs < refreshAtMs) return undefined;
    refreshAtMs = Infinity;
    return source.refresh;
  };

  const prepare = (read: () => Config) => {
    try {
      const next = fixed(read());
      preparing = true;
      tellPassphrases(next.doors, log);
      doors.prepare(next.doors).then(() => prepared = next, refuse).finally(wake);
    } catch (error) {
      refuse(error);
    }
  };

  /** What only a new start can change stays. */
  const fixed = (next: Config): Config => {
    const { queueNumber, tableOwner } = config;
    if (next.queueNumber !== queueNumber || next.tableOwner !== tableOwner) {
      log("warning", "restart needed", { hint: "queue-num and table-owner change at a new start" });
    }
    return { ...next, queueNumber, tableOwner };
  };

  const refuse = (error: unknown) => {
    preparing = false;
    const expected = error instanceof ConfigError || error instanceof KernelError ||
      error instanceof HostError;
    if (!expected) throw error;
    const problems = error instanceof ConfigError ? error.problems : [];
    for (const { file, line, column, message, hint } of problems) {
      const more = hint === undefined ? {} : { hint };
      log("error", "configuration problem", { file, line, column, reason: message, ...more });
    }
    const stays = "the configuration of before stays";
    log(
      "error",
      "reload refused",
      error instanceof ConfigError
        ? { problems: problems.length, hint: `${stays}; pk check shows what is wrong` }
        : { reason: error.message, hint: error instanceof HostError ? error.hint : stays },
    );
  };

  return {
    get fd() {
      return files.fd;
    },

    get dueMs() {
      if (preparing) return files.dueMs;
      return asked ? -Infinity : Math.min(refreshAtMs, files.dueMs);
    },

    ask() {
      asked = true;
      wake();
    },

    take(nowMs) {
      if (files.takeChanged()) refreshSoon(nowMs);
      if (nowMs >= files.dueMs) keepWatch(nowMs);
      const read = preparing ? undefined : nextReading(nowMs);
      if (read !== undefined) {
        // Watched before they are read, whether what is read will be used or not.
        files.keep(oneTimeFiles(config), nowMs);
        prepare(read);
      }
      if (prepared === undefined) return undefined;
      const next = prepared;
      prepared = undefined;
      preparing = false;
      return next;
    },

    accept(next, nowMs) {
      source.accept();
      config = next;
      keepWatch(nowMs);
    },

    refuse,

    [Symbol.dispose]() {
      files[Symbol.dispose]();
    },
  };
}

function oneTimeFiles({ doors }: Config): string[] {
  return doors.flatMap(({ knock }) => knock.kind === "one-time" ? [knock.file] : []);
}
