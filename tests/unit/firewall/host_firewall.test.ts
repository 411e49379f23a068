// Who can get through which firewall: rulesets as the kernel dumps them (captured, see
// tests/golden/host_firewall/capture.ts) against the outcome that a person reads out of their text.
// Then dumps that are cut, changed or without end.

import assert from "node:assert/strict";
import { watchHostFirewall } from "../../../src/daemon/host_firewall_watch.ts";
import { DecodeError, KernelError } from "../../../src/errors.ts";
import { findObstacles, type Obstacle } from "../../../src/firewall/host_firewall.ts";
import { matchHolds } from "../../../src/firewall/host/xtables.ts";
import { HOST_LOOK_INTERVAL_MS } from "../../../src/limits.ts";
import { bounded } from "../../../src/netlink/bounded.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import { type Kernel, socketTo } from "../../support/fake_kernel.ts";
import { type Forbids, hostFirewallCases } from "../../support/host_firewall_cases.ts";
import { type Dumped, kernelWith, readCaptured } from "../../support/host_firewall_golden.ts";

const SSH = 22;
const captured = readCaptured("cases.txt");

for (const { name, text, forbids } of hostFirewallCases) {
  Deno.test(`host firewall: ${name}`, () => {
    const ruleset = captured.get(name);
    assert.ok(ruleset, "not captured: run tests/golden/host_firewall/capture.ts");
    assert.equal(ruleset.text.trim(), text.trim(), "captured from another text");
    assert.equal(verdictOn(look(ruleset.messages)[0]), forbids);
  });
}

Deno.test("host firewall: what ufw makes", () => {
  const { messages } = golden("ufw.txt", "ufw");
  assert.deepEqual(look(messages, [22, 2222]), []);
  assert.deepEqual(look(messages, [2223]), [{
    port: 2223,
    family: "both",
    table: "ip filter, ip6 filter",
    chain: "INPUT",
    hint: "pk only shuts; let the port through: ufw allow 2223/tcp",
    deliberate: false,
  }]);
});

Deno.test("host firewall: what firewalld makes", () => {
  const { messages } = golden("firewalld.txt", "firewalld");
  assert.deepEqual(look(messages, [22, 2222]), []);
  assert.deepEqual(look(messages, [2223]), [{
    port: 2223,
    family: "both",
    table: "inet firewalld",
    chain: "filter_INPUT",
    hint: "pk only shuts; let the port through: " +
      "firewall-cmd --permanent --add-port=2223/tcp && firewall-cmd --reload",
    deliberate: false,
  }]);
});

Deno.test("host firewall: the hint speaks the language of who made the chain", () => {
  const hintOn = (name: string) => look(messagesOf(name))[0]?.hint.replace(/^.*through: /, "");
  assert.equal(
    hintOn("no rule; then drop"),
    "nft insert rule inet t input tcp dport 22 accept",
  );
  assert.equal(
    hintOn("iptables -i lo -j ACCEPT"),
    "iptables -I INPUT -p tcp --dport 22 -j ACCEPT and " +
      "ip6tables -I INPUT -p tcp --dport 22 -j ACCEPT",
  );
});

Deno.test("host firewall: all chains in the way are named, each once", () => {
  const both = [...messagesOf("prerouting"), ...messagesOf("no rule; then drop")];
  const [obstacle] = look(both);
  assert.equal(obstacle?.table, "inet t");
  assert.equal(obstacle?.chain, "prerouting, input");
});

Deno.test("host firewall: families that something unseen may change are left out", () => {
  const kernel = kernelWith(messagesOf("no rule; then drop"));
  const seen = (...families: (4 | 6)[]) =>
    findObstacles(openConversation(socketTo(kernel)), [SSH], new Set(families));
  assert.deepEqual(seen(4, 6), []);
  assert.equal(seen(4)?.[0]?.family, "IPv6");
});

Deno.test("host firewall: a ruleset that keeps changing is not judged", () => {
  let generation = 0;
  const kernel = kernelWith(messagesOf("no rule; then drop"), () => generation++);
  assert.equal(findObstacles(openConversation(socketTo(kernel)), [SSH]), undefined);
});

Deno.test("host firewall: an older iptables' match for TCP", () => {
  const newcomer = { family: 4, port: SSH, tracked: true } as const;
  const info = (sport: number[], dport: number[], mask = 0, flags = 0, inverted = 0) =>
    new Uint8Array([
      ...new Uint8Array(Uint16Array.of(...sport, ...dport).buffer),
      0,
      mask,
      flags,
      inverted,
    ]);
  const anyPort = [0, 65_535];
  const cases: readonly [Uint8Array, string][] = [
    [info(anyPort, [22, 22]), "yes"],
    [info(anyPort, [23, 40]), "no"],
    [info(anyPort, [22, 22], 0, 0, 2), "no"],
    [info([1024, 65_535], [22, 22]), "maybe"],
    [info([1024, 65_535], [80, 80]), "no"],
    [info(anyPort, anyPort, 0x17, 0x02), "yes"],
    [info(anyPort, anyPort, 0x17, 0x02, 4), "no"],
    [info(anyPort, anyPort, 0xff, 0x02), "maybe"],
    [info(anyPort, anyPort).subarray(0, 8), "maybe"],
  ];
  for (const [bytes, answer] of cases) assert.equal(matchHolds(newcomer, "tcp", 0, bytes), answer);
  assert.equal(matchHolds(newcomer, "tcp", 9, info(anyPort, [80, 80])), "maybe");
  assert.equal(matchHolds(newcomer, "of a newer kernel", 0, new Uint8Array(64)), "maybe");
});

