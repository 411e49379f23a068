// readStandingSessions(): which sessions the standing table took for older ones, at which ports.

import assert from "node:assert/strict";
import { HostError } from "../../../src/errors.ts";
import { inheritedElement } from "../../../src/firewall/inherited.ts";
import { endpointFields } from "../../../src/firewall/grant.ts";
import { rulesetOf, TABLE_COMMENT } from "../../../src/firewall/ruleset.ts";
import { readStandingSessions } from "../../../src/firewall/standing.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import type { Session } from "../../../src/netlink/sock_diag.ts";
import { encodeKey } from "../../../src/nftables/set.ts";
import { configOf } from "../../support/configs.ts";
import { socketTo } from "../../support/fake_kernel.ts";
import { fakeNftables, type Standing } from "../../support/fake_nftables.ts";

const IPV4 = { family: 4, word0: 0, word1: 0, word2: 0, word3: 0xc0000201 } as const;
const IPV6 = { family: 6, word0: 0x20010db8, word1: 0, word2: 0, word3: 1 } as const;
const OLDER: readonly Session[] = [
  { source: IPV4, sourcePort: 40_000, port: 22 },
  { source: IPV6, sourcePort: 40_001, port: 22 },
];

const standing: Standing = {
  table: { name: "pk", flags: 0, comment: TABLE_COMMENT },
  sets: rulesetOf(configOf(), "queue").sets,
  elements: {
    guarded: [
      { key: encodeKey(endpointFields({ protocol: "tcp", port: 22 })) },
      { key: encodeKey(endpointFields({ protocol: "udp", port: 53 })) },
    ],
    inherited4: OLDER.slice(0, 1).map(inheritedElement),
    inherited6: OLDER.slice(1).map(inheritedElement),
  },
};

const read = (what: Standing | undefined) =>
  readStandingSessions(openConversation(socketTo(fakeNftables(what).kernel)));

Deno.test("readStandingSessions() knows the guarded TCP ports and their older sessions", () => {
  const standingSessions = read(standing);
  assert.ok(standingSessions);
  assert.deepEqual([22, 53, 80].map(standingSessions.isGuarded), [true, false, false]);
  for (const session of OLDER) {
    assert.equal(standingSessions.isInherited(session), true);
    assert.equal(standingSessions.isInherited({ ...session, sourcePort: 1 }), false);
    assert.equal(standingSessions.isInherited({ ...session, port: 23 }), false);
  }
});

Deno.test("readStandingSessions() knows nothing without a table, of a stateless one, and of another layout", () => {
  assert.equal(read(undefined), undefined);
  const { sets } = rulesetOf(configOf({ filter: "stateless" }), "queue");
  assert.equal(read({ ...standing, sets, elements: {} }), undefined);
  const other = standing.sets.map((set) =>
    set.name === "guarded" ? { ...set, key: ["inet_service"] as const } : set
  );
  assert.equal(read({ ...standing, sets: other }), undefined);
});

Deno.test("readStandingSessions() reads no table of somebody else", () => {
  const table = { name: "pk", flags: 0, comment: "mine" };
  assert.throws(() => read({ ...standing, table }), HostError);
});
