// Mutators that know netlink: they find an attribute and change its length, type or place, and put
// the lengths of messages right again, so that what lies behind them is reached.

import { LITTLE_ENDIAN } from "../../src/bytes/endian.ts";
import type { Arena } from "./arena.ts";
import { insertGap, type Mutator, removeBytes } from "./mutate_bytes.ts";
import type { Random } from "./random.ts";

const NLATTR_BYTES = 4;
const TYPES = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13, 16, 99, 0x8001, 0x4001, 0xc003, 0xffff];
const MESSAGE_TYPES = [0, 1, 2, 3, 4, 16, 17, 20, 0x300, 0x302, 0x400, 0x401, 0xa00, 0xa0c];
const MESSAGE_FLAGS = [0, 2, 0x10, 0x100, 0x200, 0x300, 0xffff];

/** Where attributes begin; each mutator works behind it. */
export function netlinkMutators(start: number): readonly Mutator[] {
  const find = (arena: Arena, random: Random) => findAttribute(arena, random, start);

  const changeLength: Mutator = (arena, random) => {
    const at = find(arena, random);
    if (at === undefined) return;
    const length = arena.view.getUint16(at, LITTLE_ENDIAN);
    const value = random.pick([
      0,
      3,
      4,
      5,
      length - 4,
      length - 1,
      length + 1,
      length + 4,
      arena.length - at,
      arena.length - at + 1,
      0xffff,
    ]);
    arena.view.setUint16(at, value, LITTLE_ENDIAN);
  };

  const changeType: Mutator = (arena, random) => {
    const at = find(arena, random);
    if (at !== undefined) arena.view.setUint16(at + 2, random.pick(TYPES), LITTLE_ENDIAN);
  };

  /** An attribute once more, before itself; or what is nested in it, without it. */
  const repeatAttribute: Mutator = (arena, random) => {
    const at = find(arena, random);
    if (at === undefined) return;
    const size = sizeAt(arena, at);
    if (insertGap(arena, at, size) === size) arena.bytes.copyWithin(at, at + size, at + 2 * size);
  };

  const removeAttribute: Mutator = (arena, random) => {
    const at = find(arena, random);
    if (at !== undefined) removeBytes(arena, at, random.once(4) ? NLATTR_BYTES : sizeAt(arena, at));
  };

  /** An attribute becomes the only one in a new one. */
  const wrapAttribute: Mutator = (arena, random) => {
    const at = find(arena, random);
    if (at === undefined) return;
    const size = sizeAt(arena, at);
    if (insertGap(arena, at, NLATTR_BYTES) < NLATTR_BYTES) return;
    arena.view.setUint16(at, size + NLATTR_BYTES, LITTLE_ENDIAN);
    arena.view.setUint16(at + 2, random.pick(TYPES), LITTLE_ENDIAN);
  };

  /** Less or more of its content, its length telling so. */
  const resizeAttribute: Mutator = (arena, random) => {
    const at = find(arena, random);
    if (at === undefined) return;
    const length = arena.view.getUint16(at, LITTLE_ENDIAN);
    const change = random.below(17) - 8;
    if (length + change < NLATTR_BYTES) return;
    if (change > 0) insertGap(arena, at + NLATTR_BYTES, change);
    else removeBytes(arena, at + NLATTR_BYTES, -change);
    if (at + 2 <= arena.length) arena.view.setUint16(at, length + change, LITTLE_ENDIAN);
  };

  return [
    changeLength,
    changeLength,
    changeType,
    changeType,
    repeatAttribute,
    removeAttribute,
    wrapAttribute,
    resizeAttribute,
    resizeAttribute,
  ];
}

/** nlmsg_len of the first message becomes that of the whole datagram. */
export const putMessageLengthRight: Mutator = ({ view, length }) => {
  if (length >= 4) view.setUint32(0, length, LITTLE_ENDIAN);
};

/** Type or flags of the first message, to others that matter. */
export const changeMessageHeader: Mutator = ({ view, length }, random) => {
  if (length < 8) return;
  const type = random.once(2);
  const value = random.pick(type ? MESSAGE_TYPES : MESSAGE_FLAGS);
  view.setUint16(type ? 4 : 6, value, LITTLE_ENDIAN);
};

/** One of the attributes that can be reached from `start`, at any depth that parses. */
function findAttribute(arena: Arena, random: Random, start: number): number | undefined {
  const { view } = arena;
  let at = start;
  let end = arena.length;
  let found: number | undefined;
  for (let steps = 1 + random.below(12); steps > 0 && at + NLATTR_BYTES <= end; steps--) {
    found = at;
    const length = view.getUint16(at, LITTLE_ENDIAN);
    if (length < NLATTR_BYTES || at + length > end) break;
    // Into it, or on to the next one; the last ends the way.
    if (random.once(3) && length >= 2 * NLATTR_BYTES) {
      end = at + length;
      at += NLATTR_BYTES;
    } else {
      at += (length + 3) & ~3;
    }
  }
  return found;
}

/** Bytes of an attribute with its padding, as far as the input goes. */
function sizeAt({ view, length }: Arena, at: number): number {
  const size = Math.max(NLATTR_BYTES, view.getUint16(at, LITTLE_ENDIAN) + 3 & ~3);
  return Math.min(size, length - at);
}
