// What nf_tables does with one packet, read from the rules' words: a second, naive machine for the
// invariants of the ruleset. It knows pk's statements only, and says so of any other.

import type { Endpoint } from "../../../src/config/config.ts";
import type { Ruleset } from "../../../src/firewall/ruleset.ts";
import type { Statement } from "../../../src/nftables/rule.ts";

/** What rules can ask about a packet. */
export interface Packet {
  readonly family: "ip" | "ip6";
  /** icmp and icmp6 are echo requests. */
  readonly protocol: "tcp" | "udp" | "icmp" | "icmp6";
  readonly flags: readonly string[];
  /** Of an echo request the bytes of its data. */
  readonly port: number;
  /** How far into its headers a packet reaches that is a fragment: a TCP packet that is none, to its flags. */
  readonly reaches: "flags" | "ports" | "protocol" | "nothing";
  readonly loopback: boolean;
  /** What the routing table says its addresses are. */
  readonly to: "local" | "unicast" | "broadcast" | "multicast" | "anycast";
  readonly from: "local" | "unicast" | "broadcast" | "multicast";
  readonly established: boolean;
  /** It goes to who sent the first packet of its connection. */
  readonly reply: boolean;
  /** It bears the mark of the daemon's verdict. */
  readonly letIn: boolean;
  /** Its source is of the share that is heard. */
  readonly heard: boolean;
  /** Sets that have its source, without the family's number: "grants". */
  readonly sourceIn: readonly string[];
  /** Limits still let it through. */
  readonly withinLimit: boolean;
  /** Sets that are full and take no newcomer, without the family's number. */
  readonly full: readonly string[];
}

/** What became of it at one hook. */
export interface Fate {
  readonly verdict: "accept" | "drop" | "reset" | "unreachable" | "queue";
  /** Copies, each with its prefix or "". */
  readonly copies: readonly string[];
  /** Counter objects that counted it. */
  readonly counted: readonly string[];
  /** Sets that its source was put into. */
  readonly remembered: readonly string[];
  /** It still bears the mark. */
  readonly marked: boolean;
}

