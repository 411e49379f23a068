// What is told where the kernel's table of tracked connections is too small for this host.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (an echo service), and sees a limit of 1

import { ok, strictEqual } from "node:assert/strict";
import { netnsTest } from "../support/cases.ts";
import { IPV4 } from "../support/netns.ts";
import { flags, GUARDED, setStage, spawnPk } from "../support/pk.ts";

netnsTest("stateful: a host with more connections than can be tracked is told so", async () => {
  await using stage = await setStage();
  const to = { host: IPV4.server, port: GUARDED, source: IPV4.source(1), timeoutMs: 3000 };
  ok((await stage.client.connect(to)).connected);
  const limit = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(limit, "1\n");
    // The real limit is the whole machine's, so pk alone sees another one.
    const file = "/proc/sys/net/netfilter/nf_conntrack_max";
    const script = `mount --make-private /proc && mount --bind ${limit} ${file} && exec "$@"`;
    const wrap = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-ec", script, "sh"];
    for (const [filter, expected] of [["stateless", 0], ["stateful", 1]] as const) {
      await using pk = spawnPk(stage.ns, flags("--filter", filter), wrap);
      await pk.event("ready");
      pk.kill("SIGTERM");
      strictEqual(await pk.ended(), 0);
      const lines = pk.seen("connection tracking nearly full", { tracked: 1, max: 1 });
      strictEqual(lines.length, expected, filter);
    }
  } finally {
    await Deno.remove(limit);
  }
});
