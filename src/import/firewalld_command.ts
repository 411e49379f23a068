// firewall-cmd: rich rules, ports and services added and removed, and direct rules, which are
// iptables'. firewall-cmd(1), firewalld.richlanguage(5). Pure.

import type { PortRange } from "../config/config.ts";
import { iptablesMeaning } from "./iptables_command.ts";
import {
  ADVICE,
  isKnocker,
  type Meaning,
  parsePorts,
  REMARKS,
  type RuleChange,
  seconds,
  serviceOf,
  transportOf,
  unknown,
} from "./meaning.ts";
import { isOpaque } from "./shell_words.ts";

/** What one call comes to: it may add several rules. */
export function firewalldMeanings(words: readonly string[]): Meaning[] {
  const options = words.slice(1).flatMap((word) => {
    const [, name, value] = /^(--[a-z0-9-]+)=(.*)$/s.exec(word) ?? [];
    return name === undefined ? [word] : [name, value ?? ""];
  });
  if (options.includes("--direct")) return [directMeaning(options)];
  const meanings: Meaning[] = [];
  let forS: number | undefined;
  for (let at = 0; at < options.length; at++) {
    const option = options[at] ?? "";
    const value = () => options[++at] ?? "";
    const removes = option.startsWith("--remove-");
    switch (option) {
      case "--permanent":
      case "--quiet":
      case "-q":
      case "--reload":
      case "--complete-reload":
      case "--runtime-to-permanent":
        break;
      case "--zone":
        value();
        break;
      case "--timeout":
        forS = seconds(value());
        break;
      case "--add-rich-rule":
      case "--remove-rich-rule":
        meanings.push(richRuleMeaning(value(), removes));
        break;
      case "--add-port":
      case "--remove-port": {
        const [port = "", protocol = ""] = value().split("/");
        meanings.push(change(portsOf(port, protocol), removes));
        break;
      }
      case "--add-service":
      case "--remove-service": {
        const service = serviceOf(value());
        meanings.push(change(service && [service], removes));
        break;
      }
      case "--add-source":
        value();
        meanings.push(unknown(ADVICE.allPorts));
        break;
      case "--remove-source":
        value();
        meanings.push({ kind: "closes", ports: [], everybody: false, remarks: [] });
        break;
      default:
        meanings.push(unknown(ADVICE.option(option)));
    }
  }
  if (meanings.length === 0) return [{ kind: "idle" }];
  if (forS === undefined || Number.isNaN(forS)) return meanings;
  const lasting = forS;
  return meanings.map((meaning) =>
    meaning.kind === "opens" ? { ...meaning, forS: lasting } : meaning
  );
}

function change(ports: readonly PortRange[] | undefined, removes: boolean): Meaning {
  if (ports === undefined) return unknown(ADVICE.option("This port or service"));
  return { kind: removes ? "closes" : "opens", ports, everybody: true, remarks: [] };
}

/** `rule family="ipv4" source address="%IP%" port port="22" protocol="tcp" accept` */
function richRuleMeaning(text: string, removes: boolean): Meaning {
  if (isOpaque(text)) return removes ? closed() : unknown(ADVICE.shell);
  const words = text.match(/[a-z-]+\s*=\s*("[^"]*"|'[^']*'|\S+)|\S+/g) ?? [];
  const remarks: string[] = [];
  const ports: PortRange[] = [];
  let element = "";
  let everybody = true;
  let verdict: string | undefined;
  let port = "";
  for (const word of words) {
    const [, key, quoted = ""] = /^([a-z-]+)\s*=\s*(.*)$/.exec(word) ?? [];
    const value = quoted.replace(/^["']|["']$/g, "");
    switch (true) {
      case key === undefined && /^(accept|drop|reject)$/.test(word):
        verdict = word;
        break;
      case key === undefined && /^(rule|source|destination|port|service|log|audit)$/.test(word):
        element = word;
        break;
      case element === "rule" || element === "log":
        break;
      case element === "source" && key === "address":
        if (!isKnocker(value)) return unknown(ADVICE.otherSource);
        everybody = false;
        break;
      case element === "destination" && key === "address":
        remarks.push(REMARKS.destination(value));
        break;
      case element === "port" && key === "port":
        port = value;
        break;
      case element === "port" && key === "protocol": {
        const found = portsOf(port, value);
        if (found === undefined) return unknown(ADVICE.option(`port ${port}/${value}`));
        ports.push(...found);
        break;
      }
      case element === "service" && key === "name": {
        const service = serviceOf(value);
        if (service === undefined) return unknown(ADVICE.option(`The service ${value}`));
        ports.push(service);
        break;
      }
      default:
        return unknown(ADVICE.option(word), ports);
    }
  }
  if (verdict === undefined) return unknown(ADVICE.option("A rule without accept"), ports);
  if (ports.length === 0) return removes ? closed() : unknown(ADVICE.allPorts);
  const kind = removes !== (verdict === "accept") ? "opens" : "closes";
  return { kind, ports, everybody, remarks };
}

/** `--direct --add-rule ipv4 filter INPUT 0 <a rule of iptables>` */
function directMeaning(options: readonly string[]): Meaning {
  const at = options.findIndex((option) => /^--(add|remove)-rule$/.test(option));
  if (at === -1) return unknown(ADVICE.option("--direct"));
  const [, table = "", chain = "", , ...rule] = options.slice(at + 1);
  const action = options[at] === "--add-rule" ? "-A" : "-D";
  return iptablesMeaning(["iptables", "-t", table, action, chain, ...rule]);
}

function portsOf(port: string, protocol: string): PortRange[] | undefined {
  const transport = transportOf(protocol);
  return transport === undefined ? undefined : parsePorts(port, [transport]);
}

function closed(): RuleChange {
  return { kind: "closes", ports: [], everybody: false, remarks: [] };
}
