// Tables, chains, rules, sets and elements of every family, as the kernel lists them: other programs'
// objects, which pk reads and never writes. Encoders of its own objects are in the folder above.
// Numbers of linux/netfilter/nf_tables.h.

import {
  type Attribute,
  type Attributes,
  getNested,
  getText,
  getU32be,
  listAttributes,
  readAttributes,
  text,
} from "../../netlink/attribute.ts";
import { FAMILY, NFNL_SUBSYS, NLM_F } from "../../netlink/constants.ts";
import type { Message } from "../../netlink/message.ts";
import { messageAttributes, messageFamily, nfnetlinkRequest } from "../../netlink/nfnetlink.ts";
import {
  NFT_MSG,
  NFT_SET_F,
  NFT_TABLE_F,
  NFTA_CHAIN,
  NFTA_DATA,
  NFTA_HOOK,
  NFTA_RULE,
  NFTA_SET,
  NFTA_SET_ELEM,
  NFTA_SET_ELEM_LIST,
  NFTA_TABLE,
  VERDICT,
} from "../constants.ts";
import type { Operation } from "../operation.ts";
import { type ListedExpression, parseExpression } from "./expression.ts";
import { parseVerdict, type Verdict } from "./verdict.ts";

const NFTA_GEN_ID = 1;
const NFT_SET_INTERVAL = 0x4;
const NFT_SET_CONCAT = 0x80;
const NFTA_SET_DESC_CONCAT = 2;
const NFTA_SET_FIELD_LEN = 1;
const NFTA_ELEM = {
  NFTA_SET_ELEM_DATA: 2,
  NFTA_SET_ELEM_FLAGS: 3,
  NFTA_SET_ELEM_EXPR: 7,
  NFTA_SET_ELEM_KEY_END: 10,
  NFTA_SET_ELEM_EXPRESSIONS: 11,
} as const;
const NFT_SET_ELEM_INTERVAL_END = 0x1;
const NFT_SET_ELEM_CATCHALL = 0x2;

/** Where an object is: FAMILY.NFPROTO_* and the name of its table. */
export interface Place {
  readonly family: number;
  readonly table: string;
}

export interface ListedTable extends Place {
  /** Its chains are not at their hooks. */
  readonly dormant: boolean;
}

export interface ListedChain extends Place {
  readonly name: string;
  /** Of a base chain: where it hangs, and what becomes of a packet that reaches its end. */
  readonly base?: {
    /** NF_INET_*. */
    readonly hook: number;
    readonly priority: number;
    readonly policy: "accept" | "drop";
  };
}

export type ListedRule = readonly ListedExpression[];

export interface ListedSet extends Place {
  readonly name: string;
  /** Bytes of a key. */
  readonly keyLength: number;
  readonly interval: boolean;
  /** Elements come and go by themselves: from packets, or with time. */
  readonly changing: boolean;
  /** Bytes of each field of a concatenated key with intervals; empty for other keys. */
  readonly fields: readonly number[];
}

export interface ListedElement {
  /** Undefined for the one that stands for all other keys. */
  readonly key: Uint8Array | undefined;
  /** The last key of an interval, where the element says it itself. */
  readonly keyEnd: Uint8Array | undefined;
  /** In a set of intervals: the first key behind one. */
  readonly intervalEnd: boolean;
  /** A limit or the like hangs on it, so that it may not match. */
  readonly conditional: boolean;
  readonly verdict: Verdict | undefined;
}

/** Asks for the number of the ruleset, which every transaction raises. */
export function getGeneration(): Operation {
  return request("read the ruleset's generation", NFT_MSG.NFT_MSG_GETGEN, 0, FAMILY.AF_UNSPEC, []);
}

/** Asks for all tables. */
export function listTables(): Operation {
  const what = "read tables";
  return request(what, NFT_MSG.NFT_MSG_GETTABLE, NLM_F.NLM_F_DUMP, FAMILY.AF_UNSPEC, []);
}

/** Asks for all chains. */
export function listChains(): Operation {
  const what = "read chains";
  return request(what, NFT_MSG.NFT_MSG_GETCHAIN, NLM_F.NLM_F_DUMP, FAMILY.AF_UNSPEC, []);
}

/** Asks for the rules of one chain. */
export function listRules({ family, table, name }: ListedChain): Operation {
  const what = `read rules of chain "${table} ${name}"`;
  return request(what, NFT_MSG.NFT_MSG_GETRULE, NLM_F.NLM_F_DUMP, family, [
    text(NFTA_RULE.NFTA_RULE_TABLE, table),
    text(NFTA_RULE.NFTA_RULE_CHAIN, name),
  ]);
}

/** Asks for one set; ENOENT when it is not there. */
export function getSet({ family, table }: Place, name: string): Operation {
  return request(`read set "${table} ${name}"`, NFT_MSG.NFT_MSG_GETSET, 0, family, [
    text(NFTA_SET.NFTA_SET_TABLE, table),
    text(NFTA_SET.NFTA_SET_NAME, name),
  ]);
}

