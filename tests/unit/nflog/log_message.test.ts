// decodeLogMessage(): messages captured from the kernel, messages made wrong by hand, and any bytes
// at all.

import fc from "fast-check";
import assert from "node:assert/strict";
import { LITTLE_ENDIAN } from "../../../src/bytes/endian.ts";
import { hex, unhex } from "../../../src/bytes/hex.ts";
import { Writer } from "../../../src/bytes/writer.ts";
import { REFUSED_PREFIX } from "../../../src/firewall/ruleset.ts";
import {
  type Attribute,
  raw,
  text,
  u32be,
  writeAttributes,
} from "../../../src/netlink/attribute.ts";
import { NFNL_SUBSYS, NLA, NLMSG } from "../../../src/netlink/constants.ts";
import { NFULA, NFULNL_MSG } from "../../../src/nflog/constants.ts";
import {
  decodeLogMessage,
  emptyLoggedPacket,
  LOGGED,
  type LoggedPacket,
} from "../../../src/nflog/log_message.ts";
import { NFQNL_MSG } from "../../../src/nfqueue/constants.ts";
import { emptyHeader } from "../../../src/packet/header.ts";
import { PARSE_NAMES, type ParseName } from "../../../src/packet/outcome.ts";
import { parsePacket } from "../../../src/packet/parse.ts";
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
import { placements } from "../../support/placements.ts";

const GOLDEN = new URL("../../golden/nflog/", import.meta.url);
const CONNECT4 = { window: 0xfaf0 } as const;
const REFUSED_MARK = REFUSED_PREFIX.charCodeAt(0);

interface Captured {
  readonly file: string;
  readonly sequence: number;
  readonly mark: number;
  /** The bytes that were copied, built anew. */
  readonly payload: Bytes;
  readonly parsed: ParseName;
}

// What the sending kernel chose at random (identification, flow label, sequence, time stamp) is
// given here as captured; lengths and checksums are not, so both sides must have them right.
const captured: readonly Captured[] = [
  {
    file: "syn_ipv4",
    sequence: 0,
    mark: 0,
    parsed: "tcp",
    payload: ipv4({
      identification: 0xd52f,
      payload: tcp({
        ...CONNECT4,
        sourcePort: 40001,
        destinationPort: 81,
        sequence: 0x49a0c380,
        options: unhex("020405b4 0402080a b7f00b97 00000000 0103030a"),
      }),
    }),
  },
  {
    file: "syn_ipv6",
    sequence: 1,
    mark: 0,
    parsed: "tcp",
    payload: ipv6({
      flowLabel: 0x74ada,
      payload: tcp({
        sourcePort: 40002,
        destinationPort: 81,
        window: 0xfd20,
        sequence: 0xedf7dc93,
        options: unhex("020405a0 0402080a 8a53b3ff 00000000 0103030a"),
      }),
    }),
  },
  {
    file: "extensions_ipv6",
    sequence: 2,
    mark: 0,
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
    sequence: 3,
    mark: 0,
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
    sequence: 4,
    mark: 0,
    parsed: "fragment",
    payload: ipv6({
      extensions: [fragment({ more: true, identification: 77 })],
      payload: tcp({ sourcePort: 40009, destinationPort: 84, sequence: 9 }).slice(0, 16),
    }),
  },
  {
    file: "cut_ipv4",
    sequence: 5,
    mark: 0,
    parsed: "truncated",
    payload: ipv4({
      identification: 0x17e1,
      payload: tcp({
        ...CONNECT4,
        sourcePort: 40005,
        destinationPort: 81,
        sequence: 0x1d5cd2b5,
        options: new Uint8Array(20),
      }),
    }).slice(0, 30),
  },
  {
    file: "refused_ipv4",
    sequence: 6,
    mark: REFUSED_MARK,
    parsed: "tcp",
    payload: ipv4({
      identification: 0x0e51,
      payload: tcp({
        ...CONNECT4,
        sourcePort: 40006,
        destinationPort: 22,
        sequence: 0xd1b3d547,
        options: unhex("020405b4 0402080a f0fe2031 00000000 0103030a"),
      }),
    }),
  },
];

