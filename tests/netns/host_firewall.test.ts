// A host's own firewall beside pk: where it lets the guarded port through, knocking opens it as ever;
// where it does not, no grant helps, and pk says so once at its start, with the command that does.
// The rulesets of ufw and firewalld are what these programs had loaded (tests/golden/host_firewall).
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service)
//                                     + a firewall that drops what it does not allow

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { netnsTest, sideBySide } from "../support/cases.ts";
import { readStored } from "../support/host_firewall_golden.ts";
import { type Forbids, hostFirewallCases } from "../support/host_firewall_cases.ts";
import { enter, FAMILIES, type Family, must, nft, range } from "../support/netns.ts";
import {
  type Daemon,
  getsIn,
  GUARDED,
  KNOCKS,
  setStage,
  type Stage,
  startPk,
} from "../support/pk.ts";

interface Firewall {
  readonly name: string;
  /** Loads it; without `allows` as it is before the port was allowed. */
  load(ns: string, allows: boolean): Promise<void>;
  readonly table: string;
  readonly chain: string;
  readonly remedy: string;
}

const FIREWALLS: readonly Firewall[] = [
  {
    name: "nft",
    load: (ns, allows) => nft(ns, ownFirewall(allows)),
    table: "inet host",
    chain: "input",
    remedy: `nft insert rule inet host input tcp dport ${GUARDED} accept`,
  },
  {
    name: "ufw",
    async load(ns, allows) {
      await restore(ns, "iptables-nft-restore", stored("ufw.v4", allows));
      await restore(ns, "ip6tables-nft-restore", stored("ufw.v6", allows));
    },
    table: "ip filter, ip6 filter",
    chain: "INPUT",
    remedy: `ufw allow ${GUARDED}/tcp`,
  },
  {
    name: "firewalld",
    load: (ns, allows) => restore(ns, "nft", stored("firewalld.nft", allows), "-f", "-"),
    table: "inet firewalld",
    chain: "filter_INPUT",
    remedy: `firewall-cmd --permanent --add-port=${GUARDED}/tcp && firewall-cmd --reload`,
  },
];

for (const firewall of FIREWALLS) {
  netnsTest(`${firewall.name} allows the port: grants work and pk says nothing`, async (t) => {
    await using stage = await setStage();
    await firewall.load(stage.ns, true);
    await using pk = await startPk(stage.ns);
    await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
      strictEqual(await knockAndEnter(stage, pk, family), true);
    });
    deepStrictEqual(warnings(pk), []);
  });

  netnsTest(
    `${firewall.name} forbids the port: pk says so once, and how to allow it`,
    async (t) => {
      await using stage = await setStage();
      await firewall.load(stage.ns, false);
      await using pk = await startPk(stage.ns);
      await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
        strictEqual(await knockAndEnter(stage, pk, family), false);
      });
      const told = warnings(pk);
      strictEqual(told.length, 1);
      for (const { level, port, family, table, chain } of told) {
        deepStrictEqual({ level, port, family, table, chain }, {
          level: "warning",
          port: GUARDED,
          family: "both",
          table: firewall.table,
          chain: firewall.chain,
        });
      }
      strictEqual(told[0]?.hint, `pk only shuts; let the port through: ${firewall.remedy}`);
    },
  );
}

netnsTest("the command in the warning is the one that helps", async (t) => {
  await using stage = await setStage();
  await nft(stage.ns, ownFirewall(false));
  await using pk = await startPk(stage.ns);
  const command = /through: nft (.*)$/.exec(`${warnings(pk)[0]?.hint}`)?.[1];
  await nft(stage.ns, command ?? "");
  await sideBySide(t, FAMILIES, ({ name }) => name, async (family) => {
    strictEqual(await knockAndEnter(stage, pk, family), true);
  });
});

netnsTest("one family alone is named", async () => {
  await using stage = await setStage();
  await nft(
    stage.ns,
    ownFirewall(false, "; meta nfproto ipv4 tcp dport 2222 accept; tcp dport 80 accept"),
  );
  await using pk = await startPk(stage.ns);
  strictEqual(warnings(pk)[0]?.family, "IPv6");
  strictEqual(await knockAndEnter(stage, pk, FAMILIES[0]), true);
});