Deno.test("host firewall: ports of iptables' match for several, as the kernel reads them", () => {
  const newcomer = { family: 4, port: SSH, tracked: true } as const;
  const info = (ports: number[], rangeFlags: number[], invert = 0, count = ports.length) => {
    const bytes = new Uint8Array(48);
    bytes.set([1, count, ...new Uint8Array(Uint16Array.from(ports).buffer)]);
    bytes.set(rangeFlags, 32);
    bytes[47] = invert;
    return bytes;
  };
  const cases: readonly [Uint8Array, string][] = [
    [info([80, 20, 30], [0, 1]), "yes"],
    [info([80, 20, 30], [0, 1], 1), "no"],
    [info([80, 90, 22], [1, 1]), "yes"],
    [info([80, 22, 90], [1, 1]), "no"],
    [info([20, 30], [1], 0, 1), "yes"],
    [info([22], [], 2), "maybe"],
    [info([80], [], 2), "maybe"],
  ];
  for (const [bytes, answer] of cases) {
    assert.equal(matchHolds(newcomer, "multiport", 1, bytes), answer);
  }
});

Deno.test("host firewall: of several types IPv4 asks for one, IPv6 for all but the local ones", () => {
  const [unspec, unicast, local, anycast, multicast] = [0x1, 0x2, 0x4, 0x10, 0x20];
  // What Linux 6.18 does with ip6tables -m addrtype --dst-type …
  const cases: readonly [types: number, four: string, six: string][] = [
    [local, "yes", "yes"],
    [local | anycast, "yes", "yes"],
    [local | multicast, "yes", "no"],
    [local | unspec, "yes", "no"],
    [local | unicast, "yes", "maybe"],
    [unicast | multicast, "no", "no"],
    [multicast, "no", "no"],
  ];
  const other: Readonly<Record<string, string>> = { yes: "no", no: "yes", maybe: "maybe" };
  for (const [types, four, six] of cases) {
    for (const [family, answer] of [[4, four], [6, six]] as const) {
      const newcomer = { family, port: SSH, tracked: true } as const;
      const holds = (flags: number) => {
        const info = Uint16Array.of(0, types, flags, 0);
        return matchHolds(newcomer, "addrtype", 1, new Uint8Array(info.buffer));
      };
      assert.equal(holds(0), answer, `types ${types} of IPv${family}`);
      assert.equal(holds(2), other[answer], `not of types ${types} of IPv${family}`);
    }
  }
});

Deno.test("host firewall: a rule that cannot be understood lets everything through", () => {
  const { messages } = golden("cases.txt", "tcp dport 23 accept; then drop");
  const name = new TextEncoder().encode("cmp\0");
  const strange = messages.map((one) => replaced(one, name, new TextEncoder().encode("new\0")));
  assert.equal(look(messages).length, 1);
  assert.deepEqual(look(strange), []);
});

Deno.test("host firewall: chains that jump in a circle come to an end", () => {
  const { messages } = golden("cases.txt", "goto from a chain that was jumped to");
  // Chain a goes to b; when b is called a as well, a goes to itself.
  const circle = messages.map((one) =>
    replaced(one, Uint8Array.of(98, 0, 0, 0), Uint8Array.of(97, 0, 0, 0))
  );
  assert.deepEqual(look(circle), []);
});

Deno.test("host firewall: cut and changed dumps are refused or judged, never anything else", () => {
  const files = [
    golden("firewalld.txt", "firewalld"),
    golden(
      "cases.txt",
      "meta l4proto . th dport vmap { tcp . 22 : accept, udp . 53 : accept }; then drop",
    ),
    golden("cases.txt", "iptables -p tcp -m multiport --dports 20:30,443 -j ACCEPT"),
    golden("cases.txt", "ip saddr . tcp dport { 192.0.2.0/24 . 80-90 } accept; then drop"),
  ];
  let random = 1;
  const next = (below: number) => {
    random = Math.imul(random, 1_103_515_245) + 12_345 >>> 0;
    return (random >>> 8) % below;
  };
  const tries = 200;
  for (let count = 0; count < tries; count++) {
    const { messages } = files[count % files.length] ?? { messages: [] };
    const at = next(messages.length);
    const hurt = messages.map((one, index) => {
      if (index !== at) return one;
      if (next(2) === 0) {
        return { ...one, payload: one.payload.slice(0, 4 + next(one.payload.length - 4)) };
      }
      const payload = one.payload.slice();
      for (let bytes = 0; bytes < 3; bytes++) payload[4 + next(payload.length - 4)] = next(256);
      return { ...one, payload };
    });
    try {
      look(hurt);
    } catch (error) {
      assert.ok(error instanceof DecodeError || error instanceof KernelError, String(error));
    }
  }
});

