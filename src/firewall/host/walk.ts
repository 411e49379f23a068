// What can become of a packet in a base chain: all outcomes that its rules allow, where "may match" is
// always taken both ways. So the set may hold outcomes that no packet meets, but lacks none.
//
// **Invariant:** what is not understood can have every outcome.

import { LITTLE_ENDIAN } from "../../bytes/endian.ts";
import { type Attributes, getU32be } from "../../netlink/attribute.ts";
import type { ListedExpression } from "../../nftables/listing/expression.ts";
import type { ListedChain, ListedRule } from "../../nftables/listing/objects.ts";
import type { Verdict } from "../../nftables/listing/verdict.ts";
import { HOST_STEPS_MAX } from "../../limits.ts";
import type { HostRuleset } from "./host_ruleset.ts";
import {
  type Answer,
  bitwise,
  equals,
  exactly,
  isBelow,
  isUnknown,
  isWithin,
  type KnownBytes,
  not,
  slice,
  swapped,
} from "./known_bytes.ts";
import { ctOf, fibOf, metaOf, type Newcomer, payloadOf } from "./newcomer.ts";
import { Registers } from "./registers.ts";
import { find } from "./set_lookup.ts";
import { matchHolds, targetDoes } from "./xtables.ts";

/** Steps between two looks at the clock: some milliseconds. */
const STEPS_UNTIMED = 512;

/** Jumps within jumps, as the kernel allows (NFT_JUMP_STACK_SIZE). */
const JUMPS_MAX = 16;

/** What can become of packets, as bits: go on in the rule, with the next one, behind the chain. */
const OUTCOME = { accept: 1, drop: 2, on: 4, next: 8, leave: 16 } as const;
const ANYTHING = OUTCOME.accept | OUTCOME.drop | OUTCOME.on | OUTCOME.next | OUTCOME.leave;

export interface Outcomes {
  readonly mayAccept: boolean;
  /** The packet may be another one afterwards: its destination, or something pk knows nothing of. */
  readonly mayChange: boolean;
  /** Connection tracking may be told to leave it out. */
  readonly mayUntrack: boolean;
}

/**
 * What can become of the newcomer in this base chain.
 *
 * @param isLate asked now and then: what has not been walked by then can have every outcome.
 */
