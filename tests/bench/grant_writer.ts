// What one more grant costs pk when many stand: installs pk's ruleset into its namespace with pk's own
// code, fills the set of grants, and times single ones. Answers one JSON order a line.
//
//   ip netns exec NS deno run --allow-ffi --allow-env tests/bench/grant_writer.ts
//   {"grants":100000,"more":1000}

import { openNftablesSocket } from "../../src/daemon/sockets.ts";
import { parseFlags } from "../../src/config/flags.ts";
import { formsOf, install, writeGrants } from "../../src/firewall/firewall.ts";
import type { Grant } from "../../src/firewall/grant.ts";
import { openConversation } from "../../src/netlink/conversation.ts";
import { serve } from "./background.ts";

export interface FillOrder {
  /** Grants to stand before any is timed. */
  readonly grants: number;
  /** Grants to be timed, one transaction each. */
  readonly more: number;
}

export interface Written {
  /** Microseconds for each of `more`, from the call until the kernel has acked. */
  readonly us: readonly number[];
  /** Grants that the kernel refused. */
  readonly refused: number;
}

const GRANT_MS = 3_600_000;
const GRANTS_AT_ONCE = 256;
/** More than any order asks for: a full set is another scenario's. */
const GRANTS_MAX = 200_000;

function grant(index: number): Grant {
  const word3 = (10 << 24 | 64 << 16) + index;
  return {
    source: { family: 4, word0: 0, word1: 0, word2: 0, word3 },
    protocol: "tcp",
    port: 10090,
    timeoutMs: GRANT_MS,
  };
}

function range(from: number, to: number): Grant[] {
  return Array.from({ length: to - from }, (_, index) => grant(from + index));
}

if (import.meta.main) {
  const socket = openNftablesSocket();
  const kernel = openConversation(socket);
  let standing = 0;
  await serve((order) => {
    const { grants, more } = order as FillOrder;
    if (standing === 0) {
      const { config } = parseFlags({ tableOwner: true, grantsMax: String(GRANTS_MAX) });
      install(kernel, config, formsOf(true), []);
    }
    let refused = 0;
    for (; standing < grants; standing += GRANTS_AT_ONCE) {
      const end = Math.min(grants, standing + GRANTS_AT_ONCE);
      refused += writeGrants(kernel, range(standing, end)).refused().length;
    }
    standing = Math.max(standing, grants);
    const us = range(standing, standing + more).map((one) => {
      const start = performance.now();
      refused += writeGrants(kernel, [one]).refused().length;
      return (performance.now() - start) * 1000;
    });
    standing += more;
    return { us, refused } satisfies Written;
  });
}
