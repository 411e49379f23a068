// formatAddress(), parseAddress() and addressBytes(): the rules of RFC 5952 one by one, and beside
// two readers and writers of addresses that others have written (node:net and the URL standard).

import fc from "fast-check";
import assert from "node:assert/strict";
import { isIP } from "node:net";
import { hex } from "../../../src/bytes/hex.ts";
import { addressBytes, formatAddress, parseAddress } from "../../../src/packet/address.ts";
import type { Source } from "../../../src/packet/header.ts";

/** Text as anybody may write it, as RFC 5952 writes it, and the bytes. */
const addresses: readonly [string, string, string][] = [
  ["0.0.0.0", "0.0.0.0", "00000000"],
  ["192.0.2.1", "192.0.2.1", "c0000201"],
  ["255.255.255.255", "255.255.255.255", "ffffffff"],
  ["::", "::", "00000000000000000000000000000000"],
  ["0:0:0:0:0:0:0:1", "::1", "00000000000000000000000000000001"],
  ["1::", "1::", "00010000000000000000000000000000"],
  // Section 4.1: no leading zeros.
  ["2001:0db8::0001", "2001:db8::1", "20010db8000000000000000000000001"],
  [
    "2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001",
    "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1",
    "20010db8aaaabbbbccccddddeeee0001",
  ],
  // Section 4.2.1: as short as possible.
  ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1", "20010db8000000000000000000020001"],
  ["2001:db8::0:1", "2001:db8::1", "20010db8000000000000000000000001"],
  // Section 4.2.2: not for one group.
  ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001"],
  ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", "00000002000300040005000600070008"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", "00010002000300040005000600070000"],
  // Section 4.2.3: the longest run, the first of equal ones.
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1", "20010000000000010000000000000001"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "20010db8000000000001000000000001"],
  ["1:0:0:0:2:0:0:0", "1::2:0:0:0", "00010000000000000002000000000000"],
  // Section 4.3: lower case.
  ["2001:DB8::ABCD", "2001:db8::abcd", "20010db800000000000000000000abcd"],
  // Section 5: mixed notation for the well-known prefix of IPv4-mapped addresses only.
  ["::ffff:c000:201", "::ffff:192.0.2.1", "00000000000000000000ffffc0000201"],
  ["0:0:0:0:0:FFFF:192.0.2.1", "::ffff:192.0.2.1", "00000000000000000000ffffc0000201"],
  ["64:ff9b::192.0.2.1", "64:ff9b::c000:201", "0064ff9b0000000000000000c0000201"],
  ["1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201", "000100020003000400050006c0000201"],
];

for (const [text, canonical, bytes] of addresses) {
  Deno.test(`parseAddress() reads ${text} as ${canonical}`, () => {
    const source = parsed(text);
    assert.equal(source.family, canonical.includes(":") ? 6 : 4);
    assert.equal(formatAddress(source), canonical);
    assert.equal(hex(addressBytes(source)), bytes);
    assert.deepEqual(parsed(canonical), source);
  });
}

const refused = [
  ..."|1|1.2.3|1.2.3.4.5|1.2.3.|.1.2.3|256.0.0.1|1.2.3.256|01.2.3.4|1.2.3.00|1.2.3.0x4|1.2.3.-4"
    .split("|"),
  ..." 1.2.3.4|1.2.3.4 |1.2.3.4\n|1.2.3.4/32|١.2.3.4|localhost".split("|"),
  ...":|:::|1:2:3:4:5:6:7|1:2:3:4:5:6:7:8:9|1:2:3:4::5:6:7:8|1::2::3|:1:2:3:4:5:6:7|1:2:3:4:5:6:7:"
    .split("|"),
  ...":::1|1:::|12345::|g::|::-1|::1%eth0|[::1]|::1/128| ::1|::1 |::1\n".split("|"),
  ..."::1.2.3|::256.0.0.1|1.2.3.4::|::1.2.3.4:5|1:2:3:4:5:6:7:1.2.3.4|1:2:3:4:5:1.2.3.4".split("|"),
];

for (const text of refused) {
  Deno.test(`parseAddress() refuses ${JSON.stringify(text)}`, () => {
    assert.equal(parseAddress(text), undefined);
  });
}

const word = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc.constantFrom(0, 1, 0xffff, 0x10000),
);
const source: fc.Arbitrary<Source> = fc.oneof(
  word.map((word3) => ({ family: 4, word0: 0, word1: 0, word2: 0, word3 }) as const),
  fc.tuple(word, word, word, word)
    .map(([word0, word1, word2, word3]) => ({ family: 6, word0, word1, word2, word3 }) as const),
);

Deno.test("parseAddress() reads what formatAddress() wrote", () => {
  fc.assert(fc.property(source, (one) => assert.deepEqual(parseAddress(formatAddress(one)), one)));
});

Deno.test("formatAddress() writes what the URL standard writes, but for mixed notation", () => {
  fc.assert(fc.property(source, (one) => {
    const text = formatAddress(one);
    const host = one.family === 4 ? text : `[${text}]`;
    if (!text.startsWith("::ffff:")) assert.equal(new URL(`http://${host}/`).hostname, host);
  }));
});

Deno.test("addressBytes() has the text's groups in network order", () => {
  fc.assert(fc.property(source, (one) => {
    const words = one.family === 4 ? [one.word3] : [one.word0, one.word1, one.word2, one.word3];
    const digits = words.map((value) => value.toString(16).padStart(8, "0"));
    assert.equal(hex(addressBytes(one)), digits.join(""));
  }));
});

/** Strings that are nearly addresses: pieces of them in any order. */
const nearly = fc.oneof(
  fc.array(fc.constantFrom("0", "1", "ff", "2001", "00", "256", ":", "::", ".", "1.2.3.4"), {
    maxLength: 17,
  })
    .map((pieces) => pieces.join("")),
  fc.array(fc.constantFrom("0", "a", "ffff", ""), { maxLength: 10 }).map((groups) =>
    groups.join(":")
  ),
  fc.ipV4(),
  fc.ipV6(),
);

Deno.test("parseAddress() accepts what node:net accepts", () => {
  fc.assert(
    fc.property(nearly, (text) => assert.equal(parseAddress(text)?.family ?? 0, isIP(text))),
    { numRuns: 5000 },
  );
});

function parsed(text: string): Source {
  const source = parseAddress(text);
  assert.ok(source, `${text} is not read`);
  return source;
}