Deno.test("host firewall: reading ends behind the bytes and the time it may take", () => {
  const kernel = kernelWith(golden("firewalld.txt", "firewalld").messages);
  const read = (bytesMax: number, endMs: number) => {
    let nowMs = 0;
    const bounds = { bytesMax, endMs, nowMs: () => nowMs++ };
    return findObstacles(openConversation(bounded(socketTo(kernel), bounds)), [2223]);
  };
  assert.equal(read(1e6, 1e6)?.length, 1);
  assert.throws(() => read(10_000, 1e6), { code: "EMSGSIZE" });
  assert.throws(() => read(1e6, 20), { code: "ETIMEDOUT" });
});

Deno.test("the watch warns once, and again when it has become another obstacle", () => {
  const [obstacle] = look(messagesOf("no rule; then drop"));
  const [other] = look(messagesOf("iptables -i lo -j ACCEPT"));
  assert.ok(obstacle && other);
  const story: { found: Obstacle | undefined | Error; granted: number; lines: string[] }[] = [
    { found: undefined, granted: 0, lines: [] },
    { found: obstacle, granted: 0, lines: [] }, // no grant, no look
    { found: obstacle, granted: 1, lines: ["warning host firewall forbids inet t"] },
    { found: obstacle, granted: 2, lines: [] },
    { found: new KernelError("read rules", 1), granted: 3, lines: ["debug host firewall unknown"] },
    { found: new TypeError("a bug"), granted: 4, lines: ["debug host firewall unknown"] },
    { found: other, granted: 5, lines: ["warning host firewall forbids ip filter, ip6 filter"] },
    { found: undefined, granted: 6, lines: [] },
    { found: other, granted: 7, lines: ["warning host firewall forbids ip filter, ip6 filter"] },
    {
      found: { ...obstacle, deliberate: true },
      granted: 8,
      lines: ["debug host firewall forbids inet t"],
    },
  ];
  const lines: string[] = [];
  let found = story[0]?.found;
  const watch = watchHostFirewall(
    [SSH],
    (level, event, fields) => lines.push(`${level} ${event} ${fields?.table ?? ""}`.trim()),
    0,
    HOST_LOOK_INTERVAL_MS,
    () => {
      if (found instanceof Error) throw found;
      return found === undefined ? [] : [found];
    },
  );
  story.forEach((step, index) => {
    ({ found } = step);
    const nowMs = index * HOST_LOOK_INTERVAL_MS;
    watch.check(() => step.granted, nowMs - 1);
    watch.check(() => step.granted, nowMs);
    assert.deepEqual(lines.splice(0), step.lines, `step ${index}`);
  });
});

Deno.test("findObstacles() takes ports that it has no time to judge for open", () => {
  const messages = messagesOf("no rule; then drop");
  const ports = [SSH, 2223, 2224];
  const found = (looksInTime: number) => {
    let looks = 0;
    const kernel = openConversation(socketTo(kernelWith(messages)));
    return findObstacles(kernel, ports, new Set(), () => ++looks > looksInTime)?.length;
  };
  assert.deepEqual([found(Infinity), found(2), found(0)], [3, 2, 0]);
});

function look(messages: readonly Dumped[], ports: readonly number[] = [SSH]): Obstacle[] {
  const kernel: Kernel = kernelWith(messages);
  return findObstacles(openConversation(socketTo(kernel)), ports) ?? [];
}

function verdictOn(obstacle: Obstacle | undefined): Forbids {
  if (obstacle === undefined) return "nothing";
  const { family, deliberate } = obstacle;
  return family !== "both" && deliberate ? `${family}, deliberate` : family;
}

function golden(file: string, name: string) {
  const ruleset = (file === "cases.txt" ? captured : readCaptured(file)).get(name);
  assert.ok(ruleset, `${name} in ${file}`);
  return ruleset;
}

function messagesOf(name: string): readonly Dumped[] {
  return golden("cases.txt", name).messages;
}

/** The message with every occurrence of some bytes replaced by others. */
function replaced(one: Dumped, what: Uint8Array, by: Uint8Array): Dumped {
  const payload = one.payload.slice();
  for (let at = 0; at + what.length <= payload.length; at++) {
    if (what.every((byte, index) => payload[at + index] === byte)) payload.set(by, at);
  }
  return { ...one, payload };
}
