// What the machine looks packets up in: one rule for each fixed sequence, and for each endpoint the steps
// that a packet there can be.

import fc from "fast-check";
import assert from "node:assert/strict";
import { type Milliseconds, type Step, SYN_ONLY } from "../../../src/config/config.ts";
import {
  endpointKey,
  type KnockRule,
  PROTOCOL,
  rulesOf,
  sharedFirst,
  watchesOf,
} from "../../../src/knock/rules.ts";
import {
  encryptedDoor,
  oneTimeDoor,
  plainDoor,
  rotatingDoor,
  stepOf,
} from "../../support/configs.ts";
import { ipv4 } from "../../support/naive_machine.ts";

const FIN = { mask: 0x13, value: 0x01 };
const TCP_80 = endpointKey(PROTOCOL.tcp, 80);

Deno.test("rulesOf() has one rule for a plain door, one for each one-time line, none for locks", () => {
  const from = [{ address: ipv4(0xc0000200), length: 24 }];
  const withinMs = 700 as Milliseconds;
  const plain = plainDoor({ from, withinMs });
  const once = oneTimeDoor({ sequences: [["tcp/1", "udp/2"], ["icmp/3", "icmp/4"]] });
  const rules = rulesOf([
    rotatingDoor(),
    plain,
    encryptedDoor(),
    once,
    oneTimeDoor({
      sequences: [],
    }),
  ]);
  assert.deepEqual(rules.map(({ door, line }) => [door, line]), [
    [1, undefined],
    [3, "tcp/1, udp/2"],
    [3, "icmp/3, icmp/4"],
  ]);
  assert.deepEqual(rules[0], {
    door: 1,
    steps: plain.knock.kind === "plain" ? plain.knock.steps : [],
    withinMs,
    from,
  });
});

Deno.test("endpointKey() tells protocols, ports and payloads apart", () => {
  const keys = Object.values(PROTOCOL).flatMap((protocol) =>
    [0, 1, 80, 65_507, 65_535].map((port) => endpointKey(protocol, port))
  );
  assert.equal(new Set(keys).size, keys.length);
});

Deno.test("watchesOf() has the steps of one test together, and those of others beside them", () => {
  const rule = ruleOf([
    stepOf("tcp/80"),
    stepOf("udp/80"),
    stepOf("tcp/80", { flags: FIN }),
    stepOf("tcp/81"),
    stepOf("tcp/80"),
    stepOf("tcp/80", { flags: FIN, afterMs: 5 }),
  ]);
  const watches = watchesOf([ruleOf([stepOf("tcp/9"), stepOf("tcp/10")]), rule]);
  assert.deepEqual(watches.get(TCP_80), [{
    rule: 1,
    tests: [{ ...SYN_ONLY, steps: 0b010001 }, { ...FIN, steps: 0b100100 }],
  }]);
  assert.deepEqual(watches.get(endpointKey(PROTOCOL.udp, 80)), [{
    rule: 1,
    tests: [{ mask: 0, value: 0, steps: 0b10 }],
  }]);
  assert.equal(watches.size, 5);
  assert.equal(watches.get(endpointKey(PROTOCOL.icmp, 80)), undefined);
});

Deno.test("watchesOf() has every rule of an endpoint once, in order", () => {
  const rules = [[80, 81, 80], [82, 83], [81, 80]].map((ports) =>
    ruleOf(ports.map((port) => stepOf(`tcp/${port}`)))
  );
  assert.deepEqual(
    watchesOf(rules).get(TCP_80)?.map(({ rule, tests }) => [rule, tests[0]?.steps]),
    [[0, 0b101], [2, 0b10]],
  );
});

Deno.test("watchesOf() knows the 32nd step, whose bit is the sign", () => {
  const steps = Array.from({ length: 32 }, (_, index) => stepOf(`tcp/${index < 31 ? 1 : 80}`));
  const [watch] = watchesOf([ruleOf(steps)]).get(TCP_80) ?? [];
  assert.equal((watch?.tests[0]?.steps ?? 0) >>> 31, 1);
  const [others] = watchesOf([ruleOf(steps)]).get(endpointKey(PROTOCOL.tcp, 1)) ?? [];
  assert.equal((others?.tests[0]?.steps ?? 0) >>> 0, 0x7fff_ffff);
});

const step = fc.record({
  protocol: fc.constantFrom("tcp" as const, "udp" as const, "icmp" as const, "icmp6" as const),
  port: fc.constantFrom(0, 1, 80),
  flags: fc.constantFrom(SYN_ONLY, FIN, { mask: 0, value: 0 }, { mask: 2, value: 0 }),
}).map(({ protocol, port, flags }) => stepOf(`${protocol}/${port}`, { flags }));
const sequences = fc.array(fc.array(step, { minLength: 2, maxLength: 8 }), { maxLength: 4 });

Deno.test("watchesOf() finds the steps that a packet can be, as a search from end to end does", () => {
  const packet = fc.record({ of: step, flags: fc.integer({ min: 0, max: 255 }) });
  fc.assert(fc.property(sequences, packet, (sequences, { of, flags }) => {
    const protocol = PROTOCOL[of.protocol];
    const watches = watchesOf(sequences.map(ruleOf)).get(endpointKey(protocol, of.port)) ?? [];
    const found = watches.flatMap(({ rule, tests }) =>
      tests.filter(({ mask, value }) => (flags & mask) === value).flatMap(({ steps }) =>
        Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => steps >>> bit & 1)
          .map((bit) => `${rule}:${bit}`)
      )
    );
    const expected = sequences.flatMap((steps, rule) =>
      steps.flatMap((one, index) => {
        const here = one.protocol === of.protocol && one.port === of.port;
        const fits = one.protocol !== "tcp" || (flags & one.flags.mask) === one.flags.value;
        return here && fits ? [`${rule}:${index}`] : [];
      })
    );
    assert.deepEqual(found.sort(), expected.sort());
  }));
});

Deno.test("sharedFirst() counts the rules that begin at one endpoint, whatever their flags", () => {
  const beginning = (...firsts: readonly Step[]) =>
    sharedFirst(firsts.map((first) => ruleOf([first, stepOf("tcp/9")])));
  assert.equal(sharedFirst([]), 1);
  assert.equal(beginning(stepOf("tcp/80")), 1);
  assert.equal(beginning(stepOf("tcp/80"), stepOf("udp/80"), stepOf("tcp/81")), 1);
  assert.equal(beginning(stepOf("tcp/80"), stepOf("udp/80"), stepOf("udp/80")), 2);
  assert.equal(beginning(stepOf("tcp/80"), stepOf("tcp/80", { flags: FIN })), 2);
  assert.equal(
    sharedFirst(
      [[80, 80], [81, 80]].map((ports) => ruleOf(ports.map((port) => stepOf(`tcp/${port}`)))),
    ),
    1,
  );
});

function ruleOf(steps: readonly Step[]): KnockRule {
  return { door: 0, steps, withinMs: 1_000, from: [] };
}
