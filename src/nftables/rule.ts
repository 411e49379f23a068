// Rule: statements that are carried out in order until one does not match or gives a verdict. Each
// statement knows both of its forms: the text that nft would read, and the expressions it becomes.

import { nested, text } from "../netlink/attribute.ts";
import { NLM_F } from "../netlink/constants.ts";
import { NFT_MSG, NFTA_LIST_ELEM, NFTA_RULE } from "./constants.ts";
import { type Expression, expressionAttributes } from "./expression/expression.ts";
import { type Operation, operation } from "./operation.ts";

export interface Statement {
  /** As in a file for `nft -f`. */
  readonly nft: string;
  readonly expressions: readonly Expression[];
}

export interface Rule {
  readonly chain: string;
  readonly statements: readonly Statement[];
}

/** Appends the rule to its chain. */
export function addRule(table: string, rule: Rule): Operation {
  const expressions = rule.statements.flatMap((statement) => statement.expressions);
  const flags = NLM_F.NLM_F_CREATE | NLM_F.NLM_F_APPEND;
  return operation(`add rule "${ruleText(rule)}"`, NFT_MSG.NFT_MSG_NEWRULE, flags, [
    text(NFTA_RULE.NFTA_RULE_TABLE, table),
    text(NFTA_RULE.NFTA_RULE_CHAIN, rule.chain),
    nested(
      NFTA_RULE.NFTA_RULE_EXPRESSIONS,
      expressions.map((expression) => nested(NFTA_LIST_ELEM, expressionAttributes(expression))),
    ),
  ]);
}

/** Deletes all rules of a chain. */
export function flushChain(table: string, chain: string): Operation {
  return operation(`flush chain "${chain}"`, NFT_MSG.NFT_MSG_DELRULE, 0, [
    text(NFTA_RULE.NFTA_RULE_TABLE, table),
    text(NFTA_RULE.NFTA_RULE_CHAIN, chain),
  ]);
}

/** The rule in nft's words. */
export function ruleText(rule: Rule): string {
  return rule.statements.map((statement) => statement.nft).join(" ");
}
