// conntrack: flows as Linux 6.18 lists them, what names one to be forgotten, what is no flow of UDP, and
// any bytes.

import assert from "node:assert/strict";
import fc from "fast-check";
import { hex, unhex } from "../../../src/bytes/hex.ts";
import { DecodeError } from "../../../src/errors.ts";
import { forgetFlow, listFlows, parseFlow } from "../../../src/netlink/conntrack.ts";
import { NLM_F } from "../../../src/netlink/constants.ts";
import { encodeRequest, type Message } from "../../../src/netlink/message.ts";
import { formatAddress } from "../../../src/packet/address.ts";

// nft add rule … ct state established, a datagram from port 40001 to 5555 and its answer; then
// IPCTNL_MSG_CT_GET: nfgenmsg and attributes.
const LISTED = {
  "127.0.0.1":
    "020000003400018014000180080001007f000001080002007f0000011c00028005000100110000000600" +
    "02009c4100000600030015b300003400028014000180080001007f000001080002007f0000011c00028005000100" +
    "110000000600020015b30000060003009c410000080003000000000a080008000000000008000c00476b23620800" +
    "0b0000000001080007000000001d",
  "::1":
    "0a0000004c0001802c0001801400030000000000000000000000000000000001140004000000000000000000" +
    "00000000000000011c0002800500010011000000060002009c4100000600030015b300004c0002802c0001801400" +
    "03000000000000000000000000000000000114000400000000000000000000000000000000011c00028005000100" +
    "110000000600020015b30000060003009c410000080003000000000a080008000000000008000c005dcf92100800" +
    "0b0000000001080007000000001d",
} as const;

const message = (payload: Uint8Array): Message => ({
  type: 1 << 8,
  flags: NLM_F.NLM_F_MULTI,
  sequence: 1,
  port: 0,
  payload,
});

for (const [address, text] of Object.entries(LISTED)) {
  const flow = parseFlow(message(unhex(text)));
  assert.ok(flow);

  Deno.test(`parseFlow() reads a flow of ${address}`, () => {
    const ends = [flow.from, flow.to, flow.answered].map((end) =>
      `${formatAddress(end.address)} ${end.port}`
    );
    assert.deepEqual(ends, [`${address} 40001`, `${address} 5555`, `${address} 40001`]);
  });

  Deno.test(`forgetFlow() names a flow of ${address} by its tuple and its number`, () => {
    const bytes = hex(encodeRequest(forgetFlow(flow), 1));
    // The first tuple's content, and CTA_ID, as they were listed.
    assert.ok(bytes.includes(text.slice(16, address === "::1" ? 160 : 112)));
    assert.ok(bytes.includes(text.slice(text.indexOf("08000c00"), text.indexOf("08000c00") + 16)));
    assert.equal(flow.family, address === "::1" ? 10 : 2);
  });
}

Deno.test("parseFlow() takes flows of other protocols for none", () => {
  const bytes = unhex(LISTED["127.0.0.1"].replaceAll("0500010011", "0500010006"));
  assert.equal(parseFlow(message(bytes)), undefined);
  assert.equal(parseFlow(message(unhex("02000000"))), undefined);
});

Deno.test("listFlows() asks for UDP of each family", () => {
  const [four, six] = listFlows().map((request) => hex(encodeRequest(request, 1)));
  // CTA_TUPLE_ORIG { CTA_TUPLE_PROTO { CTA_PROTO_NUM 17 } }, CTA_FILTER { CTA_FILTER_ORIG_FLAGS 8 }
  const filter = "10000180" + "0c000280" + "0500010011000000" + "0c001980" + "0800010008000000";
  assert.ok(four?.endsWith(`02000000${filter}`), four);
  assert.ok(six?.endsWith(`0a000000${filter}`), six);
});

Deno.test("parseFlow() of any bytes is a flow, none, or a DecodeError", () => {
  const listed = fc.constantFrom(...Object.values(LISTED).map((text) => unhex(text)));
  const edits = fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 });
  fc.assert(fc.property(listed, edits, fc.nat(250), (bytes, changes, length) => {
    const changed = bytes.slice(0, length);
    for (const [at, value] of changes) if (at < changed.length) changed[at] = value;
    try {
      const flow = parseFlow(message(changed));
      assert.ok(flow === undefined || flow.to.port <= 0xffff);
    } catch (error) {
      assert.ok(error instanceof DecodeError);
    }
  }));
});
