// Firewalls that a host can have, and whether a newcomer can get through to port 22: the table behind
// tests/unit/firewall/host_firewall.test.ts. What the kernel says of each was captured by
// tests/golden/host_firewall/capture.ts.

/** A family alone that is shut to every port is "deliberate". */
export type Forbids =
  | "nothing"
  | "both"
  | "IPv4"
  | "IPv6"
  | "IPv4, deliberate"
  | "IPv6, deliberate";

export interface HostFirewallCase {
  readonly name: string;
  /** Text for `nft -f`, or for both of iptables-nft-restore and ip6tables-nft-restore. */
  readonly by: "nft" | "iptables";
  readonly text: string;
  readonly forbids: Forbids;
}

/** In a chain at input that drops what these rules do not accept. */
const DROPPING: readonly [rules: string, forbids: Forbids][] = [
  ["", "both"],
  ["tcp dport 22 accept", "nothing"],
  ["tcp dport 23 accept", "both"],
  ["tcp dport { 22, 80 } accept", "nothing"],
  ["tcp dport { 80, 443 } accept", "both"],
  ["tcp dport 20-30 accept", "nothing"],
  ["tcp dport 30-40 accept", "both"],
  ["tcp dport != 30-40 accept", "nothing"],
  ["tcp dport { 1-21, 23-100 } accept", "both"],
  ["tcp dport { 1-21, 22-100 } accept", "nothing"],
  ["tcp dport { 23-65535 } accept", "both"],
  ["tcp dport { 0-22 } accept", "nothing"],
  ["tcp dport != 22 accept", "both"],
  ["tcp dport != { 22, 80 } accept", "both"],
  ["tcp dport != { 80, 443 } accept", "nothing"],
  ["tcp dport >= 22 accept", "nothing"],
  ["tcp dport > 22 accept", "both"],
  ["tcp dport <= 22 accept", "nothing"],
  ["tcp dport < 22 accept", "both"],
  ["tcp dport & 0x1 == 0x1 accept", "both"],
  ["th dport 22 accept", "nothing"],
  ["udp dport 22 accept", "both"],
  ["tcp sport 1024-65535 tcp dport 22 accept", "nothing"],
  ["tcp sport 1024-65535 tcp dport 23 accept", "both"],
  ["meta l4proto { tcp, udp } th dport 22 accept", "nothing"],
  ["meta l4proto { icmp, ipv6-icmp } accept", "both"],
  ["meta l4proto . th dport { tcp . 22, udp . 53 } accept", "nothing"],
  ["meta l4proto . th dport { tcp . 80, udp . 22 } accept", "both"],
  ["meta l4proto . th dport vmap { tcp . 22 : accept, udp . 53 : accept }", "nothing"],
  ["meta l4proto . th dport { tcp . 20-30, udp . 53 } accept", "nothing"],
  ["meta l4proto . th dport { tcp . 80-90, udp . 20-30 } accept", "both"],
  ["ip saddr . tcp dport { 192.0.2.1 . 22 } accept", "IPv6, deliberate"],
  ["ip saddr . tcp dport { 192.0.2.1 . 80 } accept", "both"],
  ["ip saddr . tcp dport { 192.0.2.0/24 . 20-30 } accept", "IPv6, deliberate"],
  ["ip saddr . tcp dport { 192.0.2.0/24 . 80-90 } accept", "both"],
  ["tcp dport vmap { 22 : accept, 80 : drop }", "nothing"],
  ["tcp dport vmap { 22 : drop, 80 : accept }", "both"],
  ["tcp dport vmap { 80 : accept }", "both"],
  ["tcp dport vmap { 20-30 : accept }", "nothing"],
  ["tcp dport vmap { 22 : continue } accept", "nothing"],
  ["tcp dport vmap { 80 : continue } accept", "both"],
  ["tcp dport vmap { 22 : drop, * : accept }", "both"],
  ["tcp dport vmap { 80 : drop, * : accept }", "nothing"],
  ["ip saddr 192.0.2.0/24 tcp dport 22 accept", "IPv6, deliberate"],
  ["ip saddr 192.0.2.0/24 tcp dport 22 accept; meta nfproto ipv6 tcp dport 80 accept", "IPv6"],
  ["ip saddr vmap { 192.0.2.1 : accept, 192.0.2.2 : drop }", "IPv6, deliberate"],
  ["ip protocol icmp accept; ip6 nexthdr icmpv6 accept", "both"],
  ["ip protocol tcp accept; ip6 nexthdr tcp accept", "nothing"],
  ["icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept", "both"],
  ["ct state established,related accept", "both"],
  ["ct state new accept", "nothing"],
  ["ct state { established, related } accept", "both"],
  ["ct state vmap { established : accept, related : accept, invalid : drop }", "both"],
  ["ct state vmap { established : accept, new : accept }", "nothing"],
  ["ct state != invalid accept", "nothing"],
  ["ct state untracked accept", "both"],
  ["ct state invalid drop; tcp dport 22 accept", "nothing"],
  ["ct status dnat accept", "both"],
  ["ct status assured accept", "both"],
  ["ct direction original accept", "nothing"],
  ["ct direction reply accept", "both"],
  ["ct mark 1 accept", "nothing"],
  ["iif lo accept", "both"],
  ["iif != lo accept", "nothing"],
  ["iifname lo accept", "both"],
  ["iifname { lo } accept", "both"],
  ["iifname { lo, eth0 } accept", "nothing"],
  ["iifname eth0 accept", "nothing"],
  ['iifname "l*" accept', "nothing"],
  ["iifname vmap { lo : accept, eth0 : drop }", "both"],
  ["iifname . tcp dport { eth0 . 22 } accept", "nothing"],
  ["iifname . tcp dport { eth0 . 80 } accept", "both"],
  ["meta iiftype loopback accept", "both"],
  ["meta iiftype != loopback accept", "nothing"],
  ["meta pkttype { broadcast, multicast } accept", "both"],
  ["meta pkttype host accept", "nothing"],
  ["ip daddr 224.0.0.0/4 accept; ip6 daddr ff00::/8 accept", "both"],
  ["ip daddr 224.0.0.251 accept; ip6 daddr ff02::fb accept", "both"],
  ["ip daddr 255.255.255.255 accept", "both"],
  ["ip daddr 192.0.2.1 accept", "IPv6, deliberate"],
  ["ip6 daddr fe80::/10 accept", "IPv4, deliberate"],
  ["ip ttl 255 accept; ip6 hoplimit 255 accept", "nothing"],
  ["fib daddr type local accept", "nothing"],
  ["fib daddr type { broadcast, multicast } accept", "both"],
  ["fib daddr . iif type local accept", "nothing"],
  ["fib saddr . iif oif exists accept", "nothing"],
  ["tcp flags syn accept", "nothing"],
  ["tcp flags ack accept", "both"],
  ["tcp flags & (fin|syn|rst|ack) == syn accept", "nothing"],
  ["tcp flags & (fin|syn|rst|ack) != syn accept", "both"],
  ["tcp flags == syn accept", "nothing"],
  ["tcp flags & (ecn|cwr) == 0 accept", "nothing"],
  ["limit rate 1/second accept", "nothing"],
  ["meta mark 1 accept", "nothing"],
  ["meta skuid 0 accept", "nothing"],
  ["meta length 40-100 accept", "nothing"],
  ["meta cpu 0 accept", "nothing"],
  ["tcp option maxseg size > 500 accept", "nothing"],
  ["numgen random mod 2 == 0 accept", "nothing"],
  ["jhash ip saddr mod 2 == 0 accept", "IPv6, deliberate"],
  ["rt type 0 drop; tcp dport 22 accept", "nothing"],
  ["socket transparent 1 accept", "nothing"],
  ["ct count over 20 drop; tcp dport 22 accept", "nothing"],
  ['counter log prefix "in " meta mark set 1 ct mark set 1', "both"],
  ["iifname vmap { eth0 : drop }; tcp dport 22 accept", "nothing"],
  ["iifname vmap { eth0 : drop, * : drop }; accept", "both"],
  ["tcp dport vmap { 22 : drop }; accept", "both"],
  ["fib daddr type > local accept", "both"],
  ["meta iif != 5 meta mark 1 accept", "nothing"],
  ["reject", "both"],
  ["drop; tcp dport 22 accept", "both"],
  ["tcp dport 22 counter reject with tcp reset; accept", "both"],
];

