// Ends flows of datagrams to guarded ports that came in while somebody had taken the table away.
// Datagrams have no socket of their own that could be ended: what lets them pass once the table is back
// is connection tracking, where somebody else keeps it on, or the service has answered meanwhile.
//
// Which flows are older, or have outlived their grant, nobody can tell afterwards. So all without an open
// grant are forgotten, and their next datagram needs one. What is routed to such a port of another host
// is forgotten as well, and known again with its next datagram.

import { openNetlinkSocket } from "../../ffi/libmnl.ts";
import { KernelError } from "../errors.ts";
import { NETLINK } from "../netlink/constants.ts";
import { type End, type Flow, forgetFlow, listFlows, parseFlow } from "../netlink/conntrack.ts";
import { type Conversation, openConversation } from "../netlink/conversation.ts";
import { formatAddress } from "../packet/address.ts";
import { isSameSource, type Source } from "../packet/header.ts";
import { type Cut, cutAll } from "./cuts.ts";
import type { Log } from "./log.ts";

export interface FlowCutterOptions {
  /** Guarded UDP ports, as they are when it is asked. */
  readonly ports: () => ReadonlySet<number>;
  /** Does the daemon know a grant for it that has not been told to have ended? */
  readonly isGranted: (source: Readonly<Source>, port: number) => boolean;
  readonly log: Log;
}

/** Talks with connection tracking. */
type Talk = (work: (kernel: Conversation) => boolean) => boolean;

/**
 * What cuts, some at once. It says whether none was left; where the kernel does not tell of
 * flows, which is told once, nothing can be done.
 */
export function createFlowCutter(
  { ports, isGranted, log }: FlowCutterOptions,
  talk: Talk = overOwnSocket,
): () => boolean {
  let unableTold = false;

  /** How a flow ends that needs a grant and has none; undefined of others. */
  const cutOf = (flow: Flow, guarded: ReadonlySet<number>): Cut | undefined => {
    const { from, to, answered } = flow;
    // Masqueraded: it goes through this host to another one.
    if (!isSameEnd(from, answered)) return undefined;
    const [peer, port] = guarded.has(to.port) ? [from, to.port] : [to, from.port];
    if (!guarded.has(port) || isGranted(peer.address, port)) return undefined;
    const fields = {
      source: formatAddress(peer.address),
      sourcePort: peer.port,
      port,
      protocol: "udp",
      reason: "without a grant when the table was back",
    };
    return { request: forgetFlow(flow), fields };
  };

  const cut = (kernel: Conversation, guarded: ReadonlySet<number>): boolean => {
    const listed = listFlows().flatMap((request) => kernel.ask(request));
    const cuts = listed.flatMap((message) => {
      const flow = parseFlow(message);
      return flow === undefined ? [] : cutOf(flow, guarded) ?? [];
    });
    return cutAll(kernel, cuts, log);
  };

  const tellUnable = ({ code, message }: KernelError) => {
    if (unableTold) return;
    unableTold = true;
    log("warning", "cannot cut flows", {
      reason: message,
      hint: (code === "EINVAL" ? "load the module nf_conntrack_netlink; " : "") +
        "datagrams that came in while the table was away may go on",
    });
  };

  return () => {
    const guarded = ports();
    if (guarded.size === 0) return true;
    try {
      return talk((kernel) => cut(kernel, guarded));
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      tellUnable(error);
      return true;
    }
  };
}

/** A socket for each time: it is long until the next one. */
function overOwnSocket(work: (kernel: Conversation) => boolean): boolean {
  using socket = openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
  return work(openConversation(socket));
}

function isSameEnd(one: End, other: End): boolean {
  return one.port === other.port && isSameSource(one.address, other.address);
}
