// parseConfig(): what every key comes to, and each thing that can be wrong with its place and words.

import { SHARED_FIRST_MAX } from "../../../src/limits.ts";
import assert from "node:assert/strict";
import type { Config, Door } from "../../../src/config/config.ts";
import type { Files } from "../../../src/config/files.ts";
import { keyText } from "../../../src/config/secret.ts";
import { type Environment, parseConfig, readConfig } from "../../../src/config/yaml.ts";
import { ConfigError } from "../../../src/errors.ts";
import { stepOf } from "../../support/configs.ts";
import { filesOf } from "./config_yaml.ts";

const KEY = keyText(new Uint8Array(20).fill(9));
const FILE = "/etc/pk/pk.yaml";

const FILES = filesOf({
  "/etc/pk/admin.secret": `${KEY}\n`,
  "/etc/pk/open.secret": { text: KEY, mode: 0o644 },
  "/etc/pk/group.secret": { text: KEY, mode: 0o640 },
  "/etc/pk/alice.secret": "correct horse battery\r\n",
  "/etc/pk/short.secret": "1234567",
  "/etc/pk/lines.secret": "correct horse\nbattery staple",
  "/etc/pk/once": "# used\n\n  # used too\ntcp/7000, udp/8123\r\n tcp/7001,tcp/7002 ,icmp/56\n",
  "/etc/pk/used": "# used tcp/7000, udp/8123\n",
  "/etc/pk/bad": "tcp/7000\nknock, knock\ntcp/1,icmp/1,icmp6/1\ntcp/1,tcp/2\ntcp/1, tcp/2\n",
  "/etc/pk/large": "icmp/1452, tcp/1453\nicmp/1453, tcp/1, icmp/1453\n",
  "/etc/pk/meets": "tcp/7000, tcp/22\ntcp/7001, udp/9\n",
  "/run/credentials/admin.secret": { text: keyText(new Uint8Array(20)), mode: 0o440 },
  "/run/credentials/open.secret": { text: KEY, mode: 0o444 },
});

Deno.test("a door that says little has the defaults", () => {
  const config = parsed("doors: { ssh: { opens: [tcp/22], knock: [tcp/7000, udp/8123] } }");
  assert.deepEqual(config, {
    doors: [{
      name: "ssh",
      opens: [{ protocol: "tcp", first: 22, last: 22 }],
      knock: { kind: "plain", steps: [stepOf("tcp/7000"), stepOf("udp/8123")] },
      withinMs: 10_000,
      timeoutMs: 20_000,
      onExpire: "keep",
      from: [],
      weakAccepted: false,
    }],
    refuse: "drop",
    filter: "stateful",
    decoys: [],
    banMs: undefined,
    queueNumber: 27_085,
    tableOwner: true,
    sourcesMax: 65_536,
    grantsMax: 65_536,
    log: { format: "text", level: "info" },
  });
});

Deno.test("everything that can be said is taken", () => {
  const config = parsed(`
version: 1
doors:
  all:
    opens: [tcp/22, udp/9090-9099]
    knock:
      - tcp/7000
      - udp/8123: { after: 200ms, before: 3s }
      - tcp/9321: { flags: [fin, "!syn"] }
      - icmp/0
    within: 1m
    for: 1h
    then: cut
    from: [192.0.2.0/24, "2001:db8::/32", 198.51.100.7]
    weak: accepted
refuse: reset
filter: stateful
decoys: [tcp/7001, udp/9320]
ban: 10m
table-owner: false
queue-num: 0
limits: { sources-max: 256, grants-max: 1 }
log: { format: json, level: warning }
`);
  const [door] = config.doors;
  assert.deepEqual(door?.knock.kind === "plain" && door.knock.steps, [
    stepOf("tcp/7000"),
    stepOf("udp/8123", { afterMs: 200, beforeMs: 3_000 }),
    stepOf("tcp/9321", { flags: { mask: 3, value: 1 } }),
    stepOf("icmp/0"),
  ]);
  assert.deepEqual(door?.from.map(({ length }) => length), [24, 32, 32]);
  assert.equal(door?.onExpire, "cut");
  assert.equal(door?.timeoutMs, 3_600_000);
  assert.equal(door?.weakAccepted, true);
  const { doors: _doors, ...rest } = config;
  assert.deepEqual(rest, {
    refuse: "reset",
    filter: "stateful",
    decoys: [{ protocol: "tcp", port: 7001 }, { protocol: "udp", port: 9320 }],
    banMs: 600_000,
    queueNumber: 0,
    tableOwner: false,
    sourcesMax: 256,
    grantsMax: 1,
    log: { format: "json", level: "warning" },
  });
});

