// Configurations whose rulesets differ in form, by name: for what has to hold of every ruleset, and for
// the comparison with what nft makes of its text.

import {
  type Config,
  type FlagTest,
  type Milliseconds,
  SYN_ONLY,
} from "../../src/config/config.ts";
import {
  configOf,
  encryptedDoor,
  oneTimeDoor,
  plainDoor,
  rotatingDoor,
  stepOf,
} from "./configs.ts";

const FIN: FlagTest = { mask: 0x13, value: 0x01 };
const XMAS: FlagTest = { mask: 0xff, value: 0x29 };
const NO_FLAGS: FlagTest = { mask: 0x02, value: 0 };
const ANY: FlagTest = { mask: 0, value: 0 };
const decoys = ["tcp/6000", "udp/6001"] as const;

/** A door with steps of every kind. */
const mixed = plainDoor({
  opens: ["tcp/22", "udp/51820", "tcp/9090-9093"],
  steps: [
    "tcp/7000",
    "icmp/56",
    "udp/8123",
    stepOf("tcp/9321", { flags: FIN }),
    "icmp6/1200",
    stepOf("tcp/9322", { flags: XMAS }),
    stepOf("tcp/9321", { flags: SYN_ONLY }),
    "icmp/3000",
  ],
});

/** Flags of every form that nft writes differently, the guarded port among the flagged ones. */
const flagged = plainDoor({
  opens: ["tcp/22"],
  steps: [NO_FLAGS, ANY, FIN, { mask: 0x04, value: 0x04 }, { mask: 0x02, value: 0x02 }, FIN]
    .map((flags, index) =>
      stepOf(`tcp/${[9000, 9001, 9001, 22, 9003, 9004][index] ?? 0}`, { flags })
    ),
});

export const rulesetConfigs: Readonly<Record<string, Config>> = {
  "one TCP door": configOf(),
  "one TCP door, reset": configOf({ refuse: "reset" }),
  "a door that cuts": configOf({ doors: [plainDoor({ onExpire: "cut" })], refuse: "reset" }),
  "decoys without a ban": configOf({ decoys }),
  "a ban": configOf({ decoys, banMs: 60_000 as Milliseconds }),
  "a ban without decoys": configOf({ banMs: 60_000 as Milliseconds }),
  "a mixed sequence": configOf({ doors: [mixed], refuse: "reset" }),
  "a mixed sequence that cuts, with a ban": configOf({
    doors: [{ ...mixed, onExpire: "cut" }],
    decoys,
    banMs: 60_000 as Milliseconds,
  }),
  "TCP flags": configOf({ doors: [flagged] }),
  "UDP alone": configOf({
    doors: [plainDoor({ opens: ["udp/51820"], steps: ["udp/7000", "udp/8000", "udp/9000"] })],
    refuse: "reset",
  }),
  "UDP alone, cut": configOf({
    doors: [plainDoor({ opens: ["udp/51820"], steps: ["icmp/1", "icmp6/0"], onExpire: "cut" })],
  }),
  "keep and cut": configOf({
    doors: [
      plainDoor({ opens: ["tcp/22", "udp/51820"] }),
      plainDoor({
        opens: ["tcp/23", "udp/51821"],
        steps: ["udp/7001", "tcp/8000"],
        onExpire: "cut",
      }),
    ],
    refuse: "reset",
  }),
  "stateless": configOf({ filter: "stateless" }),
  "stateless, TCP and UDP": configOf({
    filter: "stateless",
    doors: [
      plainDoor({ opens: ["tcp/22", "tcp/80-81"] }),
      plainDoor({ opens: ["udp/51820"], steps: ["udp/7001", "icmp/56"], onExpire: "cut" }),
    ],
    decoys,
    banMs: 60_000 as Milliseconds,
    refuse: "reset",
  }),
  "stateless, UDP alone": configOf({
    filter: "stateless",
    doors: [plainDoor({ opens: ["udp/51820"], steps: ["icmp/1", "icmp6/0"], onExpire: "cut" })],
  }),
  "all kinds of doors": configOf({
    doors: [
      mixed,
      oneTimeDoor({ opens: ["tcp/24"], sequences: [["tcp/7100", "udp/7101", "icmp/57"], []] }),
      rotatingDoor({ opens: ["tcp/25"], ports: "udp/20000-20040", onExpire: "cut" }),
      encryptedDoor({ opens: ["tcp/26"] }),
      encryptedDoor({ opens: ["udp/26"], layout: "indexed", onExpire: "cut" }),
    ],
    decoys,
    banMs: 60_000 as Milliseconds,
    refuse: "reset",
  }),
};
