// Applies the ruleset to the kernel: installs or adopts it in one transaction, writes grants, removes
// it. Talks through a conversation, so that tests can put a function in the kernel's place.
//
// **Invariant:** a transaction that fails has changed nothing, so trying one form after the other
// never leaves a half of one.

import type { Config } from "../config/config.ts";
import { HostError, KernelError, TransactionError } from "../errors.ts";
import { INHERITED_MAX, INHERITED_MS } from "../limits.ts";
import type { Conversation } from "../netlink/conversation.ts";
import { messageAttributes } from "../netlink/nfnetlink.ts";
import type { Session } from "../netlink/sock_diag.ts";
import { addChain } from "../nftables/chain.ts";
import { NFT_TABLE_F } from "../nftables/constants.ts";
import { addCounter, listCounters, parseCounter } from "../nftables/counter_object.ts";
import {
  addElements,
  type Element,
  flushSet,
  listElements,
  parseElements,
  renewElement,
} from "../nftables/element.ts";
import type { Operation } from "../nftables/operation.ts";
import { addRule, flushChain } from "../nftables/rule.ts";
import {
  addSet,
  encodeKey,
  keyType,
  layoutOf,
  listSets,
  parseSetLayout,
  type SetLayout,
} from "../nftables/set.ts";
import type { QueueKind } from "../nftables/statement.ts";
import { addTable, deleteTable, getTable, parseTable, type Table } from "../nftables/table.ts";
import { addressBytes } from "../packet/address.ts";
import {
  type Grant,
  GRANT_KEY,
  grantElement,
  grantSet,
  IPPROTO_TCP,
  parseGrant,
  portBytes,
} from "./grant.ts";
import { onlyNewcomers, type Ruleset, rulesetOf, TABLE, TABLE_COMMENT } from "./ruleset.ts";

const GRANT_SETS = ["grants4", "grants6"] as const;
const OWNED = NFT_TABLE_F.NFT_TABLE_F_OWNER | NFT_TABLE_F.NFT_TABLE_F_PERSIST;

/** What kernels differ in: the flags a table may have, and the way to user space. */
export interface Form {
  /** NFT_TABLE_F_*. */
  readonly flags: number;
  readonly queueKind: QueueKind;
}

/** How the ruleset stands in the kernel. */
export interface Installed {
  /** It stood there before, from an earlier pk. */
  readonly adopted: boolean;
  readonly form: Form;
  /** Grants that are open now, with what is left of their time. */
  readonly grants: readonly Grant[];
}

/** The forms to try, the best first. Without `tableOwner` the table is left unprotected. */
export function formsOf(tableOwner: boolean): Form[] {
  return (tableOwner ? [OWNED, 0] : [0]).flatMap((flags) =>
    (["queue", "xt-target"] as const).map((queueKind) => ({ flags, queueKind }))
  );
}

/** Is the table protected from everybody else while its socket lives? */
export function isOwned(form: Form): boolean {
  return form.flags === OWNED;
}

/**
 * Installs the ruleset, or adopts the one that stands there, in one transaction: in the first of the
 * forms that this kernel takes.
 *
 * @param sessions live connections to guarded ports, which go on.
 * @param known further grants, to be written where they are not there.
 * @throws {HostError} when the table is somebody else's or the kernel lacks a part.
 */
export function install(
  kernel: Conversation,
  config: Config,
  forms: readonly Form[],
  sessions: readonly Session[],
  known: readonly Grant[] = [],
): Installed {
  const standing = readStanding(kernel);
  const grants = [...standing?.grants ?? [], ...known];
  let refusal: unknown;
  for (const form of forms) {
    const ruleset = rulesetOf(config, form.queueKind);
    // What cannot be kept as it stands is deleted and made anew.
    const keeps = standing !== undefined && fits(standing, ruleset, form.flags)
      ? [true, false]
      : [false];
    for (const keep of keeps) {
      try {
        kernel.transact([
          ...(standing !== undefined && !keep ? [deleteTable(TABLE)] : []),
          ...installation(ruleset, form.flags, keep ? known : grants, sessions),
        ]);
        return { adopted: standing !== undefined, form, grants };
      } catch (error) {
        refusal = error;
        if (!(error instanceof KernelError) || !FORM_REFUSALS.has(error.code)) throw explain(error);
      }
    }
  }
  throw explain(refusal);
}

