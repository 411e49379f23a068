// Mutators that know IP packets: chains of extension headers, header lengths, addresses that count,
// and lengths put right again, so that what lies behind them is reached.

import type { Arena } from "./arena.ts";
import { insertGap, type Mutator, removeBytes } from "./mutate_bytes.ts";
import type { Random } from "./random.ts";

const IPV6_BYTES = 40;
const EXTENSIONS = [0, 43, 44, 51, 60];
const PROTOCOLS = [...EXTENSIONS, 6, 6, 1, 17, 17, 50, 58, 58, 59, 135, 255];
const SOURCES4 = [0, 1, 127 * 2 ** 24, 224 * 2 ** 24 - 1, 224 * 2 ** 24, 2 ** 32 - 1, 0xc0000201];
const SOURCE_WORDS = [0, 1, 2, 0xffff, 0xff000000, 0xfeffffff, 0x20010db8];

/** Puts an extension header in front of the first one. */
export const insertExtension: Mutator = (arena, random) => {
  const { bytes } = arena;
  if (version(arena) !== 6) return;
  const protocol = random.pick(EXTENSIONS);
  const units = random.once(8) ? random.below(32) : random.below(3);
  const size = protocol === 44 ? 8 : protocol === 51 ? 12 + units * 4 : 8 + units * 8;
  if (insertGap(arena, IPV6_BYTES, size) < size) return;
  bytes.fill(0, IPV6_BYTES, IPV6_BYTES + size);
  bytes[IPV6_BYTES] = bytes[6] as number;
  bytes[IPV6_BYTES + 1] = protocol === 44 ? 0 : protocol === 51 ? size / 4 - 2 : units;
  bytes[6] = protocol;
  if (random.below(8) > 0) setLengths(arena);
};

/** Several at once, up to more than are followed. */
const insertChain: Mutator = (arena, random, other) => {
  for (let left = random.below(11); left > 0; left--) insertExtension(arena, random, other);
};

/** Takes the first extension header out. */
const removeExtension: Mutator = (arena, random) => {
  const { bytes, length } = arena;
  if (version(arena) !== 6 || length < IPV6_BYTES + 8) return;
  const protocol = bytes[6] as number;
  if (!EXTENSIONS.includes(protocol)) return;
  const units = bytes[IPV6_BYTES + 1] as number;
  const size = protocol === 44 ? 8 : protocol === 51 ? units * 4 + 8 : units * 8 + 8;
  bytes[6] = bytes[IPV6_BYTES] as number;
  removeBytes(arena, IPV6_BYTES, size);
  if (random.below(8) > 0) setLengths(arena);
};

/** Another protocol, in the IP header or in an extension header on the way. */
const changeProtocol: Mutator = (arena, random) => {
  const { bytes, length } = arena;
  if (length < 20) return;
  if (version(arena) === 4) bytes[9] = random.pick(PROTOCOLS);
  if (version(arena) !== 6) return;
  let at = 6;
  for (let passed = random.below(10); passed > 0; passed--) {
    const protocol = bytes[at] as number;
    const header = at === 6 ? IPV6_BYTES : at;
    if (!EXTENSIONS.includes(protocol) || header + 2 > length) break;
    at = header;
    const next = at + extensionBytes(protocol, bytes[at + 1] as number);
    if (next >= length) break;
    if (random.once(2)) at = next;
  }
  bytes[at] = random.pick(PROTOCOLS);
};

/** IPv4: another header length, with or without the options for it. */
const changeIhl: Mutator = (arena, random) => {
  if (version(arena) !== 4 || arena.length < 20) return;
  const ihl = random.below(16);
  const added = (ihl - ((arena.bytes[0] as number) & 15)) * 4;
  arena.bytes[0] = 0x40 | ihl;
  if (random.once(2)) return;
  if (added > 0) insertGap(arena, 20, added);
  else removeBytes(arena, 20, -added);
  setLengths(arena);
};

