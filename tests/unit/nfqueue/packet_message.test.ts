// decodePacketMessage(): messages captured from the kernel, messages made wrong by hand, and any
// bytes at all.

import fc from "fast-check";
import assert from "node:assert/strict";
import { LITTLE_ENDIAN } from "../../../src/bytes/endian.ts";
import { hex, unhex } from "../../../src/bytes/hex.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { type Attribute, raw, u32be, writeAttributes } from "../../../src/netlink/attribute.ts";
import { NFNL_SUBSYS, NLA, NLMSG } from "../../../src/netlink/constants.ts";
import { NFQA, NFQNL_MSG } from "../../../src/nfqueue/constants.ts";
import {
  decodePacketMessage,
  emptyQueuedPacket,
  QUEUE,
  type QueuedPacket,
} from "../../../src/nfqueue/packet_message.ts";
import { emptyHeader } from "../../../src/packet/header.ts";
import { PARSE_NAMES, type ParseName } from "../../../src/packet/outcome.ts";
import { parsePacket } from "../../../src/packet/parse.ts";
import { placements } from "../../support/placements.ts";
import {
  type Bytes,
  concat,
  fragment,
  ipv4,
  ipv6,
  options,
  patch,
  tcp,
} from "../../support/packets.ts";

const GOLDEN = new URL("../../golden/nfqueue/", import.meta.url);
const CONNECT4 = { destinationPort: 81, window: 0xfaf0 } as const;

interface Captured {
  readonly file: string;
  readonly id: number;
  readonly capLength: number;
  /** The bytes that were copied, built anew. */
  readonly payload: Bytes;
  readonly parsed: ParseName;
}

// What the sending kernel chose at random (identification, flow label, sequence, time stamp) is
// given here as captured; lengths and checksums are not, so both sides must have them right.
const captured: readonly Captured[] = [
  {
    file: "syn_ipv4",
    id: 1,
    capLength: 60,
    parsed: "tcp",
    payload: ipv4({
      identification: 0x64fb,
      payload: tcp({
        ...CONNECT4,
        sourcePort: 40001,
        sequence: 0x5f7764e1,
        options: unhex("020405b4 0402080a b75536be 00000000 0103030a"),
      }),
    }),
  },
  {
    file: "syn_ipv6",
    id: 2,
    capLength: 80,
    parsed: "tcp",
    payload: ipv6({
      flowLabel: 0x99055,
      payload: tcp({
        destinationPort: 81,
        window: 0xfd20,
        sourcePort: 40002,
        sequence: 0x03f8f386,
        options: unhex("020405a0 0402080a 89b8dfd8 00000000 0103030a"),
      }),
    }),
  },
  {
    file: "extensions_ipv6",
    id: 3,
    capLength: 84,
    parsed: "tcp",
    payload: ipv6({
      extensions: [
        options(0),
        options(60, unhex("010c 000000000000000000000000")),
      ],
      payload: tcp({ sourcePort: 40003, destinationPort: 82, sequence: 0xfffffffe }),
    }),
  },
  {
    file: "reassembled_ipv6",
    id: 4,
    capLength: 80,
    parsed: "tcp",
    payload: ipv6({
      payload: tcp({
        sourcePort: 40004,
        destinationPort: 83,
        sequence: 7,
        data: new Uint8Array(20).fill(0x78),
      }),
    }),
  },
  {
    file: "fragment_ipv6",
    id: 5,
    capLength: 64,
    parsed: "fragment",
    payload: ipv6({
      extensions: [fragment({ more: true, identification: 77 })],
      payload: tcp({ sourcePort: 40009, destinationPort: 84, sequence: 9 }).slice(0, 16),
    }),
  },
  {
    file: "cut_ipv4",
    id: 6,
    capLength: 60,
    parsed: "truncated",
    payload: ipv4({
      identification: 0x2dcb,
      payload: tcp({
        ...CONNECT4,
        sourcePort: 40005,
        sequence: 0x338358ea,
        options: new Uint8Array(20),
      }),
    }).slice(0, 30),
  },
  { file: "meta_ipv4", id: 7, capLength: 0, parsed: "truncated", payload: concat() },
];

