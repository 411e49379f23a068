// What a door with a changing sequence looks like to the machine. A lock judges knocks within its own
// ports, in its own bounded memory and with its own budget of cryptography, so that a flood of one
// door degrades that door alone. Pure as the machine: time is in the event, nothing throws.

import type { PacketHeader, Source } from "../packet/header.ts";

/** The time of an event. */
export interface EventTime {
  /** Monotonic; never goes back. */
  readonly nowMs: number;
  /** Since 1970, as the wall clock says: it may jump either way. */
  readonly unixMs: number;
}

/** What a knock led to. Reused by its lock: valid until its next step. */
export interface LockEffect {
  /** Knocks taken so far; `stage === of` is the whole sequence. */
  stage: number;
  of: number;
  /** Time step of the sequence: together with who it was, what may open only once. */
  timeStep: number;
  /** Name of the user, where the sequence tells. */
  user: string | undefined;
}

export interface Lock {
  /**
   * A knock within the lock's ports: a TCP SYN or a UDP datagram.
   *
   * @returns undefined where it led to nothing.
   */
  step(packet: Readonly<PacketHeader>, time: EventTime): Readonly<LockEffect> | undefined;
  /** Forgets what a source has knocked: it touched a decoy. */
  setBack(source: Readonly<Source>): void;
  /** Knocks that were not judged since the last time it was asked, because a budget was spent. */
  takeUnjudged(): number;
}
