// What the kernel is told of a configuration: which sets there are, and what is in them.

import assert from "node:assert/strict";
import type { Config, Endpoint, Milliseconds } from "../../../src/config/config.ts";
import { watchListOf } from "../../../src/firewall/watch_list.ts";
import {
  configOf,
  encryptedDoor,
  oneTimeDoor,
  plainDoor,
  rotatingDoor,
  stepOf,
} from "../../support/configs.ts";

const FIN = { mask: 0x01, value: 0x01 };
const finAt = (port: number) => stepOf(`tcp/${port}`, { flags: FIN });
const banMs = 60_000 as Milliseconds;

/** A configuration and the elements of its sets. */
const cases: readonly [what: string, config: Config, sets: Record<string, string>][] = [
  ["a plain door", configOf(), {
    early: "tcp/7000",
    watched: "tcp/22 tcp/7000 tcp/8000 tcp/9000",
    guarded: "tcp/22",
    finals: "tcp/8000 tcp/9000",
  }],
  [
    "ranges of guarded ports, in order, each port once",
    configOf({
      doors: [
        plainDoor({ opens: ["udp/99-100", "tcp/98-99", "tcp/99"], steps: ["udp/1", "tcp/2"] }),
      ],
    }),
    {
      watched: "tcp/2 tcp/98 tcp/99 udp/1 udp/99 udp/100",
      guarded: "tcp/98 tcp/99 udp/99 udp/100",
      finals: "tcp/2 udp/1",
    },
  ],
  [
    "steps with flags, which no SYN is asked for",
    configOf({ doors: [plainDoor({ steps: [finAt(1), "tcp/2", finAt(2), "icmp/3"] })] }),
    { watched: "tcp/2 tcp/22", guarded: "tcp/22", flagged: "tcp/1 tcp/2", finals: "tcp/2" },
  ],
  [
    "one-time sequences, used up ones among them",
    configOf({ doors: [oneTimeDoor({ sequences: [["tcp/1", "udp/2", "tcp/3"], ["tcp/4"], []] })] }),
    {
      early: "tcp/1",
      watched: "tcp/1 tcp/3 tcp/4 tcp/22 udp/2",
      guarded: "tcp/22",
      finals: "tcp/3 tcp/4 udp/2",
    },
  ],
  [
    "sequences that change: each port can be the last",
    configOf({ doors: [rotatingDoor({ ports: "tcp/1-3" }), encryptedDoor({ ports: "udp/4-5" })] }),
    {
      watched: "tcp/1 tcp/2 tcp/3 tcp/22 udp/4 udp/5",
      guarded: "tcp/22",
      finals: "",
      ranges: "tcp/1 tcp/2 tcp/3 udp/4 udp/5",
    },
  ],
  [
    "knocks that are something else as well, or no SYNs: none of them is copied at once",
    configOf({
      doors: [
        plainDoor({
          steps: ["tcp/1", "tcp/2", "tcp/22", "tcp/3", "udp/4", finAt(5), "tcp/6", "tcp/7"],
        }),
        rotatingDoor({ ports: "tcp/2-3" }),
      ],
      decoys: ["tcp/8"],
    }),
    {
      early: "tcp/1",
      watched: "tcp/1 tcp/2 tcp/3 tcp/6 tcp/7 tcp/8 tcp/22 udp/4",
      guarded: "tcp/22",
      flagged: "tcp/5",
      finals: "tcp/6 tcp/7",
      ranges: "tcp/2 tcp/3",
    },
  ],
  [
    "decoys that ban",
    configOf({ doors: [plainDoor({ steps: ["tcp/1", "tcp/2"] })], decoys: ["udp/3"], banMs }),
    {
      watched: "tcp/1 tcp/2 tcp/22 udp/3",
      guarded: "tcp/22",
      decoys: "udp/3",
      finals: "tcp/1 tcp/2",
    },
  ],
  [
    "decoys that set back only",
    configOf({ doors: [plainDoor({ steps: ["tcp/1", "tcp/2"] })], decoys: ["udp/3"] }),
    { watched: "tcp/1 tcp/2 tcp/22 udp/3", guarded: "tcp/22", finals: "tcp/1 tcp/2" },
  ],
  [
    "doors that keep beside doors that cut",
    configOf({
      doors: [
        plainDoor({ steps: ["tcp/1", "tcp/2"] }),
        plainDoor({ opens: ["udp/23"], steps: ["tcp/1", "tcp/2"], onExpire: "cut" }),
      ],
    }),
    {
      watched: "tcp/1 tcp/2 tcp/22 udp/23",
      guarded: "tcp/22 udp/23",
      kept: "tcp/22",
      finals: "tcp/1 tcp/2",
    },
  ],
];

for (const [what, config, sets] of cases) {
  Deno.test(`watchListOf() of ${what}`, () => {
    const ports = Object.entries(watchListOf(config).ports) as [string, readonly Endpoint[]][];
    const texts = ports.map(([name, endpoints]) =>
      [name, endpoints.map(({ protocol, port }) => `${protocol}/${port}`).join(" ")] as const
    );
    assert.deepEqual(Object.fromEntries(texts), sets);
  });
}

Deno.test("watchListOf() names each test of flags and each echo request once", () => {
  const other = stepOf("tcp/9", { flags: { mask: 0x11, value: 0x10 } });
  const doors = [
    plainDoor({ steps: ["icmp/56", finAt(1), finAt(2), other, "icmp/56", "icmp6/56"] }),
    plainDoor({ steps: ["icmp/56", "icmp/57", "udp/1"] }),
  ];
  const { flagTests, echoes, finalEchoes } = watchListOf(configOf({ doors }));
  assert.deepEqual(flagTests, [FIN, other.flags]);
  const [four, six] = [56, 57].map((bytes) => ({ protocol: "icmp", bytes }));
  assert.deepEqual(echoes, [four, { protocol: "icmp6", bytes: 56 }, six]);
  assert.deepEqual(finalEchoes, [four, { protocol: "icmp6", bytes: 56 }, six]);
});
