// An nf_tables for tests of src/firewall: a function that answers requests for what stands there, and
// that carries out or refuses transactions as told. It keeps nothing; the real one is in tests/netns.

import { hex } from "../../src/bytes/hex.ts";
import { ERRNO } from "../../src/errors.ts";
import { type Attribute, getText, nested, u32be, u64be } from "../../src/netlink/attribute.ts";
import { NFNL_SUBSYS, NLM_F } from "../../src/netlink/constants.ts";
import type { Message } from "../../src/netlink/message.ts";
import { messageAttributes } from "../../src/netlink/nfnetlink.ts";
import { NFT_MSG, NFTA_COUNTER, NFTA_OBJ, NFTA_SET_ELEM } from "../../src/nftables/constants.ts";
import { addChain } from "../../src/nftables/chain.ts";
import { addCounter, type Counter } from "../../src/nftables/counter_object.ts";
import { addElements, type Element } from "../../src/nftables/element.ts";
import type { Operation } from "../../src/nftables/operation.ts";
import { addSet, type NftSet } from "../../src/nftables/set.ts";
import { addTable, type Table } from "../../src/nftables/table.ts";
import { ack, done, type Kernel, messagesOf, objectMessage, refusal } from "./fake_kernel.ts";
import { describeBatch } from "./nft_golden.ts";

/** What stands in the kernel. */
export interface Standing {
  readonly table: Table;
  readonly sets: readonly NftSet[];
  readonly elements: Readonly<Record<string, readonly Element[]>>;
  /** Names. */
  readonly chains?: readonly string[];
  readonly counters?: readonly Counter[];
}

export interface FakeNftables {
  readonly kernel: Kernel;
  /** Every transaction that came, refused ones too: of each message its lines, without the frame. */
  readonly transactions: string[][][];
}

type ErrorName = keyof typeof ERRNO;

/**
 * @param refuse the errno for a message of a transaction, of which it gets the lines that
 *   describeBatch() makes; undefined carries it out.
 */
export function fakeNftables(
  standing?: Standing,
  refuse: (lines: readonly string[], transaction: number) => ErrorName | undefined = () =>
    undefined,
): FakeNftables {
  const transactions: string[][][] = [];
  const transact: Kernel = (request) => {
    const messages = messagesOf(request).slice(1, -1);
    const lines = describeBatch(request).slice(1, -1);
    transactions.push(lines);
    return messages.flatMap((message, index) => {
      const code = refuse(lines[index] ?? [], transactions.length);
      if (code !== undefined) return [refusal(message, ERRNO[code])];
      return message.flags & NLM_F.NLM_F_ACK ? [ack(message)] : [];
    });
  };
  const kernel: Kernel = (request) => {
    const [message] = messagesOf(request);
    if (message.type >> 8 !== NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES) return transact(request);
    const code = refuse(describeBatch(request)[0] ?? [], transactions.length);
    return code === undefined ? answer(message, standing) : [refusal(message, ERRNO[code])];
  };
  return { kernel, transactions };
}

/** The names of a transaction's messages, `NEWTABLE` and so on. */
export function messageNames(transaction: readonly (readonly string[])[] | undefined): string[] {
  return (transaction ?? []).map((lines) => /^NFT_MSG_(\w+)/.exec(lines[0] ?? "")?.[1] ?? "?");
}

/** "KEY TIMEOUT" of the elements that a transaction adds to a set. */
export function elementsAdded(
  transaction: readonly (readonly string[])[] | undefined,
  set: string,
): string[] {
  const name = `2 = ${hex(new TextEncoder().encode(`${set}\0`))}`;
  return (transaction ?? []).flatMap((lines) => {
    if (!lines[0]?.startsWith("NFT_MSG_NEWSETELEM") || !lines.includes(name)) return [];
    const keys = lines.flatMap((line) => /^3\.1(?:#\d+)?\.1\.1 = (.*)$/.exec(line)?.[1] ?? []);
    const times = lines.flatMap((line) => /^3\.1(?:#\d+)?\.4 = (.*)$/.exec(line)?.[1] ?? []);
    return keys.map((key, index) => `${key} ${Number.parseInt(times[index] ?? "", 16)}`);
  });
}

/** The answer to NFT_MSG_GET*: what stands there, in the form in which it would be added. */
function answer(message: Message, standing: Standing | undefined): Uint8Array[] {
  const { sequence, type } = message;
  // The one dump that ends empty where there is no table.
  if ((type & 0xff) === NFT_MSG.NFT_MSG_GETOBJ) {
    return dump((standing?.counters ?? []).map(countedSoFar), sequence);
  }
  if (standing === undefined) return [refusal(message, ERRNO.ENOENT)];
  switch (type & 0xff) {
    case NFT_MSG.NFT_MSG_GETTABLE: {
      const { table } = standing;
      const owner = table.owner === undefined ? [] : [u32be(7, table.owner)];
      return [
        objectMessage(type - 1, sequence, [...addTable(table).attributes, ...owner]),
        ack(message),
      ];
    }
    case NFT_MSG.NFT_MSG_GETCHAIN:
      return dump((standing.chains ?? []).map((name) => addChain("pk", { name })), sequence);
    case NFT_MSG.NFT_MSG_GETSET:
      return dump(standing.sets.map((set) => addSet("pk", set, 1)), sequence);
    case NFT_MSG.NFT_MSG_GETSETELEM: {
      const set = getText(messageAttributes(message), 2) ?? "";
      return dump(addElements("pk", set, standing.elements[set] ?? []).map(withTimeLeft), sequence);
    }
    default:
      return [refusal(message, ERRNO.EOPNOTSUPP)];
  }
}

function dump(operations: readonly Operation[], sequence: number): Uint8Array[] {
  const messages = operations.map(({ type, attributes }) =>
    objectMessage(type, sequence, attributes, NLM_F.NLM_F_MULTI)
  );
  return [...messages, done(sequence)];
}

/** A counter as it would be added, with what it has counted in place of zeros. */
function countedSoFar({ name, packets, bytes }: Counter): Operation {
  const operation = addCounter("pk", name);
  const data = nested(NFTA_OBJ.NFTA_OBJ_DATA, [
    u64be(NFTA_COUNTER.NFTA_COUNTER_BYTES, BigInt(bytes)),
    u64be(NFTA_COUNTER.NFTA_COUNTER_PACKETS, BigInt(packets)),
  ]);
  return {
    ...operation,
    attributes: operation.attributes.map((one) => one.type === data.type ? data : one),
  };
}

/** The kernel tells a timeout and what is left of it: here as much as `timeoutMs` says. */
function withTimeLeft(operation: Operation): Operation {
  const expiring = (attribute: Attribute): Attribute[] => {
    if ("nested" in attribute) {
      return [{ ...attribute, nested: attribute.nested.flatMap(expiring) }];
    }
    const { type } = attribute;
    if (type !== NFTA_SET_ELEM.NFTA_SET_ELEM_TIMEOUT) return [attribute];
    return [attribute, { ...attribute, type: NFTA_SET_ELEM.NFTA_SET_ELEM_EXPIRATION }];
  };
  return { ...operation, attributes: operation.attributes.flatMap(expiring) };
}