Deno.test("without connection tracking TCP is kept and UDP is cut", () => {
  const door = (opens: string, then: string) =>
    `filter: stateless\ndoors: { a: { opens: [${opens}], knock: [tcp/1, tcp/2], then: ${then} } }`;
  assert.equal(parsed(door("tcp/22, tcp/80", "keep")).filter, "stateless");
  assert.equal(parsed(door("udp/22", "cut")).filter, "stateless");
  const hint = "A door has one protocol then; or use filter: stateful, which tracks connections";
  const needs = (protocol: string, then: string) =>
    `With "filter: stateless", ports of ${protocol} need "then: ${then}" | ${hint}`;
  assert.deepEqual(problems(door("tcp/22, udp/80", "keep")), [`2:31 ${needs("udp", "cut")}`]);
  assert.deepEqual(problems(door("tcp/22, udp/80", "cut")), [`2:23 ${needs("tcp", "keep")}`]);
});

Deno.test("without connection tracking a ping has to come in one packet", () => {
  const door = (filter: string, knock: string) =>
    `filter: ${filter}\ndoors: { a: { opens: [tcp/22], knock: ${knock} } }`;
  const problem = 'With "filter: stateless", a ping of more than 1452 bytes comes in fragments, ' +
    "which nobody puts together | Take fewer bytes, or the stateful filter";
  for (const icmp of ["icmp", "icmp6"]) {
    const knock = (bytes: number) => `[tcp/1453, ${icmp}/${bytes}, ${icmp}/${bytes}: {after: 1s}]`;
    assert.equal(parsed(door("stateless", knock(1_452))).filter, "stateless");
    assert.equal(parsed(door("stateful", knock(65_507))).filter, "stateful");
    assert.deepEqual(problems(door("stateless", knock(1_453))), [
      `2:50 ${problem}`,
      `2:${57 + icmp.length} ${problem}`,
    ]);
  }
  assert.equal(parsed(door("stateful", "{ one-time: { file: large } }")).doors.length, 1);
  assert.deepEqual(problems(door("stateless", "{ one-time: { file: large } }")), [
    `large:2:1 ${problem}`,
  ]);
});

Deno.test("changing sequences have the defaults that clients expect", () => {
  const { ports, knocks, stepMs, bindSource } = knockOf(
    "{ rotating: { secret-file: admin.secret } }",
    "rotating",
  );
  assert.deepEqual({ ports, knocks, stepMs, bindSource }, {
    ports: { protocol: "tcp", first: 20_000, last: 21_023 },
    knocks: 5,
    stepMs: 30_000,
    bindSource: true,
  });
  const users = "users: { alice: { id: 1, secret-file: alice.secret } }";
  const window = knockOf(`{ encrypted: { ${users} } }`, "encrypted");
  assert.deepEqual(window.ports, { protocol: "tcp", first: 22_000, last: 22_255 });
  const [alice] = window.users;
  assert.equal(new TextDecoder().decode(alice?.secret.reveal()), "correct horse battery");
  const indexed = knockOf(`{ encrypted: { layout: indexed, ${users} } }`, "encrypted");
  assert.deepEqual(indexed.ports, { protocol: "tcp", first: 24_000, last: 28_095 });
});

