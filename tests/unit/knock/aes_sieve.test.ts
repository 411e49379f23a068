// AesSieve against AES-256 of node:crypto and the example of FIPS 197, appendix C.3.

import assert from "node:assert/strict";
import fc from "fast-check";
import { unhex } from "../../../src/bytes/hex.ts";
import { nodeCrypto } from "../../../src/crypto/node_crypto.ts";
import { AesSieve, type Block } from "../../../src/knock/aes_sieve.ts";

function blockOf(bytes: Uint8Array): Block {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [word0, word1, word2, word3] = [0, 4, 8, 12].map((at) => view.getInt32(at)) as [
    number,
    number,
    number,
    number,
  ];
  return { word0, word1, word2, word3 };
}

Deno.test("AesSieve.firstWord() decrypts the example of FIPS 197", () => {
  const key = unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  const block = blockOf(unhex("8ea2b7ca516745bfeafc49904b496089"));
  assert.equal(new AesSieve([key]).firstWord(0, block), 0x00112233);
});

Deno.test({
  name: "AesSieve.firstWord() equals node:crypto under each of many keys",
  // Ciphers of node:crypto are resources that live as long as the process.
  sanitizeResources: false,
  fn: equalsNode,
});

function equalsNode() {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const block = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const keys = fc.array(key, { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(keys, block, (keys, block) => {
      const sieve = new AesSieve(keys);
      keys.forEach((key, index) => {
        const plain = nodeCrypto.aesDecrypt(key)(block);
        assert.equal(
          sieve.firstWord(index, blockOf(block)),
          new DataView(plain.buffer).getUint32(0),
        );
      });
    }),
    { numRuns: 500 },
  );
}
