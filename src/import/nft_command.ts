// nft: rules that accept the knocker at ports, added, inserted and deleted, and set elements. nft(8).
// What goes beyond a source, ports and an accept is said, never guessed. Pure.

import type { PortRange, Transport } from "../config/config.ts";
import {
  ADVICE,
  isKnocker,
  type Meaning,
  parsePorts,
  REMARKS,
  seconds,
  transportOf,
  unknown,
} from "./meaning.ts";
import { isOpaque } from "./shell_words.ts";

const FAMILIES = new Set(["ip", "ip6", "inet", "bridge", "netdev", "arp"]);

/** What one call comes to: nft takes several commands, joined by `;`, in one or many words. */
export function nftMeanings(words: readonly string[]): Meaning[] {
  const text = words.slice(1).filter((word) => !/^-[aensjy]+$/.test(word)).join(" ");
  return text.split(";").map((part) => part.trim()).filter((part) => part !== "").map(oneMeaning);
}

function oneMeaning(text: string): Meaning {
  const tokens = text.match(/"[^"]*"|[{},]|[^\s{},"]+/g) ?? [];
  const [verb = "", object = "", ...rest] = tokens;
  if (rest[0] !== undefined && FAMILIES.has(rest[0])) rest.shift();
  // Table, and chain or set.
  const [, name = "", ...what] = rest;
  const removes = verb === "delete" || verb === "destroy";
  if (
    (verb === "flush" && (object === "chain" || object === "set")) || (removes && object === "rule")
  ) {
    return { kind: "closes", ports: [], everybody: false, remarks: [] };
  }
  if (object === "element" && (removes || verb === "add" || verb === "create")) {
    return elementMeaning(name, what, removes);
  }
  if (object !== "rule" || (verb !== "add" && verb !== "insert")) {
    return unknown(ADVICE.option(`nft ${verb} ${object}`.trim()));
  }
  if (isOpaque(text)) return unknown(ADVICE.shell);
  if (/^forward$/i.test(name)) return unknown(ADVICE.forwarded);
  if (/^output$/i.test(name)) return unknown(ADVICE.outgoing);
  return ruleMeaning(what);
}

/** The statements of a rule, as far as they are of the common form. */
function ruleMeaning(tokens: readonly string[]): Meaning {
  const remarks: string[] = [];
  let protocols: Transport[] = [];
  let source: string | undefined;
  let ports: PortRange[] | undefined;
  let verdict: string | undefined;
  let at = 0;
  const value = () => tokens[at++] ?? "";
  while (at < tokens.length) {
    const token = value();
    const two = `${token} ${tokens[at] ?? ""}`;
    switch (true) {
      case /^(position|handle|index)$/.test(token):
      case token === "comment":
        at++;
        break;
      case /^ip6? saddr$/.test(two):
        at++;
        source = value();
        if (!isKnocker(source)) return unknown(ADVICE.otherSource);
        break;
      case /^ip6? daddr$/.test(two):
        at++;
        remarks.push(REMARKS.destination(value()));
        break;
      case two === "meta iifname" || two === "meta iif":
        at++;
        remarks.push(REMARKS.interface(value()));
        break;
      case token === "iifname" || token === "iif":
        remarks.push(REMARKS.interface(value()));
        break;
      case two === "meta nfproto":
        at += 2;
        break;
      case two === "meta l4proto" || two === "ip protocol" || two === "ip6 nexthdr": {
        at++;
        const found = list().map(transportOf);
        protocols = found.filter((transport) => transport !== undefined);
        if (found.length > protocols.length) return unknown(ADVICE.protocol);
        break;
      }
      case /^(tcp|udp|th) dport$/.test(two): {
        at++;
        if (token !== "th") protocols = [token === "udp" ? "udp" : "tcp"];
        if (protocols.length === 0) protocols = ["tcp", "udp"];
        const text = list().join(",");
        ports = parsePorts(text, protocols);
        if (ports === undefined) return unknown(ADVICE.option(`${two} ${text}`));
        break;
      }
      case two === "ct state":
        at++;
        if (!list().includes("new")) return unknown(ADVICE.option("A state without new"));
        break;
      case token === "counter":
        if (/^(packets|bytes)$/.test(tokens[at] ?? "")) at += 4;
        break;
      case token === "log":
        while (/^(prefix|level|group)$/.test(tokens[at] ?? "")) at += 2;
        break;
      case token === "accept" || token === "drop" || token === "reject":
        verdict = token;
        break;
      default:
        return unknown(ADVICE.option(token), ports);
    }
  }
  if (verdict === undefined) return unknown(ADVICE.option("A rule without accept"), ports);
  if (ports === undefined) return unknown(ADVICE.allPorts);
  const kind = verdict === "accept" ? "opens" : "closes";
  return { kind, ports, everybody: source === undefined, remarks };

  /** One value, or those in braces. */
  function list(): string[] {
    const first = value();
    if (first !== "{") {
      const values = [first];
      while (tokens[at] === ",") {
        at++;
        values.push(value());
      }
      return values;
    }
    const values: string[] = [];
    for (let token = value(); token !== "}" && token !== ""; token = value()) {
      if (token !== ",") values.push(token);
    }
    return values;
  }
}

/** `{ %IP% timeout 30s }`, `{ %IP% . tcp . 22 }`: without ports, the rule elsewhere has them. */
function elementMeaning(set: string, tokens: readonly string[], removes: boolean): Meaning {
  const remarks: string[] = [];
  const text = tokens.filter((token) => token !== "{" && token !== "}").join(" ");
  if (removes) return { kind: "closes", ports: [], everybody: false, remarks };
  const ports: PortRange[] = [];
  let forS: number | undefined;
  for (const element of text.split(",")) {
    const [, key = "", options = ""] = /^\s*(\S+(?:\s*\.\s*[^\s.]+)*)\s*(.*)$/.exec(element) ?? [];
    const time = /\btimeout\s+(\S+)/.exec(options)?.[1];
    if (time !== undefined) forS = seconds(time);
    const parts = key.split(/\s*\.\s*/);
    if (!parts.some(isKnocker)) return unknown(ADVICE.otherSource);
    const others = parts.filter((part) => !isKnocker(part));
    const named = others.map(transportOf).filter((transport) => transport !== undefined);
    for (const part of others.filter((part) => transportOf(part) === undefined)) {
      ports.push(...parsePorts(part, named.length > 0 ? named : ["tcp"]) ?? []);
    }
  }
  if (ports.length === 0) return unknown(ADVICE.set, portsInName(set));
  return { kind: "opens", ports, everybody: false, remarks, ...time(forS) };
}

/** A set named ssh_allowed is likely about ssh. */
export function portsInName(name: string): PortRange[] {
  for (const part of name.split(/[^A-Za-z0-9]+/).filter((part) => part !== "")) {
    const found = parsePorts(part, ["tcp"]);
    if (found !== undefined) return found;
  }
  return /ssh/i.test(name) ? parsePorts("ssh", ["tcp"]) ?? [] : [];
}

function time(forS: number | undefined): { readonly forS?: number } {
  return forS === undefined || Number.isNaN(forS) ? {} : { forS };
}
