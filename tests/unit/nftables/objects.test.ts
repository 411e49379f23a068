// What the golden files do not show: parsing what the kernel lists, dividing long lists of elements,
// keys, text.

import assert from "node:assert/strict";
import { hex, unhex } from "../../../src/bytes/hex.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import {
  type Attribute,
  listAttributes,
  nested,
  raw,
  readAttributes,
  text,
  u32be,
  u64be,
  writeAttributes,
} from "../../../src/netlink/attribute.ts";
import { NFT_TABLE_F } from "../../../src/nftables/constants.ts";
import { addElements, deleteElements, parseElements } from "../../../src/nftables/element.ts";
import { addRule, ruleText } from "../../../src/nftables/rule.ts";
import {
  addSet,
  encodeKey,
  keyLength,
  keyType,
  layoutOf,
  type NftSet,
  parseSetLayout,
  setText,
} from "../../../src/nftables/set.ts";
import { counted, destinationIn, verdict } from "../../../src/nftables/statement.ts";
import { addTable, parseTable } from "../../../src/nftables/table.ts";

const GRANTS6: NftSet = {
  name: "grants6",
  key: ["ipv6_addr", "inet_proto", "inet_service"],
  timeout: true,
  size: 100,
};

Deno.test("parseTable() reads what addTable() writes, and whose it is", () => {
  const table = { name: "pk", flags: NFT_TABLE_F.NFT_TABLE_F_OWNER, comment: "pk/1" };
  assert.deepEqual(parseTable(reread(addTable(table).attributes)), table);
  const bare = { name: "pk", flags: 0, comment: undefined };
  assert.deepEqual(parseTable(reread(addTable(bare).attributes)), bare);
  const owned = [...addTable(table).attributes, u32be(7, 4711)];
  assert.deepEqual(parseTable(reread(owned)), { ...table, owner: 4711 });
});

Deno.test("parseTable() finds the comment among other user data, and none in what is no user data", () => {
  const cases: readonly [userdata: string, comment: string | undefined][] = [
    ["0005706b2f3100", "pk/1"],
    ["0004706b2f31", "pk/1"],
    ["0701ff" + "0005706b2f3100", "pk/1"],
    ["0701ff", undefined],
    ["0009706b2f3100", undefined],
    ["00", undefined],
    ["", undefined],
  ];
  for (const [userdata, comment] of cases) {
    const table = parseTable(reread([text(1, "pk"), raw(6, unhex(userdata))]));
    assert.equal(table.comment, comment, userdata);
  }
});

Deno.test("parseSetLayout() reads what addSet() writes", () => {
  for (const set of [GRANTS6, { name: "p", key: ["inet_service"], timeout: false } as const]) {
    assert.deepEqual(parseSetLayout(reread(addSet("pk", set, 1).attributes)), layoutOf(set));
  }
});

Deno.test("keyType() and keyLength() count six bits and whole words a field", () => {
  assert.equal(keyType(GRANTS6.key), 8 << 12 | 12 << 6 | 13);
  assert.equal(keyLength(GRANTS6.key), 24);
  assert.equal(keyType(["ipv4_addr"]), 7);
  assert.equal(keyLength(["inet_proto", "inet_service"]), 8);
});

Deno.test("encodeKey() pads each field behind it", () => {
  assert.equal(
    hex(encodeKey([unhex("06"), unhex("0016"), unhex("c0000201")])),
    "0600000000160000c0000201",
  );
  assert.equal(encodeKey([]).length, 0);
});

Deno.test("parseElements() takes what is left of the time, not the whole of it", () => {
  const element = (key: string, ...more: Attribute[]) =>
    nested(1, [nested(1, [raw(1, unhex(key))]), ...more]);
  const list = nested(3, [
    element("c0000201", u64be(4, 20_000n), u64be(5, 9_000n)),
    element("c0000202"),
  ]);
  assert.deepEqual(parseElements(reread([text(1, "pk"), text(2, "s"), list])), [
    { key: unhex("c0000201"), timeoutMs: 9_000 },
    { key: unhex("c0000202") },
  ]);
  assert.deepEqual(parseElements(reread([text(1, "pk"), text(2, "s")])), []);
});

Deno.test("addElements() divides long lists, since an attribute's length has 16 bits", () => {
  for (const [count, messages] of [[0, 0], [1, 1], [500, 1], [501, 2], [1_700, 4]] as const) {
    const elements = Array.from({ length: count }, (_, index) => ({
      key: new Writer(24).raw(new Uint8Array(20)).u32be(index).bytes(),
      timeoutMs: 1,
    }));
    for (
      const operations of [addElements("pk", "s", elements), deleteElements("pk", "s", elements)]
    ) {
      assert.equal(operations.length, messages);
      const keys = operations.flatMap(({ attributes }) =>
        parseElements(reread(attributes)).map(({ key }) => hex(key))
      );
      assert.deepEqual(keys, elements.map(({ key }) => hex(key)));
    }
  }
});

Deno.test("a timeout is rounded up to a whole millisecond, never down to none", () => {
  const [operation] = addElements("pk", "s", [{ key: unhex("00000000"), timeoutMs: 0.25 }]);
  const [, , [, list = new Uint8Array()] = []] = listAttributes(
    encode(operation?.attributes ?? []),
  );
  assert.match(hex(list), /0c0004000000000000000001/);
});

Deno.test("operations say what they do", () => {
  const rule = {
    chain: "gate",
    statements: [destinationIn("guarded"), counted(), verdict("drop")],
  };
  assert.equal(ruleText(rule), "meta l4proto . th dport @guarded counter drop");
  assert.equal(addRule("pk", rule).what, `add rule "${ruleText(rule)}"`);
  assert.equal(addSet("pk", GRANTS6, 1).what, 'add set "grants6"');
});

Deno.test("setText() is a block that nft reads", () => {
  assert.equal(
    setText(GRANTS6, ["2001:db8::1 . tcp . 22"]).join("\n"),
    `set grants6 {
\ttype ipv6_addr . inet_proto . inet_service
\tsize 100
\tflags timeout
\telements = { 2001:db8::1 . tcp . 22 }
}`,
  );
});

function encode(attributes: readonly Attribute[]): Uint8Array {
  const writer = new Writer();
  writeAttributes(writer, attributes);
  return writer.bytes();
}

function reread(attributes: readonly Attribute[]) {
  return readAttributes(encode(attributes));
}
