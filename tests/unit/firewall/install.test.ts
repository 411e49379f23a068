// install() against an nf_tables that is a function: which forms it tries, and what it says when the
// kernel refuses.

import assert from "node:assert/strict";
import { HostError, KernelError } from "../../../src/errors.ts";
import { formsOf, install, isOwned, readCounters } from "../../../src/firewall/firewall.ts";
import { rulesetOf, TABLE_COMMENT } from "../../../src/firewall/ruleset.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { configOf, plainDoor } from "../../support/configs.ts";
import { socketTo } from "../../support/fake_kernel.ts";
import {
  elementsAdded,
  type FakeNftables,
  fakeNftables,
  messageNames,
  type Standing,
} from "../../support/fake_nftables.ts";

const OWNED = 6;
const ORPHAN = 4;
const config = configOf();
const standing: Standing = {
  table: { name: "pk", flags: ORPHAN, comment: TABLE_COMMENT },
  sets: rulesetOf(config, "queue").sets,
  elements: {},
};

const isTable = (lines: readonly string[]) => lines[0]?.startsWith("NFT_MSG_NEWTABLE");
const hasFlags = (lines: readonly string[], flags: number) =>
  lines.some((line) => line === `2 = 0000000${flags}`);
const hasExpression = (lines: readonly string[], name: string) =>
  lines.some((line) => line.includes(` ${name}.`));

Deno.test("install() makes everything in one transaction, protected, with the queue expression", () => {
  const nftables = fakeNftables();
  const installed = run(nftables);
  assert.deepEqual(installed, {
    adopted: false,
    form: { flags: OWNED, queueKind: "queue" },
    grants: [],
  });
  assert.ok(isOwned(installed.form));
  const [transaction, ...others] = nftables.transactions;
  assert.equal(others.length, 0);
  const { counters, sets, chains, ports, rules } = rulesetOf(config, "queue");
  assert.deepEqual(messageNames(transaction), [
    "NEWTABLE",
    ...counters.map(() => "NEWOBJ"),
    ...chains.flatMap(() => ["NEWCHAIN", "DELRULE"]),
    ...sets.map(() => "NEWSET"),
    ...Object.values(ports).flatMap((some) =>
      some.length > 0 ? ["DELSETELEM", "NEWSETELEM"] : ["DELSETELEM"]
    ),
    // Sessions older than pk, of both families: those of an earlier pk are forgotten.
    ...["DELSETELEM", "DELSETELEM"],
    ...rules.map(() => "NEWRULE"),
  ]);
});

Deno.test("install() without the owner flag where the kernel does not know it", () => {
  for (const code of ["EOPNOTSUPP", "EINVAL"] as const) {
    const nftables = fakeNftables(
      undefined,
      (lines) => isTable(lines) && hasFlags(lines, OWNED) ? code : undefined,
    );
    assert.deepEqual(run(nftables).form, { flags: 0, queueKind: "queue" });
  }
});

Deno.test("install() with the xt target where the kernel has no queue expression", () => {
  const noQueue = (lines: readonly string[]) =>
    hasExpression(lines, "queue") ? "ENOENT" : undefined;
  const nftables = fakeNftables(undefined, noQueue);
  assert.deepEqual(run(nftables).form, { flags: OWNED, queueKind: "xt-target" });
  assert.equal(nftables.transactions.length, 2);
  const old = fakeNftables(
    undefined,
    (lines) => isTable(lines) && hasFlags(lines, OWNED) ? "EOPNOTSUPP" : noQueue(lines),
  );
  assert.deepEqual(run(old).form, { flags: 0, queueKind: "xt-target" });
});

Deno.test("install() tries only the forms it is given", () => {
  const nftables = fakeNftables();
  assert.deepEqual(run(nftables, { tableOwner: false }).form, { flags: 0, queueKind: "queue" });
  const stubborn = fakeNftables(undefined, () => "ENOENT");
  throwsHostError(
    () => run(stubborn, { tableOwner: false }),
    /lacks a part/,
    /nft_ct.*nft_log.*nft_limit/,
  );
  assert.equal(stubborn.transactions.length, 2);
});

