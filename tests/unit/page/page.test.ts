// pageOf(): what is in a page and what is not, and what is refused with which reason.

import assert from "node:assert/strict";
import type { Profile, ProfileKnock } from "../../../src/client/profile.ts";
import { BROWSER_BLOCKED_PORTS } from "../../../src/config/browser_ports.ts";
import {
  type Milliseconds,
  type Port,
  type Step,
  tcpStep,
  type Transport,
} from "../../../src/config/config.ts";
import { UsageError } from "../../../src/errors.ts";
import { parseAddress } from "../../../src/packet/address.ts";
import { pageOf } from "../../../src/page/page.ts";
import { SCRIPT_PARTS } from "../../../src/page/script.ts";

const PORTS = [7153, 2918, 8461];
const KEY = "aaaa-bbbb-cccc-dddd-eeee-ffff-gggg-hhhh";

Deno.test("a plain sequence is in the page only when it is embedded", () => {
  const asking = pageOf(profile(plain(PORTS)), { embedSecret: false });
  const holding = pageOf(profile(plain(PORTS)), { embedSecret: true });
  for (const port of PORTS) {
    assert.ok(!asking.includes(`${port}`), `${port} in a page that asks`);
    assert.ok(holding.includes(`http://192.0.2.1:${port} `), `${port} not in the policy`);
  }
  assert.match(asking, /<input id="secret" type="password"/);
  assert.ok(!holding.includes('id="secret"'));
});

Deno.test("a key is in the page only when it is embedded", () => {
  const asking = pageOf(profile(rotating()), { embedSecret: false, key: KEY });
  assert.ok(!asking.includes(KEY));
  assert.match(asking, /<input id="secret" type="password"/);
  const holding = pageOf(profile(rotating()), { embedSecret: true, key: KEY });
  assert.ok(holding.includes(KEY));
  assert.ok(!holding.includes('id="secret"'));
});

Deno.test("the address is asked for where the door binds it", () => {
  const asks = (knock: ProfileKnock) => pageOf(profile(knock), { embedSecret: false });
  assert.match(asks(rotating()), /<input id="address" type="text" required value=""/);
  const known = { ...profile(rotating()), address: parseAddress("2001:db8::5") };
  assert.match(pageOf(known, { embedSecret: false }), /value="2001:db8::5"/);
  assert.ok(!asks(rotating({ bindSource: false })).includes('id="address"'));
  assert.ok(!asks(plain(PORTS)).includes('id="address"'));
});

Deno.test("the policy names the host and the ports, and nothing is loaded from elsewhere", () => {
  const policyOf = (host: string, embedSecret: boolean) => {
    const page = pageOf({ ...profile(plain([7153, 2918, 7153])), host }, { embedSecret });
    const [, policy = ""] = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page) ??
      [];
    assert.ok(!/<(link|img|iframe|object|script src)/.test(page));
    return policy;
  };
  const policy = policyOf("192.0.2.1", true);
  assert.match(policy, /^default-src 'none'; script-src 'sha256-[^']{44}'; style-src 'sha256-/);
  assert.ok(policy.includes(
    "connect-src http://192.0.2.1:7153 http://192.0.2.1:2918 " +
      "https://192.0.2.1:7153 https://192.0.2.1:2918; base-uri 'none'; form-action 'none'",
  ));
  assert.match(
    policyOf("Server.Example.NET", false),
    /connect-src http:\/\/server\.example\.net:\* /,
  );
  assert.match(
    policyOf("2001:db8::1", true),
    /connect-src http:\/\/\*:7153 http:\/\/\*:2918 https/,
  );
});

Deno.test("what a browser cannot do is refused with the reason", () => {
  const udp = { ...tcpStep(8123), protocol: "udp" } as const;
  const cases: readonly [knock: ProfileKnock, reason: RegExp][] = [
    [plain([7153, 6667, 22]), /browsers block ports 6667, 22$/],
    [plain([7153, 6000]), /browsers block port 6000$/],
    [steps(tcpStep(7153), udp), /one of its knocks is udp/],
    [steps(tcpStep(7153), { ...udp, protocol: "icmp", port: 56 }), /one of its knocks is icmp/],
    [steps(tcpStep(7153), { ...tcpStep(9321), flags: { mask: 3, value: 1 } }), /TCP flags/],
    [steps(tcpStep(7153), { ...tcpStep(9321), beforeMs: 500 }), /within less than 1 s/],
    [plain([7153, 9321, 9321]), /port 9321 comes twice in a row/],
    [rotating({ first: 6000, last: 7023 }), /browsers block ports 6000, 6566, 6665,/],
    [rotating({ protocol: "udp" }), /its knocks are udp/],
    [{ kind: "one-time", file: "once" }, /crossed out/],
    [
      {
        kind: "encrypted",
        userId: 1,
        secretFile: "x",
        layout: "window",
        ports: { protocol: "tcp", first: 22_000 as Port, last: 22_255 as Port },
      },
      /this door's are encrypted/,
    ],
  ];
  for (const [knock, reason] of cases) {
    const refused = refusal(profile(knock), true);
    assert.match(refused.message, reason);
    assert.ok(refused.hint);
  }
});

