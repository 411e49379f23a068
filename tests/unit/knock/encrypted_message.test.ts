// Messages of encrypted sequences against tests/vectors/encrypted.json, which a Python program of its
// own made (encrypted.py beside it, with AES of OpenSSL), and what opens them.

import assert from "node:assert/strict";
import { createDecipheriv, createHmac, scryptSync } from "node:crypto";
import fc from "fast-check";
import { hex, unhex } from "../../../src/bytes/hex.ts";
import type { Port } from "../../../src/config/config.ts";
import { CONCEALED, keyText, Secret } from "../../../src/config/secret.ts";
import { nodeCrypto as crypto } from "../../../src/crypto/node_crypto.ts";
import {
  deriveKeys,
  encryptedSequence,
  fullStep,
  isPassphrase,
  type MessageKeys,
  messageOpener,
  portsOf,
  sealMessage,
  type Sender,
  STEP_MS,
  stepAt,
} from "../../../src/knock/encrypted_message.ts";
import { parseAddress } from "../../../src/packet/address.ts";
import type { Source } from "../../../src/packet/header.ts";
import { ipv4, ipv6 } from "../../support/naive_machine.ts";
import vectors from "../../vectors/encrypted.json" with { type: "json" };

/** Ciphers of node:crypto are resources that live as long as the process. */
const test = (name: string, fn: () => void | Promise<void>) =>
  Deno.test({ name, fn, sanitizeResources: false });

const openMessage = (sender: Sender, block: Uint8Array, stepNow: number) =>
  messageOpener(crypto, sender)(block, sender.source, stepNow);

type Vector = typeof vectors[number];

const secretOf = (text: string) => new Secret(new TextEncoder().encode(text));

const keysOf = ({ aesKey, hmacKey }: Vector): MessageKeys => ({
  aes: new Secret(unhex(aesKey)),
  hmac: new Secret(unhex(hmacKey)),
});

function senderOf(vector: Vector) {
  const { door, userId } = vector;
  return { keys: keysOf(vector), door, userId, source: parseAddress(vector.source) as Source };
}

for (const vector of vectors) {
  test(`deriveKeys() vector: ${vector.case}`, async () => {
    const secret = secretOf(vector.secret);
    const { aes, hmac } = await deriveKeys(crypto, secret, vector.door, vector.userId);
    assert.equal(hex(aes.reveal()), vector.aesKey);
    assert.equal(hex(hmac.reveal()), vector.hmacKey);
  });

  test(`encryptedSequence() vector: ${vector.case}`, () => {
    for (const [layout, first] of [["window", 22_000], ["indexed", 24_000]] as const) {
      const sequence = encryptedSequence({
        ...senderOf(vector),
        crypto,
        layout,
        ports: { first: first as Port },
        unixMs: vector.timeStep * STEP_MS + 29_999,
      });
      assert.deepEqual(sequence, vector[layout]);
    }
  });

  test(`messageOpener() vector: ${vector.case}`, () => {
    const block = unhex(vector.block);
    assert.equal(openMessage(senderOf(vector), block, vector.timeStep), vector.timeStep);
  });
}

test("the vectors are what their parts say", () => {
  for (const { aesKey, hmacKey, macMessage, plain, block, userId, timeStep } of vectors) {
    const cipher = createDecipheriv("aes-256-ecb", unhex(aesKey), new Uint8Array(0));
    cipher.setAutoPadding(false);
    assert.equal(cipher.update(block, "hex", "hex"), plain);
    const mac = createHmac("sha256", unhex(hmacKey)).update(unhex(macMessage)).digest("hex");
    const step = (timeStep % 2 ** 24).toString(16).padStart(6, "0");
    assert.equal(plain, userId.toString(16).padStart(2, "0") + step + mac.slice(0, 24));
  }
});

test("a passphrase costs scrypt with N = 32768, r = 8, p = 1", () => {
  const { secret, aesKey, hmacKey } = vectors.find(({ case: name }) => name === "a passphrase") ??
    assert.fail();
  const salt = new Uint8Array([...new TextEncoder().encode("pk-encrypted-key-1\x05vault"), 1]);
  const cost = { N: 32_768, r: 8, p: 1, maxmem: 2 ** 26 };
  assert.equal(scryptSync(secret, salt, 64, cost).toString("hex"), aesKey + hmacKey);
});

test("isPassphrase() takes eight groups of four for a key, and nothing else", () => {
  const key = keyText(new Uint8Array(20).fill(77));
  const keys = [key, key.toUpperCase(), key.replaceAll("-", " "), ` ${key}\t`];
  const phrases = [
    "",
    key.replaceAll("-", ""),
    `${key}-`,
    key.slice(1),
    key.replace("-", "  "),
    "x",
  ];
  for (const text of keys) assert(!isPassphrase(secretOf(text)), text);
  for (const text of phrases) assert(isPassphrase(secretOf(text)), text);
  assert(isPassphrase(new Secret(new Uint8Array([0xff, 0xfe]))));
});