Deno.test("a file of one-time sequences is read without what is crossed out", () => {
  const { file, sequences } = knockOf("{ one-time: { file: once } }", "one-time");
  assert.equal(file, "/etc/pk/once");
  assert.deepEqual(sequences, [
    { line: "tcp/7000, udp/8123", steps: [stepOf("tcp/7000"), stepOf("udp/8123")] },
    {
      line: " tcp/7001,tcp/7002 ,icmp/56",
      steps: [stepOf("tcp/7001"), stepOf("tcp/7002"), stepOf("icmp/56")],
    },
  ]);
  assert.deepEqual(knockOf("{ one-time: { file: used } }", "one-time").sequences, []);
});

Deno.test("systemd's credentials go before the folder of the file", () => {
  const environment = { credentialsFolder: "/run/credentials" };
  const rotating = (name: string) =>
    `doors: { a: { opens: [tcp/22], knock: { rotating: { secret-file: ${name} } } } }`;
  const [door] = parsed(rotating("admin.secret"), environment).doors;
  assert.ok(door?.knock.kind === "rotating");
  assert.deepEqual(door.knock.secret.reveal(), new Uint8Array(20));
  // Not there: the folder of the file. There, and open to all: not used.
  assert.deepEqual(problems(rotating("group.secret"), environment), [
    "1:66 Others may read /etc/pk/group.secret (mode 0640) | chmod 600 /etc/pk/group.secret",
  ]);
  assert.deepEqual(problems(rotating("open.secret"), environment), [
    "1:66 Others may read /run/credentials/open.secret (mode 0444) | " +
    "chmod 600 /run/credentials/open.secret",
  ]);
});

Deno.test("relative paths begin at the folder that is given, else at that of the file", () => {
  const text = "doors: { a: { opens: [tcp/22], knock: { one-time: { file: once } } } }";
  const { files, asked } = recording(FILES);
  parseConfig(text, "pk.yaml", files, { folder: "/etc/pk" });
  assert.throws(() => parseConfig(text, "some/pk.yaml", files), ConfigError);
  assert.throws(() => parseConfig(text, "pk.yaml", files), ConfigError);
  assert.deepEqual(asked, ["/etc/pk/once", "some/once", "once"]);
});

Deno.test("what is wrong in the file as a whole", () => {
  const doors = "doors: { a: { opens: [tcp/22], knock: [tcp/1, tcp/2] } }\n";
  const cases: readonly Case[] = [
    [
      "version: 1",
      '1:1 Missing key "doors" | A configuration has: version, doors, refuse, ' +
      "filter, decoys, ban, table-owner, queue-num, limits, log.",
    ],
    ["doors: {}", "1:8 Cannot use this map: there is one door at least"],
    [`${doors}version: 2`, "2:10 Expected 1, the only version there is, not 2"],
    [
      `${doors}filter: statefull`,
      '2:9 Expected stateful or stateless, not "statefull" | Did you mean "stateful"?',
    ],
    [`${doors}refuse: dorp`, '2:9 Expected drop or reset, not "dorp" | Did you mean "drop"?'],
    [`${doors}ban: 1500ms`, '2:6 Cannot use "1500ms": the kernel counts a ban in whole seconds'],
    [`${doors}ban: 10`, "2:6 Expected a time such as 20s or 500ms, not 10"],
    [`${doors}ban: 25d`, `2:6 Cannot use "25d": ${TIME}`],
    [`${doors}ban: 0s`, `2:6 Cannot use "0s": ${TIME}`],
    [`${doors}ban: 597h`, `2:6 Cannot use "597h": ${TIME}`],
    [`${doors}queue-num: 65536`, "2:12 Cannot use 65536: this is a number from 0 to 65535"],
    [
      `${doors}limits: { sources-max: 255 }`,
      "2:24 Cannot use 255: this is a number from 256 to 4194304",
    ],
    [`${doors}limits: { grants-max: 0 }`, "2:23 Cannot use 0: this is a number from 1 to 1000000"],
    [
      `${doors}log: { level: warn }`,
      '2:15 Expected debug, info, warning or error, not "warn" | ' +
      'Did you mean "warning"?',
    ],
    [`${doors}table-owner: yes`, '2:14 Expected true or false, not "yes"'],
    [
      `${doors}decoys: [tcp/3-5]`,
      '2:10 Cannot use "tcp/3-5": this is a place for one port, not for a range',
    ],
    [
      `${doors}decoys: [${Array.from({ length: 65 }, (_, i) => `tcp/${i + 100}`)}]`,
      "2:9 Cannot use this list: there are 64 decoys at most",
    ],
  ];
  check(cases);
});