/**
 * Shuts the guarded ports to newcomers at once, where the table was taken away; `install` has to
 * follow. It leaves out connection tracking and what asks it: to start it the kernel walks all of its
 * table, which takes hundreds of milliseconds under load. So until then segments other than a SYN are
 * let through.
 *
 * @throws {HostError} when the table is somebody else's.
 * @throws {KernelError} when what stands there does not fit.
 */
export function shut(
  kernel: Conversation,
  config: Config,
  form: Form,
  grants: readonly Grant[],
): void {
  readTable(kernel);
  const ruleset = onlyNewcomers(rulesetOf(config, form.queueKind));
  kernel.transact(installation(ruleset, form.flags, grants, []));
}

/**
 * Flags that a kernel does not know are EINVAL or EOPNOTSUPP, an expression or a target ENOENT; an
 * object of somebody else where ours should be is EEXIST, EBUSY or EOPNOTSUPP.
 */
const FORM_REFUSALS: ReadonlySet<string> = new Set([
  "EINVAL",
  "EOPNOTSUPP",
  "ENOENT",
  "EEXIST",
  "EBUSY",
]);

/**
 * Writes grants in one transaction. Those that the kernel refuses take no other with them: the rest
 * is written in another one. Never one for each, since a refused transaction costs the kernel some
 * 14 ms, and packets wait.
 *
 * @returns those refused, with the reason.
 */
export function writeGrants(
  kernel: Conversation,
  grants: readonly Grant[],
): { grant: Grant; error: KernelError }[] {
  const operations = grants.map(grantOperations);
  try {
    kernel.transact(operations.flat());
    return [];
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const refused = error instanceof TransactionError ? error.refused : new Set<number>();
    let next = 0;
    const isRefused = operations.map((list) => list.filter(() => refused.has(next++)).length > 0);
    const rest = grants.filter((_, index) => !isRefused[index]);
    // Without a refused grant the fault is the whole transaction's.
    if (rest.length === grants.length) return grants.map((grant) => ({ grant, error }));
    const others = grants.filter((_, index) => isRefused[index]).map((grant) => ({ grant, error }));
    return rest.length === 0 ? others : [...others, ...writeGrants(kernel, rest)];
  }
}

/** Packets that the kernel counted by the names of its counters: knocks that it has copied, SYNs
 * that it refused. Empty where the table is gone.
 */
export function readCounters(kernel: Conversation): ReadonlyMap<string, number> {
  const counters = kernel.ask(listCounters(TABLE)).map((message) =>
    parseCounter(messageAttributes(message))
  );
  return new Map(counters.map(({ name, packets }) => [name, packets]));
}

/**
 * Removes the table with everything in it.
 *
 * @returns false when there was none.
 * @throws {HostError} when the table `pk` is somebody else's.
 */
export function remove(kernel: Conversation): boolean {
  const table = readTable(kernel);
  if (table === undefined) return false;
  try {
    // Added first, the deletion cannot fail because somebody else was faster.
    const { owner: _owner, ...unowned } = table;
    kernel.transact([addTable(unowned), deleteTable(TABLE)]);
  } catch (error) {
    throw explain(error);
  }
  return true;
}

interface Standing {
  readonly table: Table;
  readonly layouts: readonly SetLayout[];
  readonly grants: readonly Grant[];
}

function readStanding(kernel: Conversation): Standing | undefined {
  const table = readTable(kernel);
  if (table === undefined) return undefined;
  const layouts = kernel.ask(listSets(TABLE)).map((message) =>
    parseSetLayout(messageAttributes(message))
  );
  const grants = GRANT_SETS.flatMap((set) =>
    // Grants with another key are not ours to understand; their set is made anew.
    layouts.some(({ name, keyType: key }) => name === set && key === keyType(GRANT_KEY[set]))
      ? kernel.ask(listElements(TABLE, set))
        .flatMap((message) => parseElements(messageAttributes(message)))
        .flatMap((element) => parseGrant(set, element) ?? [])
      : []
  );
  return { table, layouts, grants: grants.filter((grant) => grant.timeoutMs > 0) };
}

