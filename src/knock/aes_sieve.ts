// A sieve before the cryptography: the first word of AES-256 decryption (FIPS 197, section 5.3.5, the
// equivalent inverse cipher) by tables, in a tenth of the time that a call of node:crypto takes. Every
// sixteen knocks are tried with the key of each user, and the first word says whether to look on.
//
// It never decides: what passes is decrypted and authenticated by the real one, so a mistake here can
// only refuse. Tables have timings, which a neighbour on the same processor may measure to learn a key
// of the cipher; the cipher hides a user's number and the time, and authenticates nothing.

import { VALUES } from "./encrypted_message.ts";

const ROUNDS = 14;
/** Words of a key's schedule: four for each round, and four for the end. */
const SCHEDULE_WORDS = 4 * (ROUNDS + 1);
const KEY_WORDS = 8;

/** The schedules of many keys, one after the other. */
export class AesSieve {
  readonly #schedules: Int32Array;

  /** @param keys 32 bytes each. */
  constructor(keys: readonly Uint8Array[]) {
    this.#schedules = new Int32Array(keys.length * SCHEDULE_WORDS);
    keys.forEach((key, index) =>
      this.#schedules.set(decryptionSchedule(key), index * SCHEDULE_WORDS)
    );
  }

  /** The first four bytes of a block's plain text under a key, as an unsigned big-endian number. */
  firstWord(key: number, block: Block): number {
    const schedule = this.#schedules;
    let at = key * SCHEDULE_WORDS;
    let w0 = block.word0 ^ word(schedule, at);
    let w1 = block.word1 ^ word(schedule, at + 1);
    let w2 = block.word2 ^ word(schedule, at + 2);
    let w3 = block.word3 ^ word(schedule, at + 3);
    for (let round = 1; round < ROUNDS; round++) {
      at += 4;
      const next0 = mixed(w0, w3, w2, w1) ^ word(schedule, at);
      const next1 = mixed(w1, w0, w3, w2) ^ word(schedule, at + 1);
      const next2 = mixed(w2, w1, w0, w3) ^ word(schedule, at + 2);
      const next3 = mixed(w3, w2, w1, w0) ^ word(schedule, at + 3);
      w0 = next0;
      w1 = next1;
      w2 = next2;
      w3 = next3;
    }
    const last = word(INVERSE_BOX, w0 >>> 24) << 24 | word(INVERSE_BOX, w3 >>> 16 & 255) << 16 |
      word(INVERSE_BOX, w2 >>> 8 & 255) << 8 | word(INVERSE_BOX, w1 & 255);
    return (last ^ word(schedule, at + 4)) >>> 0;
  }
}

/** Sixteen bytes as big-endian words. */
export interface Block {
  word0: number;
  word1: number;
  word2: number;
  word3: number;
}

/** InvSubBytes, InvShiftRows and InvMixColumns of one column, from the four it takes bytes of. */
function mixed(row0: number, row1: number, row2: number, row3: number): number {
  return word(MIX, row0 >>> 24) ^ word(MIX, VALUES | row1 >>> 16 & 255) ^
    word(MIX, 2 * VALUES | row2 >>> 8 & 255) ^ word(MIX, 3 * VALUES | row3 & 255);
}

const BOX = substitutionBox();
const INVERSE_BOX = inverted(BOX);
const MIX = mixTable();

/** FIPS 197, section 5.1.1: the inverse in GF(2^8), which powers of 3 and 1/3 walk through, and a map. */
function substitutionBox(): Uint8Array {
  const box = new Uint8Array(VALUES).fill(0x63, 0, 1);
  let power = 1;
  let inverse = 1;
  do {
    power = times(power, 3);
    inverse = times(inverse, 0xf6);
    let sum = inverse;
    for (let bits = 1; bits < 5; bits++) sum ^= inverse << bits | inverse >> 8 - bits;
    box[power] = sum ^ 0x63;
  } while (power !== 1);
  return box;
}

function inverted(box: Uint8Array): Uint8Array {
  const inverse = new Uint8Array(VALUES);
  box.forEach((value, index) => inverse[value] = index);
  return inverse;
}

/** For each row of a column, what a byte in it gives to the mixed column. */
function mixTable(): Int32Array {
  const table = new Int32Array(4 * VALUES);
  INVERSE_BOX.forEach((value, index) => {
    const column = times(value, 14) << 24 | times(value, 9) << 16 | times(value, 13) << 8 |
      times(value, 11);
    for (let row = 0; row < 4; row++) table[row * VALUES + index] = rotated(column, 8 * row);
  });
  return table;
}

/** The product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
function times(one: number, other: number): number {
  let product = 0;
  for (let factor = one, bits = other; bits > 0; bits >>= 1) {
    if (bits & 1) product ^= factor;
    factor = factor << 1 ^ (factor & 0x80 ? 0x11b : 0);
  }
  return product;
}

/** FIPS 197, figure 11, turned around for decryption as section 5.3.5 has it. */
function decryptionSchedule(key: Uint8Array): Int32Array {
  const forward = encryptionSchedule(key);
  const backward = new Int32Array(SCHEDULE_WORDS);
  for (let round = 0; round <= ROUNDS; round++) {
    for (let column = 0; column < 4; column++) {
      const value = word(forward, 4 * (ROUNDS - round) + column);
      const outer = round === 0 || round === ROUNDS;
      backward[4 * round + column] = outer ? value : unmixed(value);
    }
  }
  return backward;
}

function encryptionSchedule(key: Uint8Array): Int32Array {
  const schedule = new Int32Array(SCHEDULE_WORDS);
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  for (let at = 0; at < KEY_WORDS; at++) schedule[at] = view.getInt32(4 * at);
  let constant = 1;
  for (let at = KEY_WORDS; at < SCHEDULE_WORDS; at++) {
    let value = word(schedule, at - 1);
    if (at % KEY_WORDS === 0) {
      value = substituted(rotated(value, 24)) ^ constant << 24;
      constant = times(constant, 2);
    } else if (at % KEY_WORDS === 4) value = substituted(value);
    schedule[at] = word(schedule, at - KEY_WORDS) ^ value;
  }
  return schedule;
}

/** InvMixColumns alone: the table undoes the substitution as well, so it is done first. */
function unmixed(column: number): number {
  const value = substituted(column);
  return mixed(value, value, value, value);
}

function substituted(value: number): number {
  return word(BOX, value >>> 24) << 24 | word(BOX, value >>> 16 & 255) << 16 |
    word(BOX, value >>> 8 & 255) << 8 | word(BOX, value & 255);
}

/** To the right, by 0 to 31 bits. */
function rotated(value: number, bits: number): number {
  return bits === 0 ? value : value >>> bits | value << 32 - bits;
}

/** An element that is known to be there; the compiler cannot know it. */
function word(array: Int32Array | Uint8Array, index: number): number {
  return array[index] as number;
}