for (const { file, sequence, mark, payload, parsed } of captured) {
  golden(`decodeLogMessage() reads golden/nflog/${file}.txt`, () => {
    const message = readGolden(file);
    const { outcome, packet } = decode(message);
    assert.equal(outcome, LOGGED.packet);
    const { payloadOffset, payloadLength } = packet;
    assert.deepEqual(packet, { ...packet, sequence, mark });
    assert.equal(hex(message.subarray(payloadOffset, payloadOffset + payloadLength)), hex(payload));

    const view = new DataView(message.buffer);
    const fate = parsePacket(view, payloadOffset, payloadLength, emptyHeader());
    assert.equal(PARSE_NAMES[fate], parsed);
  });
}

for (const file of ["ack", "refusal"]) {
  golden(`decodeLogMessage() takes golden/nflog/${file}.txt for no packet`, () => {
    assert.equal(decode(readGolden(file)).outcome, LOGGED.notPacket);
  });
}

const PACKET_TYPE = NFNL_SUBSYS.NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG.NFULNL_MSG_PACKET;
const sequence = u32be(NFULA.NFULA_SEQ, 0xfffffffe);
const payload = raw(NFULA.NFULA_PAYLOAD, unhex("4500 0014 00"));
const refused = text(NFULA.NFULA_PREFIX, REFUSED_PREFIX);
const ATTRIBUTES = 20;

Deno.test("decodeLogMessage() reads numbers as unsigned, and where the payload lies", () => {
  const { outcome, packet } = decode(message([sequence, payload]));
  assert.equal(outcome, LOGGED.packet);
  assert.deepEqual(packet, {
    sequence: 0xfffffffe,
    mark: 0,
    payloadOffset: ATTRIBUTES + 8 + 4,
    payloadLength: 5,
  });
});

Deno.test("decodeLogMessage() reads payloads up to the longest attribute", () => {
  const { packet } = decode(message([sequence, raw(NFULA.NFULA_PAYLOAD, new Uint8Array(65531))]));
  assert.equal(packet.payloadLength, 65531);
});

Deno.test("decodeLogMessage() reads the first byte of the prefix, also where it is all there is", () => {
  const marks = ["", "00", "7200", "72", "ff"].map((prefix) =>
    decode(message([raw(NFULA.NFULA_PREFIX, unhex(prefix)), sequence])).packet.mark
  );
  assert.deepEqual(marks, [0, 0, 0x72, 0x72, 0xff]);
});

Deno.test("decodeLogMessage() forgets the packet before", () => {
  const out: LoggedPacket = { sequence: 99, mark: 99, payloadOffset: 99, payloadLength: 99 };
  const { packet } = decode(message([sequence]), out);
  assert.deepEqual([packet.sequence, packet.mark, packet.payloadLength], [0xfffffffe, 0, 0]);
});

Deno.test("decodeLogMessage() takes the last of two attributes of one type", () => {
  const { packet } = decode(message([
    ...[u32be(NFULA.NFULA_SEQ, 1), refused, payload],
    ...[sequence, text(NFULA.NFULA_PREFIX, ""), raw(NFULA.NFULA_PAYLOAD, unhex("60"))],
  ]));
  assert.deepEqual([packet.sequence, packet.mark, packet.payloadLength], [0xfffffffe, 0, 1]);
});

const spare = raw(99, unhex("61 62 63 64 65"));
const flagged: Attribute = { ...sequence, type: NFULA.NFULA_SEQ | NLA.NLA_F_NET_BYTEORDER };
const whole = message([sequence, payload]);

