// The transaction that makes the whole ruleset, or rewrites the one that stands there: a value.

import type { Endpoint } from "../config/config.ts";
import { INHERITED_MAX } from "../limits.ts";
import type { Session } from "../netlink/sock_diag.ts";
import { addChain, deleteChain } from "../nftables/chain.ts";
import { addCounter } from "../nftables/counter_object.ts";
import { addElements, type Element, flushSet } from "../nftables/element.ts";
import type { Operation } from "../nftables/operation.ts";
import { addRule, flushChain } from "../nftables/rule.ts";
import { addSet, deleteSet, encodeKey, type NftSet } from "../nftables/set.ts";
import { addTable } from "../nftables/table.ts";
import {
  endpointFields,
  type Grant,
  GRANT_SETS,
  grantElement,
  grantSet,
  portBytes,
} from "./grant.ts";
import { INHERITED_SETS, inheritedElement, inheritedSet } from "./inherited.ts";
import { type Ruleset, TABLE, TABLE_COMMENT } from "./ruleset.ts";

/** What stands there and has no place in the ruleset. */
export interface Leftovers {
  readonly chains: readonly string[];
  readonly sets: readonly string[];
}

const NOTHING: Leftovers = { chains: [], sets: [] };

/** The whole ruleset. Objects and grants that are there already stay as they are. */
export function installation(
  ruleset: Ruleset,
  flags: number,
  grants: readonly Grant[],
  sessions: readonly Session[],
  left = NOTHING,
): Operation[] {
  const ports = new Map<string, readonly Endpoint[]>(Object.entries(ruleset.ports));
  return [
    addTable({ name: TABLE, flags, comment: TABLE_COMMENT }),
    ...ruleset.counters.map((counter) => addCounter(TABLE, counter)),
    ...ruleset.chains.flatMap((chain) => [addChain(TABLE, chain), flushChain(TABLE, chain.name)]),
    // Without rules nothing refers to a chain or a set any more.
    ...left.chains.map((chain) => flushChain(TABLE, chain)),
    ...left.chains.map((chain) => deleteChain(TABLE, chain)),
    ...left.sets.map((set) => deleteSet(TABLE, set)),
    ...ruleset.sets.map((set, index) => addSet(TABLE, set, index + 1)),
    ...ruleset.sets.flatMap((set) => portElements(set, ports.get(set.name))),
    ...sessionElements(ruleset, sessions),
    ...grantElements(grants),
    ...ruleset.rules.map((rule) => addRule(TABLE, rule)),
  ];
}

/** The rules of these chains, which stand there, anew; everything else stays as it is. */
export function rewriting({ chains, rules }: Ruleset, names: ReadonlySet<string>): Operation[] {
  return [
    ...chains.filter(({ name }) => names.has(name)).map(({ name }) => flushChain(TABLE, name)),
    ...rules.filter(({ chain }) => names.has(chain)).map((rule) => addRule(TABLE, rule)),
  ];
}

function portElements(
  { name, key }: NftSet,
  endpoints: readonly Endpoint[] | undefined,
): Operation[] {
  if (endpoints === undefined) return [];
  const elements = endpoints.map((one): Element => ({
    key: encodeKey(key.length === 1 ? [portBytes(one.port)] : endpointFields(one)),
  }));
  return [flushSet(TABLE, name), ...addElements(TABLE, name, elements)];
}

function sessionElements({ sets }: Ruleset, sessions: readonly Session[]): Operation[] {
  return INHERITED_SETS.flatMap((set) => {
    if (!sets.some(({ name }) => name === set)) return [];
    const elements = sessions.filter((session) => inheritedSet(session) === set)
      .slice(0, INHERITED_MAX).map(inheritedElement);
    return [flushSet(TABLE, set), ...addElements(TABLE, set, elements)];
  });
}

function grantElements(grants: readonly Grant[]): Operation[] {
  return GRANT_SETS.flatMap((set) => {
    const elements = grants.filter(({ source }) => grantSet(source) === set).map(grantElement);
    return addElements(TABLE, set, elements);
  });
}
