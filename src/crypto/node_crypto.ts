// The cryptography of knocks on node:crypto, synchronous but for scrypt: a packet is judged in the turn it
// came in.
// Only this folder imports node:crypto, and the server loads it by dynamic import when a door needs
// it, since it costs memory. Results are plain Uint8Arrays: the slice() of a Buffer is no copy.

import { createCipheriv, createDecipheriv, createHash, scrypt as stretch } from "node:crypto";
import type { Bytes, KnockCrypto } from "../knock/crypto.ts";

/** scrypt's N, r and p (RFC 7914): 32 MiB and about 0.2 s for each guess at a passphrase. */
const SCRYPT_COST = { N: 32_768, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;

const SHA256_BLOCK_BYTES = 64;
const AES_BLOCK_BYTES = 16;

/**
 * ```ts
 * import assert from "node:assert/strict";
 * import { nodeCrypto } from "./node_crypto.ts";
 * const hmac = nodeCrypto.hmacSha256(new TextEncoder().encode("Jefe"));
 * const digest = hmac(new TextEncoder().encode("what do ya want for nothing?"));
 * assert(digest.toHex().startsWith("5bdcc146bf60754e")); // RFC 4231, test case 2
 * ```
 */
export const nodeCrypto: KnockCrypto = { hmacSha256, aesEncrypt, aesDecrypt, scrypt };

/**
 * RFC 2104 in its own words, section 4: both hashes are taken up after their first block, which the
 * key alone decides. That is 2.5 times as fast as createHmac, which starts anew for each message.
 */
function hmacSha256(key: Uint8Array): (message: Uint8Array) => Bytes {
  const block = new Uint8Array(SHA256_BLOCK_BYTES);
  block.set(key.length > block.length ? createHash("sha256").update(key).digest() : key);
  const inner = createHash("sha256").update(block.map((byte) => byte ^ 0x36));
  const outer = createHash("sha256").update(block.map((byte) => byte ^ 0x5c));
  block.fill(0);
  return (message) => plain(outer.copy().update(inner.copy().update(message).digest()).digest());
}

function aesEncrypt(key: Uint8Array): (block: Uint8Array) => Bytes {
  return blockByBlock(createCipheriv("aes-256-ecb", key, NO_VECTOR));
}

function aesDecrypt(key: Uint8Array): (block: Uint8Array) => Bytes {
  return blockByBlock(createDecipheriv("aes-256-ecb", key, NO_VECTOR));
}

/**
 * ECB keeps nothing from one block to the next, so one cipher serves all, three times as fast as a
 * new one for each. It is a resource of Deno's that lives as long as the process: about 2 KB a key.
 */
function blockByBlock(cipher: ReturnType<typeof createCipheriv>): (block: Uint8Array) => Bytes {
  cipher.setAutoPadding(false);
  return (block) => {
    if (block.length !== AES_BLOCK_BYTES) {
      throw new RangeError(`Cannot encrypt or decrypt ${block.length} bytes: AES takes 16`);
    }
    return plain(cipher.update(block));
  };
}

/** On another thread. Deno gives 10 to 64 bytes and throws at any other length. */
function scrypt(passphrase: Uint8Array, salt: Uint8Array, length: number): Promise<Bytes> {
  return new Promise((resolve, reject) =>
    stretch(passphrase, salt, length, SCRYPT_COST, (error, key) => {
      if (error) reject(error);
      else resolve(plain(key));
    })
  );
}

/** What ECB has for an initialization vector; Deno does not take null for it. */
const NO_VECTOR = new Uint8Array(0);

/** A copy: a Buffer's own memory may be a piece of a larger one. */
function plain(buffer: Uint8Array): Bytes {
  return new Uint8Array(buffer);
}
