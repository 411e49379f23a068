// Which elements of a set a key that is known in part can find.

import type { ListedElement, ListedSet } from "../../nftables/listing/objects.ts";
import {
  all,
  type Answer,
  compareBytes,
  equals,
  isWithin,
  type KnownBytes,
  slice,
} from "./known_bytes.ts";

/** An element that the key may find, or finds. */
export interface Found {
  readonly element: ListedElement;
  /** If it does not find this one it finds another. */
  readonly certain: boolean;
}

/** All elements that the key can find; where one is certain, it cannot find none. */
export function find(
  set: ListedSet,
  elements: readonly ListedElement[],
  keyAt: (length: number) => KnownBytes,
): Found[] {
  const found: Found[] = [];
  for (const [element, holds] of answersOf(set, elements, keyAt)) {
    if (holds === "no") continue;
    found.push({ element, certain: holds === "yes" && !element.conditional });
  }
  // The element for all other keys: with it, there is one for every key.
  const others = elements.find((element) => element.key === undefined);
  if (others !== undefined && !found.some(({ certain }) => certain)) {
    const conditional = [others, ...found.map(({ element }) => element)]
      .some((element) => element.conditional);
    found.push({ element: others, certain: !conditional });
  }
  return found;
}

function answersOf(
  set: ListedSet,
  elements: readonly ListedElement[],
  keyAt: (length: number) => KnownBytes,
): [ListedElement, Answer][] {
  const keyed = elements.flatMap((element) =>
    element.key === undefined ? [] : [{ element, key: element.key }]
  );
  if (!set.interval) {
    return keyed.map(({ element, key }) => [element, equals(keyAt(key.length), key)]);
  }
  if (keyed.some(({ element }) => element.keyEnd !== undefined) || set.fields.length > 0) {
    return keyed.map(({ element, key }) => {
      const last = element.keyEnd ?? key;
      return [element, withinFields(keyAt(key.length), key, last, set.fields)];
    });
  }
  // Boundaries: a first key, and behind the interval the first key that is no more in it. Of both at
  // one place the interval that begins there counts.
  const sorted = keyed.sort((one, other) =>
    compareBytes(one.key, other.key) ||
    Number(other.element.intervalEnd) - Number(one.element.intervalEnd)
  );
  return sorted.flatMap(({ element, key }, index): [ListedElement, Answer][] => {
    if (element.intervalEnd) return [];
    const next = sorted[index + 1];
    const last = next === undefined ? new Uint8Array(key.length).fill(0xff) : before(next.key);
    return [[element, isWithin(keyAt(key.length), key, last)]];
  });
}

/** Intervals of each field of a key by itself. */
function withinFields(
  key: KnownBytes,
  first: Uint8Array,
  last: Uint8Array,
  fields: readonly number[],
): Answer {
  const answers: Answer[] = [];
  let at = 0;
  for (const bytes of fields.length === 0 ? [first.length] : fields) {
    const length = Math.min(bytes, first.length);
    const end = at + length;
    answers.push(
      isWithin(slice(key, at, length), first.subarray(at, end), last.subarray(at, end)),
    );
    at += Math.ceil(length / 4) * 4;
  }
  return all(answers);
}

/** The key just before this one. */
function before(key: Uint8Array): Uint8Array {
  const bytes = key.slice();
  for (let index = bytes.length - 1; index >= 0; index--) {
    const byte = bytes[index] ?? 0;
    bytes[index] = (byte - 1) & 0xff;
    if (byte !== 0) break;
  }
  return bytes;
}
