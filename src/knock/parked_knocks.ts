// The last knock of each source that was not judged yet. To judge it costs an HMAC for each time step;
// whoever means it sends another one soon, and a flood from ever new sources does not. Direct-mapped
// and of fixed size: a newcomer takes the place of another.

import type { SourceHash } from "./sequence_book.ts";

export const NOBODY = -1;

export class ParkedKnocks {
  readonly #mask: number;
  readonly #tag: Uint32Array;
  /** 0: nobody is here. */
  readonly #port: Uint16Array;
  readonly #seen: Uint32Array;
  readonly #timeStep: Int32Array;
  readonly #atMs: Float64Array;

  /** @param size a power of two; 22 bytes each. */
  constructor(size: number) {
    this.#mask = size - 1;
    this.#tag = new Uint32Array(size);
    this.#port = new Uint16Array(size);
    this.#seen = new Uint32Array(size);
    this.#timeStep = new Int32Array(size);
    this.#atMs = new Float64Array(size);
  }

  /** Where the knock of a source is, or NOBODY. */
  find(hash: Readonly<SourceHash>): number {
    const index = hash.first & this.#mask;
    return this.#port[index] !== 0 && this.#tag[index] === hash.second ? index : NOBODY;
  }

  /** @param timeStep the current one. */
  park(
    hash: Readonly<SourceHash>,
    port: number,
    seen: number,
    timeStep: number,
    nowMs: number,
  ): void {
    const index = hash.first & this.#mask;
    this.#tag[index] = hash.second;
    this.#port[index] = port;
    this.#seen[index] = seen;
    this.#timeStep[index] = timeStep;
    this.#atMs[index] = nowMs;
  }

  forget(index: number): void {
    this.#port[index] = 0;
  }

  port(index: number): number {
    return this.#port[index] as number;
  }

  /** Hash of the packet. */
  seen(index: number): number {
    return this.#seen[index] as number;
  }

  atMs(index: number): number {
    return this.#atMs[index] as number;
  }

  /** Could a knock at `timeStep` have been meant when it came? */
  wasInWindow(index: number, timeStep: number, skew: number): boolean {
    return Math.abs(timeStep - (this.#timeStep[index] as number) | 0) <= skew;
  }
}
