// What the machine looks a packet up in: doors with fixed sequences as rules, and for each endpoint
// the rules whose steps it can be. A packet costs what watches its endpoint, however many doors there
// are.

import type { Door, Prefix, Step } from "../config/config.ts";
import { IPPROTO, IPPROTO_ICMP, IPPROTO_ICMPV6 } from "../packet/protocol.ts";

/** A sequence that opens a door. A one-time door has one for each line that is left. */
export interface KnockRule {
  /** Index of the door. */
  readonly door: number;
  readonly steps: readonly Step[];
  /** Milliseconds from the first knock to the last. */
  readonly withinMs: number;
  /** Who may try; empty is everybody. */
  readonly from: readonly Prefix[];
  /** Line of a file of sequences that are valid once. */
  readonly line?: string;
}

/** IP protocol numbers of the steps. */
export const PROTOCOL = { ...IPPROTO, icmp: IPPROTO_ICMP, icmp6: IPPROTO_ICMPV6 } as const;

/** A protocol and its port, or bytes of payload, as one number. */
export function endpointKey(protocol: number, port: number): number {
  return protocol * 0x1_0000 + port;
}

/** Steps of a rule that a packet to an endpoint can be. */
export interface Watch {
  readonly rule: number;
  readonly tests: readonly WatchTest[];
}

export interface WatchTest {
  /** Flags that are looked at, and what they have to be. */
  readonly mask: number;
  readonly value: number;
  /** Bit i is the step i. */
  readonly steps: number;
}

/** The doors with fixed sequences as rules. */
export function rulesOf(doors: readonly Door[]): KnockRule[] {
  return doors.flatMap(({ knock, withinMs, from }, door): KnockRule[] => {
    if (knock.kind === "plain") return [{ door, steps: knock.steps, withinMs, from }];
    if (knock.kind !== "one-time") return [];
    return knock.sequences.map(({ steps, line }) => ({ door, steps, withinMs, from, line }));
  });
}

/** Who watches an endpoint, by its key. */
export function watchesOf(rules: readonly KnockRule[]): Map<number, Watch[]> {
  const watches = new Map<number, Watch[]>();
  rules.forEach(({ steps }, rule) => {
    for (const [key, tests] of testsOf(steps)) {
      const list = watches.get(key);
      if (list === undefined) watches.set(key, [{ rule, tests }]);
      else list.push({ rule, tests });
    }
  });
  return watches;
}

function testsOf(steps: readonly Step[]): Map<number, WatchTest[]> {
  const endpoints = new Map<number, WatchTest[]>();
  steps.forEach(({ protocol, port, flags }, index) => {
    const key = endpointKey(PROTOCOL[protocol], port);
    const tests = endpoints.get(key) ?? [];
    const { mask, value } = protocol === "tcp" ? flags : NO_FLAGS;
    const same = tests.findIndex((test) => test.mask === mask && test.value === value);
    const others = tests[same]?.steps ?? 0;
    const test = { mask, value, steps: others | 1 << index };
    endpoints.set(key, same === -1 ? [...tests, test] : tests.with(same, test));
  });
  return endpoints;
}

const NO_FLAGS = { mask: 0, value: 0 };

/** How many rules the first knock of one of them can begin at once, at most. */
export function sharedFirst(rules: readonly KnockRule[]): number {
  const counts = new Map<number, number>();
  for (const { steps } of rules) {
    const [first] = steps;
    if (first === undefined) continue;
    const key = endpointKey(PROTOCOL[first.protocol], first.port);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return Math.max(1, ...counts.values());
}