const TIME = "a time is from 1ms to 24 days (596h), such as 500ms, 20s, 2m or 1h";
const PORT = "a port is a number from 1 to 65535";
const NAME = "a name is 1 to 32 letters, digits, - and _, and begins with a letter or a digit";

Deno.test("what is wrong with a door", () => {
  const door = (opens: string, more = "") =>
    `doors: { a: { knock: [tcp/1, tcp/2], opens: [${opens}]${more} } }`;
  const cases: readonly Case[] = [
    [door("tcp/0"), `1:46 Cannot use "tcp/0": ${PORT}`],
    [door("tcp/65536"), `1:46 Cannot use "tcp/65536": ${PORT}`],
    [door("tcp/-1"), `1:46 Cannot use "tcp/-1": ${PORT}`],
    [door("tcp/"), `1:46 Cannot use "tcp/": ${PORT}`],
    [door("tcp/22-"), `1:46 Cannot use "tcp/22-": ${PORT}`],
    [door("tcp/1e3"), `1:46 Cannot use "tcp/1e3": ${PORT}`],
    [door("tcp/9-8"), '1:46 Cannot use "tcp/9-8": the lower port comes first: tcp/8-9'],
    [
      door("icmp/8"),
      '1:46 Cannot use "icmp/8": ports are tcp or udp, a slash, and a number or ' +
      "two: tcp/22, udp/9090-9099",
    ],
    [door("22"), "1:46 Expected ports such as tcp/22 or tcp/9090-9099, not 22"],
    [door(""), "1:45 Cannot use this list: a door opens one port at least"],
    [
      door("tcp/1000-1256"),
      "1:45 Cannot use this list: a door opens 256 ports at most, these are 257",
    ],
    [
      door("tcp/22", ", from: [192.0.2.1/24]"),
      '1:62 Cannot use "192.0.2.1/24": there are bits ' +
      "behind the first 24: write 192.0.2.0/24, or 192.0.2.1/32",
    ],
    [
      door("tcp/22", ", from: [192.0.2.0/33]"),
      '1:62 Cannot use "192.0.2.0/33": after the slash stands a number of bits, 0 to 32',
    ],
    [
      door("tcp/22", ", from: [example.org]"),
      '1:62 Cannot use "example.org": a network is an ' +
      "address and its first bits: 192.0.2.0/24, 2001:db8::/32",
    ],
    [
      door("tcp/22", ', from: ["::ffff:192.0.2.1"]'),
      '1:62 Cannot use "::ffff:192.0.2.1": ' +
      "packets of IPv4 come from its own addresses: write 192.0.2.1",
    ],
    [
      door("tcp/22", ", from: []"),
      "1:61 Cannot use this list: nobody could come in; leave the key out for everybody",
    ],
    [door("tcp/22", ", weak: yes"), '1:61 Expected accepted, not "yes"'],
    ["doors: { -a: { opens: [tcp/22], knock: [tcp/1, tcp/2] } }", `1:10 Cannot use "-a": ${NAME}`],
    [
      `doors: { ${"a".repeat(33)}: { opens: [tcp/22], knock: [tcp/1, tcp/2] } }`,
      `1:10 Cannot use "${"a".repeat(33)}": ${NAME}`,
    ],
  ];
  check(cases);
});

