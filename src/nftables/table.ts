// Table: the container of all other objects, here always of family inet.

import { Reader } from "../bytes/reader.ts";
import { type Attributes, getText, getU32be, raw, text, u32be } from "../netlink/attribute.ts";
import { NFT_MSG, NFTA_TABLE } from "./constants.ts";
import { type Operation, operation } from "./operation.ts";

export interface Table {
  readonly name: string;
  /** NFT_TABLE_F_*. */
  readonly flags: number;
  /** What `nft list` shows as the table's comment. */
  readonly comment: string | undefined;
  /** Netlink port of the socket that owns it, while it is owned. */
  readonly owner?: number;
}

/** Creates the table, or changes nothing where it stands already with the same flags. */
export function addTable(table: Table): Operation {
  const attributes = [
    text(NFTA_TABLE.NFTA_TABLE_NAME, table.name),
    u32be(NFTA_TABLE.NFTA_TABLE_FLAGS, table.flags),
  ];
  if (table.comment !== undefined) {
    attributes.push(raw(NFTA_TABLE.NFTA_TABLE_USERDATA, commentUserdata(table.comment)));
  }
  return operation(`add table "${table.name}"`, NFT_MSG.NFT_MSG_NEWTABLE, 0, attributes);
}

/** Deletes the table with all that is in it. */
export function deleteTable(name: string): Operation {
  return operation(`delete table "${name}"`, NFT_MSG.NFT_MSG_DELTABLE, 0, [
    text(NFTA_TABLE.NFTA_TABLE_NAME, name),
  ]);
}

/** Asks for one table; ENOENT when it is not there. */
export function getTable(name: string): Operation {
  return operation(`read table "${name}"`, NFT_MSG.NFT_MSG_GETTABLE, 0, [
    text(NFTA_TABLE.NFTA_TABLE_NAME, name),
  ]);
}

/** A table as the kernel describes it. */
export function parseTable(attributes: Attributes): Table {
  const owner = getU32be(attributes, NFTA_TABLE.NFTA_TABLE_OWNER);
  return {
    name: getText(attributes, NFTA_TABLE.NFTA_TABLE_NAME) ?? "",
    flags: getU32be(attributes, NFTA_TABLE.NFTA_TABLE_FLAGS) ?? 0,
    comment: parseComment(attributes.get(NFTA_TABLE.NFTA_TABLE_USERDATA)),
    ...(owner === undefined ? {} : { owner }),
  };
}

// User data is opaque to the kernel. libnftnl fills it with type (1 byte), length (1 byte), value;
// type 0 of a table is its comment, with a closing zero byte.
const UDATA_TABLE_COMMENT = 0;

function commentUserdata(comment: string): Uint8Array {
  const value = new TextEncoder().encode(`${comment}\0`);
  return Uint8Array.of(UDATA_TABLE_COMMENT, value.length, ...value);
}

function parseComment(userdata: Uint8Array | undefined): string | undefined {
  const reader = new Reader(userdata ?? new Uint8Array());
  while (reader.left >= 2) {
    const type = reader.u8();
    const length = reader.u8();
    if (length > reader.left) return undefined; // somebody else's table, in another format
    const value = reader.raw(length);
    if (type === UDATA_TABLE_COMMENT) {
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(value).replace(/\0$/, "");
    }
  }
  return undefined;
}
