// sock_diag: what ss sends to end a socket, byte for byte, made from what the kernel listed; the
// filters of a list; any bytes.

import assert from "node:assert/strict";
import fc from "fast-check";
import { hex, unhex } from "../../../src/bytes/hex.ts";
import { DecodeError } from "../../../src/errors.ts";
import { NLM_F } from "../../../src/netlink/constants.ts";
import { encodeRequest, readMessages } from "../../../src/netlink/message.ts";
import {
  destroy,
  listClients,
  listConnections,
  listSessions,
  parseConnection,
  parseSession,
  tryDestroy,
} from "../../../src/netlink/sock_diag.ts";
import { formatAddress } from "../../../src/packet/address.ts";

const GOLDEN = new URL("../../golden/sock_diag/", import.meta.url);
const SEQUENCE_OFFSET = 8;

const captured = [
  { file: "ipv4", local: "127.0.0.1", port: 2222, source: "127.0.0.5", sourcePort: 40_001 },
  { file: "ipv6", local: "::1", port: 2222, source: "::1", sourcePort: 40_001 },
  { file: "mapped", local: "127.0.0.2", port: 2223, source: "127.0.0.6", sourcePort: 40_002 },
];

for (const { file, ...ends } of captured) {
  const [message] = readMessages(readGolden(`listed_${file}`));
  assert.ok(message);

  Deno.test(`parseConnection() reads golden/sock_diag/listed_${file}.txt`, () => {
    const { local, source, port, sourcePort, halfOpen, timeWait } = parseConnection(message);
    assert.deepEqual(
      { local: formatAddress(local), port, source: formatAddress(source), sourcePort },
      ends,
    );
    assert.deepEqual({ halfOpen, timeWait }, { halfOpen: false, timeWait: false });
    assert.deepEqual(parseSession(message), { port, source, sourcePort });
  });

  Deno.test(`destroy() of it makes golden/sock_diag/destroy_${file}.txt, as ss -K sends it`, () => {
    const golden = readGolden(`destroy_${file}`);
    const sequence = new DataView(golden.buffer).getUint32(SEQUENCE_OFFSET, true);
    // Two runs of the kernel give the socket the same cookie: it is the same socket.
    const request = destroy(parseConnection(message));
    const bytes = encodeRequest({ ...request, flags: NLM_F.NLM_F_ACK }, sequence);
    assert.equal(hex(bytes), hex(golden));
  });
}

Deno.test("parseConnection() tells half-open ones, what TIME_WAIT left, and sockets apart", () => {
  const [message] = readMessages(readGolden("listed_ipv4"));
  assert.ok(message);
  const changed = (offset: number, value: number) => {
    const payload = message.payload.slice();
    payload[offset] = value;
    return parseConnection({ ...message, payload });
  };
  assert.equal(changed(1, 3).halfOpen, true);
  assert.equal(changed(2, 3).timeWait, true);
  const cookies = [0, 44, 48].map((offset) => changed(offset, 2).cookie);
  assert.equal(new Set(cookies).size, cookies.length);
});

Deno.test("listConnections() and listClients() let the kernel choose by the port", () => {
  const idOf = (requests: ReturnType<typeof listSessions>) =>
    requests.map(({ header }) => hex(header.subarray(8, 12)));
  assert.deepEqual(idOf(listSessions()), ["00000000", "00000000"]);
  assert.deepEqual(idOf(listConnections(22)), ["00160000", "00160000"]);
  assert.deepEqual(idOf(listClients(22)), ["00000016", "00000016"]);
  assert.deepEqual(listConnections(22).map(({ header }) => header[0]), [2, 10]);
  assert.ok(listConnections(22).every(({ flags }) => flags === NLM_F.NLM_F_DUMP));
});

Deno.test("tryDestroy() names no socket, which no socket's cookie can be", () => {
  const { header } = tryDestroy();
  assert.ok(header.subarray(8).every((byte) => byte === 0));
});

Deno.test("parseConnection() gives a value or DecodeError for any bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (payload) => {
    try {
      parseConnection({ type: 20, flags: 0, sequence: 0, port: 0, payload });
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  }));
});

function readGolden(name: string): Uint8Array {
  const lines = Deno.readTextFileSync(new URL(`${name}.txt`, GOLDEN)).split("\n");
  return unhex(lines.filter((line) => !line.startsWith("#")).join(""));
}
