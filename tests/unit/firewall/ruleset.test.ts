// The invariants of the ruleset, whatever the configuration: read from its rules, and from what a
// naive nf_tables does by them with any packet.

import fc from "fast-check";
import assert from "node:assert/strict";
import type { Config, Door, PortRange, Step } from "../../../src/config/config.ts";
import {
  onlyNewcomers,
  REFUSED_PREFIX,
  type Ruleset,
  rulesetOf,
} from "../../../src/firewall/ruleset.ts";
import { ruleText } from "../../../src/nftables/rule.ts";
import { configOf, plainDoor, stepOf } from "../../support/configs.ts";
import { rulesetConfigs } from "../../support/ruleset_configs.ts";
import { type Packet, traverse } from "./naive_nft.ts";

const QUEUE = 4_660;
/** LET_IN_MARK as nft lists it: "pkin". */
const MARK = "0x706b696e";
const SHARE = { modulus: 3, seed: 1, value: 2 };
const FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"] as const;

/** Every form that a ruleset can take. */
const rulesets = Object.entries(rulesetConfigs).flatMap(([what, config]) =>
  (["queue", "xt-target"] as const).map((kind) => {
    const [ruleset, beyond] = [rulesetOf(config, kind), rulesetOf(config, kind, SHARE)];
    return { name: `${what}, ${kind}`, config, ruleset, beyond, wish: wishOf(config) };
  })
);