Deno.test("what is wrong with a plain sequence", () => {
  const tcp = (count: number) => Array.from({ length: count }, (_, i) => `tcp/${i + 1}`).join();
  const cases: readonly (readonly [steps: string, ...problems: string[]])[] = [
    ["tcp/1", "1:37 Cannot use this list: a sequence has 2 to 32 knocks, this one 1"],
    ["", "1:37 Cannot use this list: a sequence has 2 to 32 knocks, this one 0"],
    [tcp(33), "1:37 Cannot use this list: a sequence has 2 to 32 knocks, this one 33"],
    ["7000, tcp/2", "1:38 Expected a knock such as tcp/7000, not 7000"],
    [
      "sctp/1, tcp/2",
      '1:38 Cannot use "sctp/1": a knock is tcp, udp, icmp or icmp6, a slash, and ' +
      "a port or a number of bytes: tcp/7000, udp/8123, icmp/56",
    ],
    ["tcp/0, icmp/65508, icmp6/65528", ...[
      `1:38 Cannot use "tcp/0": ${PORT}`,
      '1:45 Cannot use "icmp/65508": an echo request carries 0 to 65507 bytes',
      '1:57 Cannot use "icmp6/65528": an echo request carries 0 to 65527 bytes',
    ]],
    ["{tcp/0: {}}, tcp/2", `1:39 Cannot use "tcp/0": ${PORT}`],
    [
      "{tcp/1: {}, tcp/2: {}}, tcp/3",
      "1:38 Cannot use this map: each knock stands in an entry of its own",
    ],
    [
      "tcp/1, {tcp/2: {afterr: 1s}}",
      '1:54 Unknown key "afterr" | A knock has: after, before, flags. Did you mean "after"?',
    ],
    [
      "tcp/1, {tcp/2: {flags: [syn, '!syn']}}",
      "1:61 Cannot use this list: no segment has syn and not syn",
    ],
    ["tcp/1, {tcp/2: {flags: []}}", "1:61 Cannot use this list: there is one flag at least"],
    ["tcp/1, {udp/2: {flags: [syn]}}", '1:46 Cannot use "udp/2": udp has no TCP flags'],
    ["tcp/1, {icmp/2: {flags: [syn]}}", '1:46 Cannot use "icmp/2": icmp has no TCP flags'],
    [
      "tcp/1, {tcp/2: {after: 2s, before: 1s}}",
      '1:46 Cannot use "tcp/2": after is longer than before: no knock is in time',
    ],
    [
      "{tcp/1: {after: 1s}}, tcp/2",
      "1:38 The first knock has none before it: after and before say nothing here",
    ],
    [
      "tcp/1, {tcp/2: {after: 11s}}",
      "1:45 after is longer than the whole sequence may take (within: 10s)",
    ],
    [
      "tcp/1, {tcp/2: {before: 11s}}",
      "1:45 before is longer than the whole sequence may take (within: 10s)",
    ],
    [
      "tcp/1, {tcp/2: {after: 6s}}, {tcp/3: {after: 5s}}",
      "1:30 Nobody can knock it: the knocks take 11s, and there are 10s for them | " +
      "Set within to more than that",
    ],
    ["icmp/1, icmp6/1", "1:30 Nobody can knock it: icmp is of IPv4, icmp6 of IPv6"],
  ];
  check(cases.map(([steps, ...all]) => [
    `doors: {a: { opens: [udp/9], knock: [${steps}] } }`,
    ...all,
  ]));
  check([[
    "doors: { a: { opens: [udp/9], knock: [icmp6/1, tcp/1], from: [192.0.2.0/24] } }",
    '1:31 Nobody can knock it: icmp6 is of IPv6, and no source in "from" is',
  ]]);
});

