// The notification that ends each transaction (linux/netfilter/nf_tables.h, NFT_MSG_NEWGEN), and who
// made it. Pure.

import { type Attributes, getText, getU32be } from "../netlink/attribute.ts";

const NFTA_GEN = { NFTA_GEN_ID: 1, NFTA_GEN_PROC_PID: 2, NFTA_GEN_PROC_NAME: 3 } as const;

/** TASK_COMM_LEN without its closing zero byte (linux/sched.h). */
const NAME_CHARACTERS_MAX = 15;

/** The process that changed nf_tables. */
export interface Author {
  /** As the kernel counts them: in a container it has another number, or none. */
  readonly pid: number;
  /** Its name, which it chooses itself: printable ASCII, with `?` for everything else. */
  readonly process: string;
}

/**
 * The author, or undefined where the kernel names none.
 *
 * @throws {DecodeError} when the pid is shorter than it should be.
 */
export function parseAuthor(attributes: Attributes): Author | undefined {
  const pid = getU32be(attributes, NFTA_GEN.NFTA_GEN_PROC_PID);
  const name = getText(attributes, NFTA_GEN.NFTA_GEN_PROC_NAME);
  if (pid === undefined || name === undefined) return undefined;
  return { pid, process: name.slice(0, NAME_CHARACTERS_MAX).replace(/[^ -~]/g, "?") };
}