/** In a chain at input that accepts what these rules do not drop. */
const ACCEPTING: readonly [rules: string, forbids: Forbids][] = [
  ["", "nothing"],
  ["tcp dport 22 drop", "both"],
  ["tcp dport 22 ct state new reject", "both"],
  ["tcp dport 22 meta nfproto ipv4 drop", "IPv4"],
  ["meta nfproto ipv6 drop", "IPv6, deliberate"],
  ["ip saddr 192.0.2.1 drop", "nothing"],
  ["meta l4proto . th dport { tcp . 22, udp . 53 } drop", "both"],
  ["tcp dport 22 iifname eth0 drop", "nothing"],
  ["tcp dport 22 limit rate over 3/minute drop", "nothing"],
  ["tcp dport 22 accept; drop", "nothing"],
  ["tcp dport != 22 accept; drop", "both"],
];

const FULL: readonly [name: string, text: string, forbids: Forbids][] = [
  ["nothing at all", "", "nothing"],
  ["a table for IPv4 alone", `table ip t { ${chain("input", "", "drop")} }`, "IPv4, deliberate"],
  ["a table for IPv6 alone", `table ip6 t { ${chain("input", "", "drop")} }`, "IPv6, deliberate"],
  [
    "jump, return and the policy",
    `table inet t { chain a { tcp dport 22 return; accept; }; ${
      chain("input", "jump a", "drop")
    } }`,
    "both",
  ],
  [
    "jump to a chain that accepts",
    `table inet t { chain b { tcp dport 22 accept; }; chain a { jump b; }; ${
      chain("input", "tcp dport 1-100 jump a; drop", "accept")
    } }`,
    "nothing",
  ],
  [
    "goto ends the chain it comes from",
    `table inet t { chain a { tcp dport 80 accept; }; ${
      chain("input", "goto a; tcp dport 22 accept", "drop")
    } }`,
    "both",
  ],
  [
    "goto from a chain that was jumped to",
    `table inet t { chain b { tcp dport 80 accept; }; chain a { goto b; }; ${
      chain("input", "jump a; tcp dport 22 accept", "drop")
    } }`,
    "nothing",
  ],
  [
    "chains by interface, of which one accepts",
    `table inet t { chain wan { drop; }; chain lan { tcp dport 22 accept; }; ${
      chain("input", "iifname vmap { lo : accept, wan0 : jump wan, lan0 : jump lan }", "drop")
    } }`,
    "nothing",
  ],
  [
    "an accept in an earlier chain does not help",
    `table inet a { ${chain("input", "tcp dport 22 accept", "drop", -10)} }
     table inet b { ${chain("input", "tcp dport 80 accept", "drop", 10)} }`,
    "both",
  ],
  [
    "an accept in a later chain does not help",
    `table inet a { ${chain("input", "tcp dport 80 accept", "drop", -10)} }
     table inet b { ${chain("input", "tcp dport 22 accept", "drop", 10)} }`,
    "both",
  ],
  [
    "prerouting",
    `table inet t { ${chain("prerouting", "tcp dport 22 drop", "accept", -300)} }`,
    "both",
  ],
  [
    "before connection tracking its state says nothing",
    `table inet t { ${chain("prerouting", "ct state new drop", "accept", -300)} }`,
    "nothing",
  ],
  ["forward", `table inet t { ${chain("forward", "", "drop")} }`, "nothing"],
  ["output", `table inet t { ${chain("output", "", "drop")} }`, "nothing"],
  ["a dormant table", `table inet t { flags dormant; ${chain("input", "", "drop")} }`, "nothing"],
  ["a table of pk's own name", `table inet pk { ${chain("input", "", "drop")} }`, "nothing"],
  [
    "a set with the port",
    `table inet t { set open { type inet_service; elements = { 22 }; }; ${
      chain("input", "tcp dport @open accept", "drop")
    } }`,
    "nothing",
  ],
  [
    "an empty set",
    `table inet t { set open { type inet_service; }; ${
      chain("input", "tcp dport @open accept", "drop")
    } }`,
    "both",
  ],
  [
    "a set that fills with time",
    `table inet t { set open { type inet_service; flags timeout; }; ${
      chain("input", "tcp dport @open accept", "drop")
    } }`,
    "nothing",
  ],
  [
    "a map that fills with time",
    `table inet t { map doors { type inet_service : verdict; flags timeout; }; ${
      chain("input", "tcp dport vmap @doors", "drop")
    } }`,
    "nothing",
  ],
  [
    "intervals side by side",
    `table inet t { set open { type inet_service; flags interval; elements = { 1-21, 22-100 }; }; ${
      chain("input", "tcp dport @open accept", "drop")
    } }`,
    "nothing",
  ],
  [
    "a set of addresses, empty today",
    `table inet t { set friends { type ipv4_addr; }; ${
      chain("input", "ip saddr @friends accept", "drop")
    } }`,
    "IPv6, deliberate",
  ],
  [
    "a map to chains",
    `table inet t { chain ssh { accept; }; map doors { type inet_service : verdict; elements = { 22 : jump ssh, 80 : drop }; }; ${
      chain("input", "tcp dport vmap @doors", "drop")
    } }`,
    "nothing",
  ],
  [
    "a set whose elements have a limit",
    `table inet t { set open { type inet_service; limit rate 1/minute; elements = { 22 }; }; ${
      chain("input", "tcp dport @open drop", "accept")
    } }`,
    "nothing",
  ],
  [
    "a set that packets fill",
    `table inet t { set seen { type ipv4_addr; flags dynamic; size 100; }; ${
      chain("input", "tcp dport 22 add @seen { ip saddr } accept", "drop")
    } }`,
    "IPv6, deliberate",
  ],
  [
    "a named counter",
    `table inet t { counter c { }; ${
      chain("input", 'tcp dport 22 counter name "c" drop', "accept")
    } }`,
    "both",
  ],
  [
    "a named limit",
    `table inet t { limit l { rate 1/second; }; ${
      chain("input", 'limit name "l" accept', "drop")
    } }`,
    "nothing",
  ],
  [
    "the port goes to a container",
    `table ip nat { chain pre { type nat hook prerouting priority dstnat; tcp dport 22 dnat to 192.0.2.1; }; }
     table inet t { ${chain("input", "", "drop")} }`,
    "IPv6, deliberate",
  ],
  [
    "another port goes to a container",
    `table ip nat { chain pre { type nat hook prerouting priority dstnat; fib daddr type local tcp dport 80 dnat to 192.0.2.1; }; }
     table inet t { ${chain("input", "ct status dnat accept", "drop")} }`,
    "both",
  ],
  [
    "the port is redirected",
    `table inet nat { chain pre { type nat hook prerouting priority dstnat; tcp dport 22 redirect to :2222; }; }
     table inet t { ${chain("input", "tcp dport 2222 accept", "drop")} }`,
    "nothing",
  ],
  [
    "the packet is written to",
    `table inet t { ${chain("prerouting", "tcp dport 22 tcp dport set 2222", "accept", -300)}; ${
      chain("input", "tcp dport 2222 accept", "drop")
    } }`,
    "nothing",
  ],
  [
    "connection tracking is told to leave it out",
    `table inet t { ${chain("prerouting", "tcp dport 22 notrack", "accept", -300)}; ${
      chain("input", "ct state established,untracked accept", "drop")
    } }`,
    "nothing",
  ],
  [
    "connection tracking leaves out another port",
    `table inet t { ${chain("prerouting", "tcp dport 80 notrack", "accept", -300)}; ${
      chain("input", "ct state established,untracked accept", "drop")
    } }`,
    "both",
  ],
];