Deno.test("what is wrong with a changing sequence", () => {
  const cases: readonly (readonly [knock: string, ...problems: string[]])[] = [
    [
      "{}",
      "1:38 Cannot use this map: a door has one kind of knock: a list, rotating, one-time or encrypted",
    ],
    [
      "secret",
      "1:38 Expected a list of knocks, or a map with rotating, one-time or encrypted, not text",
    ],
    [
      "{ rotatin: {} }",
      '1:40 Unknown key "rotatin" | A kind of knock has: rotating, one-time, ' +
      'encrypted. Did you mean "rotating"?',
    ],
    [
      "{ rotating: {} }",
      '1:40 Missing key "secret-file" | A rotating knock has: secret-file, ' +
      "ports, knocks, step, bind-source.",
    ],
    [
      "{ rotating: { secret-file: none } }",
      "1:65 Cannot read /etc/pk/none: there is no such file " +
      "(ENOENT) | A path is relative to the folder of this file",
    ],
    [
      `{ rotating: { secret-file: ${KEY} } }`,
      "1:65 This is a key, not the path of a file that holds one | Keep it in a file of its own " +
      "(chmod 600), and take a new one: this one was seen",
    ],
    [
      "{ rotating: { secret-file: open.secret } }",
      "1:65 Others may read /etc/pk/open.secret (mode 0644) | chmod 600 /etc/pk/open.secret",
    ],
    [
      "{ rotating: { secret-file: alice.secret } }",
      "1:65 /etc/pk/alice.secret does not hold a key " +
      '| A key is 32 letters and digits in groups; "pk secret" makes one',
    ],
    [
      "{ rotating: { secret-file: admin.secret, ports: tcp/1000-1254, knocks: 17, step: 10500ms } }",
      ...[
        '1:86 Cannot use "tcp/1000-1254": a rotating sequence needs a range of 256 ports at least',
        "1:109 Cannot use 17: this is a number from 3 to 16",
        '1:119 Cannot use "10500ms": a time step is 10s to 1h, in whole seconds',
      ],
    ],
    ["{ one-time: { file: bad } }", ...[
      "bad:1:1 A sequence has 2 to 32 knocks, this one 1",
      "bad:2:1 Knock 1 is none: write tcp/7000, udp/8123 or icmp/56",
      "bad:3:1 Nobody can knock it: icmp is of IPv4, icmp6 of IPv6",
      "bad:5:1 It is the sequence of line 4, and each is for one time",
    ]],
    [
      "{ one-time: { file: open.secret } }",
      "1:58 Others may read /etc/pk/open.secret (mode 0644) | chmod 600 /etc/pk/open.secret",
    ],
    ["{ encrypted: { users: {} } }", "1:60 Cannot use this map: there is one user at least"],
    [
      "{ encrypted: { layout: indexed, ports: tcp/1-256, users: { a: { id: 1, secret-file: alice.secret } } } }",
      '1:77 Cannot use "tcp/1-256": the layout indexed has 4096 ports',
    ],
    [
      "{ encrypted: { users: { a: { id: 256, secret-file: short.secret } } } }",
      "1:71 Cannot use 256: this is a number from 0 to 255",
    ],
    [
      "{ encrypted: { users: { a: { id: 1, secret-file: short.secret }, b: { id: 1, secret-file: lines.secret } } } }",
      ...[
        "1:87 /etc/pk/short.secret does not hold a passphrase of 8 to 1024 characters | " +
        '"pk secret" makes one that nobody guesses',
        '1:112 The user "a" has the id 1, too',
        "1:128 /etc/pk/lines.secret does not hold a passphrase: that is one line of text | " +
        '"pk secret" makes one that nobody guesses',
      ],
    ],
  ];
  check(cases.map(([knock, ...all]) => [
    `doors: { a: { opens: [udp/9], knock: ${knock} } }`,
    ...all,
  ]));
});

