// Applies the ruleset to the kernel: installs or adopts it in one transaction, writes grants, removes
// it. Talks through a conversation, so that tests can put a function in the kernel's place.
//
// **Invariant:** a transaction that fails has changed nothing, so trying one form after the other
// never leaves a half of one.

import type { Config } from "../config/config.ts";
import { KernelError, TransactionError } from "../errors.ts";
import type { Conversation, Submitted } from "../netlink/conversation.ts";
import { messageAttributes } from "../netlink/nfnetlink.ts";
import type { Session } from "../netlink/sock_diag.ts";
import { NFT_TABLE_F } from "../nftables/constants.ts";
import { listCounters, parseCounter } from "../nftables/counter_object.ts";
import type { Operation } from "../nftables/operation.ts";
import type { QueueKind } from "../nftables/statement.ts";
import { addTable, deleteTable } from "../nftables/table.ts";
import { explain } from "./explain.ts";
import type { Grant } from "./grant.ts";
import { grantBatch, REQUESTS_PER_GRANT } from "./grant_batch.ts";
import { installation, rewriting } from "./installation.ts";
import { COPYING_CHAINS, onlyNewcomers, rulesetOf, type SourceShare, TABLE } from "./ruleset.ts";
import { fits, leftovers, readStanding, readTable } from "./standing.ts";

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
 * @param ownPort netlink port of the kernel's socket: a table that it owns can be changed, too, which
 *   is how a daemon gives its own table another configuration.
 * @throws {HostError} when the table is somebody else's or the kernel lacks a part.
 */
export function install(
  kernel: Conversation,
  config: Config,
  forms: readonly Form[],
  sessions: readonly Session[],
  known: readonly Grant[] = [],
  ownPort: number | undefined = undefined,
): Installed {
  const standing = readStanding(kernel);
  const grants = [...standing?.grants ?? [], ...known];
  let refusal: unknown;
  for (const form of forms) {
    for (const transaction of transactions(form)) {
      try {
        kernel.transact(transaction);
        return { adopted: standing !== undefined, form, grants };
      } catch (error) {
        refusal = error;
        if (!(error instanceof KernelError) || !FORM_REFUSALS.has(error.code)) throw explain(error);
      }
    }
  }
  throw explain(refusal);

  /** The ways to it: a table that fits stays as it stands, otherwise it is deleted and made anew. */
  function* transactions({ flags, queueKind }: Form): Generator<Operation[]> {
    const ruleset = rulesetOf(withRoomFor(grants, config), queueKind);
    if (standing !== undefined && fits(standing, ruleset, flags, ownPort)) {
      yield installation(ruleset, flags, known, sessions, leftovers(standing, ruleset));
    }
    yield [
      ...(standing === undefined ? [] : [deleteTable(TABLE)]),
      ...installation(ruleset, flags, grants, sessions),
    ];
  }
}

/**
 * Shuts the guarded ports to newcomers at once, where the table was taken away; `install` has to
 * follow. It leaves out connection tracking and what asks it: to start it the kernel walks all of its
 * table, which takes hundreds of milliseconds under load. So until then segments other than a SYN are
 * let through, and datagrams without a grant are dropped, those of established flows, too.
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
  const ruleset = onlyNewcomers(rulesetOf(withRoomFor(grants, config), form.queueKind));
  kernel.transact(installation(ruleset, form.flags, grants, []));
}

/** Who is in stays in, also where fewer may be from now on. */
function withRoomFor(grants: readonly Grant[], config: Config): Config {
  const counts = ([4, 6] as const).map((family) =>
    grants.filter(({ source }) => source.family === family).length
  );
  return { ...config, grantsMax: Math.max(config.grantsMax, ...counts) };
}

/**
 * Has the knocks of these sources copied and no others, or of all again, as after `install`.
 *
 * @throws {KernelError} when the table is gone.
 */
export function hear(
  kernel: Conversation,
  config: Config,
  { queueKind }: Form,
  heard: SourceShare | undefined,
): void {
  kernel.transact(rewriting(rulesetOf(config, queueKind, heard), COPYING_CHAINS));
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

/** Grants that are in the kernel, but for those that it refused. */
export interface WrittenGrants {
  /** Reads which were refused, with the reason. To be asked once. */
  refused(): RefusedGrant[];
}

export interface RefusedGrant {
  readonly grant: Grant;
  readonly error: KernelError;
}

/**
 * Writes grants in one transaction: when this comes back, they stand. Those that the kernel refuses
 * take no other with them: `refused` writes the rest in another one. Never one for each, since a
 * refused transaction costs the kernel some 14 ms.
 */
export function writeGrants(kernel: Conversation, grants: readonly Grant[]): WrittenGrants {
  try {
    const submitted = kernel.submit(grantBatch(grants));
    return { refused: () => settle(kernel, grants, submitted) };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { refused: () => grants.map((grant) => ({ grant, error })) };
  }
}

function settle(
  kernel: Conversation,
  grants: readonly Grant[],
  submitted: Submitted,
): RefusedGrant[] {
  try {
    submitted.settle();
    return [];
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const refused = error instanceof TransactionError ? error.refused : new Set<number>();
    const isRefused = grants.map(() => false);
    for (const request of refused) isRefused[Math.floor(request / REQUESTS_PER_GRANT)] = true;
    const rest = grants.filter((_, index) => !isRefused[index]);
    // Without a refused grant the fault is the whole transaction's.
    if (rest.length === grants.length) return grants.map((grant) => ({ grant, error }));
    const others = grants.filter((_, index) => isRefused[index]).map((grant) => ({ grant, error }));
    return rest.length === 0 ? others : [...others, ...writeGrants(kernel, rest).refused()];
  }
}

/**
 * Packets that the kernel counted by the names of its counters: knocks that it has copied, those of
 * sources that are not heard, SYNs that it refused. Empty where the table is gone.
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
