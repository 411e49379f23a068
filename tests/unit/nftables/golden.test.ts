// Our bytes for each nf_tables object against what nft sent for the same command, attribute by
// attribute. The files in tests/golden/nftables were captured by capture.ts there.

import assert from "node:assert/strict";
import { encodeBatch } from "../../../src/netlink/nfnetlink.ts";
import type { Operation } from "../../../src/nftables/operation.ts";
import { describeBatch, goldenNames, readGolden } from "../../support/nft_golden.ts";
import { type NftObject, objects } from "../../support/nft_objects.ts";

/** Lines that may differ, on either side, and why that changes nothing. */
interface Tolerated {
  readonly message: "NFT_MSG_NEWRULE" | "NFT_MSG_NEWSET" | "NFT_MSG_NEWSETELEM";
  readonly nft?: RegExp;
  readonly ours?: RegExp;
  readonly why: string;
}

const tolerated: readonly Tolerated[] = [
  {
    message: "NFT_MSG_NEWSET",
    nft: /^13 = (000400000000030800040d0000000100|000402000000)$/,
    ours: /^13 = 000402000000$/,
    why: "NFTA_SET_USERDATA is for nft's listing only: of a concatenation its byte order (0, " +
      "unknown) and an empty `typeof`; ours says network order. The kernel stores it unread",
  },
  {
    message: "NFT_MSG_NEWSETELEM",
    nft: /^4 = 00000001$/,
    why: "NFTA_SET_ELEM_LIST_SET_ID is for sets that the same transaction made; ours go by name",
  },
  {
    message: "NFT_MSG_NEWRULE",
    nft: /^4\.1(#\d+)? lookup\.4 = 00000001$/,
    why: "NFTA_LOOKUP_SET_ID, likewise: the kernel asks for the name first",
  },
  {
    message: "NFT_MSG_NEWRULE",
    nft: /^4\.1(#\d+)? dynset\.2 = 00000001$/,
    why: "NFTA_DYNSET_SET_ID, likewise",
  },
  {
    message: "NFT_MSG_NEWRULE",
    nft: /^4\.1(#\d+)? objref\.2 = 6b6e6f636b73$/,
    ours: /^4\.1(#\d+)? objref\.2 = 6b6e6f636b7300$/,
    why: "libnftnl leaves out the zero byte that closes any other name; the kernel takes both",
  },
  {
    message: "NFT_MSG_NEWRULE",
    nft: /^4\.1(#\d+)? reject\.2 = 00$/,
    why: "NFTA_REJECT_ICMP_CODE says something for ICMP's types of reject only",
  },
  {
    message: "NFT_MSG_NEWRULE",
    nft: /^4\.1(#\d+)? hash\.6 = 00000000$/,
    why: "NFTA_HASH_OFFSET is added to the hash; its absence means 0",
  },
  {
    message: "NFT_MSG_NEWRULE",
    nft: /^4\.1(#\d+)? bitwise\.6 = 00000000$/,
    why: "NFTA_BITWISE_OP 0 is NFT_BITWISE_BOOL (mask and xor), which is what its absence means",
  },
  {
    message: "NFT_MSG_NEWRULE",
    ours: /^4\.1(#\d+)? counter\.[12] = 0{16}$/,
    why: "a counter starts at 0 with and without being told so; iptables-nft sends the zeros, too",
  },
];

for (const object of objects.filter(({ name }) => name !== "rule_xt_target")) {
  Deno.test(`golden: ${object.command}`, () => {
    assert.deepEqual(
      describeOurs(object.ours).map((lines) => comparable(lines, "ours")),
      describeTheirs(object).map((lines) => comparable(lines, "nft")),
    );
  });
}

Deno.test("golden: the xt target is the one iptables-nft makes", () => {
  const object = objectOf("rule_xt_target");
  const theirs = describeTheirs(object).flatMap(targetOf);
  assert.equal(theirs.length, 3);
  assert.deepEqual(describeOurs(object.ours).flatMap(targetOf), theirs);
});

Deno.test("golden: there is a file for each object, made by its command", () => {
  assert.deepEqual(goldenNames(), objects.map(({ name }) => name).sort());
  for (const { name, command } of objects) assert.equal(readGolden(name).command, command);
});

Deno.test("golden: each tolerated difference occurs", () => {
  const lines = {
    nft: objects.flatMap(describeTheirs).flat(),
    ours: objects.flatMap(({ ours }) => describeOurs(ours)).flat(),
  };
  for (const { nft, ours, why } of tolerated) {
    assert.ok(nft === undefined || lines.nft.some((line) => nft.test(line)), why);
    assert.ok(ours === undefined || lines.ours.some((line) => ours.test(line)), why);
  }
});

Deno.test("golden: any other difference is told", () => {
  const { ours } = objectOf("rule_tcp_flags_syn");
  const batch = encodeBatch(ours, 0);
  const lines = describeBatch(batch).flat();
  const cmp = lines.find((line) => line === "4.1#5 cmp.3.1 = 02");
  assert.ok(cmp, "the last attribute of the rule is the flag to compare with");
  batch.fill(0x12, batch.length - 24, batch.length - 23); // before BATCH_END and three bytes of padding
  const changed = describeBatch(batch).flat();
  assert.deepEqual(changed.filter((line) => !lines.includes(line)), ["4.1#5 cmp.3.1 = 12"]);
});

function describeTheirs({ name }: NftObject): string[][] {
  return describeBatch(readGolden(name).bytes);
}

function describeOurs(operations: readonly Operation[]): string[][] {
  return describeBatch(encodeBatch(operations, 0)).map(numberElements);
}

function comparable(lines: readonly string[], side: "nft" | "ours"): string[] {
  const patterns = tolerated.flatMap((one) => {
    const pattern = one[side];
    return pattern !== undefined && lines[0]?.startsWith(`${one.message} `) ? [pattern] : [];
  });
  return lines.filter((line) => !patterns.some((pattern) => pattern.test(line)));
}

/**
 * libnftnl numbers the elements of a list by their attribute types, 1, 2, 3; ours all have the type
 * NFTA_LIST_ELEM, as nf_tables.h says. The kernel does not look at it.
 */
function numberElements([header = "", ...lines]: readonly string[]): string[] {
  if (!/^NFT_MSG_(NEW|DEL)SETELEM /.test(header)) return [header, ...lines];
  return [header, ...lines.map((line) => line.replace(/^3\.1#(\d+)\./, "3.$1.")).sort()];
}

/** The attributes of the expression `target` in a rule, wherever it stands. */
function targetOf(lines: readonly string[]): string[] {
  return lines.flatMap((line) => / (target\..*)$/.exec(line)?.[1] ?? []);
}

function objectOf(name: string): NftObject {
  const found = objects.find((object) => object.name === name);
  assert.ok(found, name);
  return found;
}
