// Bytes as text, for tests and error messages.

/**
 * Lower-case hexadecimal without separators.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { hex } from "./hex.ts";
 * assert(hex(new Uint8Array([0, 255])) === "00ff");
 * ```
 */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Bytes from hexadecimal text; blanks and line ends are skipped. */
export function unhex(text: string): Uint8Array<ArrayBuffer> {
  const digits = text.replace(/\s+/g, "");
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new TypeError(`Not hexadecimal: ${digits}`);
  return new Uint8Array(Array.from(digits.matchAll(/../g), ([pair]) => Number.parseInt(pair, 16)));
}
