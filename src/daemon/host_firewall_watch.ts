// Tells, once, when the host's own firewall keeps everybody from a guarded port: at the start, and
// later when a grant was written and the firewall may have been loaded or changed since.
//
// **Invariant:** whatever this finds, or fails to find, pk goes on.

import { readTextFile } from "../../ffi/file.ts";
import { openNetlinkSocket } from "../../ffi/libmnl.ts";
import { findObstacles, type Obstacle } from "../firewall/host_firewall.ts";
import { HOST_LOOK_INTERVAL_MS, HOST_LOOK_MS_MAX, HOST_RULESET_BYTES_MAX } from "../limits.ts";
import { bounded } from "../netlink/bounded.ts";
import { NETLINK } from "../netlink/constants.ts";
import { openConversation } from "../netlink/conversation.ts";
import type { Log } from "./log.ts";

export interface HostFirewallWatch {
  /** Looks again where grants were written since, and not sooner than a minute after the last look. */
  check(granted: () => number, nowMs: number): void;
}

/** What stands in the way to these ports, as far as can be seen in this time; undefined is unknown. */
type Look = (ports: readonly number[], withinMs: number) => readonly Obstacle[] | undefined;

/** Looks for the first time, for so long at most. */
export function watchHostFirewall(
  ports: readonly number[],
  log: Log,
  nowMs: number,
  withinMs: number,
  look: Look = lookAround,
): HostFirewallWatch {
  const told = new Map<number, string>();
  let lookedMs = nowMs;
  let seen = 0;

  const tell = (obstacles: readonly Obstacle[]) => {
    for (const port of ports) {
      const obstacle = obstacles.find((one) => one.port === port);
      const text = JSON.stringify(obstacle ?? "");
      if (obstacle !== undefined && told.get(port) !== text) {
        const { deliberate, ...fields } = obstacle;
        log(deliberate ? "debug" : "warning", "host firewall forbids", fields);
      }
      told.set(port, text);
    }
  };

  const lookAndTell = (withinMs: number) => {
    try {
      const obstacles = look(ports, withinMs);
      if (obstacles !== undefined) tell(obstacles);
      else log("debug", "host firewall unknown", { reason: "others keep changing it" });
    } catch (error) {
      // Not of a kind that is expected here only: a look at others' rules must not end pk.
      const reason = error instanceof Error ? error.message : String(error);
      log("debug", "host firewall unknown", { reason });
    }
  };

  lookAndTell(withinMs);
  return {
    check(granted, nowMs) {
      if (nowMs < lookedMs + HOST_LOOK_INTERVAL_MS) return;
      const count = granted();
      if (count === seen) return;
      seen = count;
      lookedMs = nowMs;
      lookAndTell(HOST_LOOK_MS_MAX);
    },
  };
}

/** Over a socket of its own, since a look that takes too long leaves answers behind. */
function lookAround(ports: readonly number[], withinMs: number): Obstacle[] | undefined {
  using socket = openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
  const endMs = performance.now() + withinMs;
  const transport = bounded(socket, {
    bytesMax: HOST_RULESET_BYTES_MAX,
    endMs,
    nowMs: () => performance.now(),
  });
  // After the ports the kernel is asked once more.
  const isLate = () => performance.now() > endMs - withinMs / 4;
  return findObstacles(openConversation(transport), ports, legacyFamilies(), isLate);
}

/** Families in which iptables-legacy, of which netlink tells nothing, may turn packets elsewhere. */
function legacyFamilies(): Set<4 | 6> {
  const alters = (file: string) =>
    /^(nat|raw)$/m.test(readTextFile(`/proc/self/net/${file}`) ?? "");
  const families = new Set<4 | 6>();
  if (alters("ip_tables_names")) families.add(4);
  if (alters("ip6_tables_names")) families.add(6);
  return families;
}