Deno.test("install() writes each list of ports into the set of its name", () => {
  const doors = [
    plainDoor({ opens: ["tcp/22", "udp/53"], steps: ["udp/7000", "icmp/9", "tcp/9000"] }),
    plainDoor({ opens: ["tcp/23"], onExpire: "cut" }),
  ];
  const nftables = fakeNftables();
  install(talkTo(nftables), { ...config, doors }, formsOf(true), []);
  const [transaction] = nftables.transactions;
  const portsIn = (set: string) =>
    elementsAdded(transaction, set).map((element) =>
      `${Number.parseInt(element.slice(0, 2), 16)}/${Number.parseInt(element.slice(8, 12), 16)}`
    ).sort();
  assert.deepEqual(portsIn("watched"), [
    ...["17/53", "17/7000"],
    ...["6/22", "6/23", "6/7000", "6/8000", "6/9000"],
  ]);
  assert.deepEqual(portsIn("guarded"), ["17/53", "6/22", "6/23"]);
  assert.deepEqual(portsIn("kept"), ["17/53", "6/22"]);
  assert.deepEqual(portsIn("finals"), ["6/8000", "6/9000"]);
});

Deno.test("readCounters() reads what each counter has counted, and nothing where no table is", () => {
  const counters = [
    { name: "knocks", packets: 2 ** 33, bytes: 60 * 2 ** 33 },
    { name: "refused", packets: 0, bytes: 0 },
  ];
  assert.deepEqual(
    [...readCounters(talkTo(fakeNftables({ ...standing, counters })))],
    [["knocks", 2 ** 33], ["refused", 0]],
  );
  assert.equal(readCounters(talkTo(fakeNftables())).size, 0);
});

Deno.test("readCounters() passes on what the kernel refuses", () => {
  const busy = fakeNftables(standing, () => "EPERM");
  assert.throws(
    () => readCounters(talkTo(busy)),
    (error) => error instanceof KernelError && error.code === "EPERM",
  );
});

Deno.test("install() leaves a table alone that is not ours", () => {
  for (const comment of [undefined, "pk", "pk/2"]) {
    const nftables = fakeNftables({ ...standing, table: { ...standing.table, comment } });
    throwsHostError(() => run(nftables), /not ours/, /nft delete table inet pk/);
    assert.deepEqual(nftables.transactions, []);
  }
});

Deno.test("install() tells what EPERM means, and does not try on", () => {
  const nftables = fakeNftables(
    { ...standing, table: { ...standing.table, owner: 4711 } },
    (lines) => lines[0]?.startsWith("NFT_MSG_DELTABLE") ? "EPERM" : undefined,
  );
  throwsHostError(() => run(nftables), /another process owns/, /pk down|root/);
  assert.equal(nftables.transactions.length, 1);
});

Deno.test("install() tells of a kernel without nf_tables, and passes on what it cannot explain", () => {
  const without = fakeNftables(
    undefined,
    (lines) => lines[0]?.includes("GETTABLE") ? "EINVAL" : undefined,
  );
  throwsHostError(() => run(without), /no nf_tables/, /modprobe nf_tables/);
  const full = fakeNftables(undefined, (lines) => isTable(lines) ? "ENOMEM" : undefined);
  assert.throws(
    () => run(full),
    (error) => error instanceof KernelError && error.code === "ENOMEM",
  );
  assert.equal(full.transactions.length, 1);
});

function talkTo({ kernel }: FakeNftables) {
  return openConversation(socketTo(kernel));
}

function run(nftables: FakeNftables, { tableOwner = true } = {}) {
  return install(talkTo(nftables), config, formsOf(tableOwner), []);
}

function throwsHostError(act: () => unknown, message: RegExp, hint: RegExp): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof HostError, String(error));
    assert.match(error.message, message);
    assert.match(error.hint, hint);
    return true;
  });
}
