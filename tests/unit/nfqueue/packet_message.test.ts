// decodePacketMessage(): messages captured from the kernel, messages made wrong by hand, and any
// bytes at all.

import fc from "fast-check";
import assert from "node:assert/strict";
import { LITTLE_ENDIAN } from "../../../src/bytes/endian.ts";
import { unhex } from "../../../src/bytes/hex.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { type Attribute, raw, u32be, writeAttributes } from "../../../src/netlink/attribute.ts";
import { NFNL_SUBSYS, NLA, NLMSG } from "../../../src/netlink/constants.ts";
import { NFQA, NFQNL_MSG } from "../../../src/nfqueue/constants.ts";
import {
  decodePacketMessage,
  emptyQueuedPacket,
  QUEUE,
} from "../../../src/nfqueue/packet_message.ts";
import { emptyHeader } from "../../../src/packet/header.ts";
import { isKnock } from "../../../src/packet/outcome.ts";
import { parsePacket } from "../../../src/packet/parse.ts";
import { type Bytes, concat, patch } from "../../support/packets.ts";
import { placements } from "../../support/placements.ts";

const GOLDEN = new URL("../../golden/nfqueue/", import.meta.url);

/**
 * Packets that were captured, one after the other: which SYNs they are, by the ports at both ends;
 * undefined where too little of them came along.
 */
const captured: readonly [file: string, id: number, ports: [number, number] | undefined][] = [
  ["syn_ipv4", 1, [40001, 81]],
  ["syn_ipv6", 2, [40002, 81]],
  ["extensions_ipv6", 3, [40003, 82]],
  ["reassembled_ipv6", 4, [40004, 83]],
  ["fragment_ipv6", 5, undefined],
  ["cut_ipv4", 6, undefined],
  ["meta_ipv4", 7, undefined],
];

for (const [file, id, ports] of captured) {
  golden(`decodePacketMessage() reads golden/nfqueue/${file}.txt`, () => {
    const bytes = readGolden(file);
    const { outcome, packet } = decode(bytes);
    assert.deepEqual([outcome, packet.id, packet.mark], [QUEUE.packet, id, 0]);
    const syn = emptyHeader();
    const view = new DataView(bytes.buffer);
    const parsed = parsePacket(view, packet.payloadOffset, packet.payloadLength, syn);
    assert.equal(isKnock(parsed), ports !== undefined);
    if (ports !== undefined) assert.deepEqual([syn.sourcePort, syn.destinationPort], ports);
  });
}

for (const file of ["ack", "refusal"]) {
  golden(`decodePacketMessage() takes golden/nfqueue/${file}.txt for no packet`, () => {
    assert.equal(decode(readGolden(file)).outcome, QUEUE.notPacket);
  });
}

const PACKET_TYPE = NFNL_SUBSYS.NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG.NFQNL_MSG_PACKET;
const marked = u32be(NFQA.NFQA_MARK, 0xfedc_ba98);
const header = raw(NFQA.NFQA_PACKET_HDR, unhex("fffffffe 0800 00"));
const payload = raw(NFQA.NFQA_PAYLOAD, unhex("4500 0014 00"));
const ATTRIBUTES = 20;

Deno.test("decodePacketMessage() reads numbers as unsigned, and where the payload lies", () => {
  assert.deepEqual(decode(message([header, marked, payload])), {
    outcome: QUEUE.packet,
    packet: {
      id: 0xfffffffe,
      mark: 0xfedc_ba98,
      payloadOffset: ATTRIBUTES + 12 + 8 + 4,
      payloadLength: 5,
    },
  });
});

Deno.test("decodePacketMessage() leaves nothing of the message before", () => {
  const out = { id: 99, mark: 99, payloadOffset: 99, payloadLength: 99 };
  decode(message([header]), out);
  assert.deepEqual([out.id, out.mark, out.payloadLength], [0xfffffffe, 0, 0]);
});

Deno.test("decodePacketMessage() takes the last of two ids", () => {
  const other = raw(NFQA.NFQA_PACKET_HDR, unhex("00000001 0800 00"));
  assert.equal(decode(message([other, header])).packet.id, 0xfffffffe);
});

const spare = raw(NFQA.NFQA_SECCTX, unhex("61 62 63 64 65"));
const flagged: Attribute = { ...header, type: NFQA.NFQA_PACKET_HDR | NLA.NLA_F_NET_BYTEORDER };
const whole = message([header, payload]);

