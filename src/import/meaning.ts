// What one firewall command comes to, and the ports and names that it is written with. Pure.

import type { Port, PortRange, Transport } from "../config/config.ts";

/** A command lets the knocker in, or puts that back. */
export interface RuleChange {
  readonly kind: "opens" | "closes";
  /** Of a closing command empty where it names a rule by its number. */
  readonly ports: readonly PortRange[];
  /** The rule is not for %IP% alone. */
  readonly everybody: boolean;
  /** Seconds after which the rule ends by itself. */
  readonly forS?: number;
  /** What pk does otherwise, in sentences. */
  readonly remarks: readonly string[];
}

/** Nobody but a person can tell what it becomes. */
export interface Unknown {
  readonly kind: "unknown";
  /** What to do about it, a sentence. */
  readonly advice: string;
  /** What it may be about. */
  readonly ports: readonly PortRange[];
}

export type Meaning =
  | RuleChange
  | Unknown
  /** Changes nothing that matters to pk. */
  | { readonly kind: "idle" }
  | { readonly kind: "waits"; readonly seconds: number };

export const KNOCKER = "%IP%";

/** Is the address the knocker's, with or without the length of a whole address? */
export function isKnocker(address: string): boolean {
  return /^%IP%(\/(32|128))?$/.test(address);
}

export function unknown(advice: string, ports: readonly PortRange[] = []): Unknown {
  return { kind: "unknown", advice, ports };
}

/** Services by their name in /etc/services, in ufw's and in firewalld's: what tutorials open. */
const SERVICES: Readonly<Record<string, string>> = {
  ssh: "tcp/22",
  sshd: "tcp/22",
  openssh: "tcp/22",
  dropbear: "tcp/22",
  ftp: "tcp/21",
  vsftpd: "tcp/21",
  telnet: "tcp/23",
  smtp: "tcp/25",
  domain: "udp/53",
  dns: "udp/53",
  http: "tcp/80",
  www: "tcp/80",
  apache: "tcp/80",
  apache2: "tcp/80",
  nginx: "tcp/80",
  "www full": "tcp/80",
  https: "tcp/443",
  imap: "tcp/143",
  imaps: "tcp/993",
  pop3: "tcp/110",
  pop3s: "tcp/995",
  mysql: "tcp/3306",
  mariadb: "tcp/3306",
  postgresql: "tcp/5432",
  "ms-wbt-server": "tcp/3389",
  rdp: "tcp/3389",
  xrdp: "tcp/3389",
  vnc: "tcp/5900",
  openvpn: "udp/1194",
  wireguard: "udp/51820",
  webmin: "tcp/10000",
};

/** The port of a service, or undefined when its name is not known here. */
export function serviceOf(name: string): PortRange | undefined {
  const key = name.toLowerCase();
  const text = Object.hasOwn(SERVICES, key) ? SERVICES[key] : undefined;
  if (text === undefined) return undefined;
  const [protocol, port] = text.split("/");
  return range(protocol === "udp" ? "udp" : "tcp", Number(port), Number(port));
}

/**
 * Ports as firewalls have them: "22", "80,443", "6000:6007", "6000-6007", "ssh"; undefined for others.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { rangeText } from "../config/config.ts";
 * import { parsePorts } from "./meaning.ts";
 * const ports = parsePorts("ssh, 8000:8010", ["tcp"]);
 * assert.deepEqual(ports?.map(rangeText), ["tcp/22", "tcp/8000-8010"]);
 * ```
 */
export function parsePorts(text: string, protocols: readonly Transport[]): PortRange[] | undefined {
  const ranges: PortRange[] = [];
  for (const part of text.split(",")) {
    const ends = part.trim().split(/[:-](?=\d)/).map(portNumber);
    const [first, last = first] = ends;
    if (first === undefined || last === undefined || ends.length > 2 || last < first) {
      return undefined;
    }
    for (const protocol of protocols) ranges.push(range(protocol, first, last));
  }
  return ranges;
}

function portNumber(text: string): number | undefined {
  const named = serviceOf(text);
  if (named !== undefined) return named.first;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

export function range(protocol: Transport, first: number, last: number): PortRange {
  return { protocol, first: first as Port, last: last as Port };
}

/** tcp and udp by name or number; undefined for protocols that pk does not guard. */
export function transportOf(text: string): Transport | undefined {
  switch (text.toLowerCase()) {
    case "tcp":
    case "6":
      return "tcp";
    case "udp":
    case "17":
      return "udp";
    default:
      return undefined;
  }
}

/** "30", "30s", "5m", "1h30m" in seconds; NaN for what is no time. */
export function seconds(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text);
  if (!/^(\d+[smhd])+$/.test(text)) return Number.NaN;
  const units = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhd])/g)) {
    sum += Number(count) * units[unit as keyof typeof units];
  }
  return sum;
}

export const REMARKS = {
  interface: (name: string) => `The rule was for the interface ${name} only; pk opens on all.`,
  destination: (address: string) =>
    `The rule was for the address ${address} only; pk opens on all local addresses.`,
} as const;

export const ADVICE = {
  allPorts:
    "It let the knocker in to every port. pk guards the ports that it is told: put them into `opens`.",
  negation: "pk knows no rules with a negation: say in `opens` what the knocker may reach.",
  otherSource:
    "It lets in others than the knocker's address alone, which pk does not: see what it is for.",
  protocol: "pk guards tcp and udp only.",
  option: (word: string) =>
    `${word} is not understood: say in \`opens\` what the knocker may reach.`,
  shell: "A shell works out what this is about: say in `opens` what the knocker may reach.",
  set:
    "It puts the knocker into a set. See which ports the rule with this set accepts, and put those " +
    "into `opens`; the set and its rule are not needed any more.",
  forwarded:
    "pk guards this host, not what is routed through it: run pk on the host behind, or publish the " +
    "port by DNAT from an address of this host and guard that port.",
  outgoing:
    "pk guards what comes in and does nothing about answers: where your firewall drops what goes " +
    "out, let it pass established connections.",
  nat:
    "pk changes no addresses. Make this rule a lasting one, without the knocker's address, and " +
    "guard the port with pk, which looks before DNAT does.",
} as const;