for (const { file, id, capLength, payload, parsed } of captured) {
  golden(`decodePacketMessage() reads golden/nfqueue/${file}.txt`, () => {
    const message = readGolden(file);
    const { outcome, packet } = decode(message);
    assert.equal(outcome, QUEUE.packet);
    const { payloadOffset, payloadLength } = packet;
    assert.deepEqual(packet, { ...packet, id, queueNumber: 0x1234, capLength });
    assert.equal(hex(message.subarray(payloadOffset, payloadOffset + payloadLength)), hex(payload));

    const view = new DataView(message.buffer);
    const fate = parsePacket(view, payloadOffset, payloadLength, emptyHeader());
    assert.equal(PARSE_NAMES[fate], parsed);
  });
}

for (const file of ["ack", "refusal"]) {
  golden(`decodePacketMessage() takes golden/nfqueue/${file}.txt for no packet`, () => {
    assert.equal(decode(readGolden(file)).outcome, QUEUE.notPacket);
  });
}

const PACKET_TYPE = NFNL_SUBSYS.NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG.NFQNL_MSG_PACKET;
const header = raw(NFQA.NFQA_PACKET_HDR, unhex("fffffffe 0800 00"));
const payload = raw(NFQA.NFQA_PAYLOAD, unhex("4500 0014 00"));
const ATTRIBUTES = 20;

Deno.test("decodePacketMessage() reads ids and lengths as unsigned", () => {
  const { outcome, packet } = decode(
    message([header, u32be(NFQA.NFQA_CAP_LEN, 0xffffffff), payload], 65535),
  );
  assert.equal(outcome, QUEUE.packet);
  assert.deepEqual(packet, {
    id: 0xfffffffe,
    queueNumber: 65535,
    payloadOffset: ATTRIBUTES + 12 + 8 + 4,
    payloadLength: 5,
    capLength: 0xffffffff,
  });
});

Deno.test("decodePacketMessage() reads payloads up to the longest attribute", () => {
  const { packet } = decode(message([header, raw(NFQA.NFQA_PAYLOAD, new Uint8Array(65531))]));
  assert.deepEqual([packet.payloadLength, packet.capLength], [65531, 65531]);
});

Deno.test("decodePacketMessage() forgets the packet before", () => {
  const out: QueuedPacket = { ...emptyQueuedPacket(), payloadLength: 99, capLength: 99 };
  const { packet } = decode(message([header]), out);
  assert.deepEqual([packet.id, packet.payloadLength, packet.capLength], [0xfffffffe, 0, 0]);
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
  [
    "NFQA_CAP_LEN of 3 bytes",
    message([header, raw(NFQA.NFQA_CAP_LEN, new Uint8Array(3))]),
    "malformed",
  ],
  ["nla_len 0", attributeLength(whole, 0), "malformed"],
  ["nla_len 3", attributeLength(whole, 3), "malformed"],
  ["nla_len over the message", attributeLength(whole, 0xffff), "malformed"],
  ["another message of the subsystem", message([header], 1, PACKET_TYPE | 2), "notPacket"],
  [
    "nothing but another nlmsghdr",
    lengthened(message([], 1, NLMSG.NLMSG_NOOP).slice(0, 16), 16),
    "notPacket",
  ],
  ["another subsystem", message([header], 1, 0x0a00), "notPacket"],
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

function message(attributes: readonly Attribute[], queueNumber = 1, type = PACKET_TYPE): Bytes {
  const writer = new Writer().u32ne(0).u16ne(type).u16ne(0).u32ne(0).u32ne(0);
  writer.u8(2).u8(0).u16be(queueNumber);
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
