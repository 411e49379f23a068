// A start or stop command of knockd: its simple commands, each understood by the firewall's tool that
// it calls, put together to what the whole does. What is not understood gets an advice. Pure.

import type { PortRange } from "../config/config.ts";
import { firewalldMeanings } from "./firewalld_command.ts";
import { iptablesMeaning } from "./iptables_command.ts";
import { ADVICE, KNOCKER, type Meaning, seconds, serviceOf, unknown } from "./meaning.ts";
import { nftMeanings, portsInName } from "./nft_command.ts";
import { isOpaque, type SimpleCommand, simpleCommands } from "./shell_words.ts";
import { ufwMeaning } from "./ufw_command.ts";

/** What a command line does, of which it may do several things. */
export interface Understood {
  /** Each range once. */
  readonly opens: readonly PortRange[];
  /** It takes something back that was opened. */
  readonly closes: boolean;
  /** Of those that are named; empty where rules are named by number. */
  readonly closedPorts: readonly PortRange[];
  /** Seconds after which it has shut again by itself. */
  readonly forS: number | undefined;
  /** It opens to others than the knocker, too. */
  readonly everybody: boolean;
  readonly remarks: readonly string[];
  /** Parts that need a person. */
  readonly unknown: readonly { readonly command: string; readonly advice: string }[];
  /** What the unknown parts may be about. */
  readonly suspected: readonly PortRange[];
}

/** Shells within shells are followed so far. */
const DEPTH_MAX = 4;

/**
 * Understands a command line.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { rangeText } from "../config/config.ts";
 * import { understand } from "./knockd_command.ts";
 * const { opens, unknown } = understand("/sbin/iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT");
 * assert.deepEqual(opens.map(rangeText), ["tcp/22"]);
 * assert.deepEqual(unknown, []);
 * ```
 */
export function understand(line: string): Understood {
  const found = meanings(line, 0);
  const ports = new Map<string, PortRange>();
  const closedPorts: PortRange[] = [];
  const remarks = new Set<string>();
  const unknowns: { command: string; advice: string }[] = [];
  const suspected: PortRange[] = [];
  let closes = false;
  let everybody = false;
  let forS: number | undefined;
  let waitedS = 0;
  for (const { command, meaning } of found) {
    switch (meaning.kind) {
      case "idle":
        break;
      case "waits":
        if (ports.size > 0) waitedS += meaning.seconds;
        break;
      case "unknown":
        unknowns.push({ command: command.join(" "), advice: meaning.advice });
        suspected.push(...meaning.ports);
        break;
      case "opens":
        everybody ||= meaning.everybody;
        forS = shorter(forS, meaning.forS);
        for (const remark of meaning.remarks) remarks.add(remark);
        for (const port of meaning.ports) {
          ports.set(`${port.protocol}/${port.first}-${port.last}`, port);
        }
        break;
      case "closes":
        // Before it opens, it only makes sure that no rule is there twice.
        if (ports.size > 0 && waitedS > 0) forS = shorter(forS, waitedS);
        closes = true;
        closedPorts.push(...meaning.ports);
        break;
    }
  }
  return {
    opens: [...ports.values()],
    closes,
    closedPorts,
    forS,
    everybody,
    remarks: [...remarks],
    unknown: unknowns,
    suspected,
  };
}

interface Found {
  readonly command: SimpleCommand;
  readonly meaning: Meaning;
}

function meanings(line: string, depth: number): Found[] {
  return simpleCommands(line).flatMap((whole) => {
    const command = withoutWrappers(whole);
    const [shell = "", option = "", script] = command;
    if (/^(ba|da|z)?sh$/.test(baseName(shell)) && option === "-c" && script !== undefined) {
      if (depth < DEPTH_MAX) return meanings(script, depth + 1);
    }
    return meaningsOf(command).map((meaning) => ({ command, meaning }));
  });
}

function withoutWrappers(command: SimpleCommand): SimpleCommand {
  const [first = "", second = ""] = command;
  if (!/^(sudo|exec|nohup|env|command)$/.test(baseName(first))) return command;
  if (command.length === 1) return command;
  return withoutWrappers(command.slice(/^-[nEH]$/.test(second) ? 2 : 1));
}

