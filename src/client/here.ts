// What a client takes from the host that it runs on, in one place, so that tests can give another.

import type { Environment } from "./folders.ts";
import type { KnockSockets } from "./knock_sockets.ts";
import { linuxSockets } from "./linux_sockets.ts";
import { portableSockets } from "./portable_sockets.ts";

export interface Here {
  readonly sockets: KnockSockets;
  readonly env: Environment;
  /** "linux", "darwin", "windows". */
  readonly os: string;
  /** Milliseconds since 1970. */
  now(): number;
  /** A line for the person who waits, not for standard output. */
  tell(line: string): void;
}

/** This host. */
export function clientHere(tell: (line: string) => void): Here {
  const { os } = Deno.build;
  return {
    sockets: os === "linux" ? linuxSockets : portableSockets,
    env: (name) => Deno.env.get(name),
    os,
    now: Date.now,
    tell,
  };
}
