// A refusal by the kernel in words for the person who started pk.

import { HostError, KernelError } from "../errors.ts";
import { getTable } from "../nftables/table.ts";
import { TABLE } from "./ruleset.ts";

/** What a refusal means, with what to do where that is known; any other error as it is. */
export function explain(error: unknown): unknown {
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
        "Load the modules nft_ct, nft_fib_inet, nft_log, nft_limit, nft_reject_inet, nft_queue (or " +
          "nft_compat and xt_NFQUEUE)",
      );
    default:
      return error;
  }
}
