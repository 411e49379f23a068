// The register file of nf_tables while a rule is looked at: bytes of which some are known.

import { REGISTER_BYTES } from "../../nftables/listing/expression.ts";
import { type KnownBytes, type Never, slice } from "./known_bytes.ts";

export class Registers {
  readonly #bits = new Uint8Array(REGISTER_BYTES);
  readonly #known = new Uint8Array(REGISTER_BYTES);
  #never: Never[] = [];

  /** Stores as many bytes as there are; beyond the file they are lost. */
  store(at: number, { bits, known, never }: KnownBytes): void {
    const length = Math.min(bits.length, REGISTER_BYTES - at);
    this.#bits.set(bits.subarray(0, length), at);
    this.#known.set(known.subarray(0, length), at);
    this.#never = this.#never.filter((one) =>
      one.at >= at + length || one.at + one.mask.length <= at
    );
    this.#never.push(...never.map((one) => ({ ...one, at: one.at + at })));
  }

  load(at: number, length: number): KnownBytes {
    const bytes = Math.min(length, REGISTER_BYTES);
    return slice({ bits: this.#bits, known: this.#known, never: this.#never }, at, bytes);
  }

  /** After something that may have written anywhere. */
  forget(): void {
    this.#known.fill(0);
    this.#bits.fill(0);
    this.#never = [];
  }
}
