// What `pk knock` and `pk connect` take: their parsers, and the values of their flags.

import assert from "node:assert/strict";
import { runParserSync } from "@optique/core";
import { knock, type KnockFlags, knockSpelling } from "../../../src/cli/knock.ts";
import { connect } from "../../../src/cli/connect.ts";
import { delayOf, familyOf, tcpPortOf, timeoutOf } from "../../../src/client/flags.ts";
import { UsageError } from "../../../src/errors.ts";

Deno.test("the command line of knock is understood", () => {
  const cases: readonly [args: string, expected: Partial<KnockFlags>][] = [
    ["host 7000 8000:udp", { host: "host", knocks: ["7000", "8000:udp"] }],
    ["-u -v host 7000", { udp: true, verbose: true, knocks: ["7000"] }],
    ["-uv host 7000", { udp: true, verbose: true }],
    ["host 7000 -d 5 8000", { delay: "5", knocks: ["7000", "8000"] }],
    ["-d500 host 7000", { delay: "500" }],
    ["-4 host 7000", { ipv4: true }],
    ["-6 host 7000", { ipv6: true }],
    ["server", { host: "server", knocks: [] }],
    ["--wait host 7000", { wait: true, host: "host", knocks: ["7000"] }],
    ["--wait=22 host 7000", { wait: false, waitFor: "22", host: "host" }],
    ["--wait=tcp/22 server", { waitFor: "tcp/22" }],
    ["--json --timeout 3s --profiles f server", { json: true, timeout: "3s", profiles: "f" }],
  ];
  for (const [args, expected] of cases) {
    const read = runParserSync(knock, "pk", knockSpelling(["knock", ...args.split(" ")]));
    assert.deepEqual({ ...read, ...expected }, read, args);
  }
});

Deno.test("the command line of connect is understood", () => {
  const read = (args: string) => runParserSync(connect, "pk", args.split(" "));
  assert.equal(read("connect server").port, undefined);
  assert.equal(read("connect server.example.net 22").port, "22");
  assert.equal(read("connect --pass-fd server").passFd, true);
  assert.equal(read("connect -v --timeout 3s -d 0 server 22").delay, "0");
});

Deno.test("flags have values, or it is said which they may have", () => {
  assert.equal(delayOf(undefined), 5);
  assert.equal(delayOf("0"), 0);
  assert.equal(timeoutOf(undefined), 10_000);
  assert.equal(timeoutOf("500ms"), 500);
  assert.equal(familyOf({ ipv4: false, ipv6: true }), 6);
  assert.deepEqual(tcpPortOf("--wait", "22"), { protocol: "tcp", port: 22 });
  assert.deepEqual(tcpPortOf("--wait", "tcp/22"), { protocol: "tcp", port: 22 });
  const wrong: readonly (() => unknown)[] = [
    () => delayOf("x"),
    () => delayOf("-1"),
    () => delayOf("60001"),
    () => delayOf(""),
    () => timeoutOf("10"),
    () => familyOf({ ipv4: true, ipv6: true }),
    () => tcpPortOf("--wait", "0"),
    () => tcpPortOf("--wait", "udp/53"),
    () => tcpPortOf("--wait", "22-23"),
  ];
  for (const value of wrong) assert.throws(value, UsageError);
});
