// createFlowCutter(): which flows are forgotten when the table is back, over a kernel that is a list.

import assert from "node:assert/strict";
import { createFlowCutter } from "../../../src/daemon/flow_cutter.ts";
import type { Fields } from "../../../src/daemon/log.ts";
import { ERRNO, KernelError } from "../../../src/errors.ts";
import { CUTS_MAX, LINES_PER_SECOND } from "../../../src/limits.ts";
import { type Attribute, nested, raw } from "../../../src/netlink/attribute.ts";
import type { Conversation } from "../../../src/netlink/conversation.ts";
import { type Message, readMessages } from "../../../src/netlink/message.ts";
import { encodeRequest } from "../../../src/netlink/message.ts";
import { nfnetlinkRequest } from "../../../src/netlink/nfnetlink.ts";
import { addressBytes, formatAddress, parseAddress } from "../../../src/packet/address.ts";

const PORT = 5555;
const HOST = "192.0.2.1";
const DELETE = 1 << 8 | 2;

type Ends = readonly [from: string, fromPort: number, to: string, toPort: number];

/** A flow as ctnetlink lists it; `answered` is whom the answer goes to. */
function listed([from, fromPort, to, toPort]: Ends, answered = from): Message {
  const bytes = (text: string) => {
    const address = parseAddress(text);
    assert.ok(address);
    return addressBytes(address);
  };
  const port = (number: number) => Uint8Array.of(number >> 8, number & 255);
  const tuple = (type: number, [source, sourcePort, target, targetPort]: Ends): Attribute =>
    nested(type, [
      nested(1, [raw(1, bytes(source)), raw(2, bytes(target))]),
      nested(2, [raw(1, Uint8Array.of(17)), raw(2, port(sourcePort)), raw(3, port(targetPort))]),
    ]);
  const attributes = [
    tuple(1, [from, fromPort, to, toPort]),
    tuple(2, [to, toPort, answered, fromPort]),
  ];
  const [message] = readMessages(encodeRequest(nfnetlinkRequest(1, 0, 0, 2, attributes), 1));
  assert.ok(message);
  return message;
}

function setUp(
  flows: readonly Message[],
  granted: readonly string[] = [],
  refusal: "EINVAL" | undefined = undefined,
) {
  const forgotten: number[] = [];
  const logged: { readonly event: string; readonly fields: Fields }[] = [];
  const kernel: Conversation = {
    transact: () => assert.fail("flows have no transactions"),
    submit: () => assert.fail("flows have no transactions"),
    ask(request) {
      if (refusal !== undefined) throw new KernelError(request.what, ERRNO[refusal]);
      if (request.type !== DELETE) return request.header[0] === 2 ? [...flows] : [];
      forgotten.push(forgotten.length);
      return [];
    },
  };
  const cut = createFlowCutter({
    ports: () => new Set([PORT]),
    isGranted: (source, port) => granted.includes(`${formatAddress(source)} ${port}`),
    log: (_level, event, fields = {}) => logged.push({ event, fields }),
  }, (work) => work(kernel));
  return { cut, forgotten, logged };
}

Deno.test("cuts who has no grant, whoever sent first", () => {
  const { cut, forgotten, logged } = setUp([
    listed(["198.51.100.1", 40_000, HOST, PORT]),
    listed([HOST, PORT, "198.51.100.2", 40_001]),
  ]);
  assert.equal(cut(), true);
  assert.equal(forgotten.length, 2);
  assert.deepEqual(logged.map(({ fields }) => [fields["source"], fields["sourcePort"]]), [
    ["198.51.100.1", 40_000],
    ["198.51.100.2", 40_001],
  ]);
});

Deno.test("spares who has a grant, other ports, and what is masqueraded on its way to others", () => {
  const { cut, forgotten } = setUp([
    listed(["198.51.100.7", 40_000, HOST, PORT]),
    listed(["198.51.100.1", 40_000, HOST, 53]),
    listed(["10.0.0.9", 40_000, "198.51.100.1", PORT], HOST),
  ], [`198.51.100.7 ${PORT}`]);
  assert.equal(cut(), true);
  assert.equal(forgotten.length, 0);
});

Deno.test("cuts so many at once, and says when some are left", () => {
  const flow = listed(["198.51.100.1", 40_000, HOST, PORT]);
  const { cut, forgotten, logged } = setUp(Array.from({ length: CUTS_MAX + 9 }, () => flow));
  assert.equal(cut(), false);
  assert.equal(forgotten.length, CUTS_MAX);
  assert.equal(logged.filter(({ event }) => event === "cut").length, LINES_PER_SECOND);
});

Deno.test("tells once that the kernel does not list flows", () => {
  const { cut, logged } = setUp([], [], "EINVAL");
  assert.deepEqual([cut(), cut()], [true, true]);
  assert.deepEqual(logged.map(({ event }) => event), ["cannot cut flows"]);
});
