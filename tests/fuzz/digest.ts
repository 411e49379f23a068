// A value as one number: equal values have equal numbers, different ones nearly always different ones.

/** Of long bytes only the two ends count: whoever reads at another place has others there. */
const ENDS_BYTES = 64;

/** Folds a number of 32 bits or a fraction into another. */
export function fold(sum: number, value: number): number {
  const low = Math.imul(sum ^ (value | 0), 0x01000193);
  return (low ^ low >>> 15) + Math.imul(value / 2 ** 32 | 0, 0x9e3779b1) | 0;
}

/** A number for any value made of plain objects, arrays, maps, bytes and primitives. */
export function digest(value: unknown, sum = 0x811c9dc5 | 0): number {
  switch (typeof value) {
    case "number":
      return fold(sum, value);
    case "string": {
      let folded = fold(sum, value.length);
      for (let at = 0; at < value.length; at++) folded = fold(folded, value.charCodeAt(at));
      return folded;
    }
    case "bigint":
      return fold(fold(sum, Number(value >> 32n)), Number(value & 0xffffffffn));
    case "object":
      return value === null ? fold(sum, 17) : digestObject(value, sum);
    default:
      return fold(sum, value === undefined ? 19 : value ? 23 : 29);
  }
}

function digestObject(value: object, sum: number): number {
  if (value instanceof Uint8Array) {
    const { length } = value;
    let folded = fold(sum, length);
    for (let at = 0; at < Math.min(length, ENDS_BYTES); at++) {
      folded = fold(folded, (value[at] as number) * 256 + (value[length - 1 - at] as number));
    }
    return folded;
  }
  if (value instanceof Error) return digest(value.message, digest(value.name, sum));
  let folded = sum;
  if (Array.isArray(value)) {
    for (const one of value) folded = digest(one, fold(folded, 31));
  } else if (value instanceof Map) {
    for (const [key, one] of value) folded = digest(one, digest(key, folded));
  } else {
    for (const [key, one] of Object.entries(value)) folded = digest(one, digest(key, folded));
  }
  return fold(folded, 37);
}
