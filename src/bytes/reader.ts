// A cursor over bytes from the kernel. Reading past the end throws DecodeError: for bytes from the
// network, which may be anything, src/packet has its own readers that never throw.

import { DecodeError } from "../errors.ts";
import { LITTLE_ENDIAN } from "./endian.ts";

/**
 * Reads integers and bytes, in order. The byte order is in the verb.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { Reader } from "./reader.ts";
 * const reader = new Reader(new Uint8Array([0, 22, 6]));
 * assert(reader.u16be() === 22 && reader.u8() === 6 && reader.left === 0);
 * ```
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes from the start. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes not yet read. */
  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#take("u8", 1));
  }

  u16be(): number {
    return this.#view.getUint16(this.#take("u16be", 2));
  }

  u32be(): number {
    return this.#view.getUint32(this.#take("u32be", 4));
  }

  u64be(): bigint {
    return this.#view.getBigUint64(this.#take("u64be", 8));
  }

  u16ne(): number {
    return this.#view.getUint16(this.#take("u16ne", 2), LITTLE_ENDIAN);
  }

  u32ne(): number {
    return this.#view.getUint32(this.#take("u32ne", 4), LITTLE_ENDIAN);
  }

  i32ne(): number {
    return this.#view.getInt32(this.#take("i32ne", 4), LITTLE_ENDIAN);
  }

  /** `count` bytes, a view into the same memory. */
  raw(count: number): Uint8Array {
    const at = this.#take("bytes", count);
    return this.#bytes.subarray(at, at + count);
  }

  /** All that is left, a view into the same memory. */
  rest(): Uint8Array {
    return this.raw(this.left);
  }

  /** Skips up to the next multiple of `alignment`, or to the end if that comes first. */
  align(alignment: number): this {
    const pad = (alignment - this.#offset % alignment) % alignment;
    this.#offset = Math.min(this.#offset + pad, this.#bytes.length);
    return this;
  }

  #take(what: string, count: number): number {
    if (count < 0 || count > this.left) throw new DecodeError(what, this.#offset, count, this.left);
    const at = this.#offset;
    this.#offset += count;
    return at;
  }
}

/** Text of a C string: UTF-8 up to the first zero byte, or to the end. */
export function cstring(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(
    end < 0 ? bytes : bytes.subarray(0, end),
  );
}