netnsTest("a ruleset of many thousand rules neither stops nor delays the start", async () => {
  await using stage = await setStage();
  const blocked = Array.from(
    { length: 30_000 },
    (_, n) => `add rule inet big input ip saddr 198.18.${n >> 8}.${n & 0xff} drop`,
  );
  const chain =
    "add table inet big\nadd chain inet big input { type filter hook input priority 0; }";
  await restore(stage.ns, "nft", [chain, ...blocked, ""].join("\n"), "-f", "-");
  await using pk = await startPk(stage.ns, "--log-level", "debug");
  deepStrictEqual(warnings(pk), []);
  match(`${pk.seen("host firewall unknown")[0]?.reason}`, /more than|too long/);
  strictEqual(await knockAndEnter(stage, pk, FAMILIES[0]), true);
});

netnsTest("what is judged forbidden is forbidden to real packets", async (t) => {
  // The table of the unit test, loaded and tried. Nothing is said of what is judged allowed: it may be
  // for others than this client.
  await sideBySide(t, range(WORKERS), (worker) => `part ${worker}`, async (worker) => {
    await using stage = await setStage();
    await stage.server.listen(JUDGED_PORT);
    await makeNeighbours(stage);
    let entered = 0;
    for (
      const { name, by, text, forbids } of hostFirewallCases.filter((_, n) =>
        n % WORKERS + 1 === worker
      )
    ) {
      await must(...enter(stage.ns), "nft", "flush", "ruleset");
      if (by === "nft") await restore(stage.ns, "nft", text, "-f", "-");
      else {
        await restore(stage.ns, "iptables-nft-restore", text);
        await restore(stage.ns, "ip6tables-nft-restore", text);
      }
      await Promise.all(FAMILIES.map(async (family) => {
        const options = { port: JUDGED_PORT, timeoutMs: 150 };
        const enters = await getsIn(stage.client, family, family.client, options);
        if (enters) entered++;
        strictEqual(enters && isForbidden(forbids, family), false, `${name}, ${family.name}`);
      }));
    }
    ok(entered > 0, "a lab in which nobody gets in shows nothing");
  });
});

const WORKERS = 4;
/** The one that the cases are about. */
const JUDGED_PORT = 22;

function isForbidden(forbids: Forbids, { name }: Family): boolean {
  return forbids === "both" || forbids.startsWith(name);
}

/** So that a firewall without an exception for neighbour discovery shows what it does to TCP. */
async function makeNeighbours({ lab: { server, client } }: Stage): Promise<void> {
  const addressOf = async (ns: string) =>
    /link\/ether (\S+)/.exec(await must(...enter(ns), "ip", "link", "show", "veth0"))?.[1] ?? "";
  const knows = async (ns: string, other: string, addresses: string[]) => {
    const link = await addressOf(other);
    for (const address of addresses) {
      const neighbour = ["neigh", "replace", address, "lladdr", link, "dev", "veth0"];
      await must(...enter(ns), "ip", ...neighbour, "nud", "permanent");
    }
  };
  await knows(server, client, FAMILIES.map((family) => family.client));
  await knows(client, server, FAMILIES.map((family) => family.server));
}

function warnings(pk: Daemon) {
  return pk.seen("host firewall forbids");
}

/** Knocks from a source of its own: does it get in then? pk grants it in any case. */
async function knockAndEnter({ client }: Stage, pk: Daemon, family: Family): Promise<boolean> {
  const source = family.source(1);
  strictEqual(await getsIn(client, family, source, { timeoutMs: 300 }), false, "open before");
  await client.knock({ host: family.server, ports: KNOCKS, source, gapMs: 20 });
  await pk.event("granted", { source });
  return await getsIn(client, family, source, { timeoutMs: 1500 });
}

function ownFirewall(allows: boolean, more = ""): string {
  return `table inet host { chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept; ct state established,related accept; ct state invalid drop
    meta l4proto { icmp, ipv6-icmp } accept ${allows ? `; tcp dport ${GUARDED} accept` : ""}${more}
  }; }`;
}

/** A stored ruleset, in which the guarded port is allowed, or without the rule that does. */
function stored(file: string, allows: boolean): string {
  const lines = readStored(file).split("\n");
  const others = lines.filter((line) => !new RegExp(`dport ${GUARDED}\\b`).test(line));
  strictEqual(lines.length - others.length, 1, "one rule allows the port");
  return (allows ? lines : others).join("\n");
}

async function restore(ns: string, program: string, text: string, ...args: string[]) {
  const [first, ...entering] = enter(ns);
  const child = new Deno.Command(first, {
    args: [...entering, program, ...args],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stderr } = await child.output();
  strictEqual(success, true, new TextDecoder().decode(stderr));
}
