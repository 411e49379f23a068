// The invariants of the ruleset, whatever the configuration: read from its rules, and from what a
// naive nf_tables does by them with any packet.

import fc from "fast-check";
import assert from "node:assert/strict";
import type { Config, Milliseconds } from "../../../src/config/config.ts";
import { parseFlags } from "../../../src/config/flags.ts";
import {
  onlyNewcomers,
  REFUSED_PREFIX,
  type Ruleset,
  rulesetOf,
} from "../../../src/firewall/ruleset.ts";
import { ruleText } from "../../../src/nftables/rule.ts";
import { type Packet, traverse } from "./naive_nft.ts";

const QUEUE = 4_660;
const PORTS = { guarded: 22, first: 7_000, finals: [8_000, 9_000], decoy: 6_000, other: 443 };
const { config: plain } = parseFlags({
  portSeq: "7000,8000,9000",
  portDest: "22",
  decoys: "6000",
  queueNum: String(QUEUE),
  tableOwner: true,
});
/** Every form that a ruleset can take. */
const rulesets = (["drop", "reset"] as const).flatMap((refuse) =>
  (["keep", "cut"] as const).flatMap((onExpire) =>
    [undefined, 60_000 as Milliseconds].flatMap((banMs) =>
      (["queue", "xt-target"] as const).map((kind) => {
        const config: Config = { ...plain, refuse, onExpire, banMs };
        const name = `${refuse}, ${onExpire}, ${banMs === undefined ? "no ban" : "ban"}, ${kind}`;
        return { name, config, ruleset: rulesetOf(config, kind) };
      })
    )
  )
);

for (const { name, config, ruleset } of rulesets) {
  const texts = ruleset.rules.map((rule) => ({ chain: rule.chain, text: ruleText(rule) }));
  const test = (what: string, fn: () => void) => Deno.test(`the ruleset (${name}) ${what}`, fn);

  test("gives packets to user space as copies, or in chain hold", () => {
    const held = texts.filter(({ text }) => /\bqueue\b/.test(text));
    assert.deepEqual([...new Set(held.map(({ chain }) => chain))], ["hold"]);
    const copied = texts.filter(({ text }) => /\blog\b/.test(text));
    assert.deepEqual(copied.map(({ chain }) => chain), ["knock", "final", "refuse"]);
    const numbers = texts.flatMap(({ text }) => [...text.matchAll(/(?:group|bypass to) (\d+)/g)]);
    assert.deepEqual([...new Set(numbers.map(([, number]) => number))], [String(QUEUE)]);
    assert.ok(held.every(({ text }) => text.includes("flags bypass")));
  });

  test("accepts SYNs in gate only by a grant", () => {
    const gate = texts.filter(({ chain }) => chain === "gate").map(({ text }) => text);
    const end = gate.indexOf("tcp flags syn / syn,ack goto refuse");
    assert.ok(end > 0);
    assert.ok(gate.slice(0, end).every((text) => /@grants[46] accept$/.test(text)));
    const refuse = texts.filter(({ chain }) => chain === "refuse").map(({ text }) => text);
    assert.ok(!refuse.some((text) => /\b(accept|goto|queue)\b/.test(text)));
    assert.equal(refuse.at(-1), "drop");
  });

  test("has every set, counter and chain that a rule names, and names all it has", () => {
    const named = (pattern: RegExp) =>
      unique(texts.flatMap(({ text }) => [...text.matchAll(pattern)].map(([, one]) => one ?? "")));
    // Without a ban there is nothing that the kernel does with decoys.
    const used = [...named(/@(\w+)/g), ...(config.banMs === undefined ? ["decoys"] : [])];
    assert.deepEqual(unique(used), unique(ruleset.sets.map((set) => set.name)));
    assert.deepEqual(named(/counter name "(\w+)"/g), unique(ruleset.counters));
    const chains = ruleset.chains.map((chain) => chain.name);
    assert.equal(new Set(chains).size, chains.length);
    const bases = ruleset.chains.filter((chain) => chain.prerouting !== undefined);
    assert.deepEqual(unique([...named(/goto (\w+)/g), ...bases.map((chain) => chain.name)]), [
      ...unique(chains),
    ]);
    assert.deepEqual(unique(ruleset.rules.map((rule) => rule.chain)), unique(chains));
    const elements = Object.keys(ruleset.ports);
    assert.deepEqual(elements.filter((set) => !ruleset.sets.some(({ name }) => name === set)), []);
  });

  test("looks up in a set what the set has, and puts only into sets made for it", () => {
    const words = { ipv4_addr: "ip saddr", ipv6_addr: "ip6 saddr" } as Record<string, string>;
    for (const { text } of texts) {
      for (const [, key = "", name] of text.matchAll(/((?:[\w-]+ )?[\w-]+ (?:\. .*?)?)@(\w+)/g)) {
        const set = ruleset.sets.find((set) => set.name === name);
        if (key.startsWith("update")) {
          assert.ok(set?.dynamic && set.timeoutMs !== undefined && set.size !== undefined, text);
          assert.ok(text.includes(`{ ${words[set.key[0] ?? ""]} }`), text);
        } else {
          assert.equal(key.split(" . ").length, set?.key.length, text);
          const address = words[set?.key[0] ?? ""];
          assert.ok(address === undefined || key.includes(address), text);
        }
      }
    }
  });

  test("lets a segment to a guarded port in by its grant, its connection or its age", () => {
    holds(ruleset, ({ packet, watch, guard }) => {
      const guarded = packet.protocol === "tcp" && packet.port === PORTS.guarded &&
        !packet.loopback && packet.to === "local";
      const granted = packet.sourceIn.includes("grants");
      const established = packet.established && (config.onExpire === "keep" || granted);
      const goes = isSyn(packet) ? granted : established || packet.sourceIn.includes("inherited") ||
        // The end of a connection is let through.
        (packet.established && packet.flags.includes("rst"));
      assert.equal(guard.verdict === "accept", !guarded || goes);
      // What is refused before connection tracking would be refused after it, too.
      if (watch.verdict !== "accept" && watch.verdict !== "queue") assert.ok(guarded && !goes);
    });
  });

  test("holds first SYNs to guarded ports from finishing sources without a grant, nothing else", () => {
    holds(ruleset, ({ packet, watch, guard }) => {
      const shut = isWatched(packet) && packet.port === PORTS.guarded &&
        !packet.sourceIn.includes("grants");
      const refused = packet.sourceIn.includes("finishing") ? "queue" : config.refuse;
      assert.equal(watch.verdict, shut ? refused : "accept");
      assert.notEqual(guard.verdict, "queue");
    });
  });

  test("copies and counts each knock once, and marks what finishes or betrays a source", () => {
    const knocks = [PORTS.first, ...PORTS.finals, PORTS.decoy];
    holds(ruleset, ({ packet, watch }) => {
      if (packet.port === PORTS.guarded) return;
      const banned = config.banMs !== undefined && packet.sourceIn.includes("banned");
      // Of a source that is no peer the last knocks are not seen, so that it never gets in.
      const noPeer = PORTS.finals.includes(packet.port) &&
        ["local", "broadcast"].includes(packet.from);
      const knocked = isWatched(packet) && knocks.includes(packet.port) && !banned && !noPeer;
      assert.deepEqual(watch.copies, knocked ? [""] : []);
      assert.deepEqual(watch.counted, knocked ? ["knocks"] : []);
      const number = packet.family === "ip" ? 4 : 6;
      const [finishing, bannedNow] = [`finishing${number}`, `banned${number}`];
      const set = PORTS.finals.includes(packet.port)
        ? finishing
        : packet.port === PORTS.decoy && config.banMs !== undefined
        ? bannedNow
        : undefined;
      const takes = knocked && set !== undefined && !packet.full.includes(set.slice(0, -1));
      assert.deepEqual(watch.remembered, takes ? [set] : []);
    });
  });

  test("judges SYNs alike, and lets other segments pass, without connection tracking", () => {
    const early = onlyNewcomers(ruleset);
    holds(ruleset, ({ packet, watch, guard }) => {
      assert.deepEqual(traverse(early, "watch", packet), watch);
      const { verdict } = traverse(early, "guard", packet);
      assert.equal(verdict, isSyn(packet) ? guard.verdict : "accept");
    });
  });

  test("counts every SYN that it refuses, and copies some", () => {
    holds(ruleset, ({ packet, watch, guard }) => {
      for (const fate of [guard, ...(packet.port === PORTS.guarded ? [watch] : [])]) {
        const refused = isSyn(packet) && fate.verdict !== "accept" && fate.verdict !== "queue";
        assert.deepEqual(fate.counted, refused ? ["refused"] : []);
        assert.deepEqual(fate.copies, refused && packet.withinLimit ? [REFUSED_PREFIX] : []);
        if (refused) assert.equal(fate.verdict, config.refuse);
      }
    });
  });
}

