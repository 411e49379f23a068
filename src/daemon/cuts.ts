// What cutting connections and flows of datagrams have in common: how many at once, that one may have ended
// by itself meanwhile, and how many are told.

import { KernelError } from "../errors.ts";
import { CUTS_MAX, LINES_PER_SECOND } from "../limits.ts";
import type { Conversation, NamedRequest } from "../netlink/conversation.ts";
import type { Fields, Log } from "./log.ts";

/** One that is to be ended. */
export interface Cut {
  readonly request: NamedRequest;
  /** Of its line in the log; undefined where it needs none. */
  readonly fields: Fields | undefined;
}

const GONE: ReadonlySet<string> = new Set(["ENOENT", "ESTALE"]);

/**
 * Ends them in their order, CUTS_MAX at most; false where some were left. Those that were ended are told
 * also where the kernel refuses another one.
 *
 * @throws {KernelError}
 */
export function cutAll(kernel: Conversation, cuts: readonly Cut[], log: Log): boolean {
  const told: Fields[] = [];
  try {
    for (const { request, fields } of cuts.slice(0, CUTS_MAX)) {
      if (end(kernel, request) && fields !== undefined) told.push(fields);
    }
  } finally {
    for (const fields of told.slice(0, LINES_PER_SECOND)) log("warning", "cut", fields);
    const omitted = told.length - LINES_PER_SECOND;
    if (omitted > 0) log("info", "omitted", { of: "cut", count: omitted });
  }
  return cuts.length <= CUTS_MAX;
}

/** Asks the kernel to end something; false where it was not there any more. @throws {KernelError} */
export function end(kernel: Conversation, request: NamedRequest): boolean {
  try {
    kernel.ask(request);
    return true;
  } catch (error) {
    if (error instanceof KernelError && GONE.has(error.code)) return false;
    throw error;
  }
}
