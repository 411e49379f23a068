// Reader and Writer: byte order, bounds, alignment, growth, and each other's inverse.

import fc from "fast-check";
import assert from "node:assert/strict";
import { LITTLE_ENDIAN } from "../../../src/bytes/endian.ts";
import { hex, unhex } from "../../../src/bytes/hex.ts";
import { cstring, Reader } from "../../../src/bytes/reader.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { DecodeError } from "../../../src/errors.ts";

/** Each integer's verb with its width, to be written, and read again. */
const INTEGERS = {
  u8: 1,
  u16be: 2,
  u32be: 4,
  u16ne: 2,
  u32ne: 4,
} as const;
type Verb = keyof typeof INTEGERS;
const verbs = Object.keys(INTEGERS) as Verb[];

Deno.test("Writer writes network order and the machine's own", () => {
  const be = new Writer().u16be(0x0102).u32be(0x03040506).u64be(0x0708090a0b0c0d0en).bytes();
  assert.equal(hex(be), "0102030405060708090a0b0c0d0e");
  const ne = new Writer().u16ne(0x0102).u32ne(0x03040506).bytes();
  assert.equal(hex(ne), LITTLE_ENDIAN ? "020106050403" : "010203040506");
});

Deno.test("Writer grows from nothing, aligns with zeros, patches what was written", () => {
  const writer = new Writer(0).u32ne(0).u16ne(0).raw(unhex("ffff")).cstring("pk").align(4);
  writer.patchU32ne(0, writer.length).patchU16ne(4, 7).align(4);
  const expected = LITTLE_ENDIAN ? "0c0000000700" : "0000000c0007";
  assert.equal(hex(writer.bytes()), `${expected}ffff706b0000`);
});

Deno.test("Writer gives copies: later writing does not change them", () => {
  const writer = new Writer(8).u8(1);
  const before = writer.bytes();
  writer.patchU16ne(0, 0xffff).u8(2);
  assert.equal(hex(before), "01");
});

Deno.test("Reader reads back any sequence of integers, wherever it starts in its buffer", () => {
  const integer = fc.constantFrom(...verbs).chain((verb) =>
    fc.tuple(fc.constant(verb), fc.nat(256 ** INTEGERS[verb] - 1))
  );
  fc.assert(fc.property(fc.array(integer), fc.nat(7), (integers, before) => {
    const writer = new Writer(1).raw(new Uint8Array(before));
    for (const [verb, value] of integers) writer[verb](value);
    const reader = new Reader(writer.bytes().subarray(before));
    for (const [verb, value] of integers) assert.equal(reader[verb](), value);
    assert.equal(reader.left, 0);
  }));
});

Deno.test("Reader reads signed and 64-bit integers", () => {
  assert.equal(new Reader(new Writer().u32ne(-17 >>> 0).bytes()).i32ne(), -17);
  assert.equal(new Reader(unhex("ffffffffffffffff")).u64be(), 2n ** 64n - 1n);
});

Deno.test("Reader tells where it failed, what it needed and what there was, and stays there", () => {
  const reader = new Reader(unhex("0102030405"));
  reader.u32be();
  for (const [need, read] of [[2, () => reader.u16be()], [9, () => reader.raw(9)]] as const) {
    assert.throws(read, (error) => {
      assert.ok(error instanceof DecodeError);
      assert.deepEqual([error.offset, error.need, error.have], [4, need, 1]);
      assert.match(error.message, /^Cannot read \w+ at offset 4: needs \d bytes, has 1$/);
      return true;
    });
  }
  assert.equal(reader.u8(), 5);
});

Deno.test("Reader aligns up to the end and no further; raw() and rest() are views", () => {
  const bytes = unhex("0102030405");
  const reader = new Reader(bytes);
  reader.u8();
  assert.equal(reader.align(4).offset, 4);
  assert.equal(reader.align(4).offset, 4);
  const rest = reader.rest();
  assert.equal(reader.align(4).offset, 5);
  bytes[4] = 9;
  assert.deepEqual([...rest], [9]);
});

Deno.test("Reader never goes back: a negative count is an error", () => {
  const reader = new Reader(unhex("01020304"));
  reader.u16be();
  assert.throws(() => reader.raw(-2), DecodeError);
});

Deno.test("cstring() ends at the first zero byte or at the end", () => {
  assert.equal(cstring(unhex("706b00ff")), "pk");
  assert.equal(cstring(unhex("706b")), "pk");
  assert.equal(cstring(new Uint8Array()), "");
});

Deno.test("unhex() is the inverse of hex(), skips blanks, refuses the rest", () => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => {
    assert.deepEqual(unhex(hex(bytes)), new Uint8Array(bytes));
  }));
  assert.deepEqual([...unhex("00 FF\n1a")], [0, 255, 26]);
  for (const wrong of ["0", "0g", "0x00"]) assert.throws(() => unhex(wrong), TypeError);
});
