// Whatever bytes come, a decoder gives a value or throws DecodeError: nothing else, and it ends. The
// bytes are of two kinds, any at all and messages of a kernel with some bytes changed or cut off.

import fc from "fast-check";
import { Writer } from "../../../src/bytes/writer.ts";
import { DecodeError, ERRNO } from "../../../src/errors.ts";
import { parseGrant } from "../../../src/firewall/grant.ts";
import {
  listAttributes,
  nested,
  raw,
  readAttributes,
  text,
  u32be,
  u64be,
  writeAttributes,
} from "../../../src/netlink/attribute.ts";
import { NLM_F, NLMSG } from "../../../src/netlink/constants.ts";
import { readAck, readMessages } from "../../../src/netlink/message.ts";
import { messageAttributes, messageFamily } from "../../../src/netlink/nfnetlink.ts";
import { parseSession } from "../../../src/netlink/sock_diag.ts";
import { parseElements } from "../../../src/nftables/element.ts";
import { parseSetLayout } from "../../../src/nftables/set.ts";
import { parseTable } from "../../../src/nftables/table.ts";
import { done, message, objectMessage, refusal } from "../../support/fake_kernel.ts";

const decoders: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  readMessages,
  listAttributes,
  readAck: (bytes) => {
    for (const type of [NLMSG.NLMSG_ERROR, NLMSG.NLMSG_DONE]) {
      for (const flags of [0, NLM_F.NLM_F_ACK_TLVS, NLM_F.NLM_F_ACK_TLVS | NLM_F.NLM_F_CAPPED]) {
        readAck({ type, flags, sequence: 0, port: 0, payload: bytes });
      }
    }
  },
  parseElements: (bytes) => parseElements(readAttributes(bytes)),
  parseTable: (bytes) => parseTable(readAttributes(bytes)),
  parseSetLayout: (bytes) => parseSetLayout(readAttributes(bytes)),
  parseSession: (bytes) =>
    parseSession({ type: 20, flags: 0, sequence: 0, port: 0, payload: bytes }),
  parseGrant4: (key) => parseGrant("grants4", { key }),
  parseGrant6: (key) => parseGrant("grants6", { key }),
  everything: (bytes) => {
    for (const one of readMessages(bytes)) {
      messageFamily(one);
      if (one.type === NLMSG.NLMSG_ERROR || one.type === NLMSG.NLMSG_DONE) readAck(one);
      else decodeObject(messageAttributes(one));
    }
  },
};

/** Attributes that each decoder of objects knows something in. */
const attributes = [
  text(1, "pk"),
  text(2, "grants4"),
  nested(3, [
    nested(1, [nested(1, [raw(1, new Uint8Array(12))]), u64be(4, 20_000n), u64be(5, 9_000n)]),
    nested(1, [nested(1, [raw(1, new Uint8Array(12))])]),
  ]),
  raw(6, Uint8Array.of(0, 5, 0x70, 0x6b, 0x2f, 0x31, 0)),
  u32be(7, 4711),
  nested(9, [u32be(1, 65_536)]),
];
const attributeBytes = new Writer();
writeAttributes(attributeBytes, attributes);

const wholes: readonly Uint8Array[] = [
  attributeBytes.bytes(),
  objectMessage(0xa0c, 1, attributes),
  refusal({ sequence: 1 }, ERRNO.EEXIST, "Chain of another type"),
  refusal({ sequence: 1 }, ERRNO.EEXIST, "Chain of another type").slice(16),
  done(1, ERRNO.EINTR),
  message(20, 0, 1, new Uint8Array(72)),
];

const changed = fc.tuple(
  fc.constantFrom(...wholes),
  fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
  fc.nat(300),
).map(([whole, changes, length]) => {
  const bytes = whole.slice(0, Math.max(length, whole.length - length));
  for (const [offset, value] of changes) if (offset < bytes.length) bytes[offset] = value;
  return bytes;
});

for (const [name, decode] of Object.entries(decoders)) {
  Deno.test(`${name}() gives a value or DecodeError for any bytes`, () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), changed), (bytes) => {
        try {
          decode(bytes);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      }),
      { numRuns: 1_000 },
    );
  });
}

function decodeObject(attributes: ReturnType<typeof readAttributes>): void {
  parseElements(attributes);
  parseTable(attributes);
  parseSetLayout(attributes);
}
