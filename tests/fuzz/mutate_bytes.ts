// Mutators that know nothing of the format: each changes the input in place, as AFL's and libFuzzer's
// do. All stay within the arena's capacity, and do nothing where the input is too short for them.

import type { Arena } from "./arena.ts";
import type { Random } from "./random.ts";

/** Changes one thing; `other` is another input to take bytes from. */
export type Mutator = (arena: Arena, random: Random, other: Uint8Array) => void;

/** Around what formats have as lengths, signs and ends. */
const BYTES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 20, 32, 40, 43, 44, 51, 60, 127, 128, 254, 255];
const WORDS = [0, 1, 3, 4, 5, 8, 19, 20, 60, 255, 256, 1024, 32767, 32768, 65531, 65532, 65535];
const LONGS = [0, 1, 3, 15, 16, 20, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 4, 2 ** 32 - 1];

const flipBit: Mutator = ({ bytes, length }, random) => {
  if (length === 0) return;
  const at = random.below(length);
  bytes[at] = (bytes[at] as number) ^ 1 << random.below(8);
};

const anyByte: Mutator = ({ bytes, length }, random) => {
  if (length > 0) bytes[random.below(length)] = random.next();
};

const interestingByte: Mutator = ({ bytes, length }, random) => {
  if (length > 0) bytes[random.below(length)] = random.pick(BYTES);
};

const interestingWord: Mutator = ({ view, length }, random) => {
  if (length >= 2) view.setUint16(random.below(length - 1), random.pick(WORDS), random.once(2));
};

const interestingLong: Mutator = ({ view, length }, random) => {
  if (length >= 4) view.setUint32(random.below(length - 3), random.pick(LONGS), random.once(2));
};

const addToByte: Mutator = ({ bytes, length }, random) => {
  if (length === 0) return;
  const at = random.below(length);
  bytes[at] = (bytes[at] as number) + random.below(71) - 35;
};

const addToWord: Mutator = ({ view, length }, random) => {
  if (length < 2) return;
  const at = random.below(length - 1);
  const little = random.once(2);
  view.setUint16(at, view.getUint16(at, little) + random.below(71) - 35, little);
};

const addToLong: Mutator = ({ view, length }, random) => {
  if (length < 4) return;
  const at = random.below(length - 3);
  const little = random.once(2);
  view.setUint32(at, view.getUint32(at, little) + random.below(71) - 35, little);
};

/** A number that could be the length of what follows, or nearly. */
const lengthField: Mutator = ({ view, length }, random) => {
  if (length < 4) return;
  const at = random.below((length - 2) >> 1) * 2;
  const rest = length - random.pick([0, at, at + 2, at + 4]) + random.below(9) - 4;
  if (random.once(3)) view.setUint32(Math.min(at, length - 4), rest, random.once(2));
  else view.setUint16(at, rest, random.once(2));
};

const truncate: Mutator = (arena, random) => arena.resize(random.below(arena.length + 1));

const cutSome: Mutator = (arena, random) => arena.resize(arena.length - 1 - random.below(8));

const extend: Mutator = (arena, random) => {
  const from = arena.length;
  arena.resize(from + 1 + random.below(random.once(8) ? 256 : 24));
  const value = random.once(2) ? 0 : random.next() & 0xff;
  for (let at = from; at < arena.length; at++) arena.bytes[at] = value;
};

/** The beginning of this one and the end of the other. */
const spliceTail: Mutator = (arena, random, other) => {
  const at = random.below(arena.length + 1);
  const from = random.below(other.length + 1);
  arena.resize(at + other.length - from);
  for (let to = at; to < arena.length; to++) arena.bytes[to] = other[from + to - at] as number;
};

/** Bytes of the other over some of this one. */
const overwrite: Mutator = ({ bytes, length }, random, other) => {
  const count = Math.min(1 + random.below(16), length, other.length);
  const to = random.below(length - count + 1);
  const from = random.below(other.length - count + 1);
  for (let index = 0; index < count; index++) bytes[to + index] = other[from + index] as number;
};

/** One block twice, or moved. */
const repeatBlock: Mutator = (arena, random) => {
  const from = random.below(arena.length + 1);
  const count = Math.min(arena.length - from, 1 + random.below(random.once(4) ? 128 : 24));
  const to = random.below(from + 1);
  const grown = insertGap(arena, to, count);
  // What stood at `from` has moved back.
  arena.bytes.copyWithin(to, from + grown, from + grown + grown);
};

const removeBlock: Mutator = (arena, random) => {
  const from = random.below(arena.length + 1);
  removeBytes(arena, from, 1 + random.below(random.once(4) ? 128 : 24));
};

const insertBytes: Mutator = (arena, random) => {
  const at = random.below(arena.length + 1);
  const end = at + insertGap(arena, at, 1 + random.below(16));
  for (let index = at; index < end; index++) arena.bytes[index] = random.next();
};

const fillBlock: Mutator = ({ bytes, length }, random) => {
  const from = random.below(length + 1);
  const end = Math.min(length, from + 1 + random.below(16));
  const value = random.pick(BYTES);
  for (let at = from; at < end; at++) bytes[at] = value;
};

/** All of them; the ones that keep most of the input are there more often. */
export const byteMutators: readonly Mutator[] = [
  flipBit,
  flipBit,
  anyByte,
  interestingByte,
  interestingByte,
  interestingWord,
  interestingWord,
  interestingLong,
  addToByte,
  addToWord,
  addToLong,
  lengthField,
  lengthField,
  truncate,
  cutSome,
  extend,
  spliceTail,
  overwrite,
  repeatBlock,
  removeBlock,
  insertBytes,
  fillBlock,
];

/** Makes room for `count` bytes at `at`; fewer where the arena is full. What is in them stays. */
export function insertGap(arena: Arena, at: number, count: number): number {
  const before = arena.length;
  arena.resize(before + count);
  const grown = arena.length - before;
  arena.bytes.copyWithin(at + grown, at, before);
  return grown;
}

/** Takes bytes out; fewer where there are not as many. */
export function removeBytes(arena: Arena, at: number, count: number): void {
  const removed = Math.min(count, arena.length - at);
  if (removed <= 0) return;
  arena.bytes.copyWithin(at, at + removed, arena.length);
  arena.resize(arena.length - removed);
}
