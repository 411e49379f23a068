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
import { NLM_F } from "../../../src/netlink/constants.ts";
import { NFT_TABLE_F } from "../../../src/nftables/constants.ts";
import {
  addCounter,
  counterText,
  listCounters,
  parseCounter,
} from "../../../src/nftables/counter_object.ts";
import { addElements, deleteElements, parseElements } from "../../../src/nftables/element.ts";
import { deleteChain } from "../../../src/nftables/chain.ts";
import { addRule, ruleText } from "../../../src/nftables/rule.ts";
import {
  addSet,
  deleteSet,
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

const FINISHING4: NftSet = {
  name: "finishing4",
  key: ["ipv4_addr"],
  timeout: true,
  timeoutMs: 2_000,
  dynamic: true,
  size: 1_024,
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
  const ports: NftSet = { name: "p", key: ["inet_service"], timeout: false };
  for (const set of [GRANTS6, ports, FINISHING4]) {
    assert.deepEqual(parseSetLayout(reread(addSet("pk", set, 1).attributes)), layoutOf(set));
  }
});

Deno.test("layoutOf() tells sets apart by their timeout and by who adds to them", () => {
  const { timeoutMs: _timeoutMs, ...untimed } = FINISHING4;
  const { dynamic: _dynamic, ...fixed } = FINISHING4;
  for (const other of [{ ...FINISHING4, timeoutMs: 3_000 }, untimed, fixed]) {
    assert.notDeepEqual(layoutOf(other), layoutOf(FINISHING4));
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

Deno.test("parseCounter() reads what the kernel answers to listCounters()", () => {
  const answer = [
    "0600010074000000", // table t
    "0b0002006b6e6f636b730000", // name knocks
    "0800030000000001", // type 1
    "0c0006000000000000000001", // handle 1
    "0800050000000002", // named by 2 rules
    "1c0004000c00010000000000000000b40c0002000000000000000003", // 180 bytes, 3 packets
  ];
  assert.deepEqual(parseCounter(readAttributes(unhex(answer.join("")))), {
    name: "knocks",
    packets: 3,
    bytes: 180,
  });
  assert.deepEqual(parseCounter(reread(addCounter("pk", "knocks").attributes)), {
    name: "knocks",
    packets: 0,
    bytes: 0,
  });
});

Deno.test("listCounters() asks for one table's counters, not for its quotas and limits", () => {
  const { flags, attributes } = listCounters("t");
  assert.equal(flags, NLM_F.NLM_F_DUMP);
  assert.equal(hex(encode(attributes)), "0600010074000000" + "0800030000000001");
});

Deno.test("operations say what they do", () => {
  const rule = {
    chain: "gate",
    statements: [destinationIn("guarded"), counted(), verdict("drop")],
  };
  assert.equal(ruleText(rule), "meta l4proto . th dport @guarded counter drop");
  assert.equal(addRule("pk", rule).what, `add rule "${ruleText(rule)}"`);
  assert.equal(addSet("pk", GRANTS6, 1).what, 'add set "grants6"');
  assert.equal(deleteSet("pk", "decoys").what, 'delete set "decoys"');
  assert.equal(deleteChain("pk", "old").what, 'delete chain "old"');
  assert.equal(addCounter("pk", "knocks").what, 'add counter "knocks"');
  assert.equal(listCounters("pk").what, 'read counters of table "pk"');
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
  assert.equal(
    setText(FINISHING4).join("\n"),
    `set finishing4 {
\ttype ipv4_addr
\tsize 1024
\tflags dynamic,timeout
\ttimeout 2s
}`,
  );
});

Deno.test("setText() divides long lists of elements into lines", () => {
  const ports: NftSet = { name: "p", key: ["inet_service"], timeout: false };
  const lines = (count: number) =>
    setText(ports, Array.from({ length: count }, (_, index) => `${index + 1}`)).slice(2, -1);
  assert.deepEqual(lines(0), []);
  assert.deepEqual(lines(8), ["\telements = { 1, 2, 3, 4, 5, 6, 7, 8 }"]);
  assert.deepEqual(lines(9), ["\telements = { 1, 2, 3, 4, 5, 6, 7, 8,", "\t\t9 }"]);
});

Deno.test("counterText() is a block that nft reads", () => {
  assert.equal(counterText("knocks").join("\n"), "counter knocks {\n}");
});

function encode(attributes: readonly Attribute[]): Uint8Array {
  const writer = new Writer();
  writeAttributes(writer, attributes);
  return writer.bytes();
}

function reread(attributes: readonly Attribute[]) {
  return readAttributes(encode(attributes));
}