Deno.test("times before knocks are kept, and cannot be typed", () => {
  const timed = steps(tcpStep(7153), { ...tcpStep(9321), afterMs: 300 });
  assert.match(pageOf(profile(timed), { embedSecret: true }), /"afterMs":\[0,300\]/);
  assert.match(refusal(profile(timed), false).hint ?? "", /--embed-secret/);
});

Deno.test("hosts that are none, and text that is markup", () => {
  for (const host of ["", "a b", "a/b", "fe80::1%eth0", "a;b", 'x"y', "http://x", "user@host"]) {
    assert.match(refusal({ ...profile(plain(PORTS)), host }, true).message, /for the host/, host);
  }
  const page = pageOf({ ...profile(plain(PORTS)), door: '</script><b>&"' }, { embedSecret: true });
  assert.ok(!page.includes("</script><b>"));
  const held = pageOf({ ...profile(rotating()), door: "</script>" }, { embedSecret: false });
  assert.equal(held.match(/<\/script>/g)?.length, 2, "two scripts end");
});

Deno.test("ways to what was opened", () => {
  const linksFor = (protocol: Transport, port: number) => {
    const page = pageOf({ ...profile(plain(PORTS)), opens: { protocol, port: port as Port } }, {
      embedSecret: true,
    });
    return [...page.matchAll(/<a class="go" href="([^"]*)"/g)].map(([, address]) => address);
  };
  assert.deepEqual(linksFor("tcp", 22), ["ssh://192.0.2.1"]);
  assert.deepEqual(linksFor("tcp", 443), ["https://192.0.2.1/"]);
  assert.deepEqual(linksFor("tcp", 8443), ["https://192.0.2.1:8443/", "http://192.0.2.1:8443/"]);
  assert.deepEqual(linksFor("tcp", 25), []);
  assert.deepEqual(linksFor("udp", 51820), []);
});

Deno.test("the script's functions use each other and what a browser has, nothing else", () => {
  // Compiled by itself, each name that is not theirs would be missing.
  const names = SCRIPT_PARTS.map(({ name }) => name);
  assert.ok(names.every(Boolean) && new Set(names).size === names.length);
  const source = SCRIPT_PARTS.map(String).join("\n");
  assert.ok(!/<\/script|<!--/i.test(source));
  const parts = new Function(
    `"use strict";\n${source}\nreturn { derivePorts, keyBytes, nextStep };`,
  )();
  const key = parts.keyBytes(KEY);
  const question = {
    key,
    door: "a",
    first: 20_000,
    last: 21_023,
    knocks: 5,
    address: new Uint8Array(),
  };
  assert.equal(parts.derivePorts({ ...question, timeStep: 1 }).length, 5);
  assert.deepEqual(parts.nextStep(3, 61_000, 30_000), { timeStep: 4, waitMs: 30_000 });
});

Deno.test("BROWSER_BLOCKED_PORTS has the 83 bad ports of the Fetch standard, without 0", () => {
  assert.equal(BROWSER_BLOCKED_PORTS.size, 82);
});

function profile(knock: ProfileKnock): Profile {
  const opens = { protocol: "tcp", port: 8443 as Port } as const;
  return { name: "x", host: "192.0.2.1", door: "admin", opens, knock, address: undefined };
}

function plain(ports: readonly number[]): ProfileKnock {
  return steps(...ports.map(tcpStep));
}

function steps(...all: Step[]): ProfileKnock {
  return { kind: "plain", steps: all };
}

function rotating(
  { protocol = "tcp", first = 20_000, last = 21_023, bindSource = true }: {
    protocol?: Transport;
    first?: number;
    last?: number;
    bindSource?: boolean;
  } = {},
): ProfileKnock {
  const ports = { protocol, first: first as Port, last: last as Port };
  const stepMs = 30_000 as Milliseconds;
  return { kind: "rotating", secretFile: "x", ports, knocks: 5, stepMs, bindSource };
}

function refusal(profile: Profile, embedSecret: boolean): UsageError {
  try {
    pageOf(profile, { embedSecret });
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error;
  }
  assert.fail("not refused");
}