Deno.test("the prefix of refused SYNs is a mark, and short enough for the kernel", () => {
  assert.match(REFUSED_PREFIX, /^[a-z]{1,127}$/);
});

const packets: fc.Arbitrary<Packet> = fc.record({
  family: fc.constantFrom("ip", "ip6"),
  protocol: fc.constantFrom("tcp", "tcp", "tcp", "udp"),
  // First SYNs are what most rules are about.
  flags: fc.oneof(
    fc.constant(["syn"]),
    fc.subarray(["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"]),
  ),
  port: fc.constantFrom(...Object.values(PORTS).flat(), PORTS.guarded, PORTS.guarded),
  loopback: fc.oneof(fc.constant(false), fc.boolean()),
  to: fc.constantFrom("local", "local", "local", "unicast", "broadcast", "multicast"),
  from: fc.constantFrom("unicast", "unicast", "unicast", "local", "broadcast", "multicast"),
  established: fc.boolean(),
  sourceIn: fc.subarray(["grants", "inherited", "finishing", "banned"]),
  withinLimit: fc.boolean(),
  full: fc.subarray(["finishing", "banned"]),
}, { noNullPrototype: true });

interface Journey {
  readonly packet: Packet;
  readonly watch: ReturnType<typeof traverse>;
  readonly guard: ReturnType<typeof traverse>;
}

/** Sends packets through both hooks of the ruleset. */
function holds(ruleset: Ruleset, check: (journey: Journey) => void): void {
  fc.assert(
    fc.property(packets, (packet) => {
      const [watch, guard] = ["watch", "guard"].map((base) => traverse(ruleset, base, packet));
      assert.ok(watch && guard);
      check({ packet, watch, guard });
    }),
    { numRuns: 500 },
  );
}

/** A segment that would open a connection, whatever else it says. */
function isSyn({ protocol, flags }: Packet): boolean {
  return protocol === "tcp" && flags.includes("syn") && !flags.includes("ack");
}

/** A SYN as clients send it first, to an address of this host. */
function isWatched(packet: Packet): boolean {
  const { flags, loopback, to } = packet;
  return isSyn(packet) && !flags.includes("fin") && !flags.includes("rst") && !loopback &&
    to === "local";
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
