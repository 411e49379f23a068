// shut(): the ports are shut without connection tracking, which install() adds.

import assert from "node:assert/strict";
import type { Config } from "../../../src/config/config.ts";
import { HostError, KernelError } from "../../../src/errors.ts";
import { shut } from "../../../src/firewall/firewall.ts";
import type { Grant } from "../../../src/firewall/grant.ts";
import { rulesetOf, TABLE_COMMENT } from "../../../src/firewall/ruleset.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { ruleText } from "../../../src/nftables/rule.ts";
import { configOf, plainDoor } from "../../support/configs.ts";
import { socketTo } from "../../support/fake_kernel.ts";
import {
  elementsAdded,
  type FakeNftables,
  fakeNftables,
  messageNames,
  type Standing,
} from "../../support/fake_nftables.ts";

const FORM = { flags: 0, queueKind: "queue" } as const;
const GRANT: Grant = {
  source: { family: 4, word0: 0, word1: 0, word2: 0, word3: 0xc6336407 },
  protocol: "tcp",
  port: 22,
  timeoutMs: 7_000,
};

const keep = configOf({ tableOwner: false });
const cut = { ...keep, doors: [plainDoor({ onExpire: "cut" })] };
const standing: Standing = {
  table: { name: "pk", flags: 0, comment: TABLE_COMMENT },
  sets: rulesetOf(keep, "queue").sets,
  elements: {},
};

for (const [onExpire, config] of Object.entries({ keep, cut })) {
  for (const [what, there] of [["gone", undefined], ["standing", standing]] as const) {
    const title = `${onExpire}, table ${what}`;
    Deno.test(`shut() writes all rules about SYNs, without connection tracking: ${title}`, () => {
      const nftables = fakeNftables(there);
      run(nftables, config, [GRANT]);
      const [transaction, ...others] = nftables.transactions;
      assert.equal(others.length, 0);
      const lines = (transaction ?? []).filter(([header]) => header?.startsWith("NFT_MSG_NEWRULE"));
      assert.ok(!lines.flat().some((line) => line.includes(" ct.")), "no connection tracking");

      const { rules } = rulesetOf(config, "queue");
      const gate = rules.filter(({ chain }) => chain === "gate").map(ruleText);
      const afterSyns = gate.length - 1 - gate.findIndex((text) => text.endsWith("goto refuse"));
      const tracking = rules.filter((rule) =>
        rule.chain !== "gate" && /ct state/.test(ruleText(rule))
      );
      assert.equal(
        lines.length,
        rules.length - afterSyns - tracking.length,
        "nothing else is left out",
      );
      assert.deepEqual(elementsAdded(transaction, "grants4"), ["c63364070600000000160000 7000"]);
    });
  }
}

Deno.test("shut() does not touch a table of somebody else", () => {
  const table = { name: "pk", flags: 0, comment: undefined };
  const nftables = fakeNftables({ ...standing, table });
  assert.throws(() => run(nftables, keep), HostError);
  assert.deepEqual(nftables.transactions, []);
});

Deno.test("shut() throws what the kernel says to things that do not fit", () => {
  const refuse = (lines: readonly string[]) =>
    messageNames([lines])[0] === "NEWSET" ? "EEXIST" as const : undefined;
  assert.throws(
    () => run(fakeNftables(standing, refuse), keep),
    (error) => error instanceof KernelError && error.code === "EEXIST",
  );
});

function run(nftables: FakeNftables, config: Config, grants: readonly Grant[] = []): void {
  shut(openConversation(socketTo(nftables.kernel)), config, FORM, grants);
}