Deno.test("PROTOCOL.md shows the first vectors", async () => {
  const protocol = await Deno.readTextFile("PROTOCOL.md");
  const packed = protocol.replace(/\s+/g, "");
  for (const vector of vectors.slice(0, 4)) {
    for (const text of [vector.macMessage, vector.plain, vector.block]) {
      assert(packed.includes(text), text);
    }
    assert(packed.includes(vector.window.join()), vector.case);
  }
  for (const text of [vectors[0]?.aesKey, vectors[0]?.hmacKey]) assert(packed.includes(`${text}`));
});

test("fullStep() finds the step nearest to now, at any wrap of its 24 bits", () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 40 }), fc.integer({ min: -3, max: 3 }), (base, ahead) => {
      const now = base + 3;
      const step = now + ahead;
      assert.equal(fullStep(step % 2 ** 24, now), Math.abs(ahead) <= 1 ? step : undefined);
    }),
  );
  assert.equal(fullStep(0xffffff, 2 ** 24), 2 ** 24 - 1);
  assert.equal(fullStep(0, 2 ** 24 - 1), 2 ** 24);
  assert.equal(fullStep(0x800000, 0), undefined);
});

test("portsOf() counts them", () => {
  assert.equal(portsOf("window"), 256);
  assert.equal(portsOf("indexed"), 4096);
});

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const word = fc.nat({ max: 0xffff_ffff });
const source = fc.oneof(word.map(ipv4), fc.tuple(word, word, word, word).map((w) => ipv6(...w)));
const sender = fc.record({
  keys: fc.record({
    aes: bytes32.map((bytes) => new Secret(bytes)),
    hmac: bytes32.map((bytes) => new Secret(bytes)),
  }),
  door: fc.string({ maxLength: 20 }),
  userId: fc.nat({ max: 255 }),
  source,
});
const step = fc.oneof(fc.nat({ max: 2 ** 27 }), fc.nat({ max: 2 ** 40 })).map((step) => step + 1);

test("messageOpener() gives the step of what the same sender sealed, one step early or late", () => {
  fc.assert(fc.property(sender, step, fc.integer({ min: -1, max: 1 }), (sender, step, skew) => {
    assert.equal(openMessage(sender, sealMessage(crypto, sender, step), step + skew), step);
  }));
});

test("messageOpener() refuses a message two steps old or early", () => {
  fc.assert(
    fc.property(sender, step, fc.constantFrom(-2, 2, 3, -1000, 2 ** 24), (one, step, skew) => {
      const block = sealMessage(crypto, one, step);
      assert.equal(openMessage(one, block, step + skew), undefined);
    }),
  );
});

const sameSender = (one: Sender, other: Sender) =>
  one.door === other.door && one.userId === other.userId &&
  JSON.stringify(one.source) === JSON.stringify(other.source);

test("messageOpener() refuses what another sender sealed: door, user, source or a key", () => {
  fc.assert(fc.property(sender, sender, step, fc.nat({ max: 4 }), (one, other, step, part) => {
    const stranger = {
      ...one,
      ...[
        { door: other.door },
        { userId: other.userId },
        { source: other.source },
        { keys: { aes: one.keys.aes, hmac: other.keys.hmac } },
        { keys: { aes: other.keys.aes, hmac: one.keys.hmac } },
      ][part],
    };
    fc.pre(part > 2 || !sameSender(stranger, one));
    const mapped = (s: Source) => s.family === 6 && s.word0 === 0 && s.word1 === 0;
    fc.pre(!mapped(one.source) && !mapped(stranger.source));
    const block = sealMessage(crypto, stranger, step);
    const opened = openMessage(one, block, step);
    const sameKeys = stranger.keys.aes.equals(one.keys.aes) &&
      stranger.keys.hmac.equals(one.keys.hmac);
    assert.equal(opened, part > 2 && sameKeys ? step : undefined);
  }));
});

test("messageOpener() refuses a message with any bit changed, in the block or under it", () => {
  const one = senderOf(vectors[0] ?? assert.fail());
  const block = sealMessage(crypto, one, 56_666_666);
  const plain = crypto.aesDecrypt(one.keys.aes.reveal())(block);
  const flipped = (bytes: Uint8Array, bit: number) =>
    bytes.map((byte, at) => at === bit >> 3 ? byte ^ 1 << (bit & 7) : byte);
  for (let bit = 0; bit < 128; bit++) {
    assert.equal(openMessage(one, flipped(block, bit), 56_666_666), undefined);
    const forged = crypto.aesEncrypt(one.keys.aes.reveal())(flipped(plain, bit));
    assert.equal(openMessage(one, forged, 56_666_666), undefined, `bit ${bit}`);
  }
});

test("messageOpener() never throws, whatever the wall clock says", () => {
  const one = senderOf(vectors[0] ?? assert.fail());
  for (const now of [NaN, Infinity, -Infinity, -1, 0, 2 ** 53, stepAt(-1e15)]) {
    assert.equal(openMessage(one, unhex(vectors[0]?.block ?? ""), now), undefined);
  }
});

test("keys are not seen where they are printed", () => {
  const keys = keysOf(vectors[0] ?? assert.fail());
  assert.equal(JSON.stringify(keys), `{"aes":"${CONCEALED}","hmac":"${CONCEALED}"}`);
  assert(!Deno.inspect(keys).includes("Uint8Array"));
});
