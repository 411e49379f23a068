// What the caller of the bench can choose; scenarios get it as it is here.

import type { Result } from "./report.ts";

export interface Options {
  /** How often each capacity is measured; the median counts. */
  readonly repetitions: number;
  /** Connections of each kind for latencies. */
  readonly connections: number;
  /** Tells the person who waits what came out so far. */
  readonly progress: (result: Result | undefined) => void;
}
