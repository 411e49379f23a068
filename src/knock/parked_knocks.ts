// The last knock of each source that was not judged yet. To judge it costs an HMAC for each time step;
// whoever means it sends another one soon, and a flood from ever new sources does not. Direct-mapped
// and of fixed size: a newcomer takes the place of another.

import type { SourceHash } from "./sequence_book.ts";

export const NOBODY = -1;

/** No step is so far away. */
export const NEVER = 127;

export class ParkedKnocks {
  readonly #mask: number;
  readonly #tag: Uint32Array;
  /** 0: nobody is here. */
  readonly #port: Uint16Array;
  readonly #seen: Uint32Array;
  readonly #timeStep: Int32Array;
  /** At which step the knock was a repeated one, from `#timeStep` on. */
  readonly #repeated: Int8Array;
  readonly #atMs: Float64Array;

  /** @param size a power of two; 23 bytes each. */
  constructor(size: number) {
    this.#mask = size - 1;
    this.#tag = new Uint32Array(size);
    this.#port = new Uint16Array(size);
    this.#seen = new Uint32Array(size);
    this.#timeStep = new Int32Array(size);
    this.#repeated = new Int8Array(size);
    this.#atMs = new Float64Array(size);
  }

  /** Where the knock of a source is, or NOBODY. */
  find(hash: Readonly<SourceHash>): number {
    const index = hash.first & this.#mask;
    return this.#port[index] !== 0 && this.#tag[index] === hash.second ? index : NOBODY;
  }

  /**
   * @param timeStep the current one.
   * @param repeated at which step it was a repeated knock, counted from that one; or NEVER.
   */
  park(
    hash: Readonly<SourceHash>,
    port: number,
    seen: number,
    timeStep: number,
    repeated: number,
    nowMs: number,
  ): void {
    const index = hash.first & this.#mask;
    this.#tag[index] = hash.second;
    this.#port[index] = port;
    this.#seen[index] = seen;
    this.#timeStep[index] = timeStep;
    this.#repeated[index] = repeated;
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

  /** Could a new knock at `timeStep` have been meant when it came? */
  wasInWindow(index: number, timeStep: number, skew: number): boolean {
    const later = timeStep - (this.#timeStep[index] as number) | 0;
    return Math.abs(later) <= skew && later !== this.#repeated[index];
  }
}
