// The rulesets of all programs on this host, read over netlink as far as somebody asks: the chains of
// a table with ten thousand rules cost nothing while no packet of interest gets there.

import type { Conversation } from "../../netlink/conversation.ts";
import {
  getSet,
  listChains,
  type ListedChain,
  type ListedElement,
  type ListedRule,
  type ListedSet,
  type ListedTable,
  listRules,
  listSetElements,
  listTables,
  parseListedChain,
  parseListedElements,
  parseListedRule,
  parseListedSet,
  parseListedTable,
  type Place,
} from "../../nftables/listing/objects.ts";

export interface HostRuleset {
  readonly tables: readonly ListedTable[];
  readonly chains: readonly ListedChain[];
  chain(place: Place, name: string): ListedChain | undefined;
  rules(chain: ListedChain): readonly ListedRule[];
  set(place: Place, name: string): ListedSet | undefined;
  elements(set: ListedSet): readonly ListedElement[];
}

/**
 * Begins to read. What is asked of the answer later may be read then.
 *
 * @throws {KernelError} @throws {DecodeError} and so do the methods.
 */
export function readHostRuleset(kernel: Conversation): HostRuleset {
  const tables = kernel.ask(listTables()).map(parseListedTable);
  const chains = kernel.ask(listChains()).map(parseListedChain);
  const byName = new Map(chains.map((chain) => [keyOf(chain, chain.name), chain]));
  const rules = remembered((chain: ListedChain) =>
    kernel.ask(listRules(chain)).map(parseListedRule)
  );
  const elements = remembered((set: ListedSet) =>
    kernel.ask(listSetElements(set, set.name)).flatMap(parseListedElements)
  );
  const sets = new Map<string, ListedSet | undefined>();
  return {
    tables,
    chains,
    chain: (place, name) => byName.get(keyOf(place, name)),
    rules,
    set(place, name) {
      const key = keyOf(place, name);
      if (!sets.has(key)) sets.set(key, kernel.ask(getSet(place, name)).map(parseListedSet)[0]);
      return sets.get(key);
    },
    elements,
  };
}

function keyOf({ family, table }: Place, name: string): string {
  return `${family} ${table} ${name}`;
}

function remembered<Key extends object, Value>(read: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    const value = known.get(key) ?? read(key);
    known.set(key, value);
    return value;
  };
}