function meaningsOf(command: SimpleCommand): Meaning[] {
  const program = baseName(command[0] ?? "");
  if (!command.includes("|")) {
    if (/^ip6?tables(-nft|-legacy)?$/.test(program)) return [iptablesMeaning(command)];
    switch (program) {
      case "nft":
        return nftMeanings(command);
      case "ufw":
        return [ufwMeaning(command)];
      case "firewall-cmd":
        return firewalldMeanings(command);
      case "ipset":
        return [ipsetMeaning(command)];
      case "sleep":
        return [{ kind: "waits", seconds: seconds(command[1] ?? "") || 0 }];
      case "true":
      case ":":
        return [{ kind: "idle" }];
    }
  }
  return [unknown(adviceFor(command), serviceStarted(program, command))];
}

/** `ipset add NAME %IP% timeout 60`: which ports, the rule elsewhere knows. */
function ipsetMeaning([, verb = "", set = "", ...rest]: SimpleCommand): Meaning {
  if (/^(-D|del|flush)$/.test(verb)) {
    return { kind: "closes", ports: [], everybody: false, remarks: [] };
  }
  if (!/^(-A|add)$/.test(verb) || rest.some(isOpaque)) {
    return unknown(ADVICE.option(`ipset ${verb}`));
  }
  return unknown(ADVICE.set, portsInName(set));
}

/** Of a command about the knocker of which nothing is known. */
export const OTHER_COMMAND =
  "pk runs no commands. See what this one lets the knocker in to, and put those ports into " +
  "`opens`; anything more a program that follows pk's log can do (event `granted`).";

const PROGRAM_ADVICE: readonly [programs: RegExp, advice: string][] = [
  [
    /^(systemctl|service|rc-service|invoke-rc\.d)$|^\/etc\/(rc\.d\/)?init\.d\//,
    "pk starts and stops no services: let it run always and put its ports into `opens`; who did " +
    "not knock does not see it.",
  ],
  [
    /^(etherwake|ether-wake|wakeonlan|wol)$/,
    "pk wakes no machines: do that from a program that follows pk's log (event `granted`, " +
    "`log: { format: json }`), or from the machine that you knock from.",
  ],
  [
    /^(mail|mailx|sendmail|mutt|msmtp|ssmtp|swaks|curl|wget|notify-send|telegram-send|logger|wall)$/,
    "pk sends no messages, but logs each grant with door and source (event `granted`): let the " +
    "program that watches your log tell you.",
  ],
  [
    /^(reboot|shutdown|poweroff|halt|init)$/,
    "pk runs no commands: let a program that follows pk's log (event `granted`, " +
    "`log: { format: json }`) do it, or do it over a session that the door lets in.",
  ],
  [
    /^(pfctl|ipfw|ipf|netsh)$/,
    "This is the firewall of another system; pk runs on Linux. Put the ports that it lets the " +
    "knocker in to into `opens`.",
  ],
  [
    /^(iptables-save|ip6tables-save|iptables-restore|netfilter-persistent|conntrack)$/,
    "pk keeps its own rules, in its own table: this is not needed for the door.",
  ],
];

function adviceFor(command: SimpleCommand): string {
  // Of a pipe the last program says most.
  const programs = command.join(" ").split(" | ").map((part) => part.trim().split(" ")[0] ?? "");
  for (const program of programs.reverse()) {
    const advice = PROGRAM_ADVICE.find(([names]) =>
      names.test(program) || names.test(baseName(program))
    );
    if (advice !== undefined) return advice[1];
  }
  if (!command.join(" ").includes(KNOCKER)) {
    return "pk runs no commands, and this one is not about the knocker's address: let a program " +
      "that follows pk's log (event `granted`, `log: { format: json }`) do it.";
  }
  return OTHER_COMMAND;
}

/** The port of a service that is started by its name. */
function serviceStarted(program: string, command: SimpleCommand): PortRange[] {
  const isStart = command.some((word) => /^(re)?start$/.test(word));
  if (!isStart) return [];
  const names = [program, ...command.slice(1).map((word) => word.replace(/\.service$/, ""))];
  return names.map(serviceOf).filter((port) => port !== undefined).slice(0, 1);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function shorter(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined ? other : other === undefined ? one : Math.min(one, other);
}