Deno.test("what is wrong between doors", () => {
  check([
    [
      `doors:
  ssh: { opens: [tcp/22, udp/53], knock: [tcp/7000, tcp/8080] }
  web: { opens: [tcp/8080-8081], knock: [udp/22, tcp/53, udp/53] }
decoys: [tcp/7000, tcp/8081, udp/8081]
`,
      '2:53 tcp/8080 cannot be a knock: it is opened by door "web" (line 3)',
      "2:43 tcp/7000 cannot be a knock: it is a decoy (line 4)",
      '3:58 udp/53 cannot be a knock: it is opened by door "ssh" (line 2)',
      '4:20 tcp/8081 cannot be a decoy: it is opened by door "web" (line 3)',
    ],
    [
      `doors:
  a: { opens: [tcp/20500], knock: { rotating: { secret-file: admin.secret } } }
  b:
    opens: [tcp/1]
    knock: { rotating: { secret-file: admin.secret, ports: tcp/30000-30999 } }
  c:
    opens: [tcp/2]
    knock: { encrypted: { users: { u: { id: 0, secret-file: alice.secret } } } }
decoys: [tcp/30999, tcp/22255, udp/20500]
`,
      '2:47 tcp/20000-21023 cannot be for knocks: tcp/20500 is opened by door "a" (line 2) | ' +
      "Choose another range with the key ports, here and in clients",
      "5:60 tcp/30000-30999 cannot be for knocks: tcp/30999 is a decoy (line 9) | " +
      "Choose another range with the key ports, here and in clients",
      "8:25 tcp/22000-22255 cannot be for knocks: tcp/22255 is a decoy (line 9) | " +
      "Choose another range with the key ports, here and in clients",
    ],
    [
      `doors:
  a: { opens: [tcp/22], knock: { one-time: { file: meets } } }
decoys: [udp/9]
`,
      'meets:1:1 Knock 2 is a port that a door opens, or a decoy | The file belongs to door "a"',
      'meets:2:1 Knock 2 is a port that a door opens, or a decoy | The file belongs to door "a"',
    ],
    [
      `doors:
  a: { opens: [tcp/20-30], then: cut, knock: [tcp/1, tcp/2] }
  b: { opens: [tcp/25-35], knock: [tcp/1, tcp/2] }
  c: { opens: [udp/25, tcp/31], knock: [tcp/1, tcp/2] }
`,
      '3:15 tcp/25 has "then: cut" at door "a" (line 2), and "then: keep" here | ' +
      "All doors of a port need the same",
    ],
  ].map((one) => one.toSorted((a, b) => order(a, b)) as unknown as Case));
});

Deno.test("sequences that begin with the same knock have a bound, whichever door they are of", () => {
  const door = (index: number, first = 7000) =>
    `  d${index}: { opens: [tcp/22], knock: [tcp/${first}, tcp/${8000 + index}, tcp/9] }\n`;
  const doors = (count: number) =>
    `doors:\n${Array.from({ length: count }, (_, index) => door(index)).join("")}`;
  assert.equal(parsed(doors(SHARED_FIRST_MAX)).doors.length, SHARED_FIRST_MAX);
  assert.equal(parsed(doors(SHARED_FIRST_MAX) + door(99, 7001)).doors.length, SHARED_FIRST_MAX + 1);
  assert.throws(() => parsed(doors(SHARED_FIRST_MAX + 1)), /begin with the same knock/);
});

Deno.test("two doors cannot use up one file", () => {
  const knock = "knock: { one-time: { file: once } }";
  const text = `doors: { a: { opens: [tcp/22], ${knock} }, b: { opens: [tcp/23], ${knock} } }`;
  assert.throws(() => parsed(text), /Door "a" has the same file of one-time sequences/);
});

Deno.test("a secret in the wrong place is not repeated", () => {
  const key = "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567";
  for (
    const text of [
      key,
      `doors: ${key}`,
      `doors: { ${key}: 1 }`,
      `doors: { a: { opens: [tcp/22], knock: { rotating: ${key} } } }`,
      `doors: { a: { opens: [tcp/22], knock: { rotating: { secret-file: ${key} } } } }`,
      `doors: { a: { opens: [tcp/22], knock: { encrypted: correct horse battery } } }`,
      `doors: { a: { opens: [tcp/22], knock: ${key} } }`,
    ]
  ) {
    assert.throws(() => parsed(text), (error: Error) => {
      assert.ok(!error.message.includes("abcd-efgh"), error.message);
      assert.ok(!error.message.includes("correct horse"), error.message);
      return true;
    });
  }
});

