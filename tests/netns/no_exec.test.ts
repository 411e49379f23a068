// pk starts no other process, ever: strace sees none over a run from start to stop with grants.
//
//     client  veth0 ◄────────► veth0  server: strace -f pk

import { match, ok, strictEqual } from "node:assert/strict";
import { FAMILIES } from "../support/netns.ts";
import { flags, getsIn, KNOCKS, setStage, spawnPk } from "../support/pk.ts";
import { netnsTest } from "../support/cases.ts";

netnsTest("no execve and no fork after the start, over a run with grants", async () => {
  await using stage = await setStage();
  const trace = await Deno.makeTempFile({ prefix: "pk-strace-" });
  try {
    const calls = "execve,execveat,fork,vfork,clone,clone3";
    // -D: pk stays our child and strace looks on from the side, so signals go to pk itself.
    const strace = ["strace", "-D", "-f", "-qq", "-e", `trace=${calls}`, "-e", "signal=none"];
    await using pk = spawnPk(stage.ns, flags("--rule-timer", "1000"), [...strace, "-o", trace]);
    await pk.event("ready", {}, { timeoutMs: 60_000 });
    for (const family of FAMILIES) {
      const source = family.source(1);
      await stage.client.knock({ host: family.server, ports: KNOCKS, source, gapMs: 20 });
      strictEqual(await getsIn(stage.client, family, source, { timeoutMs: 3000 }), true);
      await pk.event("expired", { source });
    }
    pk.kill("SIGTERM");
    strictEqual(await pk.ended(), 0);
    const seen = (await Deno.readTextFile(trace)).trim().split("\n");
    const [first = "", ...rest] = seen.filter((line) => line.includes("("));
    match(first, /\bexecve\(.*= 0$/, "the start of pk itself");
    ok(rest.length > 0, "threads were seen");
    for (const line of rest) {
      ok(/clone3?\(.*CLONE_THREAD|<\.\.\. clone3? resumed>/.test(line), `not a thread: ${line}`);
    }
  } finally {
    await Deno.remove(trace);
  }
});
