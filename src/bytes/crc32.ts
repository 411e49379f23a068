// CRC-32 (ISO 3309, RFC 1952 section 8): finds every change of up to three bits and every torn write of
// a short record. No protection against anybody who wants to change it.

const POLYNOMIAL = 0xedb88320; // bits reversed

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) {
    remainder = remainder & 1 ? remainder >>> 1 ^ POLYNOMIAL : remainder >>> 1;
  }
  return remainder;
});

/**
 * Checksum of bytes as an unsigned 32-bit number.
 *
 * @example The check value of the catalogues of CRCs
 * ```ts
 * import assert from "node:assert/strict";
 * assert.equal(crc32(new TextEncoder().encode("123456789")), 0xcbf43926);
 * ```
 */
export function crc32(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    remainder = remainder >>> 8 ^ (TABLE[(remainder ^ byte) & 0xff] ?? 0);
  }
  return ~remainder >>> 0;
}