Deno.test("doors may share knocks, ranges and ports", () => {
  const config = parsed(`doors:
  a: { opens: [tcp/22], knock: [tcp/7000, tcp/7000, udp/22] }
  b: { opens: [tcp/22], knock: [tcp/7000, tcp/7000, tcp/20000] }
  c: { opens: [tcp/22], knock: { rotating: { secret-file: admin.secret } } }
  d: { opens: [tcp/22], knock: { rotating: { secret-file: admin.secret } } }
decoys: [udp/20000, udp/7000]
`);
  assert.equal(config.doors.length, 4);
});

Deno.test("what is right is judged together even where other parts are wrong", () => {
  assert.deepEqual(
    problems(`doors:
  a: { opens: [tcp/22], knock: [tcp/23, tcp/24], then: maybe }
  b: { opens: [tcp/23], knock: [tcp/25, tcp/26] }
  c: { opens: [tcp/25], knock: { rotating: { secret-file: none } } }
decoys: [tcp/26]
ban: soon
`),
    [
      '2:56 Expected keep or cut, not "maybe"',
      '3:33 tcp/25 cannot be a knock: it is opened by door "c" (line 4)',
      "3:41 tcp/26 cannot be a knock: it is a decoy (line 5)",
      "4:59 Cannot read /etc/pk/none: there is no such file (ENOENT) | " +
      "A path is relative to the folder of this file",
      `6:6 Cannot use "soon": ${TIME}`,
    ],
  );
});

Deno.test("readConfig() tells why there is no file", () => {
  assert.throws(() => readConfig("/etc/pk/none.yaml", FILES), {
    name: "ConfigError",
    message: /^\/etc\/pk\/none\.yaml:1:1: Cannot read it: there is no such file \(ENOENT\)/,
  });
});

Deno.test("4,096 doors are read within seconds, and one more is refused", () => {
  const doors = (count: number) =>
    Array.from(
      { length: count },
      (_, index) =>
        `  door${index}: { opens: [udp/${index + 1}], knock: [tcp/${index + 5_000}, tcp/1] }`,
    );
  const startMs = performance.now();
  assert.equal(parsed(["doors:", ...doors(4_096)].join("\n")).doors.length, 4_096);
  assert.ok(performance.now() - startMs < 20_000);
  const [problem] = problems(["doors:", ...doors(4_097)].join("\n"));
  assert.equal(problem, "1:1 Cannot use this map: there are 4096 doors at most");
});

type Case = readonly [text: string, ...problems: string[]];

function check(cases: readonly Case[]): void {
  for (const [text, ...expected] of cases) assert.deepEqual(problems(text), expected, text);
}

function parsed(text: string, environment?: Environment): Config {
  return parseConfig(text, FILE, FILES, environment);
}

type KnockOf<K extends Door["knock"]["kind"]> = Extract<Door["knock"], { readonly kind: K }>;

function knockOf<K extends Door["knock"]["kind"]>(knock: string, kind: K): KnockOf<K> {
  const [door] = parsed(`doors: { a: { opens: [udp/9], knock: ${knock} } }`).doors;
  assert.equal(door?.knock.kind, kind);
  return door?.knock as KnockOf<K>;
}

/** "3:12 message | hint", with the name of the file where it is another one. */
function problems(text: string, environment?: Environment): string[] {
  try {
    parsed(text, environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ file, line, column, message, hint }) => {
      const name = file === FILE ? "" : `${file.split("/").at(-1)}:`;
      return `${name}${line}:${column} ${message}${hint === undefined ? "" : ` | ${hint}`}`;
    });
  }
  return [];
}

function recording(files: Files): { files: Files; asked: string[] } {
  const asked: string[] = [];
  return { asked, files: { read: (path) => (asked.push(path), files.read(path)) } };
}

function order(one: string, other: string): number {
  const place = (text: string) => /^(\d+):(\d+) /.exec(text)?.slice(1).map(Number) ?? [0, 0];
  const [line = 0, column = 0] = place(one);
  const [otherLine = 0, otherColumn = 0] = place(other);
  return line - otherLine || column - otherColumn;
}
