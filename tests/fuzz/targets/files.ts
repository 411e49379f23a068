// Files that people write: the server's configuration, the client's profiles, one-time sequences, and
// what knockd had. Whatever is in them, nothing is thrown but a list of problems, with their places.

import { profilesOf } from "../../../src/client/hosts_schema.ts";
import type { Config } from "../../../src/config/config.ts";
import type { Files } from "../../../src/config/files.ts";
import { parseOneTimeLines } from "../../../src/config/one_time.ts";
import { parseConfig } from "../../../src/config/yaml.ts";
import { ConfigError } from "../../../src/errors.ts";
import { rulesetOf, rulesetText } from "../../../src/firewall/ruleset.ts";
import { importKnockd } from "../../../src/import/knockd_to_yaml.ts";
import { ACCEPTED, REFUSED } from "../../support/knockd_files.ts";
import type { Arena } from "../arena.ts";
import type { Bytes } from "../corpus.ts";
import { digest, fold } from "../digest.ts";
import type { Target } from "../harness.ts";
import { byteMutators, insertGap, type Mutator, removeBytes } from "../mutate_bytes.ts";
import { expect } from "../oracle.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

const KEY = "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567";
const SEQUENCES = "tcp/7000, udp/8123, icmp/56\n# used\ntcp/9000, tcp/9001\n";

/** A folder in which every other file is there. */
const files: Files = {
  read(path) {
    const found = (text: string, mode: number) => ({ bytes: encoder.encode(text), mode });
    if (path.endsWith(".secret")) return found(`${KEY}\n`, 0o600);
    if (path.endsWith(".sequences")) return found(SEQUENCES, 0o600);
    if (path.endsWith(".open")) return found(`${KEY}\n`, 0o644);
    return { reason: path.endsWith("x") ? "EACCES" : "ENOENT" };
  },
};

