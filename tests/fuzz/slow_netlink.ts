// Attributes and packet messages once more, from the words of linux/netlink.h and the kernel's
// nfnetlink_queue.h and nfnetlink_log.h, with slices in place of offsets. For comparison only.

import { LITTLE_ENDIAN } from "../../src/bytes/endian.ts";

/** Type without flags, and the content. */
export type SlowAttribute = readonly [type: number, content: Uint8Array];

/** The attributes in their order, or undefined where a length is impossible. */
export function slowAttributes(bytes: Uint8Array): SlowAttribute[] | undefined {
  const found: SlowAttribute[] = [];
  let rest = bytes;
  while (rest.length >= 4) {
    const length = u16ne(rest, 0);
    if (length < 4 || length > rest.length) return undefined;
    found.push([u16ne(rest, 2) % 0x4000, rest.subarray(4, length)]);
    rest = rest.subarray(Math.ceil(length / 4) * 4);
  }
  return found;
}

export interface SlowMessage {
  readonly outcome: "packet" | "notPacket" | "malformed";
  readonly attributes: readonly SlowAttribute[];
}

/** A message of a netfilter subsystem, of one type. */
export function slowMessage(bytes: Uint8Array, type: number): SlowMessage {
  if (bytes.length < 16) return { outcome: "malformed", attributes: [] };
  const length = u16ne(bytes, 0) + 65_536 * u16ne(bytes, 2);
  const total = LITTLE_ENDIAN ? length : u16ne(bytes, 2) + 65_536 * u16ne(bytes, 0);
  if (total < 16 || total > bytes.length) return { outcome: "malformed", attributes: [] };
  if (u16ne(bytes, 4) !== type) return { outcome: "notPacket", attributes: [] };
  const attributes = slowAttributes(bytes.subarray(20, total));
  if (total < 20 || attributes === undefined) return { outcome: "malformed", attributes: [] };
  return { outcome: "packet", attributes };
}

/** The content of the last attribute of a type. */
export function lastOf(
  attributes: readonly SlowAttribute[],
  type: number,
): Uint8Array | undefined {
  return attributes.findLast(([one]) => one === type)?.[1];
}

/** Are all attributes of a type at least so long? */
export function allHave(
  attributes: readonly SlowAttribute[],
  type: number,
  bytes: number,
): boolean {
  return attributes.every(([one, content]) => one !== type || content.length >= bytes);
}

/** An unsigned number in network order. */
export function uintBe(bytes: Uint8Array): number {
  return bytes.reduce((value, byte) => value * 256 + byte, 0);
}

function u16ne(bytes: Uint8Array, at: number): number {
  const [first = 0, second = 0] = bytes.subarray(at, at + 2);
  return LITTLE_ENDIAN ? first + 256 * second : second + 256 * first;
}
