// install() where something is to be kept: a table that stands there, its grants in this layout or
// another one, grants the daemon knows, sessions older than pk.

import assert from "node:assert/strict";
import { unhex } from "../../../src/bytes/hex.ts";
import type { Config, Milliseconds } from "../../../src/config/config.ts";
import { formsOf, install } from "../../../src/firewall/firewall.ts";
import { type Grant, grantElement } from "../../../src/firewall/grant.ts";
import { rulesetOf, TABLE_COMMENT } from "../../../src/firewall/ruleset.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import type { Session } from "../../../src/netlink/sock_diag.ts";
import { configOf, plainDoor } from "../../support/configs.ts";
import type { NftSet } from "../../../src/nftables/set.ts";
import { socketTo } from "../../support/fake_kernel.ts";
import {
  elementsAdded,
  type FakeNftables,
  fakeNftables,
  messageNames,
  type Standing,
} from "../../support/fake_nftables.ts";

const OWNED = 6;
/** The flags of a table with `owner` and `persist` whose owner is gone. */
const ORPHAN = 4;
const config = configOf();
const IPV4 = { family: 4, word0: 0, word1: 0, word2: 0, word3: 0xc0000201 } as const;
const IPV6 = { family: 6, word0: 0x20010db8, word1: 0, word2: 0, word3: 1 } as const;
const grants: readonly Grant[] = [
  { source: IPV4, protocol: "tcp", port: 22, timeoutMs: 9_000 },
  { source: IPV6, protocol: "udp", port: 22, timeoutMs: 5_000 },
];
const standing: Standing = {
  table: { name: "pk", flags: ORPHAN, comment: TABLE_COMMENT },
  sets: rulesetOf(config, "queue").sets,
  elements: {
    grants4: grants.slice(0, 1).map(grantElement),
    grants6: grants.slice(1).map(grantElement),
  },
};

Deno.test("install() adopts what stands there and leaves the grants where they are", () => {
  const nftables = fakeNftables(standing);
  assert.deepEqual(run(nftables), {
    adopted: true,
    form: { flags: OWNED, queueKind: "queue" },
    grants,
  });
  const [transaction] = nftables.transactions;
  assert.ok(!messageNames(transaction).includes("DELTABLE"));
  assert.deepEqual(elementsAdded(transaction, "grants4"), []);
});

Deno.test("install() makes a table of another layout anew, with the grants of the old one", () => {
  const smaller = standing.sets.map((set) => ({ ...set, ...(set.size && { size: 10 }) }));
  const others: readonly Standing[] = [
    { ...standing, sets: smaller },
    { ...standing, table: { ...standing.table, flags: 0 } },
    { ...standing, table: { ...standing.table, owner: 4711 } },
  ];
  for (const other of others) {
    const nftables = fakeNftables(other);
    assert.deepEqual(run(nftables).grants, grants);
    const [transaction] = nftables.transactions;
    assert.deepEqual(messageNames(transaction).slice(0, 2), ["DELTABLE", "NEWTABLE"]);
    assert.deepEqual(elementsAdded(transaction, "grants4"), [
      "c0000201" + "06000000" + "00160000 9000",
    ]);
    assert.equal(elementsAdded(transaction, "grants6").length, 1);
  }
});

Deno.test("install() gives the table it owns another configuration, and leaves the grants where they are", () => {
  const owned = { ...standing, table: { ...standing.table, flags: OWNED, owner: 4711 } };
  const nftables = fakeNftables(owned);
  const other = configOf({ doors: [plainDoor({ opens: ["udp/53"], onExpire: "cut" })] });
  assert.deepEqual(run(nftables, { wanted: other, ownPort: 4711 }).grants, grants);
  const [transaction, ...others] = nftables.transactions;
  assert.equal(others.length, 0);
  const names = messageNames(transaction);
  assert.ok(!names.includes("DELTABLE"));
  assert.deepEqual(elementsAdded(transaction, "grants4"), []);
  // Without TCP there are no sessions to be inherited.
  assert.deepEqual(deleted(transaction), ["set inherited4", "set inherited6"]);
  assert.ok(names.lastIndexOf("DELRULE") < names.indexOf("DELSET"), "rules go first");
});

