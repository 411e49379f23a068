// hear(): which sources' knocks are copied changes while everything else stays.

import assert from "node:assert/strict";
import { KernelError } from "../../../src/errors.ts";
import { hear } from "../../../src/firewall/firewall.ts";
import { rulesetOf, TABLE_COMMENT } from "../../../src/firewall/ruleset.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { configOf } from "../../support/configs.ts";
import { socketTo } from "../../support/fake_kernel.ts";
import { type FakeNftables, fakeNftables, messageNames } from "../../support/fake_nftables.ts";

const FORM = { flags: 0, queueKind: "queue" } as const;
const SHARE = { modulus: 3, seed: 1, value: 2 };
const config = configOf();
const standing = {
  table: { name: "pk", flags: 0, comment: TABLE_COMMENT },
  sets: rulesetOf(config, "queue").sets,
  elements: {},
};

Deno.test("hear() writes the chains anew that copy knocks, and nothing else", () => {
  for (const heard of [SHARE, undefined]) {
    const nftables = fakeNftables(standing);
    run(nftables, heard);
    const [transaction = [], ...others] = nftables.transactions;
    assert.equal(others.length, 0);
    const rules = rulesetOf(config, "queue", heard).rules.filter(({ chain }) =>
      chain === "early" || chain === "knock"
    );
    assert.deepEqual(messageNames(transaction), [
      ...["DELRULE", "DELRULE"],
      ...rules.map(() => "NEWRULE"),
    ]);
    const hashes = transaction.flat().filter((line) => /hash\.4 = /.test(line));
    assert.deepEqual(
      hashes.map((line) => line.split(" = ")[1]),
      heard === undefined ? [] : ["00000003", "00000003", "00000003", "00000003"],
    );
  }
});

Deno.test("hear() throws what the kernel says where the table is gone", () => {
  const nftables = fakeNftables(standing, () => "ENOENT");
  assert.throws(
    () => run(nftables, SHARE),
    (error) => error instanceof KernelError && error.code === "ENOENT",
  );
});

function run(nftables: FakeNftables, heard: typeof SHARE | undefined): void {
  hear(openConversation(socketTo(nftables.kernel)), config, FORM, heard);
}
