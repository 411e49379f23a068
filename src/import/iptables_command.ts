// iptables and ip6tables: -A, -I and -D of rules that accept the knocker at ports, with their options
// in any order and spelling. iptables(8), iptables-extensions(8). Pure.

import type { Transport } from "../config/config.ts";
import {
  ADVICE,
  isKnocker,
  type Meaning,
  parsePorts,
  REMARKS,
  transportOf,
  unknown,
} from "./meaning.ts";
import { isOpaque } from "./shell_words.ts";

/** Options by their short or first name. */
const ALIASES: Readonly<Record<string, string>> = {
  "--append": "-A",
  "--insert": "-I",
  "--delete": "-D",
  "--check": "-C",
  "--table": "-t",
  "--source": "-s",
  "--src": "-s",
  "--destination": "-d",
  "--dst": "-d",
  "--protocol": "-p",
  "--proto": "-p",
  "--jump": "-j",
  "--match": "-m",
  "--in-interface": "-i",
  "--out-interface": "-o",
  "--wait": "-w",
  "--destination-port": "--dport",
  "--dports": "--dport",
  "--destination-ports": "--dport",
  "--state": "--ctstate",
  "--ipv4": "-4",
  "--ipv6": "-6",
};

/** Matches that narrow nothing that a grant would not. */
const HARMLESS = new Set(["tcp", "udp", "multiport", "state", "conntrack", "comment"]);

/** A rule as it is collected, option after option. */
interface Rule {
  action?: "-A" | "-I" | "-D" | "-C";
  chain?: string;
  table: string;
  source?: string;
  protocol?: string;
  ports?: string;
  target?: string;
  byNumber: boolean;
  remarks: string[];
  /** Why it cannot be understood. */
  problem?: string;
}

/** What one call comes to. */
export function iptablesMeaning(words: readonly string[]): Meaning {
  const rule = collect(words.slice(1).flatMap(spelled));
  const { action, chain, table, target, remarks, byNumber } = rule;
  if (action === "-C") return { kind: "idle" };
  if (action === "-D" && byNumber) return { kind: "closes", ports: [], everybody: false, remarks };
  if (action === undefined) return unknown(ADVICE.option(words.slice(1, 3).join(" ")));
  const opaque = words.some(isOpaque);
  const protocols = protocolsOf(rule);
  const ports = rule.ports === undefined || protocols === undefined
    ? undefined
    : parsePorts(rule.ports, protocols);
  if (action === "-D" && opaque) return { kind: "closes", ports: [], everybody: false, remarks };
  if (table === "nat") return unknown(ADVICE.nat, ports);
  if (chain === "OUTPUT") return unknown(ADVICE.outgoing);
  if (chain === "FORWARD") return unknown(ADVICE.forwarded, ports);
  if (opaque) return unknown(ADVICE.shell);
  if (rule.problem !== undefined) return unknown(rule.problem, ports);
  if (table !== "filter") return unknown(ADVICE.option(`-t ${table}`), ports);
  if (target === undefined || !["ACCEPT", "DROP", "REJECT"].includes(target)) {
    return unknown(ADVICE.option(`-j ${target ?? ""}`.trim()), ports);
  }
  if (protocols === undefined) return unknown(ADVICE.protocol);
  if (rule.ports === undefined) return unknown(ADVICE.allPorts);
  if (ports === undefined) return unknown(ADVICE.option(`--dport ${rule.ports}`));
  const everybody = rule.source === undefined;
  if (!everybody && !isKnocker(rule.source ?? "")) return unknown(ADVICE.otherSource, ports);
  // To take away what drops is to open.
  const opens = (action === "-D") !== (target === "ACCEPT");
  return {
    kind: opens ? "opens" : "closes",
    ports,
    everybody,
    remarks: [...remarks, ...guess(rule)],
  };
}

/** `--dport=22` and `-ptcp` as two words. */
function spelled(word: string): string[] {
  const long = /^(--[a-z-]+)=(.*)$/.exec(word);
  if (long !== null) return [ALIASES[long[1] ?? ""] ?? long[1] ?? "", long[2] ?? ""];
  const short = /^(-[AIDCtspdjmiow])(.+)$/.exec(word);
  if (short !== null && !word.startsWith("--")) return [short[1] ?? "", short[2] ?? ""];
  return [Object.hasOwn(ALIASES, word) ? ALIASES[word] ?? word : word];
}

function collect(words: readonly string[]): Rule {
  const rule: Rule = { table: "filter", byNumber: false, remarks: [] };
  let at = 0;
  const value = () => words[at++] ?? "";
  const number = () => /^\d+$/.test(words[at] ?? "") && at++ > 0;
  while (at < words.length) {
    const option = value();
    switch (option) {
      case "-A":
      case "-I":
      case "-D":
      case "-C":
        rule.action = option;
        rule.chain = value();
        // -I INPUT 1 has a place, -D INPUT 1 names a rule.
        if (number() && option === "-D") rule.byNumber = true;
        break;
      case "-t":
        rule.table = value();
        break;
      case "-s":
        rule.source = value();
        break;
      case "-p":
        rule.protocol = value();
        break;
      case "--dport":
        rule.ports = value();
        break;
      case "-j":
        rule.target = value();
        break;
      case "-m": {
        const name = value();
        if (name === "tcp" || name === "udp") rule.protocol ??= name;
        if (!HARMLESS.has(name)) rule.problem ??= ADVICE.option(`-m ${name}`);
        break;
      }
      case "-i":
        rule.remarks.push(REMARKS.interface(value()));
        break;
      case "-d":
        rule.remarks.push(REMARKS.destination(value()));
        break;
      case "-w":
        number();
        break;
      case "--ctstate":
        if (!/\bNEW\b/.test(value())) rule.problem ??= ADVICE.option("A state without NEW");
        break;
      case "--comment":
      case "--reject-with":
        value();
        break;
      case "--syn":
      case "-4":
      case "-6":
      case "-v":
      case "-n":
        break;
      case "!":
        rule.problem ??= ADVICE.negation;
        break;
      default:
        rule.problem ??= ADVICE.option(option);
    }
  }
  return rule;
}

/** Undefined for protocols that pk does not guard. */
function protocolsOf({ protocol }: Rule): Transport[] | undefined {
  if (protocol === undefined) return ["tcp"];
  if (protocol === "all") return ["tcp", "udp"];
  const transport = transportOf(protocol);
  return transport === undefined ? undefined : [transport];
}

function guess({ protocol }: Rule): string[] {
  return protocol === undefined
    ? ["The rule has no -p, without which iptables refuses --dport; taken as -p tcp."]
    : [];
}
