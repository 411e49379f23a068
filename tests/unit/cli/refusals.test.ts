// What pk says to wrong values and files, as it is called: the program with the permissions that it has.

import assert from "node:assert/strict";
import { compileFlags } from "../../../scripts/permissions.ts";
import { folderTest } from "../../support/host_files.ts";

/** Those of the runtime; the rest says how V8 and the compiled program behave. */
const permissions = compileFlags.filter((flag) => /^--(no-prompt|allow)/.test(flag))
  // Run from source, Deno's part for Node reads variables of its own.
  .map((flag) => flag.startsWith("--allow-env") ? "--allow-env" : flag);

const cases: readonly (readonly [args: readonly string[], code: number, says: RegExp])[] = [
  [["knock", "h", "7000", "-d", "x"], 2, /Cannot use -d "x".* See pk knock --help$/],
  [["knock", "h", "7000", "--timeout", "10"], 2, /--timeout "10".* See pk knock --help$/],
  [["connect", "h", "x"], 2, /Cannot use the port "x".* See pk connect --help$/],
  [["check", "-c", ""], 2, /--config.*requires FILE, not an empty text\. See pk check --help$/],
  [["run", "--config="], 2, /--config.*requires FILE, not an empty text\. See pk run --help$/],
  [["secret", "--out", ""], 2, /--out.*requires FILE, not an empty text\. See pk secret --help$/],
  [["knock", "--profiles", "", "h"], 2, /--profiles.*requires FILE, not an empty text/],
  [["check", "-c", "--json"], 2, /--config.*requires FILE, not another flag/],
];

for (const [args, expected, says] of cases) {
  Deno.test(`pk ${args.map((word) => word || "''").join(" ")}`, async () => {
    const { code, stdout, stderr } = await pk(...args);
    assert.equal(code, expected, stderr);
    assert.equal(stdout, "");
    assert.match(stderr.trimEnd(), says);
    assert.doesNotMatch(stderr.trimEnd(), /\n/, "one line");
  });
}

for (const file of ["/proc/self/status", "/sys/kernel/uevent_seqnum"]) {
  Deno.test(`pk check -c ${file} says so in words of its own`, async () => {
    const { code, stderr } = await pk("check", "-c", file);
    assert.equal(code, 3);
    assert.match(stderr, /Cannot read it: pk does not read what is under \/dev, \/proc and \/sys/);
    assert.match(stderr, /Copy it into a regular file/);
    assert.doesNotMatch(stderr, /allow-all|access/);
  });
}

const WRONG = ["--dry-run", "--strict", "--port-dest", "0", "--rule-timer", "soon"];

Deno.test("--strict tells programs what was refused, that nothing was used, and the end", async () => {
  const { code, stdout, stderr } = await pk(...WRONG, "--log-format", "json");
  assert.equal(code, 2);
  assert.equal(stdout, "");
  const events = stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(events.map(({ event, flag }) => [event, flag]), [
    ["flag refused", "--port-dest"],
    ["flag refused", "--rule-timer"],
    ["ended", undefined],
  ]);
  for (const event of events) assert.ok(!("used" in event));
  const { reason, hint } = events[2];
  assert.deepEqual({ reason, hint }, { reason: "flags were refused", hint: "See pk --help" });
});

Deno.test("--strict tells people in a sentence for each flag and no more", async () => {
  const { code, stderr } = await pk(...WRONG);
  assert.equal(code, 2);
  assert.match(stderr, /^pk: error: .*; refused\npk: error: .*; refused\n$/);
});

Deno.test("flags that are hardly meant are warned of, and taken", async () => {
  const own = ["--dry-run", "--port-seq", "7153,2918,8461,5307,9822"];
  const { code, stdout, stderr } = await pk(...own, "--rule-timer", "20", "--ban", "1m");
  assert.equal(code, 0);
  assert.match(stdout, /table inet pk/);
  assert.match(stderr, /^pk: warning: --rule-timer is 20 milliseconds.*20s is 20 seconds\n/);
  assert.match(stderr, /\npk: warning: A ban does nothing without decoys.*\n$/);
});

folderTest(
  "a rotating profile that does not open asks for the name of the door",
  async (folder) => {
    const profile = "{ host: 127.0.0.1, opens: tcp/1, knock: { rotating: { secret-file: s } } }";
    Deno.writeTextFileSync(`${folder}/hosts.yaml`, `hosts: { work: ${profile} }`);
    const key = "abcd-efgh-ijkl-mnop-qrst-uvwx-yz23-4567\n";
    Deno.writeTextFileSync(`${folder}/s`, key, { mode: 0o600 });
    const profiles = ["--profiles", `${folder}/hosts.yaml`, "--timeout", "1s"];
    for (const args of [["knock", "--wait"], ["connect"]]) {
      const { code, stderr } = await run([...args, ...profiles, "work"], {
        XDG_STATE_HOME: folder,
      });
      assert.equal(code, 1, stderr);
      assert.match(
        stderr,
        /door's name, which is "work" here.*write "door: NAME" into the profile$/m,
      );
    }
  },
);

function pk(...args: string[]) {
  return run(args);
}

async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", ...permissions, "main.ts", ...args],
    env,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}
