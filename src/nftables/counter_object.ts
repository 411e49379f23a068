// Counter object: packets and bytes under a name, counted by every rule that refers to it. It stands
// for itself, so that flushing the rules does not set it back to nothing.

import {
  type Attributes,
  getNested,
  getText,
  getU64be,
  nested,
  text,
  u32be,
  u64be,
} from "../netlink/attribute.ts";
import { NLM_F } from "../netlink/constants.ts";
import { NFT_MSG, NFT_OBJECT, NFTA_COUNTER, NFTA_OBJ } from "./constants.ts";
import { type Operation, operation } from "./operation.ts";

export interface Counter {
  readonly name: string;
  readonly packets: number;
  readonly bytes: number;
}

/** Creates the counter at 0, or changes nothing where it stands already, whatever it has counted. */
export function addCounter(table: string, name: string): Operation {
  const what = `add counter "${name}"`;
  return operation(what, NFT_MSG.NFT_MSG_NEWOBJ, NLM_F.NLM_F_CREATE, [
    text(NFTA_OBJ.NFTA_OBJ_TABLE, table),
    text(NFTA_OBJ.NFTA_OBJ_NAME, name),
    u32be(NFTA_OBJ.NFTA_OBJ_TYPE, NFT_OBJECT.NFT_OBJECT_COUNTER),
    nested(NFTA_OBJ.NFTA_OBJ_DATA, [
      u64be(NFTA_COUNTER.NFTA_COUNTER_BYTES, 0n),
      u64be(NFTA_COUNTER.NFTA_COUNTER_PACKETS, 0n),
    ]),
  ]);
}

/** Asks for the counters of a table; the answer is empty, not ENOENT, when the table is not there. */
export function listCounters(table: string): Operation {
  const what = `read counters of table "${table}"`;
  return operation(what, NFT_MSG.NFT_MSG_GETOBJ, NLM_F.NLM_F_DUMP, [
    text(NFTA_OBJ.NFTA_OBJ_TABLE, table),
    u32be(NFTA_OBJ.NFTA_OBJ_TYPE, NFT_OBJECT.NFT_OBJECT_COUNTER),
  ]);
}

/** The counter in a message of such a listing. */
export function parseCounter(attributes: Attributes): Counter {
  const data = getNested(attributes, NFTA_OBJ.NFTA_OBJ_DATA);
  return {
    name: getText(attributes, NFTA_OBJ.NFTA_OBJ_NAME) ?? "",
    packets: Number(getU64be(data, NFTA_COUNTER.NFTA_COUNTER_PACKETS) ?? 0n),
    bytes: Number(getU64be(data, NFTA_COUNTER.NFTA_COUNTER_BYTES) ?? 0n),
  };
}

/** The counter as nft's text. */
export function counterText(name: string): string[] {
  return [`counter ${name} {`, "}"];
}