const CONFIG = Deno.readTextFileSync(new URL("../../../config/pk.example.yaml", import.meta.url))
  .replaceAll(/^\s*#.*\n|\s+# .*$/gm, "");

const HOSTS = `hosts:
  server: { host: server.example.net, opens: tcp/22, knock: [tcp/7000, udp/8123, icmp/56] }
  admin:
    host: 192.0.2.1
    door: admin
    address: 203.0.113.5
    knock: { rotating: { secret-file: admin.secret, ports: tcp/20000-21023, knocks: 5 } }
  vault:
    host: "2001:db8::1"
    knock: { encrypted: { user: 1, secret-file: alice.secret, layout: indexed } }
  once: { host: a, knock: { one-time: { file: once.sequences } } }
`;

const TOKENS = [
  ..."doors hosts opens knock within for then weak from refuse decoys ban table-owner queue-num limits"
    .split(" "),
  ..."rotating encrypted one-time secret-file file users ports knocks step bind-source layout id user"
    .split(" "),
  ..."tcp/22 udp/53 icmp/56 icmp6/0 tcp/1-65535 tcp/70000 tcp/0 tcp/9-1 sctp/1 192.0.2.0/24 ::/0 10s 0 -1"
    .split(" "),
  ..."1e999 .inf .nan 0x10 0o17 null ~ true no a.secret b.sequences c.open d.x ../../etc/shadow /"
    .split(" "),
  ...": , - [ ] { } & * ! | > ' \" # % @ ` --- ... << &a *a &a[*a] !!binary !!set ? \\ \\x00 __proto__ constructor toString"
    .split(" "),
  ..."\t \r \0 \u2028 \ufeff é \u{1f512} \ud800".split(" "),
  "\n",
  "\n  ",
  "\n    - ",
  ": { ",
  " }",
  "  ",
].map((token) => encoder.encode(token));

const KNOCKD_TOKENS = [
  ..."[a] [options] sequence seq_timeout tcpflags start_command stop_command cmd_timeout command target"
    .split(" "),
  ..."one_time_sequences start_command_6 UseSyslog logfile interface = , : ! %IP% 7000:tcp 8000:udp 65536 -1"
    .split(" "),
  ..."/sbin/iptables ip6tables nft ufw firewall-cmd -A -I -D INPUT -s -p tcp --dport 22 -j ACCEPT --dports"
    .split(" "),
  ..."add element rule inet filter { } allow from to any port proto --add-rich-rule ; && || | $ ( ) ' \" \\ > #"
    .split(" "),
  ..."-m multiport state --timeout 10s fin !syn \0 \r \t é".split(" "),
  "\n",
  "\nsequence = ",
  "\nstart_command = iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
  "\nstop_command = ufw delete allow from %IP% to any port 22",
].map((token) => encoder.encode(token));

function insertToken(tokens: readonly Bytes[]): Mutator {
  return (arena, random) => {
    const token = random.pick(tokens);
    const at = random.below(arena.length + 1);
    if (insertGap(arena, at, token.length) === token.length) arena.bytes.set(token, at);
  };
}

const LINE_END = 10;

/** Where the line around a place begins and ends. */
function lineAt(arena: Arena, at: number): [start: number, end: number] {
  const text = arena.front();
  const next = text.indexOf(LINE_END, at);
  return [text.lastIndexOf(LINE_END, at - 1) + 1, next === -1 ? text.length : next + 1];
}

const removeLine: Mutator = (arena, random) => {
  const [start, end] = lineAt(arena, random.below(arena.length + 1));
  removeBytes(arena, start, end - start);
};

const repeatLine: Mutator = (arena, random) => {
  const [start, end] = lineAt(arena, random.below(arena.length + 1));
  const [to] = lineAt(arena, random.below(arena.length + 1));
  const line = arena.bytes.slice(start, end);
  if (insertGap(arena, to, line.length) === line.length) arena.bytes.set(line, to);
};

/** Another digit: what was right stays right, mostly. */
const changeDigit: Mutator = ({ bytes, length }, random) => {
  const from = random.below(length + 1);
  const at = bytes.subarray(0, length).findIndex((byte, at) => at >= from && isDigit(byte));
  if (at !== -1) bytes[at] = 0x30 + random.below(10);
};

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Mutators of texts, whose words are the tokens. */
export function textMutators(tokens: readonly Bytes[]): readonly Mutator[] {
  const careful = [removeLine, repeatLine, changeDigit, changeDigit, changeDigit];
  return [
    ...byteMutators,
    ...byteMutators.map(() => insertToken(tokens)),
    ...Array.from({ length: 2 * byteMutators.length }).flatMap(() => careful),
  ];
}

const OUTCOMES = ["value", "problems"] as const;

/** What reading gives, or the list of problems, which is looked at. */
function readOr<T>(read: () => T, bytes: Bytes, onValue: (value: T) => number): number {
  try {
    return onValue(read()) << 8;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expectProblems(error, bytes);
    const said = error.problems.slice(0, 3).map(({ message }) => message.replace(/["\d].*/s, ""));
    return 1 | digest(said) << 8;
  }
}

function expectProblems({ problems, message }: ConfigError, bytes: Bytes): void {
  // YAML and editors count what some systems have for the end of a line.
  const lines = decoder.decode(bytes).split(/\r\n|[\n\r]/);
  expect(problems.length > 0, () => "a refusal without problems");
  for (const { file, line, column, message } of problems) {
    expect(message.trim() !== "", () => "a problem without words");
    expect(Number.isInteger(line) && line >= 1, () => `line ${line}`);
    expect(Number.isInteger(column) && column >= 1, () => `column ${column}`);
    const inFile = !file.startsWith("/etc/pk/t.yaml") || line <= lines.length + 1;
    expect(inFile, () => `line ${line} of ${lines.length}`);
  }
  expect(!message.includes(KEY), () => "a secret in the words of a problem");
}

/** A configuration that is taken can be used. */
function expectUsable(config: Config): number {
  expect(config.doors.length > 0, () => "no door");
  const text = rulesetText(rulesetOf(config, "queue"), config.tableOwner);
  expect(!text.includes(KEY), () => "a secret in the ruleset");
  expect(!JSON.stringify(config).includes("abcd"), () => "a secret in the configuration");
  const { doors } = config;
  return doors.reduce(
    (sum, { knock, opens }) => fold(fold(sum, knock.kind.length), opens.length),
    0,
  );
}

export const configFile: Target = {
  name: "config",
  capacity: 2_048,
  share: 0.15,
  seeds: texts(
    CONFIG,
    "doors: { ssh: { opens: [tcp/22], knock: [tcp/7153, udp/2918, tcp/8461] } }",
    "doors:\n  a: { opens: [tcp/1-9], knock: { rotating: { secret-file: a.secret } } }\n",
    "doors: {a: {opens: [udp/9], knock: {one-time: {file: b.sequences}}}}\nban: 10m\nrefuse: reset",
    "version: 1\ndoors: &a\n  b: *a\n",
    "",
  ),
  mutators: textMutators(TOKENS),
  outcomes: OUTCOMES,
  newJudge: () => (arena) => {
    const bytes = copyOf(arena);
    return readOr(() => parseConfig(bytes, "/etc/pk/t.yaml", files), bytes, expectUsable);
  },
};

export const hostsFile: Target = {
  name: "hosts",
  capacity: 1_536,
  share: 0.15,
  seeds: texts(HOSTS, "hosts: {}", "hosts: { a: { host: b, knock: [tcp/1, tcp/2] } }", ""),
  mutators: textMutators(TOKENS),
  outcomes: OUTCOMES,
  newJudge: () => (arena) => {
    const bytes = copyOf(arena);
    return readOr(() => profilesOf(bytes, "/etc/pk/t.yaml"), bytes, (profiles) => {
      for (const [key, { name, host, knock }] of profiles) {
        expect(key === name && host !== "" && knock !== undefined, () => `profile ${key}`);
      }
      return profiles.size;
    });
  },
};

export const oneTimeFile: Target = {
  name: "one-time",
  capacity: 1_024,
  share: 1.5,
  seeds: texts(
    SEQUENCES,
    "tcp/1,tcp/2\r\n\r\n  # used 2026 tcp/1, tcp/2\nicmp/0, icmp/65507\nicmp/1, icmp6/1\n",
    Array.from({ length: 40 }, (_, index) => `tcp/${index + 1}`).join(),
  ),
  mutators: textMutators(TOKENS),
  outcomes: ["nothing", "sequences", "wrong lines"],
  newJudge: () => (arena) => {
    const text = decoder.decode(arena.front());
    const { sequences, wrong } = parseOneTimeLines(text);
    const lines = text.split("\n");
    const meant = lines.filter((line) => !/^\s*(#|$)/.test(line));
    const read = sequences.length + wrong.length;
    expect(read === meant.length, () => `${read} of ${meant.length} lines`);
    for (const { line, lineNumber, steps } of sequences) {
      expect(lines[lineNumber - 1]?.replace(/\r$/, "") === line, () => `line ${lineNumber}`);
      expect(steps.length >= 2 && steps.length <= 32, () => `${steps.length} knocks`);
      const [again] = parseOneTimeLines(line).sequences;
      expect(digest(again?.steps) === digest(steps), () => "another sequence alone");
    }
    for (const { lineNumber, reason } of wrong) {
      const line = lines[lineNumber - 1]?.trim() ?? "";
      expect(reason !== "" && !(line.length > 40 && reason.includes(line)), () => "it is told");
    }
    const shape = fold(sequences.length, digest(wrong.slice(0, 3).map(({ reason }) => reason)));
    return (wrong.length > 0 ? 2 : sequences.length > 0 ? 1 : 0) | shape << 8;
  },
};

export const knockdFile: Target = {
  name: "knockd",
  capacity: 1_536,
  share: 0.3,
  seeds: texts(
    ...ACCEPTED.map(([, text]) => text),
    ...REFUSED.map(([, text]) => text),
    ...[
      "iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
      "ufw allow from %IP% to any port 22 proto tcp",
      "nft add element inet filter allowed { %IP% timeout 10s }",
      'firewall-cmd --add-rich-rule=\'rule family="ipv4" source address="%IP%" port port="22" protocol="tcp" accept\'',
    ].map((command) => `[ssh]\nsequence = 7391,2044:udp,9120\nstart_command = ${command}\n`),
    // As knockd's manual has them: opened and shut after a time, or by a second sequence.
    "[ssh]\nsequence = 7391,2044:udp,9120,4467\ncmd_timeout = 10\n" +
      "start_command = ufw allow from %IP% to any port 22 proto tcp\n" +
      "stop_command = ufw delete allow from %IP% to any port 22 proto tcp\n",
    "[options]\nUseSyslog\n[web]\nsequence = 7000,8000,9000\nseq_timeout = 5\ntcpflags = syn\n" +
      "start_command = /sbin/iptables -A INPUT -s %IP% -p tcp --dport 80 -j ACCEPT\n" +
      "cmd_timeout = 20\nstop_command = /sbin/iptables -D INPUT -s %IP% -p tcp --dport 80 -j ACCEPT\n",
    "[open]\nsequence = 7001,8001,9001\n" +
      "command = iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n" +
      "[shut]\nsequence = 9001,8001,7001\n" +
      "command = iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n",
  ),
  mutators: textMutators(KNOCKD_TOKENS),
  outcomes: ["for pk", "to do", "mistakes"],
  newJudge: () => (arena) => {
    const text = decoder.decode(arena.front());
    const imported = importKnockd(text, { file: "knockd.conf" });
    if ("mistakes" in imported) {
      expect(imported.mistakes.length > 0, () => "a refusal without mistakes");
      return 2 | digest(imported.mistakes.length) << 8;
    }
    const { yaml, toDos, oneTimeFiles } = imported;
    expect(yaml.endsWith("\n"), () => "text without an end");
    const shape = fold(toDos, oneTimeFiles.length);
    if (toDos > 0) return 1 | shape << 8;
    // What needs nobody is taken by pk as it is.
    const complete: Files = { read: () => ({ bytes: encoder.encode(SEQUENCES), mode: 0o600 }) };
    try {
      return fold(shape, parseConfig(yaml, "/etc/pk/t.yaml", complete).doors.length) << 8;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new Error(`pk refuses what nobody is to look at: ${error.message}`);
    }
  },
};

/** Parsers of texts keep none of their bytes, but the arena is filled again. */
function copyOf(arena: Arena): Bytes {
  return arena.front().slice();
}

function texts(...list: readonly string[]): () => Bytes[] {
  return () => list.map((text) => encoder.encode(text));
}