/** Sends a packet through a base chain. */
export function traverse(ruleset: Ruleset, base: string, packet: Packet): Fate {
  const ports = new Map<string, readonly Endpoint[]>(Object.entries(ruleset.ports));
  const fate = {
    verdict: "accept" as Fate["verdict"],
    copies: [] as string[],
    counted: [] as string[],
    remembered: [] as string[],
    marked: packet.letIn,
  };
  let chain: string | undefined = base;
  while (chain !== undefined) {
    const rules = ruleset.rules.filter((rule) => rule.chain === chain);
    chain = undefined;
    for (const rule of rules) {
      const end = carryOut(rule.statements);
      if (end === "break") continue;
      if (typeof end === "object") chain = end.goto;
      else fate.verdict = end;
      break;
    }
  }
  return fate;

  /** What the rule ends with; "break" goes on to the next one. */
  function carryOut(
    statements: readonly Statement[],
  ): Fate["verdict"] | { goto: string } | "break" {
    for (const { nft } of statements) {
      const end = one(nft);
      if (end !== "next") return end;
    }
    return "break";
  }

  function one(nft: string): ReturnType<typeof carryOut> | "next" {
    const when = (condition: boolean) => condition ? "next" : "break";
    const [first, ...words] = nft.split(" ");
    if (!isReached(nft, packet)) return "break";
    const set = /@(\w+)/.exec(nft)?.[1] ?? "";
    switch (first) {
      case "tcp": {
        const { not, wanted, mask } = flagWords(nft);
        const masked = packet.flags.filter((flag) => mask.includes(flag));
        const same = masked.sort().join() === wanted.sort().join();
        return when(packet.protocol === "tcp" && same === !not);
      }
      case "th":
        matched(nft, /^th dport @\w+$/);
        return when((ports.get(set) ?? []).some(({ port }) => port === packet.port));
      case "ip":
      case "ip6":
        matched(nft, /^ip6? saddr( \. (meta l4proto|th sport) \. th dport)? @\w+$/);
        return when(packet.family === first && packet.sourceIn.includes(withoutFamily(set)));
      case "icmp":
      case "icmpv6": {
        const [, version, length] = matched(
          nft,
          /^icmp(v6)? type echo-request ip6? length (\d+)$/,
        );
        // Header and ICMP's own eight bytes: 20 and 8, or of IPv6, which leaves out its header, 8.
        const [protocol, overhead] = version === undefined ? ["icmp", 28] : ["icmp6", 8];
        return when(packet.protocol === protocol && packet.port + overhead === Number(length));
      }
      case "update": {
        const [, family] = matched(nft, /^update @\w+ \{ (ip6?) saddr \}$/);
        if (packet.family !== family || packet.full.includes(withoutFamily(set))) return "break";
        fate.remembered.push(set);
        return "next";
      }
      case "fib":
        if (nft === "fib daddr type local") return when(packet.to === "local");
        if (nft === "fib daddr type != unicast") return when(packet.to !== "unicast");
        return when(packet.from === matched(nft, /^fib saddr type (local|broadcast)$/)[1]);
      case "jhash": {
        const [, family] = matched(nft, /^jhash (ip6?) saddr mod \d+ seed 0x[0-9a-f]+ != \d+$/);
        return when(packet.family === family && !packet.heard);
      }
      case "ct":
        if (nft === "ct direction reply") return when(packet.reply);
        matched(nft, /^ct state established$/);
        return when(packet.established);
      case "counter":
        matched(nft, /^counter( name "\w+")?$/);
        fate.counted.push(...words.slice(1).map((name) => JSON.parse(name) as string));
        return "next";
      case "limit":
        return when(packet.withinLimit);
      case "log": {
        const [, , prefix] = matched(nft, /^log( prefix "(\w+)")? group \d+$/);
        fate.copies.push(prefix ?? "");
        return "next";
      }
      case "meta":
        if (nft === "meta iiftype != loopback") return when(!packet.loopback);
        if (nft === "meta mark 0x706b696e") return when(fate.marked);
        if (nft === "meta mark set 0x00000000") {
          fate.marked = false;
          return "next";
        }
        if (nft === "meta l4proto tcp reject with tcp reset") {
          return packet.protocol === "tcp" ? "reset" : "break";
        }
        if (nft === "meta l4proto udp reject with icmpx port-unreachable") {
          return packet.protocol === "udp" ? "unreachable" : "break";
        }
        if (nft === "meta l4proto != 255") return "next";
        if (words.length === 2) {
          return when(packet.protocol === matched(nft, /^meta l4proto (tcp|udp)$/)[1]);
        }
        matched(nft, /^meta l4proto \. th dport @\w+$/);
        return when(
          (ports.get(set) ?? []).some(({ protocol, port }) =>
            protocol === packet.protocol && port === packet.port
          ),
        );
      case "queue":
        return "queue";
      case "goto":
        return { goto: words.join(" ") };
      case "accept":
      case "drop":
        return first;
      default:
        throw new Error(`A statement that nobody has thought about: ${nft}`);
    }
  }
}

/** What cannot be loaded ends the rule. */
function isReached(nft: string, { reaches }: Packet): boolean {
  switch (reaches) {
    case "flags":
      return true;
    case "ports":
      return !/^tcp flags /.test(nft);
    case "protocol":
      return !/^tcp flags |\bdport\b|^icmp/.test(nft);
    case "nothing":
      return !/^tcp flags |\bdport\b|\bl4proto\b|^icmp/.test(nft);
  }
}

/** nft's two ways to say it: `tcp flags syn / syn,ack`, `tcp flags & (fin | syn) == 0x0`. */
function flagWords(nft: string) {
  const list = (words: string | undefined, separator: string) =>
    words === undefined || words === "0x0" ? [] : words.split(separator);
  if (nft.includes("&")) {
    const [, mask, wanted] = matched(nft, /^tcp flags & \(([^)]+)\) == (\S+)$/);
    return { not: false, wanted: list(wanted, ","), mask: list(mask, " | ") };
  }
  const [, not, wanted, mask] = matched(nft, /^tcp flags (!= )?(\S+) \/ (\S+)$/);
  return { not: not !== undefined, wanted: list(wanted, ","), mask: list(mask, ",") };
}

function withoutFamily(set: string): string {
  return set.replace(/[46]$/, "");
}

function matched(nft: string, pattern: RegExp): RegExpExecArray {
  const match = pattern.exec(nft);
  if (match === null) throw new Error(`A statement that nobody has thought about: ${nft}`);
  return match;
}