Deno.test("install() takes out sets and chains of an earlier configuration, and renews changed sets", () => {
  const banMs = 60_000 as Milliseconds;
  const before = configOf({ decoys: ["tcp/1"], banMs });
  const after = { ...before, banMs: 120_000 as Milliseconds };
  const { sets, chains } = rulesetOf(before, "queue");
  const more: NftSet = { name: "more", key: ["inet_service"], timeout: false };
  const names = chains.map(({ name }) => name);
  const nftables = fakeNftables({
    ...standing,
    sets: [...sets, more],
    chains: [...names, "old", "older"],
  });
  run(nftables, { wanted: after });
  const [transaction] = nftables.transactions;
  assert.deepEqual(deleted(transaction), [
    ...["chain old", "chain older"],
    ...["set banned4", "set banned6", "set more"],
  ]);
  const order = messageNames(transaction);
  assert.ok(order.lastIndexOf("DELRULE") < order.indexOf("DELCHAIN"), "rules go first");
  assert.ok(order.lastIndexOf("DELSET") < order.indexOf("NEWSET"), "changed sets come again");
  assert.deepEqual(elementsAdded(transaction, "grants4"), []);
});

Deno.test("install() gives up grants that it cannot understand, and nothing else", () => {
  const sets = standing.sets.map((set) =>
    set.name === "grants4" ? { ...set, key: ["ipv4_addr"] as const } : set
  );
  const elements = {
    ...standing.elements,
    grants4: [{ key: new Uint8Array(4), timeoutMs: 9_000 }],
  };
  const nftables = fakeNftables({ ...standing, sets, elements });
  assert.deepEqual(run(nftables).grants, grants.slice(1));
  assert.equal(messageNames(nftables.transactions[0])[0], "DELTABLE");
});

Deno.test("install() counts an element without a timeout as no grant", () => {
  const [element] = grants.slice(0, 1).map(grantElement);
  assert.ok(element);
  const elements = { ...standing.elements, grants4: [{ key: element.key }] };
  assert.deepEqual(run(fakeNftables({ ...standing, elements })).grants, grants.slice(1));
});

Deno.test("install() writes the grants it is told of where no table stands", () => {
  const nftables = fakeNftables();
  assert.deepEqual(run(nftables, { known: grants }).grants, grants);
  assert.equal(elementsAdded(nftables.transactions[0], "grants4").length, 1);
});

Deno.test("install() writes grants it is told of beside those that stand there", () => {
  const nftables = fakeNftables({ ...standing, elements: {} });
  run(nftables, { known: grants });
  const [transaction] = nftables.transactions;
  assert.ok(!messageNames(transaction).includes("DELTABLE"));
  assert.equal(elementsAdded(transaction, "grants4").length, 1);
  assert.equal(elementsAdded(transaction, "grants6").length, 1);
});

Deno.test("install() makes the table anew where somebody's chain is in the way of ours", () => {
  const inTheWay = (lines: readonly string[], transaction: number) =>
    transaction === 1 && lines[0]?.startsWith("NFT_MSG_NEWCHAIN") ? "EEXIST" : undefined;
  const nftables = fakeNftables(standing, inTheWay);
  assert.deepEqual(run(nftables).grants, grants);
  const [, again] = nftables.transactions;
  assert.deepEqual(messageNames(again).slice(0, 2), ["DELTABLE", "NEWTABLE"]);
  assert.equal(elementsAdded(again, "grants4").length, 1);
});

Deno.test("install() lets sessions through that are older than pk", () => {
  const nftables = fakeNftables();
  const sessions: readonly Session[] = [
    { source: IPV4, sourcePort: 40_000, port: 22 },
    { source: IPV6, sourcePort: 40_001, port: 22 },
  ];
  run(nftables, { sessions });
  const [transaction] = nftables.transactions;
  assert.deepEqual(elementsAdded(transaction, "inherited4"), [
    "c0000201" + "9c400000" + "00160000 31536000000",
  ]);
  assert.deepEqual(elementsAdded(transaction, "inherited6"), [
    "20010db8000000000000000000000001" + "9c410000" + "00160000 31536000000",
  ]);
});

interface Choices {
  readonly known?: readonly Grant[];
  readonly sessions?: readonly Session[];
  readonly wanted?: Config;
  readonly ownPort?: number;
}

function run(
  { kernel }: FakeNftables,
  { known = [], sessions = [], wanted = config, ownPort }: Choices = {},
) {
  const conversation = openConversation(socketTo(kernel));
  return install(conversation, wanted, formsOf(true), sessions, known, ownPort);
}

/** "set decoys" of what a transaction deletes by name. */
function deleted(transaction: readonly (readonly string[])[] | undefined): string[] {
  return (transaction ?? []).flatMap(([header, ...lines]) => {
    const [, kind] = /^NFT_MSG_DEL(SET|CHAIN) /.exec(header ?? "") ?? [];
    const attribute = kind === "SET" ? "2 = " : "3 = ";
    const name = lines.find((line) => line.startsWith(attribute))?.slice(attribute.length);
    if (kind === undefined || name === undefined) return [];
    return [`${kind.toLowerCase()} ${new TextDecoder().decode(unhex(name)).replace("\0", "")}`];
  });
}