for (const { name, config, ruleset, beyond, wish } of rulesets) {
  const texts = ruleset.rules.map((rule) => ({ chain: rule.chain, text: ruleText(rule) }));
  const test = (what: string, fn: () => void) => Deno.test(`the ruleset (${name}) ${what}`, fn);
  const holds = (check: (journey: Journey) => void) => forPackets(config, ruleset, check);

  test("gives packets to user space as copies, or in chain hold", () => {
    const held = texts.filter(({ text }) => /\bqueue\b/.test(text));
    assert.deepEqual([...new Set(held.map(({ chain }) => chain))], ["hold"]);
    const copied = texts.filter(({ text }) => /\blog\b/.test(text));
    const early = ruleset.ports.early === undefined ? [] : ["early"];
    const range = wish.changing.length > 0 ? ["range"] : [];
    assert.deepEqual(copied.map(({ chain }) => chain), [
      ...[...early, "knock", "final", ...range, "refuse"],
    ]);
    const numbers = texts.flatMap(({ text }) => [...text.matchAll(/(?:group|bypass to) (\d+)/g)]);
    assert.deepEqual([...new Set(numbers.map(([, number]) => number))], [String(QUEUE)]);
    assert.ok(held.every(({ text }) => text.includes("flags bypass")));
  });

  test("asks connection tracking, which has fragments put together before the rules, or never", () => {
    const tracked = config.filter === "stateful";
    assert.equal(texts.some(({ text }) => /\bct\b/.test(text)), tracked);
    if (tracked) return;
    const parts = fc.constantFrom("flags", "ports", "protocol", "nothing");
    holds(({ packet, guard: whole }) => {
      fc.assert(
        fc.property(parts, (reaches) => {
          const { verdict } = traverse(ruleset, "guard", { ...packet, reaches });
          const seen = !packet.loopback && packet.to !== "unicast";
          if (reaches === "flags") assert.equal(verdict, whole.verdict);
          // No flags, no SYN to be judged: nothing to a guarded port can be allowed to pass.
          if (reaches === "ports" && packet.protocol === "tcp") {
            assert.equal(verdict !== "accept", seen && wish.guards(packet));
          }
          // Not the first of its fragments, and nothing without that one.
          if (reaches === "protocol") assert.equal(verdict, "accept");
          if (reaches === "nothing") assert.equal(verdict, seen ? "drop" : "accept");
        }),
        { numRuns: 4 },
      );
    });
  });

  test("accepts SYNs in gate only by a grant, or the mark of one that is being written, and datagrams by a grant or as answers", () => {
    const gate = texts.filter(({ chain }) => chain === "gate").map(({ text }) => text);
    for (const first of ["tcp flags syn / syn,ack", "meta l4proto udp"]) {
      const rules = gate.filter((text) => text.startsWith(`${first} `));
      assert.ok(rules.length === 0 || rules.at(-1) === `${first} goto refuse`);
      const others = rules.slice(0, -1).filter((text) =>
        !text.endsWith(" ct state established drop") &&
        text !== "meta l4proto udp ct state established ct direction reply accept"
      );
      const byMark = `${first} meta mark ${MARK} meta mark set 0x00000000 accept`;
      assert.ok(others.every((text) => text === byMark || /@grants[46] accept$/.test(text)));
      // What is said of sessions older than pk is said of TCP alone.
      const last = gate.findLastIndex((text) => text.startsWith(`${first} `));
      const inherited = gate.findIndex((text) => text.includes("@inherited"));
      assert.ok(inherited === -1 || last < inherited);
    }
    const refuse = texts.filter(({ chain }) => chain === "refuse").map(({ text }) => text);
    assert.ok(!refuse.some((text) => /\b(accept|goto|queue)\b/.test(text)));
    assert.equal(refuse.at(-1), "drop");
  });

  test("has every set, counter and chain that a rule names, and names all it has", () => {
    const named = (pattern: RegExp) =>
      unique(texts.flatMap(({ text }) => [...text.matchAll(pattern)].map(([, one]) => one ?? "")));
    assert.deepEqual(named(/@(\w+)/g), unique(ruleset.sets.map((set) => set.name)));
    const counters = beyond.rules.flatMap((rule) => {
      return [...ruleText(rule).matchAll(/counter name "(\w+)"/g)].map(([, one]) => one ?? "");
    });
    assert.deepEqual(unique(counters), unique(ruleset.counters));
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

  test("asks for nothing that no packet of the configuration needs", () => {
    const text = texts.map(({ text }) => text).join("\n");
    const steps = wish.steps.map(({ protocol }) => protocol);
    const ports = [...wish.opens, ...wish.changing, ...config.decoys.map(single)];
    const udp = steps.includes("udp") || ports.some(({ protocol }) => protocol === "udp");
    assert.equal(/\budp\b/.test(text), udp);
    assert.equal(/\bicmp /.test(text), steps.includes("icmp"));
    assert.equal(/\bicmpv6 /.test(text), steps.includes("icmp6"));
    assert.equal(
      /@inherited/.test(text),
      config.filter === "stateful" && wish.opens.some(({ protocol }) => protocol === "tcp"),
    );
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

  test("lets a packet to a guarded port in by its grant, its mark, its connection or its age", () => {
    holds(({ packet, watch, guard }) => {
      const guarded = wish.guards(packet) && !packet.loopback && packet.to !== "unicast";
      const granted = packet.sourceIn.includes("grants") || packet.letIn;
      if (config.filter === "stateless") {
        const judged = guarded && (packet.protocol === "udp" || isSyn(packet));
        return assert.equal(guard.verdict === "accept", !judged || granted);
      }
      const established = packet.established && (wish.keeps(packet) || granted || packet.reply);
      const goes = packet.protocol === "udp"
        ? granted || established
        : isSyn(packet)
        ? granted
        : established || packet.sourceIn.includes("inherited") ||
          // The end of a connection is let through.
          (packet.established && packet.flags.includes("rst"));
      assert.equal(guard.verdict === "accept", !guarded || goes);
      // Nobody else sees the mark.
      assert.ok(guard.verdict !== "accept" || !guard.marked);
      // What is refused before connection tracking would be refused after it, too.
      if (watch.verdict !== "accept" && watch.verdict !== "queue") assert.ok(guarded && !goes);
    });
  });

  test("takes the mark away also where the grant is there by now", () => {
    holds(({ packet }) => {
      if (!isSyn(packet) || !wish.guards(packet) || !isSeen(packet)) return;
      const sourceIn = [...packet.sourceIn, "grants"];
      const fate = traverse(ruleset, "guard", { ...packet, letIn: true, sourceIn });
      assert.deepEqual([fate.verdict, fate.marked], ["accept", false]);
    });
  });

  test("holds first SYNs and datagrams to guarded ports from finishing sources without a grant, nothing else", () => {
    holds(({ packet, watch, guard }) => {
      const shut = isSeen(packet) && (isFirstSyn(packet) || packet.protocol === "udp") &&
        wish.guards(packet) && !packet.sourceIn.includes("grants");
      const ranging = wish.changing.length > 0 && packet.sourceIn.includes("ranging");
      const refused = packet.sourceIn.includes("finishing") || ranging
        ? "queue"
        : packet.protocol === "udp"
        ? "accept"
        : config.refuse;
      assert.equal(watch.verdict, shut ? refused : "accept");
      assert.notEqual(guard.verdict, "queue");
    });
  });

  test("copies and counts each knock once, and marks what finishes or betrays a source", () => {
    holds(({ packet, watch }) => {
      if (wish.guards(packet)) return;
      const bans = config.banMs !== undefined && config.decoys.length > 0;
      const banned = bans && packet.sourceIn.includes("banned");
      // Of a source that is no peer the last knocks are not seen, so that it never gets in.
      const final = wish.finishes(packet);
      const ranges = !final && wish.ranges(packet);
      const noPeer = (final || ranges) && ["local", "broadcast"].includes(packet.from);
      const knocked = isSeen(packet) && wish.isKnock(packet) && !banned && !noPeer;
      assert.deepEqual(watch.copies, knocked ? [""] : []);
      assert.deepEqual(watch.counted, knocked ? ["knocks"] : []);
      const number = packet.family === "ip" ? 4 : 6;
      const set = final
        ? `finishing${number}`
        : ranges
        ? `ranging${number}`
        : bans && wish.isDecoy(packet)
        ? `banned${number}`
        : undefined;
      const takes = knocked && set !== undefined && !packet.full.includes(set.slice(0, -1));
      assert.deepEqual(watch.remembered, takes ? [set] : []);
    });
  });

  test("copies no knock of a source that is not heard, and does everything else alike", () => {
    assert.deepEqual({ ...beyond, rules: ruleset.rules }, ruleset);
    holds(({ packet, watch, guard }) => {
      const through = (heard: boolean) =>
        traverse(beyond, "watch", { ...packet, heard, letIn: false });
      assert.deepEqual(through(true), watch);
      assert.deepEqual(traverse(beyond, "guard", { ...packet, heard: false }), guard);
      const unheard = through(false);
      assert.equal(unheard.verdict, watch.verdict);
      if (wish.guards(packet)) return assert.deepEqual(unheard, watch);
      assert.deepEqual([unheard.copies, unheard.remembered], [[], []]);
      if (watch.copies.length > 0) assert.deepEqual(unheard.counted, ["unheard"]);
    });
  });

  test("judges SYNs alike, and lets other segments pass, without connection tracking", () => {
    const early = onlyNewcomers(ruleset);
    if (config.filter === "stateless") return assert.equal(early, ruleset);
    assert.ok(!early.rules.some((rule) => /\bct\b/.test(ruleText(rule))));
    holds(({ packet, watch, guard }) => {
      assert.deepEqual(traverse(early, "watch", { ...packet, letIn: false }), watch);
      const fate = traverse(early, "guard", packet);
      if (packet.protocol !== "udp") {
        assert.equal(fate.verdict, isSyn(packet) ? guard.verdict : "accept");
        return;
      }
      // A datagram needs a grant, established or not, and gets no answer.
      const guarded = wish.guards(packet) && !packet.loopback && packet.to !== "unicast";
      const shut = guarded && !packet.sourceIn.includes("grants") && !packet.letIn;
      assert.deepEqual(fate, { ...fate, verdict: shut ? "drop" : "accept", copies: [] });
    });
  });

  test("counts every SYN and datagram that it refuses, and copies some", () => {
    holds(({ packet, watch, guard }) => {
      for (const fate of [guard, ...(wish.guards(packet) ? [watch] : [])]) {
        // What was established and is cut is no newcomer.
        const known = packet.established && config.filter === "stateful";
        const newcomer = isSyn(packet) || (packet.protocol === "udp" && !known);
        const refused = newcomer && fate.verdict !== "accept" && fate.verdict !== "queue";
        assert.deepEqual(fate.counted, refused ? ["refused"] : []);
        assert.deepEqual(fate.copies, refused && packet.withinLimit ? [REFUSED_PREFIX] : []);
        if (!refused) continue;
        const answer = packet.protocol === "udp" ? "unreachable" : "reset";
        assert.equal(fate.verdict, config.refuse === "reset" ? answer : "drop");
      }
    });
  });
}

Deno.test("the ruleset cuts established datagrams without an answer", () => {
  const config = rulesetConfigs["keep and cut"];
  assert.ok(config !== undefined && config.refuse === "reset");
  forPackets(config, rulesetOf(config, "queue"), ({ packet, guard }) => {
    if (packet.protocol !== "udp" || !packet.established || guard.verdict === "accept") return;
    assert.deepEqual([packet.port, guard.verdict, guard.copies], [51_821, "drop", []]);
  });
});

Deno.test("the ruleset looks at no segment of a connection to a guarded port, whatever flags a step has", () => {
  const step = stepOf("tcp/22", { flags: { mask: 0x10, value: 0x10 } });
  const config = configOf({ doors: [plainDoor({ steps: [step, "tcp/7000", step] })] });
  const { ports, rules } = rulesetOf(config, "queue");
  assert.equal(ports.flagged, undefined);
  assert.ok(!rules.some((rule) => /ack\) ==|@flagged/.test(ruleText(rule))));
});

Deno.test("the ruleset keeps no connection of a port that another door cuts", () => {
  const doors = [plainDoor({ opens: ["tcp/22", "tcp/23"] }), plainDoor({ onExpire: "cut" })];
  const { ports } = rulesetOf(configOf({ doors }), "queue");
  assert.deepEqual(ports.kept, [{ protocol: "tcp", port: 23 }]);
});

Deno.test("the prefix of refused SYNs is a mark, and short enough for the kernel", () => {
  assert.match(REFUSED_PREFIX, /^[a-z]{1,127}$/);
});

/** What a configuration is about, told from its doors and packet by packet. */
function wishOf({ doors, decoys }: Config) {
  const sequences = doors.flatMap(({ knock }) =>
    knock.kind === "plain"
      ? [knock.steps]
      : knock.kind === "one-time"
      ? knock.sequences.map(({ steps }) => steps)
      : []
  );
  const changing = doors.flatMap(({ knock }) =>
    knock.kind === "rotating" || knock.kind === "encrypted" ? [knock.ports] : []
  );
  const opens = doors.flatMap((door) => door.opens);
  const steps = sequences.flat();
  const opensFor = (packet: Packet, onExpire: Door["onExpire"]) =>
    doors.some((door) =>
      door.onExpire === onExpire && door.opens.some((range) => isWithin(packet, range))
    );
  const guards = (packet: Packet) => opens.some((range) => isWithin(packet, range));
  const isDecoy = (packet: Packet) => decoys.some((one) => isWithin(packet, single(one)));
  const tests = steps.filter(hasFlags).map(({ flags }) => flags);
  return {
    opens,
    changing,
    steps,
    guards,
    keeps: (packet: Packet) => opensFor(packet, "keep"),
    isDecoy,
    isKnock(packet: Packet) {
      if (packet.protocol === "icmp" || packet.protocol === "icmp6") {
        return steps.some((step) => isAt(packet, step));
      }
      const watched = steps.some((step) => !hasFlags(step) && isAt(packet, step)) ||
        changing.some((range) => isWithin(packet, range)) || isDecoy(packet);
      if (watched && (packet.protocol === "udp" || isFirstSyn(packet))) return true;
      const flagged = steps.some((step) => hasFlags(step) && isAt(packet, step));
      return packet.protocol === "tcp" && flagged &&
        tests.some(({ mask, value }) => (bitsOf(packet) & mask) === value);
    },
    ranges: (packet: Packet) => changing.some((range) => isWithin(packet, range)),
    finishes: (packet: Packet) =>
      sequences.some((sequence) => sequence.slice(-2).some((step) => isAt(packet, step))),
  };
}

/** Packets that this configuration could be interested in, and others. */
function packetsFor(config: Config): fc.Arbitrary<Packet> {
  const { opens, changing, steps } = wishOf(config);
  const ends = [...opens, ...changing, ...config.decoys.map(single)].flatMap((
    { protocol, first, last },
  ) => [{ protocol, port: first }, { protocol, port: last }]);
  const places = [
    ...ends,
    ...steps.map(({ protocol, port }) => ({ protocol, port })),
    ...opens.map(({ protocol, first }) => ({ protocol, port: first })),
    // The same number over the other protocol, and one beside.
    ...ends.map(({ protocol, port }) => ({ protocol: protocol === "tcp" ? "udp" : "tcp", port })),
    ...steps.map(({ protocol, port }) => ({ protocol, port: port + 1 })),
    { protocol: "tcp", port: 443 },
    { protocol: "udp", port: 443 },
    { protocol: "icmp", port: 57 },
    { protocol: "icmp6", port: 57 },
  ] as readonly { protocol: Packet["protocol"]; port: number }[];
  return fc.record({
    place: fc.constantFrom(...places),
    family: fc.constantFrom("ip" as const, "ip6" as const),
    // First SYNs are what most rules are about.
    flags: fc.oneof(fc.constant(["syn"]), fc.constant(["ack"]), fc.subarray([...FLAGS])),
    loopback: fc.oneof(fc.constant(false), fc.boolean()),
    to: fc.constantFrom("local", "local", "local", "unicast", "broadcast", "multicast", "anycast"),
    from: fc.constantFrom("unicast", "unicast", "unicast", "local", "broadcast", "multicast"),
    established: fc.boolean(),
    reply: fc.boolean(),
    letIn: fc.boolean(),
    heard: fc.constant(true),
    reaches: fc.constant("flags" as const),
    sourceIn: fc.subarray(["grants", "inherited", "finishing", "ranging", "banned"]),
    withinLimit: fc.boolean(),
    full: fc.subarray(["finishing", "ranging", "banned"]),
  }, { noNullPrototype: true }).map(({ place, ...packet }): Packet => ({
    ...packet,
    ...place,
    family: place.protocol === "icmp" ? "ip" : place.protocol === "icmp6" ? "ip6" : packet.family,
    flags: place.protocol === "tcp" ? packet.flags : [],
  }));
}

interface Journey {
  readonly packet: Packet;
  readonly watch: ReturnType<typeof traverse>;
  readonly guard: ReturnType<typeof traverse>;
}

/** Sends packets through both hooks of the ruleset. Only a SYN that was held can bear the mark. */
function forPackets(config: Config, ruleset: Ruleset, check: (journey: Journey) => void): void {
  fc.assert(
    fc.property(packetsFor(config), (packet) => {
      const watch = traverse(ruleset, "watch", { ...packet, letIn: false });
      const judged = {
        ...packet,
        letIn: packet.letIn && isSyn(packet) && watch.verdict === "queue",
      };
      check({ packet: judged, watch, guard: traverse(ruleset, "guard", judged) });
    }),
    { numRuns: 500 },
  );
}

/** A segment that would open a connection, whatever else it says. */
function isSyn({ protocol, flags }: Packet): boolean {
  return protocol === "tcp" && flags.includes("syn") && !flags.includes("ack");
}

/** A SYN as clients send it first. */
function isFirstSyn(packet: Packet): boolean {
  return isSyn(packet) && !packet.flags.includes("fin") && !packet.flags.includes("rst");
}

/** From outside, to an address of this host. */
function isSeen({ loopback, to }: Packet): boolean {
  return !loopback && to === "local";
}

function isWithin({ protocol, port }: Packet, range: PortRange): boolean {
  return protocol === range.protocol && port >= range.first && port <= range.last;
}

function isAt({ protocol, port }: Packet, step: Step): boolean {
  return protocol === step.protocol && port === step.port;
}

/** For segments other than first SYNs. */
function hasFlags({ protocol, flags }: Step): boolean {
  return protocol === "tcp" && (flags.mask !== 0x17 || flags.value !== 0x02);
}

function bitsOf({ flags }: Packet): number {
  return flags.reduce((bits, flag) => bits | 1 << FLAGS.findIndex((one) => one === flag), 0);
}

function single({ protocol, port }: Config["decoys"][number]): PortRange {
  return { protocol, first: port, last: port };
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
