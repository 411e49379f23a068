// understand(): what commands of the common forms come to, whatever their spelling.

import assert from "node:assert/strict";
import fc from "fast-check";
import { rangeText } from "../../../src/config/config.ts";
import { understand } from "../../../src/import/knockd_command.ts";

const OPENS: readonly (readonly [command: string, opens: string, forS?: number])[] = [
  ["iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", "tcp/22"],
  ["/usr/sbin/iptables-nft -w -I INPUT 3 -p udp --dport 51820 -s %IP% -j ACCEPT", "udp/51820"],
  ["ip6tables --insert INPUT --source=%IP%/128 --protocol=6 --dport=22 --jump ACCEPT", "tcp/22"],
  ["iptables -AINPUT -s%IP% -ptcp --dport 8000:8010 -jACCEPT", "tcp/8000-8010"],
  ["iptables -A INPUT -p all -s %IP% --dport 53 -j ACCEPT", "tcp/53, udp/53"],
  [
    "iptables -A INPUT -s %IP% -p tcp -m multiport --dports ssh,80,90:91 -j ACCEPT",
    "tcp/22, tcp/80, tcp/90-91",
  ],
  [
    "iptables -A INPUT -s %IP% -p tcp --dport 22 -m state --state NEW -j ACCEPT >>/x 2>&1",
    "tcp/22",
  ],
  ["nft add rule inet filter input ip saddr %IP% tcp dport 22 accept", "tcp/22"],
  [
    'nft "add rule ip6 f i ip6 saddr %IP% udp dport 1-9 accept; add rule f i ip saddr %IP% tcp dport {80,443} accept"',
    "udp/1-9, tcp/80, tcp/443",
  ],
  [
    "nft insert rule f i meta l4proto { tcp, udp } th dport 53 ip saddr %IP% counter packets 0 bytes 0 accept",
    "tcp/53, udp/53",
  ],
  ["nft add element inet f s { %IP% . 22 timeout 30s }", "tcp/22", 30],
  ["ufw allow from %IP% to any port 22 proto tcp", "tcp/22"],
  ["ufw allow proto tcp from %IP% to any port 80,443,6000:6007", "tcp/80, tcp/443, tcp/6000-6007"],
  ["ufw prepend allow in on eth0 from %IP% to any port ssh", "tcp/22"],
  ["ufw limit from %IP% to any port 22 proto tcp", "tcp/22"],
  [
    "firewall-cmd --add-rich-rule='rule family=ipv4 source address=%IP% port port=22 protocol=tcp accept' --timeout=1m",
    "tcp/22",
    60,
  ],
  [
    'firewall-cmd --permanent --zone=home --add-rich-rule="rule source address=\\"%IP%\\" service name=\\"ssh\\" accept" && firewall-cmd --reload',
    "tcp/22",
  ],
  [
    "iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
    "tcp/22",
  ],
  [
    "iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; sleep 1m; iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
    "tcp/22",
    60,
  ],
  ["bash -c 'sudo -n iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT'", "tcp/22"],
];

for (const [command, opens, forS] of OPENS) {
  Deno.test(`understand() ${command}`, () => {
    const found = understand(command);
    assert.equal(found.opens.map(rangeText).join(", "), opens);
    assert.deepEqual(found.unknown, []);
    assert.equal(found.everybody, false);
    assert.equal(found.forS, forS);
  });
}

/** A person has to look, and no port is opened by a guess. */
const NOT_UNDERSTOOD = [
  "iptables -A INPUT -s %IP% -j ACCEPT",
  "iptables -A INPUT ! -s %IP% -p tcp --dport 22 -j ACCEPT",
  "iptables -A INPUT -s 192.0.2.1 -p tcp --dport 22 -j ACCEPT",
  "iptables -A INPUT -s %IP%/24 -p tcp --dport 22 -j ACCEPT",
  "iptables -A INPUT -s %IP% -p icmp -j ACCEPT",
  "iptables -A INPUT -s %IP% -p tcp --dport $PORT -j ACCEPT",
  "iptables -A INPUT -s %IP% -p tcp --dport 22 -m recent --set -j ACCEPT",
  "iptables -A INPUT -s %IP% -p tcp --dport 70000 -j ACCEPT",
  "iptables -A INPUT -s %IP% -p tcp --dport 22 -j SSH_IN",
  "iptables -A OUTPUT -d %IP% -p tcp --sport 22 -j ACCEPT",
  "iptables -A FORWARD -s %IP% -p tcp --dport 22 -j ACCEPT",
  "iptables -t nat -A PREROUTING -s %IP% -p tcp --dport 22 -j REDIRECT --to-ports 2222",
  "iptables -F",
  "iptables",
  "nft -f /etc/open.nft",
  "nft add rule inet filter input ip saddr %IP% accept",
  "nft add rule inet filter input ip saddr != %IP% tcp dport 22 accept",
  "nft add rule inet filter input ip saddr %IP% tcp dport != 22 accept",
  "nft add rule inet filter input ip saddr %IP% tcp dport @ports accept",
  "nft add element inet filter knocked { %IP% }",
  "ufw allow from %IP%",
  "ufw allow from 192.0.2.0/24 to any port 22",
  "ufw disable",
  "firewall-cmd --zone=trusted --add-source=%IP%",
  "firewall-cmd --add-rich-rule='rule family=ipv4 source NOT address=%IP% port port=22 protocol=tcp accept'",
  "firewall-cmd --panic-off",
  "/usr/local/bin/open-it %IP%",
  "if true; then iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; fi",
  "echo 'sshd: %IP%' >> /etc/hosts.allow",
];

for (const command of NOT_UNDERSTOOD) {
  Deno.test(`understand() leaves to a person: ${command}`, () => {
    const found = understand(command);
    assert.ok(found.unknown.length > 0);
    if (!command.startsWith("if ")) assert.deepEqual(found.opens, []);
    for (const { advice } of found.unknown) assert.match(advice, /\.$/);
  });
}

Deno.test("understand() tells a closing command from an opening one", () => {
  const commands = [
    "iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
    "iptables -D INPUT 3",
    "iptables -A INPUT -s %IP% -p tcp --dport 22 -j DROP",
    "nft delete rule inet f i handle $(nft -a list chain inet f i | awk '/%IP%/ { print $NF }')",
    "nft delete element inet f s { %IP% }",
    "ufw --force delete allow from %IP% to any port 22 proto tcp",
    "ufw delete 3",
    "firewall-cmd --remove-rich-rule='rule source address=%IP% port port=22 protocol=tcp accept'",
    "ipset del s %IP%",
  ];
  for (const command of commands) {
    const { closes, opens, unknown } = understand(command);
    assert.deepEqual({ closes, opens, unknown }, { closes: true, opens: [], unknown: [] }, command);
  }
});

Deno.test("understand() takes iptables' options in any order", () => {
  const options = ["-I INPUT 1", "-s %IP%", "-p tcp", "--dport 22", "-j ACCEPT", "-w 3", "-m tcp"];
  fc.assert(fc.property(fc.shuffledSubarray(options, { minLength: 7 }), (shuffled) => {
    const { opens, unknown } = understand(`iptables ${shuffled.join(" ")}`);
    assert.deepEqual(opens.map(rangeText), ["tcp/22"]);
    assert.deepEqual(unknown, []);
  }));
});
