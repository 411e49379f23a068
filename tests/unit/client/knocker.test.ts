// sendKnocks(): order and times of knocks; requireKnockable(): what is refused before the first.

import assert from "node:assert/strict";
import fc from "fast-check";
import { gapMs, requireKnockable, sendKnocks } from "../../../src/client/knocker.ts";
import type { Destination, KnockSockets } from "../../../src/client/knock_sockets.ts";
import { type Step, tcpStep } from "../../../src/config/config.ts";
import { parseStep, stepText } from "../../../src/config/step.ts";
import { HostError, UsageError } from "../../../src/errors.ts";
import { parseAddress } from "../../../src/packet/address.ts";

Deno.test("sendKnocks() sends each step once, in order, and so far apart", async () => {
  const steps = ["tcp/7000", "udp/8123", "icmp/56", "tcp/7000"].map(stepOf);
  const sent: string[] = [];
  const times: number[] = [];
  const told: string[] = [];
  await sendKnocks(recorder(sent, times), to("192.0.2.7"), steps, 20, ({ step }) => {
    told.push(stepText(step));
  });
  assert.deepEqual(sent, ["tcp 7000", "udp 8123 00", "echo 56 bytes, number 3", "tcp 7000"]);
  assert.deepEqual(told, steps.map(stepText));
  const gaps = times.slice(1).map((ms, index) => ms - (times[index] ?? 0));
  assert.ok(gaps.every((ms) => ms >= 19), `${gaps}`);
});

Deno.test("sendKnocks() with -d 0 waits for nothing", async () => {
  const sent: string[] = [];
  const steps = new Array<Step>(32).fill(tcpStep(80));
  const sending = sendKnocks(recorder(sent, []), to("192.0.2.7"), steps, 0);
  let turns = 0;
  const timer = setTimeout(() => turns++, 0);
  await sending;
  clearTimeout(timer);
  assert.equal(sent.length, 32);
  assert.equal(turns, 0, "no timer ran meanwhile");
});

Deno.test("sendKnocks() stops at the first refusal", async () => {
  const sent: string[] = [];
  const sockets = { ...recorder(sent, []), udp: () => Promise.reject(new HostError("no", "h")) };
  const steps = ["tcp/1", "udp/2", "tcp/3"].map(stepOf);
  await assert.rejects(sendKnocks(sockets, to("192.0.2.7"), steps, 0), HostError);
  assert.deepEqual(sent, ["tcp 1"]);
});

Deno.test("gapMs() keeps within after and before, as near to the delay as they allow", () => {
  const times = fc.tuple(
    fc.integer({ min: 0, max: 5_000 }),
    fc.oneof(fc.integer({ min: 1, max: 10_000 }), fc.constant(Infinity)),
    fc.integer({ min: 0, max: 20_000 }),
  );
  fc.assert(fc.property(times, ([afterMs, more, delayMs]) => {
    const beforeMs = afterMs + more;
    const gap = gapMs({ ...tcpStep(80), afterMs, beforeMs }, delayMs);
    assert.ok(gap < beforeMs && gap >= afterMs && (afterMs === 0 || gap > afterMs), `${gap}`);
    if (afterMs === 0 && beforeMs === Infinity) assert.equal(gap, delayMs);
  }));
});

Deno.test("requireKnockable() refuses echo requests of the other family, and raw TCP", () => {
  const sockets = recorder([], []);
  const cases: readonly [step: Step, address: string, says: RegExp][] = [
    [stepOf("icmp/56"), "2001:db8::7", /icmp\/56.*IPv4/],
    [stepOf("icmp6/56"), "192.0.2.7", /icmp6\/56.*IPv6/],
    [{ ...tcpStep(80), flags: { mask: 0x03, value: 0x01 } }, "192.0.2.7", /tcp\/80.*flags/],
  ];
  for (const [step, address, says] of cases) {
    assert.throws(() => requireKnockable(sockets, [tcpStep(1), step], to(address)), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, says);
      return error.hint !== undefined;
    });
  }
  const synOnly = { ...tcpStep(80), flags: { mask: 0x02, value: 0x02 } };
  requireKnockable(sockets, [tcpStep(1), synOnly, stepOf("icmp/1")], to("192.0.2.7"));
});

/** Sockets that write down what they would send, and when. */
function recorder(sent: string[], times: number[]): KnockSockets {
  const send = (what: string) => {
    sent.push(what);
    times.push(performance.now());
    return Promise.resolve();
  };
  return {
    tcp: (_to, port) => send(`tcp ${port}`),
    udp: (_to, port, payload) => send(`udp ${port} ${payload.toHex()}`),
    echo: (_to, { length }, sequence) => send(`echo ${length} bytes, number ${sequence}`),
    requireEcho: () => {},
    sourceTowards: () => Promise.reject(new Error("not asked for")),
    interfaceIndex: () => 0,
  };
}

function to(text: string): Destination {
  const address = parseAddress(text);
  assert.ok(address);
  return { address, text, scope: 0 };
}

function stepOf(text: string): Step {
  const parsed = parseStep(text);
  assert.ok("value" in parsed);
  return parsed.value;
}
