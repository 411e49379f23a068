// nodeCrypto against published vectors: RFC 4231 (HMAC-SHA-256), FIPS 197 and SP 800-38A (AES-256),
// and for scrypt, whose parameters are pk's, what Python's hashlib says.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { hex, unhex } from "../../../src/bytes/hex.ts";
import { nodeCrypto } from "../../../src/crypto/node_crypto.ts";

const text = (words: string) => new TextEncoder().encode(words);

// RFC 4231; case 5 is about truncation.
const hmacs: readonly [criterion: string, key: Uint8Array, message: Uint8Array, digest: string][] =
  [
    [
      "case 1",
      new Uint8Array(20).fill(0x0b),
      text("Hi There"),
      "b0344c61d8db38535ca8afceaf0bf12b 881dc200c9833da726e9376c2e32cff7",
    ],
    [
      "case 2: a short key",
      text("Jefe"),
      text("what do ya want for nothing?"),
      "5bdcc146bf60754e6a042426089575c7 5a003f089d2739839dec58b964ec3843",
    ],
    [
      "case 3",
      new Uint8Array(20).fill(0xaa),
      new Uint8Array(50).fill(0xdd),
      "773ea91e36800e46854db8ebd09181a7 2959098b3ef8c122d9635514ced565fe",
    ],
    [
      "case 4",
      unhex("0102030405060708090a0b0c0d0e0f10111213141516171819"),
      new Uint8Array(50).fill(0xcd),
      "82558a389a443c0ea4cc819899f2083a 85f0faa3e578f8077a2e3ff46729665b",
    ],
    [
      "case 6: a key longer than a block",
      new Uint8Array(131).fill(0xaa),
      text("Test Using Larger Than Block-Size Key - Hash Key First"),
      "60e431591ee0b67f0d8a26aacbf5b77f 8e0bc6213728c5140546040f0ee37f54",
    ],
    [
      "case 7: key and message longer than a block",
      new Uint8Array(131).fill(0xaa),
      text(
        "This is a test using a larger than block-size key and a larger than block-size data. " +
          "The key needs to be hashed before being used by the HMAC algorithm.",
      ),
      "9b09ffa71b942fcb27635fbcd5b0e944 bfdc63644f0713938a7f51535c3a35e2",
    ],
  ];

for (const [criterion, key, message, digest] of hmacs) {
  Deno.test(`hmacSha256() RFC 4231 ${criterion}`, () => {
    const hmac = nodeCrypto.hmacSha256(key);
    // More than once: an answer leaves nothing behind.
    for (let time = 0; time < 3; time++) {
      assert.equal(hex(hmac(message)), hex(unhex(digest)));
    }
  });
}

Deno.test("hmacSha256() is createHmac, whatever key and messages", () => {
  const bytes = fc.uint8Array({ maxLength: 200 });
  fc.assert(fc.property(bytes, fc.array(bytes, { maxLength: 4 }), (key, messages) => {
    const hmac = nodeCrypto.hmacSha256(key);
    for (const message of messages) {
      assert.equal(hex(hmac(message)), createHmac("sha256", key).update(message).digest("hex"));
    }
  }));
});

// FIPS 197, C.3; SP 800-38A, F.1.5.
const blocks: readonly [key: string, pairs: readonly [plaintext: string, ciphertext: string][]][] =
  [
    ["000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", [
      ["00112233445566778899aabbccddeeff", "8ea2b7ca516745bfeafc49904b496089"],
    ]],
    ["603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", [
      ["6bc1bee22e409f96e93d7e117393172a", "f3eed1bdb5d2a03c064b5a7e3db181f8"],
      ["ae2d8a571e03ac9c9eb76fac45af8e51", "591ccb10d410ed26dc5ba74a31362870"],
      ["30c81c46a35ce411e5fbc1191a0a52ef", "b6ed21b99ca6f4f9f153e7b1beafed1d"],
      ["f69f2445df4f9b17ad2b417be66c3710", "23304b7a39f9f3ff067d8d8f9e24ecc7"],
    ]],
  ];

/** A test with ciphers, which live as long as the process. */
const cipherTest = (name: string, fn: () => void | Promise<void>) =>
  Deno.test({ name, fn, sanitizeResources: false });

for (const [key, pairs] of blocks) {
  cipherTest(`aesEncrypt(), aesDecrypt() known blocks under ${key.slice(0, 8)}`, () => {
    const encrypt = nodeCrypto.aesEncrypt(unhex(key));
    const decrypt = nodeCrypto.aesDecrypt(unhex(key));
    for (const [plaintext, ciphertext] of [...pairs, ...pairs]) {
      assert.equal(hex(encrypt(unhex(plaintext))), ciphertext);
      assert.equal(hex(decrypt(unhex(ciphertext))), plaintext);
    }
  });
}

cipherTest("aesDecrypt() takes any block, and gives it back to aesEncrypt()", () => {
  const key = unhex(blocks[0]?.[0] ?? "");
  const encrypt = nodeCrypto.aesEncrypt(key);
  const decrypt = nodeCrypto.aesDecrypt(key);
  const block = fc.uint8Array({ minLength: 16, maxLength: 16 });
  fc.assert(fc.property(block, (bytes) => {
    assert.equal(hex(encrypt(decrypt(bytes))), hex(bytes));
  }));
});

for (const length of [0, 15, 17, 32]) {
  cipherTest(`aesEncrypt(), aesDecrypt() refuse ${length} bytes`, () => {
    const bytes = new Uint8Array(length);
    assert.throws(() => nodeCrypto.aesEncrypt(new Uint8Array(32))(bytes), RangeError);
    assert.throws(() => nodeCrypto.aesDecrypt(new Uint8Array(32))(bytes), RangeError);
  });
}

// python3 -c 'import hashlib; print(hashlib.scrypt(PASSPHRASE, salt=SALT, n=32768, r=8, p=1,
//   maxmem=64 << 20, dklen=LENGTH).hex())'
const scrypts: readonly [passphrase: string, salt: string, derived: string][] = [
  [
    "correct horse battery staple",
    "pk-encrypted-1",
    "e218108960eff64a3d67dc15eedc9546154bdc90da83dc76ace11302ebad076a" +
    "ac6e74f94b6bd272d41423efe2f57bc5d8387bfb733ee00947fe98d8c19d30ea",
  ],
  ["pässwörd", "", "04092a1c445803dfcdbcacf8369dd7b3dc7bc57e80b87918124d51b8cf55a257"],
];

for (const [passphrase, salt, derived] of scrypts) {
  Deno.test(`scrypt() known key of ${passphrase}`, async () => {
    const key = await nodeCrypto.scrypt(text(passphrase), text(salt), derived.length / 2);
    assert.equal(hex(key), derived);
  });
}

cipherTest("nodeCrypto gives plain arrays with a buffer of their own", async () => {
  const key = new Uint8Array(32);
  const results = [
    nodeCrypto.hmacSha256(key)(key),
    nodeCrypto.aesEncrypt(key)(new Uint8Array(16)),
    nodeCrypto.aesDecrypt(key)(new Uint8Array(16)),
    await nodeCrypto.scrypt(key, key, 16),
  ];
  for (const result of results) {
    assert.equal(result.constructor, Uint8Array);
    assert.equal(result.buffer.byteLength, result.length);
  }
});