/** Of `filter`, INPUT drops what these do not accept; both for IPv4 and IPv6. */
const IPTABLES: readonly [rules: string, forbids: Forbids][] = [
  ["-p tcp --dport 22 -j ACCEPT", "nothing"],
  ["-p tcp --dport 23 -j ACCEPT", "both"],
  ["-p tcp --dport 20:30 -j ACCEPT", "nothing"],
  ["-p tcp --dport 30:40 -j ACCEPT", "both"],
  ["-p tcp ! --dport 22 -j ACCEPT", "both"],
  ["-p udp --dport 22 -j ACCEPT", "both"],
  ["-p tcp --sport 1024:65535 --dport 22 -j ACCEPT", "nothing"],
  ["-p tcp -m multiport --dports 80,443 -j ACCEPT", "both"],
  ["-p tcp -m multiport --dports 20:30,443 -j ACCEPT", "nothing"],
  ["-p tcp -m multiport ! --dports 22,443 -j ACCEPT", "both"],
  ["-p tcp -m multiport --ports 22,443 -j ACCEPT", "nothing"],
  ["-p tcp -m multiport --sports 22,443 -j ACCEPT", "nothing"],
  ["-p tcp --syn -j ACCEPT", "nothing"],
  ["-p tcp ! --syn -j ACCEPT", "both"],
  ["-p tcp --tcp-flags ALL SYN -j ACCEPT", "nothing"],
  ["-p tcp --tcp-flags ACK ACK -j ACCEPT", "both"],
  ["-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "both"],
  ["-m conntrack --ctstate NEW -j ACCEPT", "nothing"],
  ["-m conntrack ! --ctstate INVALID -j ACCEPT", "nothing"],
  ["-m conntrack --ctstate DNAT -j ACCEPT", "both"],
  ["-m state --state RELATED,ESTABLISHED -j ACCEPT", "both"],
  ["-m state --state NEW -j ACCEPT", "nothing"],
  ["-i lo -j ACCEPT", "both"],
  ["! -i lo -j ACCEPT", "nothing"],
  ["-i eth+ -j ACCEPT", "nothing"],
  ["-m addrtype --dst-type LOCAL -p tcp --dport 22 -j ACCEPT", "nothing"],
  ["-m addrtype --dst-type MULTICAST -j ACCEPT", "both"],
  ["-m comment --comment ssh -p tcp --dport 22 -j ACCEPT", "nothing"],
  ["-m comment --comment web -p tcp --dport 80 -j ACCEPT", "both"],
  ["-p tcp --dport 22 -m recent --name x --rcheck -j ACCEPT", "nothing"],
  ["-m limit --limit 3/min -j LOG --log-prefix x", "both"],
  ["-p tcp --dport 22 -j REJECT\n-A INPUT -j ACCEPT", "both"],
  [
    "-p tcp --dport 22 -m hashlimit --hashlimit-above 3/min --hashlimit-name x -j DROP\n-A INPUT -j ACCEPT",
    "nothing",
  ],
];

export const hostFirewallCases: readonly HostFirewallCase[] = [
  ...DROPPING.map(([rules, forbids]) =>
    inTable(`${rules || "no rule"}; then drop`, rules, "drop", forbids)
  ),
  ...ACCEPTING.map(([rules, forbids]) =>
    inTable(`${rules || "no rule"}; then accept`, rules, "accept", forbids)
  ),
  ...FULL.map(([name, text, forbids]) => ({ name, by: "nft" as const, text, forbids })),
  ...IPTABLES.map(([rules, forbids]) => byIptables(rules, filterTable(rules), forbids)),
  byIptables(
    "does not track the port",
    "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 22 -j CT --notrack\nCOMMIT\n" +
      filterTable("-m conntrack --ctstate ESTABLISHED,UNTRACKED -j ACCEPT"),
    "nothing",
  ),
  byIptables(
    "redirects the port",
    "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 22 -j REDIRECT --to-ports 2222\n" +
      `COMMIT\n${filterTable("-p tcp --dport 2222 -j ACCEPT")}`,
    "nothing",
  ),
  byIptables(
    "redirects another port",
    "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080\n" +
      `COMMIT\n${filterTable("-p tcp --dport 8080 -j ACCEPT")}`,
    "both",
  ),
];

function byIptables(what: string, text: string, forbids: Forbids): HostFirewallCase {
  return { name: `iptables ${what.replaceAll("\n", ", ")}`, by: "iptables", text, forbids };
}

function filterTable(rules: string): string {
  return `*filter\n:INPUT DROP [0:0]\n-A INPUT ${rules}\nCOMMIT\n`;
}

function inTable(
  name: string,
  rules: string,
  policy: "accept" | "drop",
  forbids: Forbids,
): HostFirewallCase {
  return { name, by: "nft", text: `table inet t { ${chain("input", rules, policy)} }`, forbids };
}

function chain(hook: string, rules: string, policy: string, priority = 0): string {
  const type = `type filter hook ${hook} priority ${priority}; policy ${policy};`;
  return `chain ${hook} {\n${type}\n${rules}\n}\n`;
}
