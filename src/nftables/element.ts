// Set elements: keys with a time after which the kernel itself removes them.

import {
  type Attribute,
  type Attributes,
  getNested,
  getU64be,
  listAttributes,
  nested,
  raw,
  readAttributes,
  text,
  u64be,
} from "../netlink/attribute.ts";
import { NLM_F } from "../netlink/constants.ts";
import {
  NFT_MSG,
  NFTA_DATA,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM,
  NFTA_SET_ELEM_LIST,
} from "./constants.ts";
import { type Operation, operation } from "./operation.ts";

export interface Element {
  readonly key: Uint8Array;
  /** Milliseconds until the kernel removes it; undefined stays for ever. */
  readonly timeoutMs?: number;
}

/** An attribute's length has 16 bits; this many elements of the longest key stay well below. */
const ELEMENTS_PER_MESSAGE = 500;

/** Adds elements. One that is there already stays as it is, with its old timeout. */
export function addElements(table: string, set: string, elements: readonly Element[]): Operation[] {
  const what = `add elements to set "${set}"`;
  return chunks(elements).map((chunk) =>
    operation(what, NFT_MSG.NFT_MSG_NEWSETELEM, NLM_F.NLM_F_CREATE, elementList(table, set, chunk))
  );
}

/** Deletes elements; ENOENT where one is not there. */
export function deleteElements(
  table: string,
  set: string,
  elements: readonly Element[],
): Operation[] {
  const what = `delete elements from set "${set}"`;
  return chunks(elements).map((chunk) =>
    operation(
      what,
      NFT_MSG.NFT_MSG_DELSETELEM,
      0,
      elementList(table, set, chunk.map(({ key }) => ({ key }))),
    )
  );
}

/**
 * Adds an element, or gives one that is there a new timeout. Adding alone would leave the old
 * timeout and deleting alone would fail for a new one, so: add, delete, add in one transaction.
 */
export function renewElement(table: string, set: string, element: Element): Operation[] {
  const add = addElements(table, set, [element]);
  return [...add, ...deleteElements(table, set, [element]), ...add];
}

/** Deletes all elements of a set. */
export function flushSet(table: string, set: string): Operation {
  return operation(`flush set "${set}"`, NFT_MSG.NFT_MSG_DELSETELEM, 0, [
    text(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_TABLE, table),
    text(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_SET, set),
  ]);
}

/** Asks for all elements of a set. */
export function listElements(table: string, set: string): Operation {
  return operation(`read set "${set}"`, NFT_MSG.NFT_MSG_GETSETELEM, NLM_F.NLM_F_DUMP, [
    text(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_TABLE, table),
    text(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_SET, set),
  ]);
}

/** The elements in one message of such a listing; `timeoutMs` is what is left of each one's time. */
export function parseElements(attributes: Attributes): Element[] {
  const list = attributes.get(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_ELEMENTS);
  return listAttributes(list ?? new Uint8Array()).map(([, payload]) => {
    const element = readAttributes(payload);
    const key = getNested(element, NFTA_SET_ELEM.NFTA_SET_ELEM_KEY).get(NFTA_DATA.NFTA_DATA_VALUE);
    const left = getU64be(element, NFTA_SET_ELEM.NFTA_SET_ELEM_EXPIRATION);
    return {
      key: (key ?? new Uint8Array()).slice(),
      ...(left === undefined ? {} : { timeoutMs: Number(left) }),
    };
  });
}

function elementList(table: string, set: string, elements: readonly Element[]): Attribute[] {
  return [
    text(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_TABLE, table),
    text(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_SET, set),
    nested(NFTA_SET_ELEM_LIST.NFTA_SET_ELEM_LIST_ELEMENTS, elements.map(elementAttribute)),
  ];
}

function elementAttribute({ key, timeoutMs }: Element): Attribute {
  const value = nested(NFTA_SET_ELEM.NFTA_SET_ELEM_KEY, [raw(NFTA_DATA.NFTA_DATA_VALUE, key)]);
  return nested(
    NFTA_LIST_ELEM,
    timeoutMs === undefined
      ? [value]
      : [value, u64be(NFTA_SET_ELEM.NFTA_SET_ELEM_TIMEOUT, BigInt(Math.ceil(timeoutMs)))],
  );
}

function chunks(elements: readonly Element[]): Element[][] {
  const count = Math.ceil(elements.length / ELEMENTS_PER_MESSAGE);
  return Array.from(
    { length: count },
    (_, index) => elements.slice(index * ELEMENTS_PER_MESSAGE, (index + 1) * ELEMENTS_PER_MESSAGE),
  );
}
