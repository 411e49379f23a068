// Secrets: bytes that can be used and not be seen. Whatever prints one, on purpose or by mistake,
// prints a placeholder.

/** What stands for a secret wherever one is printed. */
export const CONCEALED = "[secret]";

export class Secret {
  readonly #bytes: Uint8Array<ArrayBuffer>;

  /** Takes a copy. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes.slice();
  }

  /** The bytes themselves, a copy: for whoever computes with them. */
  reveal(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice();
  }

  /** Are both the same? Not in constant time: for configurations, never for what a packet says. */
  equals(other: Secret): boolean {
    return this.#bytes.length === other.#bytes.length &&
      this.#bytes.every((byte, index) => byte === other.#bytes[index]);
  }

  toString(): string {
    return CONCEALED;
  }

  toJSON(): string {
    return CONCEALED;
  }
}

/** Bytes of a key that `pk secret` makes: 160 bits, as RFC 4226 recommends. */
export const KEY_BYTES = 20;

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
const GROUP = 4;

/**
 * A key as text: base32 (RFC 4648) in small letters, in groups of four: short enough to be typed.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { keyText } from "./secret.ts";
 * assert.equal(keyText(new Uint8Array(20)), "aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa");
 * ```
 */
export function keyText(bytes: Uint8Array): string {
  let bits = "";
  for (const byte of bytes) bits += byte.toString(2).padStart(8, "0");
  const letters = (bits.match(/.{1,5}/g) ?? []).map((five) =>
    ALPHABET[Number.parseInt(five.padEnd(5, "0"), 2)]
  );
  return letters.join("").match(new RegExp(`.{1,${GROUP}}`, "g"))?.join("-") ?? "";
}

/**
 * The key that a text is; undefined for anything but what `keyText` writes. Capitals, blanks and
 * missing hyphens are taken as meant.
 */
export function parseKey(text: string): Secret | undefined {
  const letters = text.toLowerCase().replace(/[\s-]+/g, "");
  if (letters.length !== KEY_BYTES * 8 / 5 || /[^a-z2-7]/.test(letters)) return undefined;
  const bytes = new Uint8Array(KEY_BYTES);
  let bits = 0;
  let count = 0;
  let at = 0;
  for (const letter of letters) {
    bits = (bits << 5 | ALPHABET.indexOf(letter)) & 0xfff;
    count += 5;
    if (count < 8) continue;
    count -= 8;
    bytes[at++] = bits >> count & 0xff;
  }
  return new Secret(bytes);
}
