// writeGrants() and remove() against an nf_tables that is a function; the text of the
// ruleset; grants to elements and back.

import fc from "fast-check";
import assert from "node:assert/strict";
import { HostError, UnansweredError } from "../../../src/errors.ts";
import { remove, writeGrants } from "../../../src/firewall/firewall.ts";
import { type Grant, grantElement, grantSet, parseGrant } from "../../../src/firewall/grant.ts";
import { rulesetOf, rulesetText, TABLE_COMMENT } from "../../../src/firewall/ruleset.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { configOf, plainDoor } from "../../support/configs.ts";
import { socketTo } from "../../support/fake_kernel.ts";
import { type FakeNftables, fakeNftables, messageNames } from "../../support/fake_nftables.ts";

const RENEWAL = ["NEWSETELEM", "DELSETELEM", "NEWSETELEM"];
const TABLE = { name: "pk", flags: 4, comment: TABLE_COMMENT };
const grants = [1, 2, 3].map((word3): Grant => ({
  source: { family: 4, word0: 0, word1: 0, word2: 0, word3 },
  protocol: "tcp",
  port: 22,
  timeoutMs: 20_000,
}));
const isFor = (lines: readonly string[], word3: number) =>
  lines.some((line) => line.includes(` = 0000000${word3}06000000`));

Deno.test("writeGrants() renews all in one transaction", () => {
  const nftables = fakeNftables();
  assert.deepEqual(writeGrants(talkTo(nftables), grants).refused(), []);
  assert.deepEqual(nftables.transactions.map(messageNames), [[...RENEWAL, ...RENEWAL, ...RENEWAL]]);
});

Deno.test("writeGrants() writes the others together when one of several is refused", () => {
  const nftables = fakeNftables(undefined, (lines) => isFor(lines, 2) ? "ENFILE" : undefined);
  const refused = writeGrants(talkTo(nftables), grants).refused();
  assert.deepEqual(refused.map(({ grant }) => grant), [grants[1]]);
  assert.match(refused[0]?.error.message ?? "", /^Cannot add elements to set "grants4": ENFILE/);
  assert.deepEqual(nftables.transactions.map((lines) => lines.length), [9, 6]);
});

Deno.test("writeGrants() tells of each that is refused after one transaction, however many they are", () => {
  const full = fakeNftables(undefined, () => "ENFILE");
  const refused = writeGrants(talkTo(full), grants).refused();
  assert.deepEqual(refused.map(({ grant }) => grant), grants);
  assert.equal(full.transactions.length, 1);
  const alone = fakeNftables(undefined, () => "ENFILE");
  assert.equal(writeGrants(talkTo(alone), grants.slice(0, 1)).refused().length, 1);
  assert.equal(alone.transactions.length, 1);
});

Deno.test("writeGrants() does not wait once more for each where the kernel does not answer", () => {
  let sent = 0;
  const silent = openConversation(socketTo(() => {
    sent++;
    return [];
  }));
  const refused = writeGrants(silent, grants).refused();
  assert.deepEqual(refused.map(({ error }) => error.code), Array(3).fill("ETIMEDOUT"));
  assert.equal(sent, 1);
});

Deno.test("writeGrants() tells of an answer that cannot be read as of none", () => {
  const broken = openConversation(socketTo(() => [new Uint8Array(3)]));
  const unanswered = writeGrants(broken, grants).refused();
  assert.deepEqual(unanswered.map(({ grant }) => grant), grants);
  for (const { error } of unanswered) assert.ok(error instanceof UnansweredError);
});

Deno.test("remove() deletes our table, nothing where there is none, nobody else's", () => {
  const ours = fakeNftables({ table: TABLE, sets: [], elements: {} });
  assert.equal(remove(talkTo(ours)), true);
  assert.deepEqual(ours.transactions.map(messageNames), [["NEWTABLE", "DELTABLE"]]);
  const none = fakeNftables();
  assert.equal(remove(talkTo(none)), false);
  assert.deepEqual(none.transactions, []);
  const foreign = fakeNftables({ table: { ...TABLE, comment: undefined }, sets: [], elements: {} });
  assert.throws(() => remove(talkTo(foreign)), HostError);
  assert.deepEqual(foreign.transactions, []);
});

Deno.test("remove() tells what EPERM means", () => {
  const owned = fakeNftables(
    { table: { ...TABLE, owner: 1 }, sets: [], elements: {} },
    (lines) => lines[0]?.includes("DELTABLE") ? "EPERM" : undefined,
  );
  assert.throws(
    () => remove(talkTo(owned)),
    (error) => error instanceof HostError && /pk down/.test(error.hint),
  );
});

const word = fc.nat(0xffff_ffff);
const grant = fc.record({
  source: fc.oneof(
    word.map((word3) => ({ family: 4, word0: 0, word1: 0, word2: 0, word3 } as const)),
    fc.tuple(word, word, word, word).map(([word0, word1, word2, word3]) =>
      ({ family: 6, word0, word1, word2, word3 }) as const
    ),
  ),
  protocol: fc.constantFrom("tcp" as const, "udp" as const),
  port: fc.integer({ min: 1, max: 65_535 }),
  timeoutMs: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
}, { noNullPrototype: true });

Deno.test("parseGrant() reads what grantElement() writes", () => {
  fc.assert(fc.property(grant, (grant) => {
    assert.deepEqual(parseGrant(grantSet(grant.source), grantElement(grant)), grant);
  }));
});

Deno.test("parseGrant() takes no grant for another protocol for one of pk's", () => {
  const key = grantElement(grants[0] as Grant).key.slice();
  key[4] = 132;
  assert.equal(parseGrant("grants4", { key, timeoutMs: 1_000 }), undefined);
});

Deno.test("parseGrant() counts an element without a timeout as ended", () => {
  const { key } = grantElement({
    source: { family: 4, word0: 0, word1: 0, word2: 0, word3: 1 },
    protocol: "udp",
    port: 22,
    timeoutMs: 1,
  });
  assert.equal(parseGrant("grants4", { key })?.timeoutMs, 0);
});

Deno.test("rulesetText() names each watched port once, in order, and says when the table is owned", () => {
  const steps = ["tcp/9000", "udp/7000", "tcp/7000", "tcp/9000"] as const;
  const config = configOf({ doors: [plainDoor({ opens: ["tcp/22", "udp/53-54"], steps })] });
  const text = rulesetText(rulesetOf(config, "queue"), true);
  assert.match(
    text,
    /elements = \{ tcp \. 22, tcp \. 7000, tcp \. 9000, udp \. 53, udp \. 54, udp \. 7000 \}/,
  );
  assert.match(text, /elements = \{ tcp \. 22, udp \. 53, udp \. 54 \}/);
  assert.match(text, /# flags owner, persist/);
  assert.doesNotMatch(rulesetText(rulesetOf(config, "queue"), false), /owner/);
  assert.equal(
    rulesetText(rulesetOf(config, "xt-target"), true),
    text,
    "nft has one word for both",
  );
});

function talkTo({ kernel }: FakeNftables) {
  return openConversation(socketTo(kernel));
}
