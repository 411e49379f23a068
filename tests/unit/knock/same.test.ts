// sameKnock(): a door whose knock is the same, whatever it opens; nothing that is asked may differ.

import assert from "node:assert/strict";
import type { Door, Milliseconds } from "../../../src/config/config.ts";
import { Secret } from "../../../src/config/secret.ts";
import { sameKnock } from "../../../src/knock/same.ts";
import {
  encryptedDoor,
  oneTimeDoor,
  plainDoor,
  rotatingDoor,
  stepOf,
} from "../../support/configs.ts";
import { ipv4 } from "../../support/naive_machine.ts";

const secret = (text: string) => new Secret(new TextEncoder().encode(text));
const alice = () => ({ id: 1, name: "alice", secret: secret("open up") });
const bob = () => ({ id: 2, name: "bob", secret: secret("let me in") });

/** Each makes a door anew, equal to the one before, with some choices. */
const kinds = {
  plain: (choices) => plainDoor(choices),
  "one-time": (choices) => oneTimeDoor(choices),
  rotating: (choices) => rotatingDoor(choices),
  encrypted: (choices) => encryptedDoor({ ...choices, users: [alice(), bob()] }),
} satisfies Record<string, (choices: Parameters<typeof plainDoor>[0]) => Door>;

for (const [kind, make] of Object.entries(kinds)) {
  Deno.test(`a ${kind} door that is read anew is the same`, () => {
    assert.equal(sameKnock(make({}), make({})), true);
  });

  Deno.test(`a ${kind} door is the same whatever it opens, for how long, and what comes then`, () => {
    const other = make({
      opens: ["udp/51820", "tcp/1-9"],
      timeoutMs: 1 as Milliseconds,
      onExpire: "cut",
      weakAccepted: true,
    });
    assert.equal(sameKnock(make({}), other), true);
  });

  Deno.test(`a ${kind} door with another name, time or origin is another`, () => {
    const from = [{ address: ipv4(0xc0000200), length: 24 }];
    const others = [
      make({ name: "other" }),
      make({ withinMs: 9_999 as Milliseconds }),
      make({ from }),
    ];
    for (const other of others) assert.equal(sameKnock(make({}), other), false);
    const narrower = make({ from: from.map((prefix) => ({ ...prefix, length: 25 })) });
    assert.equal(sameKnock(make({ from }), narrower), false);
    assert.equal(sameKnock(make({ from }), make({ from: from.map((one) => ({ ...one })) })), true);
  });
}

const others: readonly (readonly [what: string, one: Door, other: Door])[] = [
  ["steps", plainDoor(), plainDoor({ steps: ["tcp/7000", "udp/8000", "tcp/9000"] })],
  [
    "a step's time",
    plainDoor({ steps: ["tcp/1", stepOf("tcp/2")] }),
    plainDoor({ steps: ["tcp/1", stepOf("tcp/2", { beforeMs: 3_000 })] }),
  ],
  [
    "a step's flags",
    plainDoor({ steps: ["tcp/1", "tcp/2"] }),
    plainDoor({ steps: ["tcp/1", stepOf("tcp/2", { flags: { mask: 3, value: 1 } })] }),
  ],
  ["lines", oneTimeDoor(), oneTimeDoor({ sequences: [] })],
  ["a file", oneTimeDoor(), oneTimeDoor({ file: "/etc/pk/other" })],
  ["a kind", plainDoor(), rotatingDoor()],
  ["a key", rotatingDoor(), rotatingDoor({ knock: { secret: secret("another key of 20 by") } })],
  [
    "the end of a key",
    rotatingDoor(),
    rotatingDoor({ knock: { secret: new Secret(new Uint8Array(21).fill(7)) } }),
  ],
  ["ports", rotatingDoor(), rotatingDoor({ ports: "udp/20000-21023" })],
  ["the number of knocks", rotatingDoor(), rotatingDoor({ knock: { knocks: 6 } })],
  ["steps", rotatingDoor(), rotatingDoor({ knock: { stepMs: 60_000 as Milliseconds } })],
  ["its source", rotatingDoor(), rotatingDoor({ knock: { bindSource: false } })],
  ["a layout", encryptedDoor(), encryptedDoor({ layout: "indexed", ports: "tcp/22000-22255" })],
  ["ports", encryptedDoor(), encryptedDoor({ ports: "tcp/22001-22256" })],
  ["users", encryptedDoor({ users: [alice()] }), encryptedDoor({ users: [alice(), bob()] })],
  [
    "a user's number",
    encryptedDoor({ users: [alice()] }),
    encryptedDoor({ users: [{ ...alice(), id: 3 }] }),
  ],
  [
    "a user's name",
    encryptedDoor({ users: [alice()] }),
    encryptedDoor({ users: [{ ...alice(), name: "eve" }] }),
  ],
  [
    "one passphrase of two",
    encryptedDoor({ users: [alice(), bob()] }),
    encryptedDoor({ users: [alice(), { ...bob(), secret: secret("let me In") }] }),
  ],
];

for (const [what, one, other] of others) {
  Deno.test(`a ${one.knock.kind} door that differs in ${what} is another`, () => {
    assert.equal(sameKnock(one, other), false);
    assert.equal(sameKnock(other, one), false);
  });
}
