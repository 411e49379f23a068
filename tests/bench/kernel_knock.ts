// The kernel's limit: the same knock without any user space, eight stages in dynamic nft sets with
// the chains of pk (watch at -250, guard at -190, conntrack on, the host answers). It is the fastest
// way to write it: one verdict map, and sources stay in the sets they have passed until a timeout,
// so that a later round finds elements instead of adding them. It has none of pk's rules about
// wrong ports, repeated SYNs or bounds.

import { GUARDED_PORT, KNOCK_PORTS } from "./addresses.ts";

/**
 * The ruleset as nft text. Counter `granted` counts the last knocks that were in order, `refused`
 * the SYNs to the guarded port that were dropped.
 */
export function kernelKnock(sourcesMax: number): string {
  const stages = KNOCK_PORTS.map((_, index) => index + 1);
  const last = stages.length;
  const sets = stages.flatMap((stage) =>
    [4, 6].map((family) =>
      `set stage${stage}_${family} { type ipv${family}_addr; size ${sourcesMax}; ` +
      `flags dynamic, timeout; timeout 10s; }`
    )
  );
  const chains = stages.map((stage) =>
    [
      `chain knock${stage} {`,
      ...(["ip", "ip6"] as const).map((protocol) => {
        const family = protocol === "ip" ? 4 : 6;
        const known = stage === 1 ? "" : `${protocol} saddr @stage${stage - 1}_${family}`;
        const count = stage === last ? "counter name granted" : "";
        return `${known} add @stage${stage}_${family} { ${protocol} saddr } ${count}`;
      }),
      `}`,
    ].join("\n")
  );
  const doors = KNOCK_PORTS.map((port, index) => `${port} : goto knock${index + 1}`).join(", ");
  return `
table inet kernel_knock {
  counter granted { }
  counter refused { }
  ${sets.join("\n")}
  ${chains.join("\n")}
  chain watch {
    type filter hook prerouting priority -250;
    iif lo accept
    tcp flags & (fin|syn|rst|ack) != syn accept
    fib daddr type != local accept
    tcp dport vmap { ${doors} }
  }
  chain guard {
    type filter hook prerouting priority -190;
    tcp dport != ${GUARDED_PORT} accept
    tcp flags & (fin|syn|rst|ack) == syn ip saddr @stage${last}_4 accept
    tcp flags & (fin|syn|rst|ack) == syn ip6 saddr @stage${last}_6 accept
    tcp flags & (fin|syn|rst|ack) != syn ct state established accept
    counter name refused drop
  }
}
`;
}
