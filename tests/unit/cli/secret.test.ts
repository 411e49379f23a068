// pk secret: chance without bias, strong sequences, and what goes where.

import assert from "node:assert/strict";
import { randomBelow, secret } from "../../../src/cli/secret.ts";
import { parseWith } from "../../../src/cli/arguments.ts";
import { BROWSER_BLOCKED_PORTS } from "../../../src/config/browser_ports.ts";
import { UsageError } from "../../../src/errors.ts";
import { randomSequence } from "../../../src/knock/random_sequence.ts";
import { strengthOf } from "../../../src/knock/strength.ts";

Deno.test("randomBelow() gives all numbers alike", () => {
  const counts = new Array(7).fill(0);
  for (let draws = 0; draws < 70_000; draws++) counts[randomBelow(7)]++;
  // 10,000 each, give or take six standard deviations of 93.
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 560, `${counts}`);
});

Deno.test("randomBelow() draws again behind the last whole multiple", () => {
  const bound = 3_000_000_000; // a remainder would give the first third twice
  let low = 0;
  for (let draws = 0; draws < 20_000; draws++) if (randomBelow(bound) < bound / 2) low++;
  assert.ok(Math.abs(low - 10_000) < 430, `${low}`);
});

Deno.test("randomSequence() makes strong sequences only", () => {
  for (const knocks of [4, 5, 8, 32]) {
    for (let run = 0; run < 50; run++) {
      const { ports, decoys, scans } = randomSequence(knocks, false, randomBelow);
      assert.equal(new Set([...ports, ...decoys]).size, knocks + decoys.length);
      assert.deepEqual(strengthOf(ports, decoys), { weaknesses: [], scans });
      assert.ok(scans >= 1_000);
      for (const port of [...ports, ...decoys]) assert.ok(port >= 1_024 && port < 32_768);
      const rises = ports.slice(1).filter((port, index) => port > (ports[index] ?? 0)).length;
      assert.ok(rises > 0 && rises < knocks - 1, `${ports}`);
    }
  }
});

Deno.test("randomSequence() for browsers has no port that they block", () => {
  // Chance that offers blocked ports first, so that leaving the check out shows.
  const blocked = [...BROWSER_BLOCKED_PORTS].filter((port) => port >= 1_024);
  const offered = [...blocked];
  const below = (bound: number) => {
    const port = offered.pop();
    return port === undefined ? randomBelow(bound) : port - 1_024;
  };
  const { ports } = randomSequence(5, true, below);
  assert.deepEqual(offered, []);
  assert.deepEqual(ports.filter((port) => BROWSER_BLOCKED_PORTS.has(port)), []);
});

Deno.test("randomSequence() does not hang on chance that is none", () => {
  let count = 0;
  const rising = (bound: number) => count++ % bound;
  assert.throws(() => randomSequence(5, false, rising), RangeError);
});

Deno.test("the parser of pk secret", () => {
  const read = (text: string) => parseWith(secret, ["secret", ...text.split(" ")], "0");
  assert.deepEqual(read("--for plain --knocks 6 --browser -o x --door ssh --no-qr"), {
    arguments: {
      for: "plain",
      browser: true,
      knocks: 6,
      door: "ssh",
      out: "x",
      qr: false,
      noQr: true,
    },
  });
  for (const wrong of ["--for spa", "--knocks 3", "--knocks 33", "--knocks x"]) {
    assert.throws(() => read(wrong), UsageError, wrong);
  }
});

const command = (...args: string[]) =>
  new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", "--no-prompt", "-A", "main.ts", "secret", ...args],
    stdin: "null",
  }).output();

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const KEY = /^([a-z2-7]{4}-){7}[a-z2-7]{4}\n$/;

Deno.test("standard output has the key and nothing else", async () => {
  const { code, stdout, stderr } = await command();
  assert.equal(code, 0, text(stderr));
  assert.match(text(stdout), KEY);
  assert.match(text(stderr), /chmod 600 admin\.secret/);
  assert.match(text(stderr), /rotating: \{ secret-file: admin\.secret \}/);
  assert.ok(!text(stderr).includes(text(stdout).trim()), "the key on standard error");
  assert.ok(!text(stderr).includes("█"), "a QR code without a terminal");
});

Deno.test("the lines for the configurations are the ones that pk reads", async () => {
  const { code, stdout, stderr } = await command("--for", "plain", "--browser", "--qr");
  assert.equal(code, 0, text(stderr));
  const sequence = text(stdout).trim();
  assert.match(sequence, /^tcp\/\d+(, tcp\/\d+){4}$/);
  assert.match(text(stderr), /█/);
  const [, server = "", client = ""] = text(stderr).split(/^# .*\n/m);
  const { parseConfig } = await import("../../../src/config/yaml.ts");
  const { profilesOf } = await import("../../../src/client/hosts_schema.ts");
  const config = parseConfig(server, "pk.yaml", { read: () => ({ reason: "ENOENT" }) });
  const expected = sequence.split(", ").map((step) => Number(step.slice(4)));
  const knock = config.doors[0]?.knock;
  assert.deepEqual(knock?.kind === "plain" && knock.steps.map(({ port }) => port), expected);
  assert.ok(config.decoys.length > 0);
  const profile = profilesOf(client, "hosts.yaml").get("admin");
  assert.deepEqual(
    profile?.knock.kind === "plain" && profile.knock.steps.map(({ port }) => port),
    expected,
  );
});

Deno.test("contradictions are refused", async () => {
  for (
    const args of [["--qr", "--no-qr"], ["--knocks", "5"], ["--door", "a b"], [
      "--for",
      "encrypted",
      "--browser",
    ]]
  ) {
    const { code, stdout } = await command(...args);
    assert.equal(code, 2, args.join(" "));
    assert.equal(text(stdout), "");
  }
});
