// One input at two places of one buffer. Between them lie canaries: bytes that are none of its own.
//
//    0        length                                    size - length    size
//   +----------+------------------------------------------+----------+
//   | the input| canary canary canary canary canary canary| again    |
//   +----------+------------------------------------------+----------+
//
// At the front a read before the input throws, at the back a read behind it, since there the buffer
// ends; the other two reads see canaries at one place and nothing at the other. So whoever reads
// outside either throws or says different things about the same bytes.

/** Further than any 16-bit length from the end of an input reaches. */
const CANARY_BYTES = 2 * 65_536;
/** Inputs after which the canaries change. */
const CANARY_INPUTS = 4_096;
/** Nothing, all ones, TCP's protocol number, an IPv4 and an IPv6 version, text. */
const CANARIES = [0x00, 0xff, 0x06, 0x45, 0x60, 0x31];

export class Arena {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** Most bytes of an input. */
  readonly capacity: number;
  /** Bytes of the input; `resize` changes it. */
  length = 0;
  /** What was written since the canaries were whole, at the front and at the back. */
  #dirtyFront = 0;
  #dirtyBack = 0;
  #sealed = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.bytes = new Uint8Array(2 * capacity + CANARY_BYTES);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Where the input begins at the back. */
  get back(): number {
    return this.bytes.length - this.length;
  }

  /** The input at the front, as a view. */
  front(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(0, this.length);
  }

  /** The input at the back, as a view. */
  atBack(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(this.back);
  }

  /** Another input, at the front only. */
  load(bytes: Uint8Array): void {
    this.resize(bytes.length);
    this.bytes.set(bytes.length > this.capacity ? bytes.subarray(0, this.capacity) : bytes);
  }

  /** Makes the input longer, with bytes that mean nothing, or shorter; `capacity` is its bound. */
  resize(length: number): void {
    this.length = Math.max(0, Math.min(length, this.capacity));
    if (this.length > this.#dirtyFront) this.#dirtyFront = this.length;
  }

  /** Repeats the input at the back and makes the canaries whole. */
  seal(): void {
    const { bytes, length } = this;
    const canary = CANARIES[Math.floor(this.#sealed / CANARY_INPUTS) % CANARIES.length] as number;
    if (this.#sealed++ % CANARY_INPUTS === 0) {
      bytes.fill(canary, length);
    } else {
      if (this.#dirtyFront > length) bytes.fill(canary, length, this.#dirtyFront);
      if (this.#dirtyBack > length) {
        bytes.fill(canary, bytes.length - this.#dirtyBack, bytes.length - length);
      }
    }
    bytes.copyWithin(bytes.length - length, 0, length);
    this.#dirtyFront = length;
    this.#dirtyBack = length;
  }
}
