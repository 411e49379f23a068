// readBefore(): which sessions the standing table took for older ones, at which ports.

import assert from "node:assert/strict";
import { HostError } from "../../../src/errors.ts";
import { readBefore } from "../../../src/firewall/before.ts";
import { endpointFields, portBytes } from "../../../src/firewall/grant.ts";
import { rulesetOf, TABLE_COMMENT } from "../../../src/firewall/ruleset.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import type { Session } from "../../../src/netlink/sock_diag.ts";
import { encodeKey } from "../../../src/nftables/set.ts";
import { addressBytes } from "../../../src/packet/address.ts";
import { configOf } from "../../support/configs.ts";
import { socketTo } from "../../support/fake_kernel.ts";
import { fakeNftables, type Standing } from "../../support/fake_nftables.ts";

const IPV4 = { family: 4, word0: 0, word1: 0, word2: 0, word3: 0xc0000201 } as const;
const IPV6 = { family: 6, word0: 0x20010db8, word1: 0, word2: 0, word3: 1 } as const;
const OLDER: readonly Session[] = [
  { source: IPV4, sourcePort: 40_000, port: 22 },
  { source: IPV6, sourcePort: 40_001, port: 22 },
];

const key = ({ source, sourcePort, port }: Session) => ({
  key: encodeKey([addressBytes(source), portBytes(sourcePort), portBytes(port)]),
  timeoutMs: 9_000,
});
const standing: Standing = {
  table: { name: "pk", flags: 0, comment: TABLE_COMMENT },
  sets: rulesetOf(configOf(), "queue").sets,
  elements: {
    guarded: [
      { key: encodeKey(endpointFields({ protocol: "tcp", port: 22 })) },
      { key: encodeKey(endpointFields({ protocol: "udp", port: 53 })) },
    ],
    inherited4: OLDER.slice(0, 1).map(key),
    inherited6: OLDER.slice(1).map(key),
  },
};

const read = (what: Standing | undefined) =>
  readBefore(openConversation(socketTo(fakeNftables(what).kernel)));

Deno.test("readBefore() knows the guarded TCP ports and their older sessions", () => {
  const before = read(standing);
  assert.ok(before);
  assert.deepEqual([22, 53, 80].map(before.guarded), [true, false, false]);
  for (const session of OLDER) {
    assert.equal(before.inherited(session), true);
    assert.equal(before.inherited({ ...session, sourcePort: 1 }), false);
    assert.equal(before.inherited({ ...session, port: 23 }), false);
  }
});

Deno.test("readBefore() knows nothing without a table, of a stateless one, and of another layout", () => {
  assert.equal(read(undefined), undefined);
  const { sets } = rulesetOf(configOf({ filter: "stateless" }), "queue");
  assert.equal(read({ ...standing, sets, elements: {} }), undefined);
  const other = standing.sets.map((set) =>
    set.name === "guarded" ? { ...set, key: ["inet_service"] as const } : set
  );
  assert.equal(read({ ...standing, sets: other }), undefined);
});

Deno.test("readBefore() reads no table of somebody else", () => {
  const table = { name: "pk", flags: 0, comment: "mine" };
  assert.throws(() => read({ ...standing, table }), HostError);
});