const changeFragment: Mutator = ({ view, bytes, length }, random) => {
  const value = random.pick([0, 0x4000, 0x2000, 0x8000, 1, 0x1fff, 2, 4, 6, 8, 0xfff8]);
  if (bytes[0] === 0x60 && length >= IPV6_BYTES + 4) view.setUint16(IPV6_BYTES + 2, value);
  else if (length >= 8) view.setUint16(6, value);
};

const changeSource: Mutator = (arena, random) => {
  if (version(arena) === 4 && arena.length >= 20) {
    arena.view.setUint32(12, random.pick(SOURCES4));
  } else if (version(arena) === 6 && arena.length >= IPV6_BYTES) {
    for (let at = 8; at < 24; at += 4) {
      if (random.once(2)) arena.view.setUint32(at, random.pick(SOURCE_WORDS));
    }
  }
};

/** IPv4's total length or IPv6's payload length, around the truth. */
const changeLength: Mutator = (arena, random) => {
  setLengths(arena, random.below(64) - 32);
};

/** TCP's header length or a port, where a header without options would be. */
const changeTcp: Mutator = (arena, random) => {
  const { bytes, length } = arena;
  const at = version(arena) === 4 ? ((bytes[0] as number) & 15) * 4 : IPV6_BYTES;
  if (at + 20 > length) return;
  const which = random.below(4);
  if (which === 0) bytes[at + 12] = random.below(256);
  if (which === 1) arena.view.setUint16(at, random.pick([0, 1, 65535]));
  if (which === 2) arena.view.setUint16(at + 2, random.pick([0, 1, 65535]));
  if (which === 3) bytes[at + 13] = random.pick([2, 0x12, 0, 0xff, 0xc2, 3, 6]);
};

/** Another upper layer, where a header without options would be, mostly as it should be. */
const changeUpper: Mutator = (arena, random) => {
  const { bytes, view, length } = arena;
  const first = version(arena);
  const at = first === 4 ? ((bytes[0] as number) & 15) * 4 : IPV6_BYTES;
  if ((first !== 4 && first !== 6) || at + 8 > length) return;
  const udp = random.once(2);
  bytes[first === 4 ? 9 : 6] = udp ? 17 : first === 4 ? 1 : 58;
  if (udp) {
    view.setUint16(at + 2, random.pick([0, 1, 53, 65535]));
    view.setUint16(at + 4, length - at + random.pick([0, 0, 0, 1, -1, -length]));
  } else {
    bytes[at] = random.pick([8, 8, 128, 128, 0, 129]);
    bytes[at + 1] = random.once(8) ? 1 : 0;
  }
};

/** What the IP header says of the length becomes true, or true but for `error` bytes. */
export function setLengths(arena: Arena, error = 0): void {
  if (version(arena) === 4 && arena.length >= 4) arena.view.setUint16(2, arena.length + error);
  if (version(arena) === 6 && arena.length >= IPV6_BYTES) {
    arena.view.setUint16(4, arena.length - IPV6_BYTES + error);
  }
}

const putLengthsRight: Mutator = (arena) => setLengths(arena);

export const packetMutators: readonly Mutator[] = [
  insertExtension,
  insertChain,
  removeExtension,
  changeProtocol,
  changeProtocol,
  changeIhl,
  changeFragment,
  changeSource,
  changeLength,
  changeTcp,
  changeUpper,
  putLengthsRight,
  putLengthsRight,
];

/** A version where the mutation before left another: otherwise most inputs would end there. */
export function restoreVersion(arena: Arena, value: 4 | 6, random: Random): void {
  if (arena.length === 0 || version(arena) === value || random.once(16)) return;
  arena.bytes[0] = value << 4 | (value === 4 ? 5 : 0);
}

function version({ bytes, length }: Arena): number {
  return length === 0 ? 0 : (bytes[0] as number) >> 4;
}

function extensionBytes(protocol: number, units: number): number {
  return protocol === 44 ? 8 : protocol === 51 ? units * 4 + 8 : units * 8 + 8;
}