function readTable(kernel: Conversation): Table | undefined {
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

/** The whole ruleset. Objects and grants that are there already stay as they are. */
function installation(
  ruleset: Ruleset,
  flags: number,
  grants: readonly Grant[],
  sessions: readonly Session[],
): Operation[] {
  return [
    addTable({ name: TABLE, flags, comment: TABLE_COMMENT }),
    ...ruleset.counters.map((counter) => addCounter(TABLE, counter)),
    ...ruleset.sets.map((set, index) => addSet(TABLE, set, index + 1)),
    ...ruleset.chains.flatMap((chain) => [addChain(TABLE, chain), flushChain(TABLE, chain.name)]),
    ...Object.entries(ruleset.ports).flatMap(([set, ports]) => portElements(set, ports)),
    ...sessionElements(sessions),
    ...grantElements(grants),
    ...ruleset.rules.map((rule) => addRule(TABLE, rule)),
  ];
}

/** Can the standing table take the ruleset and keep its grants as they are? */
function fits(standing: Standing, ruleset: Ruleset, flags: number): boolean {
  // The kernel takes the flag `owner` from a table whose owner is gone.
  const orphan = standing.table.owner === undefined;
  const sameFlags = (standing.table.flags | NFT_TABLE_F.NFT_TABLE_F_OWNER) ===
    (flags | NFT_TABLE_F.NFT_TABLE_F_OWNER);
  const ours = ruleset.sets.map(layoutOf);
  return orphan && sameFlags &&
    standing.layouts.every((layout) =>
      ours.some((other) => JSON.stringify(other) === JSON.stringify(layout))
    );
}

function portElements(set: string, ports: readonly number[]): Operation[] {
  const elements = ports.map((port): Element => ({
    key: encodeKey([Uint8Array.of(IPPROTO_TCP), portBytes(port)]),
  }));
  return [flushSet(TABLE, set), ...addElements(TABLE, set, elements)];
}

function sessionElements(sessions: readonly Session[]): Operation[] {
  return ([4, 6] as const).flatMap((family) => {
    const elements = sessions.filter(({ source }) => source.family === family)
      .slice(0, INHERITED_MAX)
      .map(({ source, sourcePort, port }): Element => ({
        key: encodeKey([addressBytes(source), portBytes(sourcePort), portBytes(port)]),
        timeoutMs: INHERITED_MS,
      }));
    const set = `inherited${family}`;
    return [flushSet(TABLE, set), ...addElements(TABLE, set, elements)];
  });
}

function grantElements(grants: readonly Grant[]): Operation[] {
  return GRANT_SETS.flatMap((set) => {
    const elements = grants.filter(({ source }) => grantSet(source) === set).map(grantElement);
    return addElements(TABLE, set, elements);
  });
}

function grantOperations(grant: Grant): Operation[] {
  return renewElement(TABLE, grantSet(grant.source), grantElement(grant));
}

/** What a refusal means for the person who started pk. */
function explain(error: unknown): unknown {
  if (!(error instanceof KernelError)) return error;
  switch (error.code) {
    case "EPERM":
      return new HostError(
        `The kernel does not let pk ${error.operation}: another process owns the table, or this ` +
          "one has no CAP_NET_ADMIN in this network namespace",
        "Stop the other pk (pk down), or start pk as root",
      );
    case "EINVAL":
      if (error.operation !== getTable(TABLE).what) return error;
      return new HostError(
        "This kernel has no nf_tables",
        "Load it (modprobe nf_tables), or use a kernel with CONFIG_NF_TABLES",
      );
    case "ENOENT":
    case "EOPNOTSUPP":
      return new HostError(
        `This kernel lacks a part that pk needs: ${error.message}`,
        "Load the modules nft_ct, nft_fib_inet, nft_log, nft_limit, nft_queue (or nft_compat and " +
          "xt_NFQUEUE)",
      );
    default:
      return error;
  }
}
