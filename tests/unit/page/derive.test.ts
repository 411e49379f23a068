// The page's own SHA-256 and derivation against Node's and against the vectors of PROTOCOL.md, and what
// may be typed into the page. tests/netns/page.test.ts runs the same functions in Chromium.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { nextTurn } from "../../../src/client/time_step.ts";
import { keyText } from "../../../src/config/secret.ts";
import {
  addressBytes,
  derivePorts,
  keyBytes,
  nextStep,
  typedPorts,
} from "../../../src/page/derive.ts";
import { addressBytes as ours, formatAddress, parseAddress } from "../../../src/packet/address.ts";
import { hmacSha256, sha256 } from "../../../src/page/sha256.ts";
import vectors from "../../vectors/rotating.json" with { type: "json" };

const bytes = (maxLength: number) => fc.uint8Array({ maxLength });

Deno.test("sha256() and hmacSha256() say what Node's say", () => {
  fc.assert(fc.property(bytes(300), bytes(150), (message, key) => {
    assert.deepEqual(sha256(message), plain(createHash("sha256").update(message).digest()));
    assert.deepEqual(
      hmacSha256(key, message),
      plain(createHmac("sha256", key).update(message).digest()),
    );
  }));
});

Deno.test("sha256() at the edges of its blocks", () => {
  for (const length of [0, 55, 56, 63, 64, 65, 119, 120, 1000]) {
    const message = new Uint8Array(length).fill(0xa5);
    const expected = plain(createHash("sha256").update(message).digest());
    assert.deepEqual(sha256(message), expected, `${length} bytes`);
  }
});

Deno.test("derivePorts() passes the vectors", () => {
  assert.ok(vectors.length > 0);
  for (const { case: name, key, source, sequence, ...question } of vectors) {
    const address = source ? addressBytes(source) : new Uint8Array();
    assert.ok(address, name);
    const bytes = Uint8Array.from(key.match(/../g) ?? [], (hex) => parseInt(hex, 16));
    assert.deepEqual(derivePorts({ ...question, key: bytes, address }), sequence, name);
  }
});

Deno.test("keyBytes() reads what keyText() writes, however it is typed", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 20, maxLength: 20 }), (key) => {
    const text = keyText(key);
    assert.deepEqual(keyBytes(text), key);
    assert.deepEqual(keyBytes(` ${text.toUpperCase().replaceAll("-", " ")}\n`), key);
    assert.equal(keyBytes(text.slice(1)), undefined);
  }));
  assert.equal(keyBytes(""), undefined);
  assert.equal(keyBytes("aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaa1"), undefined);
});

Deno.test("addressBytes() reads what the rest of pk reads", () => {
  const texts = fc.oneof(fc.ipV4(), fc.ipV6().filter((text) => parseAddress(text) !== undefined));
  fc.assert(fc.property(texts, (text) => {
    const address = parseAddress(text);
    assert.ok(address);
    const mapped = /^::ffff:[\d.]+$/.test(formatAddress(address));
    assert.deepEqual(addressBytes(text), ours(address).slice(mapped ? 12 : 0));
  }));
  assert.deepEqual(addressBytes("::ffff:192.0.2.1"), Uint8Array.of(192, 0, 2, 1));
  assert.deepEqual(addressBytes("::"), new Uint8Array(16));
  for (const text of ["", "x", "192.0.2.256", "1.2.3", "2001:db8:::1", "fe80::1%eth0", "a]/"]) {
    assert.equal(addressBytes(text), undefined, text);
  }
});

Deno.test("nextStep() chooses as pk knock does", () => {
  const last = fc.option(fc.integer({ min: 95, max: 110 }), { nil: undefined });
  fc.assert(fc.property(last, fc.integer({ min: 3_000_000, max: 3_090_000 }), (last, unixMs) => {
    assert.deepEqual(nextStep(last, unixMs, 30_000), nextTurn(last, unixMs, 30_000));
  }));
});

Deno.test("typedPorts() takes ports as people type them and says what is wrong with others", () => {
  const cases: readonly [text: string, expected: number[] | RegExp][] = [
    ["7153, 2918,8461", [7153, 2918, 8461]],
    [" 7153\n2918 tcp/8461; 5307", [7153, 2918, 8461, 5307]],
    ["7000 8000 7000", [7000, 8000, 7000]],
    ["", /2 to 32/],
    ["7000", /2 to 32/],
    [Array.from({ length: 33 }, (_, index) => 7000 + index).join(), /2 to 32/],
    ["7000 70000", /^Port 2 is none/],
    ["udp/7000 8000", /^Port 1 is none/],
    ["7000 6667", /^Port 2 is one that browsers block/],
    ["8000 7000 7000", /^Ports 2 and 3 are the same/],
  ];
  for (const [text, expected] of cases) {
    const typed = typedPorts(text, [6667]);
    if (expected instanceof RegExp) assert.match(String(typed), expected, text);
    else assert.deepEqual(typed, expected, text);
  }
});

function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer);
}
