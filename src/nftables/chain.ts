// Chain: a list of rules. A base chain hangs at a netfilter hook; others are only jumped to.

import { nested, text, u32be } from "../netlink/attribute.ts";
import { NLM_F } from "../netlink/constants.ts";
import { NF_INET_PRE_ROUTING, NFT_MSG, NFTA_CHAIN, NFTA_HOOK, VERDICT } from "./constants.ts";
import { type Operation, operation } from "./operation.ts";

export interface Chain {
  readonly name: string;
  /** Priority at hook prerouting with policy accept; undefined for a chain that is no base chain. */
  readonly prerouting?: number;
}

/** Creates the chain, or changes nothing where it stands already. */
export function addChain(table: string, chain: Chain): Operation {
  const attributes = [
    text(NFTA_CHAIN.NFTA_CHAIN_TABLE, table),
    text(NFTA_CHAIN.NFTA_CHAIN_NAME, chain.name),
  ];
  if (chain.prerouting !== undefined) {
    attributes.push(
      text(NFTA_CHAIN.NFTA_CHAIN_TYPE, "filter"),
      u32be(NFTA_CHAIN.NFTA_CHAIN_POLICY, VERDICT.NF_ACCEPT),
      nested(NFTA_CHAIN.NFTA_CHAIN_HOOK, [
        u32be(NFTA_HOOK.NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING),
        u32be(NFTA_HOOK.NFTA_HOOK_PRIORITY, chain.prerouting),
      ]),
    );
  }
  const what = `add chain "${chain.name}"`;
  return operation(what, NFT_MSG.NFT_MSG_NEWCHAIN, NLM_F.NLM_F_CREATE, attributes);
}

/** Deletes a chain; EBUSY while it has rules or is jumped to. */
export function deleteChain(table: string, name: string): Operation {
  return operation(`delete chain "${name}"`, NFT_MSG.NFT_MSG_DELCHAIN, 0, [
    text(NFTA_CHAIN.NFTA_CHAIN_TABLE, table),
    text(NFTA_CHAIN.NFTA_CHAIN_NAME, name),
  ]);
}
