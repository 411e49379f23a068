// How pk takes its flags, told by `--dry-run`: it prints the ruleset and touches nothing. No root, no
// namespace, no library: these run everywhere the executable does.

import { doesNotMatch, match, strictEqual } from "node:assert/strict";
import { type Outcome, run } from "../support/netns.ts";
import { PK } from "../support/pk.ts";

const OWN = ["--port-seq", "7000,8000,9000"];

Deno.test("--version and --help go to stdout", async () => {
  const version = await run(PK, "--version");
  strictEqual(version.code, 0);
  match(version.stdout, /\d+\.\d+\.\d+/);
  const help = await run(PK, "--help");
  strictEqual(help.code, 0);
  for (
    const flag of ["--port-seq", "--port-dest", "--rule-timer", "--strict", "--dry-run", "down"]
  ) {
    match(help.stdout, new RegExp(flag));
  }
  doesNotMatch(help.stdout, /table-owner/, "the switch for tests is hidden");
});

Deno.test("a mistake in the flags ends with 2 and says what was meant", async (t) => {
  const cases: readonly { args: string[]; says: RegExp[] }[] = [
    { args: ["--portdest", "22"], says: [/--portdest/, /--port-dest/] },
    { args: [...OWN, "--port-dest", "8000"], says: [/8000/, /--port-dest/, /--port-seq/] },
    { args: ["--port_seq", "7000,8000,9000", "--port_dest", "9000"], says: [/9000/] },
    { args: ["--strict", "--port-seq", "7000"], says: [/--port-seq/, /7000/] },
    { args: ["--strict", ...OWN, "--port-dest", "70000"], says: [/--port-dest/, /70000/] },
    { args: ["--strict", ...OWN, "--rule-timer", "0"], says: [/--rule-timer/, /0/] },
    { args: ["--strict", ...OWN, "--rule-timer", "soon"], says: [/--rule-timer/, /soon/] },
    { args: ["dwon"], says: [/dwon/, /down/] },
  ];
  for (const { args, says } of cases) {
    await t.step(`pk ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await run(PK, "--dry-run", ...args);
      strictEqual(code, 2, stderr);
      strictEqual(stdout, "");
      for (const expected of says) match(stderr, expected);
    });
  }
});

Deno.test("an incorrect parameter falls back to its default, with one warning line", async (t) => {
  const eleven = "1001,1002,1003,1004,1005,1006,1007,1008,1009,1010,1011";
  const cases: readonly { args: string[]; says: RegExp[]; own?: boolean }[] = [
    { args: ["--port-seq", "7000"], says: [/--port-seq.*7000.*80,81,82/], own: false },
    { args: ["--port-seq", eleven], says: [/--port-seq.*1011.*80,81,82/], own: false },
    { args: ["--port-seq", "a,b"], says: [/--port-seq.*a,b.*80,81,82/], own: false },
    { args: ["--port_seq", "7000"], says: [/--port.seq.*7000.*80,81,82/], own: false },
    { args: [...OWN, "--port-dest", "70000"], says: [/--port-dest.*70000.*10090/] },
    { args: [...OWN, "--port-dest", "ssh"], says: [/--port-dest.*ssh.*10090/] },
    { args: [...OWN, "--rule-timer", "0"], says: [/--rule-timer.*\b0\b.*20/] },
    { args: [...OWN, "--rule_timer", "-5"], says: [/--rule.timer.*-5.*20/] },
    {
      args: [...OWN, "--port-dest", "0", "--rule-timer", "soon"],
      says: [/--port-dest.*10090/, /--rule-timer.*soon.*20/],
    },
  ];
  for (const { args, says, own = true } of cases) {
    await t.step(`pk ${args.join(" ")}`, async () => {
      const outcome = await run(PK, "--dry-run", ...args);
      strictEqual(outcome.code, 0, outcome.stderr);
      // One line per parameter, and one more where the sequence is the one everybody knows.
      strictEqual(warnings(outcome).length, says.length + (own ? 0 : 1), outcome.stderr);
      for (const expected of says) match(outcome.stderr, expected);
      match(outcome.stdout, /table inet pk/);
    });
  }
});

Deno.test("the public default sequence is always warned of, one's own is not", async () => {
  const plain = await run(PK, "--dry-run");
  strictEqual(plain.code, 0);
  strictEqual(warnings(plain).length, 1, plain.stderr);
  match(plain.stdout, /10090/);
  const typed = await run(PK, "--dry-run", "--port-seq", "80,81,82,83,84,85,86,87");
  strictEqual(warnings(typed).length, 1, typed.stderr);
  strictEqual(warnings(await run(PK, "--dry-run", ...OWN)).length, 0);
});

Deno.test("the spellings of the module and units of time mean the same", async () => {
  const [seq, dest] = ["7000,8000,9000", "22"];
  const plain = await run(PK, ...["--dry-run", "--port-seq", seq, "--port-dest", dest]);
  strictEqual(plain.code, 0, plain.stderr);
  for (const timer of ["20000", "20s", "20000ms"]) {
    const module = ["--port_seq", seq, "--port_dest", dest, "--rule_timer", timer];
    const outcome = await run(PK, "--dry-run", ...module);
    strictEqual(outcome.stdout, plain.stdout);
    strictEqual(outcome.stderr, "", timer);
  }
});

function warnings({ stderr }: Outcome): string[] {
  return stderr.split("\n").filter(Boolean);
}
