// What the caller of the bench can choose; scenarios get it as it is here.

import type { Result } from "./report.ts";

export interface Options {
  /** How often each capacity is measured; the median counts. */
  readonly repetitions: number;
  /** Connections of each kind for latencies, and real knockers in each flood. */
  readonly connections: number;
  /** Length of each run of load. */
  readonly seconds: number;
  /** Leaves out what takes long: fewer sizes and turns. The figures are rough. */
  readonly quick: boolean;
  /** Tells the person who waits what came out so far. */
  readonly progress: (result: Result) => void;
}