const outcomes: readonly [string, Bytes, keyof typeof QUEUE][] = [
  ["unknown attributes", message([raw(99, unhex("00")), header, spare, payload]), "packet"],
  ["attributes in another order", message([payload, header]), "packet"],
  ["a flag in an attribute's type", message([flagged]), "packet"],
  ["no padding at the end", lengthened(whole.slice(0, -3), whole.length - 3), "packet"],
  ["its end cut off", whole.slice(0, -1), "malformed"],
  ["bytes after the message", concat(whole, new Uint8Array(8).fill(0xff)), "packet"],
  ["an attribute without content", message([header, raw(NFQA.NFQA_PAYLOAD, concat())]), "packet"],
  ["no bytes", concat(), "malformed"],
  ["19 bytes", lengthened(whole.slice(0, 19), 19), "malformed"],
  ["15 bytes", whole.slice(0, 15), "malformed"],
  ["nlmsg_len 15", lengthened(whole, 15), "malformed"],
  ["nlmsg_len over the datagram", lengthened(whole, whole.length + 1), "malformed"],
  ["nlmsg_len 2^32 - 1", lengthened(whole, 0xffffffff), "malformed"],
  ["nlmsg_len inside nfgenmsg", lengthened(whole, 19), "malformed"],
  ["nlmsg_len inside an attribute", lengthened(whole, ATTRIBUTES + 10), "malformed"],
  ["no attributes", message([]), "malformed"],
  ["no NFQA_PACKET_HDR", message([payload]), "malformed"],
  [
    "NFQA_PACKET_HDR of 6 bytes",
    message([raw(NFQA.NFQA_PACKET_HDR, new Uint8Array(6))]),
    "malformed",
  ],
  [
    "an empty NFQA_PACKET_HDR at the end",
    message([header, raw(NFQA.NFQA_PACKET_HDR, concat())]),
    "malformed",
  ],
  [
    "a type that only ends like NFQA_PACKET_HDR",
    message([{ ...header, type: 0x101 }]),
    "malformed",
  ],
  ["no payload", message([header]), "packet"],
  ["NFQA_MARK of 3 bytes", message([header, raw(NFQA.NFQA_MARK, new Uint8Array(3))]), "malformed"],
  [
    "the longest payload",
    message([header, raw(NFQA.NFQA_PAYLOAD, new Uint8Array(65531))]),
    "packet",
  ],
  ["nla_len 0", attributeLength(whole, 0), "malformed"],
  ["nla_len 3", attributeLength(whole, 3), "malformed"],
  ["nla_len over the message", attributeLength(whole, 0xffff), "malformed"],
  ["another message of the subsystem", message([header], PACKET_TYPE | 2), "notPacket"],
  [
    "nothing but another nlmsghdr",
    lengthened(message([], NLMSG.NLMSG_NOOP).slice(0, 16), 16),
    "notPacket",
  ],
  ["another subsystem", message([header], 0x0a00), "notPacket"],
];

for (const [name, bytes, outcome] of outcomes) {
  Deno.test(`decodePacketMessage() takes a message with ${name} for ${outcome}`, () => {
    assert.equal(decode(bytes).outcome, QUEUE[outcome]);
  });
}

const u8 = fc.integer({ min: 0, max: 0xff });
const attribute = fc.tuple(fc.integer({ min: 0, max: 22 }), fc.uint8Array({ maxLength: 40 }))
  .map(([type, content]) => raw(type, content));
const wellFormed = fc.array(attribute, { maxLength: 6 })
  .map((others) => message([...others, header, payload]));
const mutated = fc.tuple(wellFormed, fc.array(fc.tuple(fc.nat(), u8), { maxLength: 4 }), fc.nat(30))
  .map(([bytes, changes, cut]) =>
    changes.reduce((changed, [at, value]) => patch(changed, at % changed.length, value), bytes)
      .slice(0, bytes.length - cut)
  );
const anyAttributes = fc.uint8Array({ maxLength: 120 }).map((rest) => {
  const start = message([header]);
  return lengthened(concat(start, rest), start.length + rest.length);
});

for (
  const [name, arbitrary] of [
    ["any bytes", fc.uint8Array({ maxLength: 120 })],
    ["any bytes as attributes", anyAttributes],
    ["messages with wrong bytes", mutated],
  ] as const
) {
  Deno.test(`decodePacketMessage() takes ${name} for the same, whatever lies around them`, () => {
    fc.assert(
      fc.property(arbitrary, u8, u8, (bytes, before, after) => {
        const alone = decode(Uint8Array.from(bytes));
        for (const { name, view, offset } of placements(bytes, before, after)) {
          const packet = emptyQueuedPacket();
          const outcome = decodePacketMessage(view, offset, bytes.length, packet);
          assert.equal(outcome, alone.outcome, name);
          if (outcome !== QUEUE.packet) continue;
          const payloadOffset = packet.payloadOffset - offset;
          assert.deepEqual({ ...packet, payloadOffset }, alone.packet, name);
          assert.ok(
            payloadOffset >= 0 && payloadOffset + packet.payloadLength <= bytes.length,
            name,
          );
        }
      }),
      { numRuns: 2000 },
    );
  });
}

function decode(bytes: Bytes, packet = emptyQueuedPacket()) {
  const outcome = decodePacketMessage(new DataView(bytes.buffer), 0, bytes.length, packet);
  return { outcome, packet };
}

function message(attributes: readonly Attribute[], type = PACKET_TYPE): Bytes {
  const writer = new Writer().u32ne(0).u16ne(type).u16ne(0).u32ne(0).u32ne(0);
  writer.u8(2).u8(0).u16be(1);
  writeAttributes(writer, attributes);
  return writer.patchU32ne(0, writer.length).bytes();
}

function lengthened(bytes: Bytes, length: number): Bytes {
  return concat(new Writer().u32ne(length).bytes(), bytes.subarray(4));
}

/** Another nla_len for the first attribute. */
function attributeLength(bytes: Bytes, length: number): Bytes {
  const head = bytes.subarray(0, ATTRIBUTES);
  return concat(head, new Writer().u16ne(length).bytes(), bytes.subarray(ATTRIBUTES + 2));
}

function readGolden(file: string): Bytes {
  const text = Deno.readTextFileSync(new URL(`${file}.txt`, GOLDEN));
  return unhex(text.replace(/^#.*$/gm, ""));
}

/** The messages were captured on a little-endian machine. */
function golden(name: string, fn: () => void): void {
  Deno.test({ name, ignore: !LITTLE_ENDIAN, fn });
}
