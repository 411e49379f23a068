// Attributes: bytes of known ones, round trips of any, and decoders on any bytes.

import fc from "fast-check";
import assert from "node:assert/strict";
import { hex } from "../../../src/bytes/hex.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import {
  type Attribute,
  getNested,
  getText,
  getU32be,
  getU64be,
  listAttributes,
  nested,
  raw,
  readAttributes,
  text,
  u32be,
  u64be,
  writeAttributes,
} from "../../../src/netlink/attribute.ts";
import { NLA } from "../../../src/netlink/constants.ts";

Deno.test("writeAttributes() length without padding, type, payload, padding", () => {
  const cases: readonly [attribute: Attribute, bytes: string][] = [
    [u32be(2, 0x01020304), "0800" + "0200" + "01020304"],
    [u64be(4, 20_000n), "0c00" + "0400" + "0000000000004e20"],
    [text(1, "pk"), "0700" + "0100" + "706b0000"],
    [raw(3, new Uint8Array()), "0400" + "0300"],
    [nested(5, [text(1, "c")]), "0c00" + "0580" + "0600" + "0100" + "63000000"],
    [nested(5, []), "0400" + "0580"],
  ];
  for (const [attribute, bytes] of cases) assert.equal(hex(encode([attribute])), bytes);
});

Deno.test("readAttributes() finds integers, text and nested ones; absent ones are undefined", () => {
  const attributes = readAttributes(
    encode([
      u32be(1, 4_294_967_295),
      u64be(2, 1n << 63n),
      text(3, "grants4"),
      nested(4, [u32be(1, 7)]),
    ]),
  );
  assert.equal(getU32be(attributes, 1), 4_294_967_295);
  assert.equal(getU64be(attributes, 2), 1n << 63n);
  assert.equal(getText(attributes, 3), "grants4");
  assert.equal(getU32be(getNested(attributes, 4), 1), 7);
  assert.equal(getU32be(attributes, 9), undefined);
  assert.equal(getU64be(attributes, 9), undefined);
  assert.equal(getText(attributes, 9), undefined);
  assert.equal(getNested(attributes, 9).size, 0);
});

Deno.test("readAttributes() keeps the last of a type, listAttributes() all of them, in order", () => {
  const bytes = encode([u32be(1, 1), u32be(1, 2), u32be(0, 3)]);
  assert.equal(getU32be(readAttributes(bytes), 1), 2);
  assert.deepEqual(listAttributes(bytes).map(([type]) => type), [1, 1, 0]);
});

Deno.test("listAttributes() needs no padding behind the last one", () => {
  const bytes = encode([text(1, "pk")]);
  assert.deepEqual(listAttributes(bytes.slice(0, 7)), listAttributes(bytes));
});

type Tree = readonly [type: number, content: Uint8Array | readonly Tree[]];

const type = fc.integer({ min: 0, max: NLA.NLA_TYPE_MASK });
const trees = fc.letrec<{ tree: Tree; list: readonly Tree[] }>((tie) => ({
  list: fc.array(tie("tree"), { maxLength: 5 }),
  tree: fc.tuple(
    type,
    fc.oneof({ maxDepth: 3 }, fc.uint8Array({ maxLength: 40 }), tie("list")),
  ),
})).list;

Deno.test("any tree of attributes is read as it was written", () => {
  fc.assert(
    fc.property(trees, (list) => {
      const bytes = encode(list.map(toAttribute));
      assert.equal(bytes.length % 4, 0);
      assert.deepEqual(decode(bytes, list), list);
    }),
    { numRuns: 500 },
  );
});

function encode(attributes: readonly Attribute[]): Uint8Array {
  const writer = new Writer(4);
  writeAttributes(writer, attributes);
  return writer.bytes();
}

function toAttribute([type, content]: Tree): Attribute {
  return content instanceof Uint8Array
    ? raw(type, content)
    : nested(type, content.map(toAttribute));
}

/** Reads attributes as deep as the tree that was written goes. */
function decode(bytes: Uint8Array, like: readonly Tree[]): Tree[] {
  return listAttributes(bytes).map(([type, payload], index): Tree => {
    const content = like[index]?.[1];
    return content === undefined || content instanceof Uint8Array
      ? [type, payload.slice()]
      : [type, decode(payload, content)];
  });
}
