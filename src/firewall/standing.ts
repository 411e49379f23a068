// What stands in the kernel from before: from an earlier pk, or from this one with another
// configuration. What of it can stay, and what has to go.

import { Reader } from "../bytes/reader.ts";
import { HostError, KernelError } from "../errors.ts";
import { FAMILY } from "../netlink/constants.ts";
import type { Conversation } from "../netlink/conversation.ts";
import { messageAttributes } from "../netlink/nfnetlink.ts";
import type { Session } from "../netlink/sock_diag.ts";
import { NFT_TABLE_F } from "../nftables/constants.ts";
import { type Element, listElements, parseElements } from "../nftables/element.ts";
import { listChains, parseListedChain } from "../nftables/listing/objects.ts";
import {
  type FieldType,
  keyType,
  layoutOf,
  listSets,
  parseSetLayout,
  type SetLayout,
} from "../nftables/set.ts";
import { getTable, parseTable, type Table } from "../nftables/table.ts";
import { formatAddress } from "../packet/address.ts";
import { explain } from "./explain.ts";
import {
  ENDPOINT_KEY,
  type Grant,
  GRANT_KEY,
  GRANT_SETS,
  parseGrant,
  readEndpoint,
} from "./grant.ts";
import { INHERITED_KEY, INHERITED_SETS, parseInherited } from "./inherited.ts";
import type { Leftovers } from "./installation.ts";
import { type Ruleset, TABLE, TABLE_COMMENT } from "./ruleset.ts";

export interface Standing {
  readonly table: Table;
  /** Names. */
  readonly chains: readonly string[];
  readonly layouts: readonly SetLayout[];
  readonly grants: readonly Grant[];
}

/** Undefined where no table stands. @throws {HostError} when it is somebody else's. */
export function readStanding(kernel: Conversation): Standing | undefined {
  const table = readTable(kernel);
  if (table === undefined) return undefined;
  const chains = kernel.ask(listChains()).map(parseListedChain)
    .filter((chain) => chain.family === FAMILY.NFPROTO_INET && chain.table === TABLE)
    .map(({ name }) => name);
  const layouts = readLayouts(kernel);
  const grants = GRANT_SETS.flatMap((set) =>
    // Grants with another key are not ours to understand; their set is made anew.
    hasKey(layouts, set, GRANT_KEY[set])
      ? readElements(kernel, set).flatMap((element) => parseGrant(set, element) ?? [])
      : []
  );
  return { table, chains, layouts, grants: grants.filter((grant) => grant.timeoutMs > 0) };
}

/** What the standing table knows of sessions. */
export interface StandingSessions {
  /** Does it guard this TCP port? */
  isGuarded(port: number): boolean;
  /** Is it older than the pk that made the table? */
  isInherited(session: Session): boolean;
}

/**
 * Undefined where no table stands, or one that tracks no connections, or in another layout.
 *
 * @throws {HostError} when it is somebody else's.
 */
export function readStandingSessions(kernel: Conversation): StandingSessions | undefined {
  if (readTable(kernel) === undefined) return undefined;
  const layouts = readLayouts(kernel);
  const keys = { guarded: ENDPOINT_KEY, ...INHERITED_KEY };
  if (!Object.entries(keys).every(([set, key]) => hasKey(layouts, set, key))) return undefined;
  const guarded = readElements(kernel, "guarded").map(({ key }) => readEndpoint(new Reader(key)));
  const ports = new Set(guarded.flatMap((one) => one?.protocol === "tcp" ? [one.port] : []));
  const sessions = new Set(
    INHERITED_SETS.flatMap((set) =>
      readElements(kernel, set).map((element) => sessionText(parseInherited(set, element)))
    ),
  );
  return {
    isGuarded: (port) => ports.has(port),
    isInherited: (session) => sessions.has(sessionText(session)),
  };
}

function sessionText({ source, sourcePort, port }: Session): string {
  return `${formatAddress(source)} ${sourcePort} ${port}`;
}

function readLayouts(kernel: Conversation): SetLayout[] {
  return kernel.ask(listSets(TABLE)).map((message) => parseSetLayout(messageAttributes(message)));
}

function hasKey(layouts: readonly SetLayout[], set: string, key: readonly FieldType[]): boolean {
  return layouts.some((layout) => layout.name === set && layout.keyType === keyType(key));
}

function readElements(kernel: Conversation, set: string): Element[] {
  return kernel.ask(listElements(TABLE, set))
    .flatMap((message) => parseElements(messageAttributes(message)));
}

/** Undefined where there is none. @throws {HostError} when it is somebody else's. */
export function readTable(kernel: Conversation): Table | undefined {
  let table: Table | undefined;
  try {
    const [message] = kernel.ask(getTable(TABLE));
    table = message && parseTable(messageAttributes(message));
  } catch (error) {
    if (error instanceof KernelError && error.code === "ENOENT") return undefined;
    throw explain(error);
  }
  if (table !== undefined && table.comment !== TABLE_COMMENT) {
    throw new HostError(
      `A table "inet ${TABLE}" that is not ours stands in nf_tables`,
      `If nobody needs it, remove it: nft delete table inet ${TABLE}`,
    );
  }
  return table;
}

/** Can the standing table take the ruleset and keep its grants as they are? */
export function fits(
  standing: Standing,
  ruleset: Ruleset,
  flags: number,
  ownPort: number | undefined,
): boolean {
  // The kernel takes the flag `owner` from a table whose owner is gone.
  const { owner } = standing.table;
  const mine = owner === undefined || owner === ownPort;
  const sameFlags = (standing.table.flags | NFT_TABLE_F.NFT_TABLE_F_OWNER) ===
    (flags | NFT_TABLE_F.NFT_TABLE_F_OWNER);
  return mine && sameFlags && !otherSets(standing, ruleset).some(isGrantSet);
}

/** What has to go. A set in another layout goes, and comes anew. */
export function leftovers(standing: Standing, ruleset: Ruleset): Leftovers {
  const chains = new Set(ruleset.chains.map(({ name }) => name));
  return {
    chains: standing.chains.filter((name) => !chains.has(name)),
    sets: otherSets(standing, ruleset),
  };
}

/** Sets that the ruleset does not have, or not in this layout. */
function otherSets({ layouts }: Standing, { sets }: Ruleset): string[] {
  const ours = new Set(sets.map((set) => JSON.stringify(layoutOf(set))));
  return layouts.filter((layout) => !ours.has(JSON.stringify(layout))).map(({ name }) => name);
}

function isGrantSet(name: string): boolean {
  return GRANT_SETS.some((set) => set === name);
}
