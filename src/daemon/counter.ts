// What the kernel has counted, for whoever can go on without knowing it.

import { KernelError } from "../errors.ts";
import { readCounters } from "../firewall/firewall.ts";
import type { Conversation } from "../netlink/conversation.ts";

/** Packets of a counter of the table, or undefined where the table is gone. */
export function readCounter(
  kernel: Conversation,
  name: "knocks" | "refused" | "unheard",
): number | undefined {
  try {
    return readCounters(kernel).get(name);
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