/** Asks for the elements of a set. */
export function listSetElements({ family, table }: Place, name: string): Operation {
  const what = `read elements of set "${table} ${name}"`;
  return request(what, NFT_MSG.NFT_MSG_GETSETELEM, NLM_F.NLM_F_DUMP, family, [
    text(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_TABLE, table),
    text(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_SET, name),
  ]);
}

export function parseGeneration(message: Message): number {
  return getU32be(messageAttributes(message), NFTA_GEN_ID) ?? 0;
}

export function parseListedTable(message: Message): ListedTable {
  const attributes = messageAttributes(message);
  const flags = getU32be(attributes, NFTA_TABLE.NFTA_TABLE_FLAGS) ?? 0;
  return {
    family: messageFamily(message),
    table: getText(attributes, NFTA_TABLE.NFTA_TABLE_NAME) ?? "",
    dormant: (flags & NFT_TABLE_F.NFT_TABLE_F_DORMANT) !== 0,
  };
}

export function parseListedChain(message: Message): ListedChain {
  const attributes = messageAttributes(message);
  const place = {
    family: messageFamily(message),
    table: getText(attributes, NFTA_CHAIN.NFTA_CHAIN_TABLE) ?? "",
    name: getText(attributes, NFTA_CHAIN.NFTA_CHAIN_NAME) ?? "",
  };
  if (!attributes.has(NFTA_CHAIN.NFTA_CHAIN_HOOK)) return place;
  const hook = getNested(attributes, NFTA_CHAIN.NFTA_CHAIN_HOOK);
  const policy = getU32be(attributes, NFTA_CHAIN.NFTA_CHAIN_POLICY) ?? VERDICT.NF_ACCEPT;
  return {
    ...place,
    base: {
      hook: getU32be(hook, NFTA_HOOK.NFTA_HOOK_HOOKNUM) ?? -1,
      priority: (getU32be(hook, NFTA_HOOK.NFTA_HOOK_PRIORITY) ?? 0) | 0,
      policy: policy === VERDICT.NF_DROP ? "drop" : "accept",
    },
  };
}

/** The expressions of the rule in a message. */
export function parseListedRule(message: Message): ListedRule {
  const list = messageAttributes(message).get(NFTA_RULE.NFTA_RULE_EXPRESSIONS);
  return listAttributes(list ?? new Uint8Array()).map(([, payload]) => parseExpression(payload));
}

export function parseListedSet(message: Message): ListedSet {
  const attributes = messageAttributes(message);
  const flags = getU32be(attributes, NFTA_SET.NFTA_SET_FLAGS) ?? 0;
  const description = getNested(attributes, NFTA_SET.NFTA_SET_DESC);
  const fields = listAttributes(description.get(NFTA_SET_DESC_CONCAT) ?? new Uint8Array());
  const changing = NFT_SET_F.NFT_SET_TIMEOUT | NFT_SET_F.NFT_SET_EVAL;
  return {
    family: messageFamily(message),
    table: getText(attributes, NFTA_SET.NFTA_SET_TABLE) ?? "",
    name: getText(attributes, NFTA_SET.NFTA_SET_NAME) ?? "",
    keyLength: getU32be(attributes, NFTA_SET.NFTA_SET_KEY_LEN) ?? 0,
    interval: (flags & NFT_SET_INTERVAL) !== 0,
    changing: (flags & changing) !== 0,
    fields: (flags & NFT_SET_CONCAT) === 0
      ? []
      : fields.map(([, field]) => getU32be(readAttributes(field), NFTA_SET_FIELD_LEN) ?? 0),
  };
}

/** The elements in one message of a listing. */
export function parseListedElements(message: Message): ListedElement[] {
  const list = messageAttributes(message).get(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_ELEMENTS);
  return listAttributes(list ?? new Uint8Array()).map(([, payload]) => {
    const element = readAttributes(payload);
    const flags = getU32be(element, NFTA_ELEM.NFTA_SET_ELEM_FLAGS) ?? 0;
    const data = getNested(element, NFTA_ELEM.NFTA_SET_ELEM_DATA);
    return {
      key: (flags & NFT_SET_ELEM_CATCHALL) !== 0
        ? undefined
        : keyOf(element, NFTA_SET_ELEM.NFTA_SET_ELEM_KEY) ?? new Uint8Array(),
      keyEnd: keyOf(element, NFTA_ELEM.NFTA_SET_ELEM_KEY_END),
      intervalEnd: (flags & NFT_SET_ELEM_INTERVAL_END) !== 0,
      conditional: element.has(NFTA_ELEM.NFTA_SET_ELEM_EXPR) ||
        element.has(NFTA_ELEM.NFTA_SET_ELEM_EXPRESSIONS),
      verdict: data.has(NFTA_DATA.NFTA_DATA_VERDICT)
        ? parseVerdict(getNested(data, NFTA_DATA.NFTA_DATA_VERDICT))
        : undefined,
    };
  });
}

function keyOf(element: Attributes, type: number): Uint8Array | undefined {
  return getNested(element, type).get(NFTA_DATA.NFTA_DATA_VALUE);
}

function request(
  what: string,
  message: number,
  flags: number,
  family: number,
  attributes: readonly Attribute[],
): Operation {
  const subsystem = NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES;
  return { what, ...nfnetlinkRequest(subsystem, message, flags, family, attributes) };
}