const outcomes: readonly [string, Bytes, keyof typeof LOGGED][] = [
  ["unknown attributes", message([raw(98, unhex("00")), sequence, spare, payload]), "packet"],
  ["attributes in another order", message([payload, refused, sequence]), "packet"],
  ["a flag in an attribute's type", message([flagged]), "packet"],
  ["no padding at the end", lengthened(whole.slice(0, -3), whole.length - 3), "packet"],
  ["its end cut off", whole.slice(0, -1), "malformed"],
  ["bytes after the message", concat(whole, new Uint8Array(8).fill(0xff)), "packet"],
  [
    "three bytes after the last attribute",
    lengthened(concat(whole, new Uint8Array(3).fill(0xff)), whole.length + 3),
    "packet",
  ],
  [
    "an attribute without content",
    message([sequence, raw(NFULA.NFULA_PAYLOAD, concat())]),
    "packet",
  ],
  ["no payload", message([sequence]), "packet"],
  ["no bytes", concat(), "malformed"],
  ["19 bytes", lengthened(whole.slice(0, 19), 19), "malformed"],
  ["15 bytes", whole.slice(0, 15), "malformed"],
  ["nlmsg_len 15", lengthened(whole, 15), "malformed"],
  ["nlmsg_len over the datagram", lengthened(whole, whole.length + 1), "malformed"],
  ["nlmsg_len 2^32 - 1", lengthened(whole, 0xffffffff), "malformed"],
  ["nlmsg_len inside nfgenmsg", lengthened(whole, 19), "malformed"],
  ["nlmsg_len inside an attribute", lengthened(whole, ATTRIBUTES + 15), "malformed"],
  ["no attributes", message([]), "malformed"],
  ["no NFULA_SEQ", message([payload]), "malformed"],
  ["NFULA_SEQ of 3 bytes", message([raw(NFULA.NFULA_SEQ, new Uint8Array(3))]), "malformed"],
  [
    "an empty NFULA_SEQ at the end",
    message([sequence, raw(NFULA.NFULA_SEQ, concat())]),
    "malformed",
  ],
  [
    "NFULA_SEQ_GLOBAL in its place",
    message([{ ...sequence, type: NFULA.NFULA_SEQ + 1 }]),
    "malformed",
  ],
  ["a type that only ends like NFULA_SEQ", message([{ ...sequence, type: 0x10c }]), "malformed"],
  ["nla_len 0", attributeLength(whole, 0), "malformed"],
  ["nla_len 3", attributeLength(whole, 3), "malformed"],
  ["nla_len over the message", attributeLength(whole, 0xffff), "malformed"],
  ["another message of the subsystem", message([sequence], PACKET_TYPE | 1), "notPacket"],
  [
    "nothing but another nlmsghdr",
    lengthened(message([], NLMSG.NLMSG_NOOP).slice(0, 16), 16),
    "notPacket",
  ],
  [
    "a packet of a queue",
    message([sequence], NFNL_SUBSYS.NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG.NFQNL_MSG_PACKET),
    "notPacket",
  ],
];

for (const [name, bytes, outcome] of outcomes) {
  Deno.test(`decodeLogMessage() takes a message with ${name} for ${outcome}`, () => {
    assert.equal(decode(bytes).outcome, LOGGED[outcome]);
  });
}

const u8 = fc.integer({ min: 0, max: 0xff });
const attribute = fc.tuple(fc.integer({ min: 0, max: 22 }), fc.uint8Array({ maxLength: 40 }))
  .map(([type, content]) => raw(type, content));
const wellFormed = fc.array(attribute, { maxLength: 6 })
  .map((others) => message([...others, sequence, refused, payload]));
const mutated = fc.tuple(wellFormed, fc.array(fc.tuple(fc.nat(), u8), { maxLength: 4 }), fc.nat(30))
  .map(([bytes, changes, cut]) =>
    changes.reduce((changed, [at, value]) => patch(changed, at % changed.length, value), bytes)
      .slice(0, bytes.length - cut)
  );
const anyAttributes = fc.uint8Array({ maxLength: 120 }).map((rest) => {
  const start = message([sequence]);
  return lengthened(concat(start, rest), start.length + rest.length);
});

for (
  const [name, arbitrary] of [
    ["any bytes", fc.uint8Array({ maxLength: 120 })],
    ["any bytes as attributes", anyAttributes],
    ["messages with wrong bytes", mutated],
  ] as const
) {
  Deno.test(`decodeLogMessage() takes ${name} for the same, whatever lies around them`, () => {
    fc.assert(
      fc.property(arbitrary, u8, u8, (bytes, before, after) => {
        const alone = decode(Uint8Array.from(bytes));
        for (const { name, view, offset } of placements(bytes, before, after)) {
          const packet = emptyLoggedPacket();
          const outcome = decodeLogMessage(view, offset, bytes.length, packet);
          assert.equal(outcome, alone.outcome, name);
          if (outcome !== LOGGED.packet) continue;
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

function decode(bytes: Bytes, packet = emptyLoggedPacket()) {
  const outcome = decodeLogMessage(new DataView(bytes.buffer), 0, bytes.length, packet);
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
