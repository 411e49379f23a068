// Ends flows of datagrams to guarded ports that came in while somebody had taken the table away.
// Datagrams have no socket of their own that could be ended: what lets them pass once the table is back
// is connection tracking, where somebody else keeps it on, or the service has answered meanwhile.
//
// Which flows are older, or have outlived their grant, nobody can tell afterwards. So all without an open
// grant are forgotten, and their next datagram needs one.

import { openNetlinkSocket } from "../../ffi/libmnl.ts";
import { KernelError } from "../errors.ts";
import { CUTS_MAX, LINES_PER_SECOND } from "../limits.ts";
import { NETLINK } from "../netlink/constants.ts";
import { type End, type Flow, forgetFlow, listFlows, parseFlow } from "../netlink/conntrack.ts";
import { type Conversation, openConversation } from "../netlink/conversation.ts";
import { formatAddress } from "../packet/address.ts";
import { isSameSource, type Source } from "../packet/header.ts";
import type { Log } from "./log.ts";

export interface FlowCutterOptions {
  /** Guarded UDP ports, as they are when it is asked. */
  readonly ports: () => ReadonlySet<number>;
  /** Does the daemon know a grant for it that has not been told to have ended? */
  readonly isGranted: (source: Readonly<Source>, port: number) => boolean;
  readonly log: Log;
}

/**
 * What cuts, each time over a socket of its own. It says whether none was left; where the kernel does not
 * tell of flows, there is nothing to cut, or nothing that could be.
 *
 * @param conversation for tests.
 */
export function createFlowCutter(
  { ports, isGranted, log }: FlowCutterOptions,
  conversation?: Conversation,
): () => boolean {
  let unableTold = false;

  /** The end that is not this host's, and its port here, of a flow that needs a grant and has none. */
  const intruder = ({ from, to, answered }: Flow, guarded: ReadonlySet<number>) => {
    // Masqueraded: it goes through this host to another one.
    if (!isSameEnd(from, answered)) return undefined;
    const [peer, port] = guarded.has(to.port) ? [from, to.port] : [to, from.port];
    return guarded.has(port) && !isGranted(peer.address, port) ? { peer, port } : undefined;
  };

  const cut = (kernel: Conversation, guarded: ReadonlySet<number>): boolean => {
    let count = 0;
    for (const message of listFlows().flatMap((request) => kernel.ask(request))) {
      const flow = parseFlow(message);
      const found = flow && intruder(flow, guarded);
      if (flow === undefined || found === undefined || !forget(kernel, flow)) continue;
      if (++count > CUTS_MAX) return false;
      if (count > LINES_PER_SECOND) continue;
      log("warning", "cut", {
        source: formatAddress(found.peer.address),
        sourcePort: found.peer.port,
        port: found.port,
        protocol: "udp",
        reason: "without a grant when the table was back",
      });
    }
    if (count > LINES_PER_SECOND) {
      log("info", "omitted", { of: "cut", count: count - LINES_PER_SECOND });
    }
    return true;
  };

  return () => {
    const guarded = ports();
    if (guarded.size === 0) return true;
    try {
      if (conversation !== undefined) return cut(conversation, guarded);
      using socket = openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
      return cut(openConversation(socket), guarded);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (!unableTold) {
        unableTold = true;
        log("warning", "cannot cut flows", {
          reason: error.message,
          hint:
            "load the module nf_conntrack_netlink; datagrams that came in while the table was " +
            "away may go on",
        });
      }
      return true;
    }
  };
}

/** False where it has ended by itself. */
function forget(kernel: Conversation, flow: Flow): boolean {
  try {
    kernel.ask(forgetFlow(flow));
    return true;
  } catch (error) {
    if (error instanceof KernelError && error.code === "ENOENT") return false;
    throw error;
  }
}

function isSameEnd(one: End, other: End): boolean {
  return one.port === other.port && isSameSource(one.address, other.address);
}
