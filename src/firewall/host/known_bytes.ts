// Bytes of which some bits are known, and what can be said when they are compared: the arithmetic of
// looking at a firewall without a packet. "Maybe" is always a right answer, only of less use.

/** Does it hold? */
export type Answer = "yes" | "no" | "maybe";

/** Something that bytes are known not to be: `(bytes at `at`) & mask` is never `value`. */
export interface Never {
  readonly at: number;
  readonly mask: Uint8Array;
  readonly value: Uint8Array;
}

export interface KnownBytes {
  /** Unknown bits are 0. */
  readonly bits: Uint8Array;
  /** 1 for each bit that is known. */
  readonly known: Uint8Array;
  readonly never: readonly Never[];
}

/** Bytes that are known in full. */
export function exactly(bits: Uint8Array): KnownBytes {
  return { bits, known: new Uint8Array(bits.length).fill(0xff), never: [] };
}

/** Bytes of which only the bits in `known` are known. */
export function partly(bits: Uint8Array, known: Uint8Array): KnownBytes {
  return { bits: bits.map((byte, index) => byte & at(known, index)), known, never: [] };
}

/** Bytes of which nothing is known, or only what they are not. */
export function unknown(length: number, never: readonly Never[] = []): KnownBytes {
  return { bits: new Uint8Array(length), known: new Uint8Array(length), never };
}

/** `length` bytes from `start` on; what lies outside is unknown. */
export function slice(value: KnownBytes, start: number, length: number): KnownBytes {
  const cut = (bytes: Uint8Array) => {
    const part = new Uint8Array(length);
    part.set(bytes.subarray(Math.min(start, bytes.length), start + length));
    return part;
  };
  const never = value.never
    .map((one) => ({ ...one, at: one.at - start }))
    .filter((one) => one.at >= 0 && one.at + one.mask.length <= length);
  return { bits: cut(value.bits), known: cut(value.known), never };
}

/** Is nothing known of it? */
export function isUnknown({ known, never }: KnownBytes): boolean {
  return never.length === 0 && known.every((byte) => byte === 0);
}

/** `(value & mask) ^ xor` */
export function bitwise(value: KnownBytes, mask: Uint8Array, xor: Uint8Array): KnownBytes {
  const length = mask.length;
  const { bits, known, never } = slice(value, 0, length);
  const maskedOut = (index: number) => ~at(mask, index) & 0xff;
  return {
    bits: bits.map((byte, index) =>
      ((byte & at(mask, index)) ^ at(xor, index)) & (at(known, index) | maskedOut(index))
    ),
    known: known.map((byte, index) => byte | maskedOut(index)),
    // What a value is not says something of its masked bits only where it speaks of no others.
    never: never.filter((one) =>
      one.mask.every((byte, index) =>
        (byte & maskedOut(one.at + index)) === 0 && (byte & at(xor, one.at + index)) === 0
      )
    ),
  };
}

/** The bytes of each group of `size` in the other order. */
export function swapped(value: KnownBytes, size: number): KnownBytes {
  const swap = (bytes: Uint8Array) =>
    bytes.map((_, index) => at(bytes, index - index % size + size - 1 - index % size));
  return { bits: swap(value.bits), known: swap(value.known), never: [] };
}

/** Is the beginning of the value these bytes? */
export function equals(value: KnownBytes, bytes: Uint8Array): Answer {
  const { bits, known, never } = slice(value, 0, bytes.length);
  if (bytes.some((byte, index) => ((byte ^ at(bits, index)) & at(known, index)) !== 0)) return "no";
  const excluded = never.some((one) =>
    one.mask.every((byte, index) =>
      ((at(bytes, one.at + index) ^ at(one.value, index)) & byte) === 0
    )
  );
  if (excluded) return "no";
  return known.every((byte) => byte === 0xff) ? "yes" : "maybe";
}

/** Is it from `first` to `last`, both included, as numbers in network order? */
export function isWithin(value: KnownBytes, first: Uint8Array, last: Uint8Array): Answer {
  const part = slice(value, 0, first.length);
  const [least, most] = [leastOf(part), mostOf(part)];
  if (compareBytes(most, first) < 0 || compareBytes(least, last) > 0) return "no";
  const inside = compareBytes(least, first) >= 0 && compareBytes(most, last) <= 0;
  return inside ? "yes" : "maybe";
}

/** Is it less than these bytes, or the same where `orEqual`? */
export function isBelow(value: KnownBytes, bytes: Uint8Array, orEqual: boolean): Answer {
  const part = slice(value, 0, bytes.length);
  const below = (one: Uint8Array) => {
    const order = compareBytes(one, bytes);
    return order < 0 || (orEqual && order === 0);
  };
  if (below(mostOf(part))) return "yes";
  return below(leastOf(part)) ? "maybe" : "no";
}

export function not(answer: Answer): Answer {
  if (answer === "maybe") return "maybe";
  return answer === "yes" ? "no" : "yes";
}

/** Do all hold? */
export function all(answers: readonly Answer[]): Answer {
  if (answers.includes("no")) return "no";
  return answers.includes("maybe") ? "maybe" : "yes";
}

/** As memcmp(): negative, 0 or positive; a missing byte is 0. */
export function compareBytes(one: Uint8Array, other: Uint8Array): number {
  for (let index = 0; index < Math.max(one.length, other.length); index++) {
    const difference = at(one, index) - at(other, index);
    if (difference !== 0) return difference;
  }
  return 0;
}

function leastOf({ bits }: KnownBytes): Uint8Array {
  return bits;
}

function mostOf({ bits, known }: KnownBytes): Uint8Array {
  return bits.map((byte, index) => byte | (~at(known, index) & 0xff));
}

function at(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}
