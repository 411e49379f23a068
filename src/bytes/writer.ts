// A growing byte buffer. The byte order is in the verb: `be` is network order, `ne` the machine's own.
// It never reads, and it never writes outside what it has grown to.

import { LITTLE_ENDIAN } from "./endian.ts";

/**
 * Appends integers and bytes to a buffer that doubles when it is full.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { Writer } from "./writer.ts";
 * const out = new Writer().u16be(22).u8(6).bytes();
 * assert(out.length === 3 && out[1] === 22);
 * ```
 */
export class Writer {
  #buffer: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = new Uint8Array(capacity);
    this.#view = new DataView(this.#buffer.buffer);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16be(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value);
    return this;
  }

  u32be(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
    return this;
  }

  u64be(value: bigint): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, value);
    return this;
  }

  u16ne(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, LITTLE_ENDIAN);
    return this;
  }

  u32ne(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, LITTLE_ENDIAN);
    return this;
  }

  /** The bytes as they are. */
  raw(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#buffer.set(bytes, at);
    return this;
  }

  /** UTF-8 text with its closing zero byte, as C reads it. */
  cstring(text: string): this {
    return this.raw(new TextEncoder().encode(text)).u8(0);
  }

  /** Zero bytes up to the next multiple of `alignment`. */
  align(alignment: number): this {
    this.#grow((alignment - this.#length % alignment) % alignment);
    return this;
  }

  /** Overwrites two bytes written before; for lengths that are known only at the end. */
  patchU16ne(offset: number, value: number): this {
    this.#view.setUint16(offset, value, LITTLE_ENDIAN);
    return this;
  }

  /** Overwrites four bytes written before. */
  patchU32ne(offset: number, value: number): this {
    this.#view.setUint32(offset, value, LITTLE_ENDIAN);
    return this;
  }

  /** A copy of what was written. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }

  #grow(count: number): number {
    const at = this.#length;
    if (at + count > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(this.#buffer.length * 2, at + count));
      grown.set(this.#buffer);
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = at + count;
    return at;
  }
}