export function walk(
  ruleset: HostRuleset,
  chain: ListedChain,
  newcomer: Newcomer,
  isLate: () => boolean,
): Outcomes {
  const seen = new Map<ListedChain, number>();
  let stepsLeft = HOST_STEPS_MAX;
  let mayChange = false;
  let mayUntrack = false;

  const anything = () => {
    mayChange = true;
    return ANYTHING;
  };

  /** Accept, drop, and `next` for a packet that comes out of the chain. */
  const walkChain = (one: ListedChain, depth: number): number => {
    const known = seen.get(one);
    if (known !== undefined) return known;
    let outcomes = 0;
    let goesOn = true;
    for (const rule of ruleset.rules(one)) {
      const result = walkRule(one, rule, depth);
      outcomes |= result & ~OUTCOME.next;
      goesOn = (result & OUTCOME.next) !== 0;
      if (!goesOn) break;
    }
    const comesOut = goesOn || (outcomes & OUTCOME.leave) !== 0;
    const result = outcomes & ~OUTCOME.leave | (comesOut ? OUTCOME.next : 0);
    seen.set(one, result);
    return result;
  };

  const walkRule = (one: ListedChain, rule: ListedRule, depth: number): number => {
    const registers = new Registers();
    let outcomes = 0;
    for (const expression of rule) {
      if (--stepsLeft % STEPS_UNTIMED === 0 && isLate()) stepsLeft = 0;
      if (stepsLeft <= 0) return anything();
      const step = carryOut(one, expression, registers, depth);
      if (step === "no") return outcomes | OUTCOME.next;
      if (step === "maybe") outcomes |= OUTCOME.next;
      if (typeof step !== "number") continue;
      outcomes |= step & ~OUTCOME.on;
      if ((step & OUTCOME.on) === 0) return outcomes;
    }
    return outcomes | OUTCOME.next;
  };

  /** Whether the rule goes on, or the outcomes of its verdict. */
  const carryOut = (
    one: ListedChain,
    expression: ListedExpression,
    registers: Registers,
    depth: number,
  ): Answer | number => {
    switch (expression.kind) {
      case "payload": {
        const { base, offset, length, to } = expression;
        registers.store(to, padded(payloadOf(newcomer, base, offset, length)));
        return "yes";
      }
      case "meta":
        registers.store(expression.to, metaOf(newcomer, expression.key));
        return "yes";
      case "ct":
        registers.store(expression.to, ctOf(newcomer, expression.key));
        return "yes";
      case "fib":
        registers.store(expression.to, fibOf(expression.result, expression.flags));
        return "yes";
      case "immediate":
        registers.store(expression.to, padded(exactly(expression.value)));
        return "yes";
      case "bitwise": {
        const { from, to, mask, xor } = expression;
        registers.store(to, bitwise(registers.load(from, mask.length), mask, xor));
        return "yes";
      }
      case "byteorder": {
        const { from, to, length, size } = expression;
        // What is less than a whole number stays as it is: nft asks for half a one.
        const value = registers.load(from, length - length % size);
        registers.store(to, LITTLE_ENDIAN ? swapped(value, size) : value);
        return "yes";
      }
      case "cmp":
        return compare(registers, expression);
      case "range": {
        const { at, first, last, inverted } = expression;
        const within = isWithin(registers.load(at, first.length), first, last);
        return inverted ? not(within) : within;
      }
      case "lookup":
        return lookUp(one, expression, registers, depth);
      case "verdict":
        return outcomesOf(one, expression.verdict, depth);
      case "reject":
        return OUTCOME.drop;
      case "xt":
        return xtables(expression);
      case "opaque":
        return unknownExpression(expression.name, expression.attributes, registers);
    }
  };

  const lookUp = (
    one: ListedChain,
    { at, set: name, inverted, gives }: ListedExpression & { kind: "lookup" },
    registers: Registers,
    depth: number,
  ): Answer | number => {
    const set = ruleset.set(one, name);
    if (set === undefined || (set.changing && gives === "verdict")) return anything();
    const keyAt = (length: number) => registers.load(at, length);
    // A set of addresses may be long, and says nothing here.
    if (gives === "nothing" && (set.changing || isUnknown(keyAt(set.keyLength)))) return "maybe";
    const found = find(set, ruleset.elements(set), keyAt);
    const certain = found.some((each) => each.certain);
    stepsLeft -= found.length;
    if (gives === "nothing") {
      const holds = certain ? "yes" : found.length > 0 ? "maybe" : "no";
      return inverted ? not(holds) : holds;
    }
    if (found.length === 0) return "no";
    const outcomes = found.map(({ element }) =>
      element.verdict === undefined ? anything() : outcomesOf(one, element.verdict, depth)
    );
    return outcomes.reduce((sum, each) => sum | each, certain ? 0 : OUTCOME.next);
  };

  const outcomesOf = (one: ListedChain, verdict: Verdict, depth: number): number => {
    switch (verdict.kind) {
      case "accept":
      case "drop":
      case "on":
      case "next":
        return OUTCOME[verdict.kind];
      case "return":
        return OUTCOME.leave;
      case "jump":
      case "goto": {
        const target = ruleset.chain(one, verdict.chain);
        if (target === undefined || depth >= JUMPS_MAX) return anything();
        const outcomes = walkChain(target, depth + 1);
        // Who comes out of a chain it went to comes out of the one it came from, too.
        return verdict.kind === "goto" && (outcomes & OUTCOME.next) !== 0
          ? outcomes & ~OUTCOME.next | OUTCOME.leave
          : outcomes;
      }
      case "other":
        return anything();
    }
  };

  const xtables = (
    { of, name, revision, info }: ListedExpression & { kind: "xt" },
  ): Answer | number => {
    if (of === "match") return matchHolds(newcomer, name, revision, info);
    const does = targetDoes(name);
    if (does === "drop") return OUTCOME.drop;
    if (does === "anything") return anything();
    mayUntrack ||= does === "untracks";
    return "yes";
  };

  const unknownExpression = (
    name: string,
    attributes: Attributes,
    registers: Registers,
  ): Answer | number => {
    if (name === "notrack") mayUntrack = true;
    if (isPassive(name, attributes)) return "yes";
    if (!TESTS.has(name)) return anything();
    registers.forget();
    return "maybe";
  };

  const outcomes = walkChain(chain, 0);
  const endsWith = chain.base?.policy === "drop" ? OUTCOME.drop : OUTCOME.accept;
  const verdicts = (outcomes & OUTCOME.next) !== 0 ? outcomes | endsWith : outcomes;
  return { mayAccept: (verdicts & OUTCOME.accept) !== 0, mayChange, mayUntrack };
}

function compare(
  registers: Registers,
  { at, op, value }: ListedExpression & { kind: "cmp" },
): Answer {
  const loaded = registers.load(at, value.length);
  switch (op) {
    case "eq":
      return equals(loaded, value);
    case "neq":
      return not(equals(loaded, value));
    case "lt":
      return isBelow(loaded, value, false);
    case "lte":
      return isBelow(loaded, value, true);
    case "gt":
      return not(isBelow(loaded, value, true));
    case "gte":
      return not(isBelow(loaded, value, false));
  }
}

/** Bytes as they lie in registers of four, the rest of the last one 0. */
function padded(value: KnownBytes): KnownBytes {
  const length = Math.ceil(value.bits.length / 4) * 4;
  const known = new Uint8Array(length).fill(0xff);
  known.set(value.known);
  return { ...slice(value, 0, length), known };
}

/** Expressions that may end the rule, and that may load a register; nothing else. */
const TESTS: ReadonlySet<string> = new Set([
  "bitwise",
  "connlimit",
  "dynset",
  "exthdr",
  "hash",
  "inner",
  "limit",
  "lookup",
  "numgen",
  "objref",
  "osf",
  "quota",
  "rt",
  "socket",
  "tunnel",
  "xfrm",
]);

const SET_REGISTER = { meta: 3, ct: 4 } as const;
const NFTA_OBJREF_IMM_TYPE = 1;
/** Counter, helper, tunnel, timeout, secmark, expectation (NFT_OBJECT_*): never the end of a rule. */
const PASSIVE_OBJECTS: ReadonlySet<number | undefined> = new Set([1, 3, 6, 7, 8, 9]);

/** Does the rule go on behind it, whatever the packet? */
function isPassive(name: string, attributes: Attributes): boolean {
  switch (name) {
    case "counter":
    case "last":
    case "log":
    case "notrack":
      return true;
    case "meta":
    case "ct":
      return attributes.has(SET_REGISTER[name]);
    case "objref":
      return PASSIVE_OBJECTS.has(getU32be(attributes, NFTA_OBJREF_IMM_TYPE));
    default:
      return false;
  }
}
