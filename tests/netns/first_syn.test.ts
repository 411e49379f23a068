// The promise of pk: the connection attempted right after the last knock gets in with its first SYN.
// A lost SYN costs the client 1,000 ms, so a connect of less than 500 ms was the first one.
//
//     client  veth0 ◄────────► veth0 (rps_cpus 0, or 3)  server: pk guards 2222
//     200 sources, one CPU                                       knocks 7000, 8000, 9000

import { ok, strictEqual } from "node:assert/strict";
import { enter, FAMILIES, must, range } from "../support/netns.ts";
import { getsIn, GUARDED, KNOCKS, setStage, startPk } from "../support/pk.ts";
import { netnsTest } from "../support/cases.ts";

const TIMES = 200;

netnsTest(`${TIMES} times knock and connect back to back: every first SYN gets in`, async (t) => {
  await using stage = await setStage({ sources: TIMES });
  await using pk = await startPk(stage.ns);
  for (const family of FAMILIES) {
    await t.step(family.name, async () => {
      const us = await stage.client.race({
        host: family.server,
        ports: KNOCKS,
        guarded: GUARDED,
        sources: range(TIMES).map(family.source),
        timeoutMs: 5000,
        cpu: 0,
      });
      report(`${family.name}, one receive queue`, us);
      strictEqual(us.filter(atOnce).length, TIMES);
      strictEqual(await granted(pk, family.source(TIMES)), true);
    });
  }
});

netnsTest("the same with two receive queues: reported, nothing hangs", async (t) => {
  await using stage = await setStage({ sources: TIMES });
  await using _pk = await startPk(stage.ns);
  // The namespace's own /sys, which only a mount shows.
  const rps = "sys=$(mktemp -d) && mount -t sysfs sysfs $sys && " +
    "echo 3 >$sys/class/net/veth0/queues/rx-0/rps_cpus; code=$?; umount $sys; rmdir $sys; exit $code";
  await must(...enter(stage.ns), "sh", "-c", rps);
  for (const family of FAMILIES) {
    await t.step(family.name, async () => {
      const us = await stage.client.race({
        host: family.server,
        ports: KNOCKS,
        guarded: GUARDED,
        sources: range(TIMES).map(family.source),
        // Swapped knocks stay shut, which is no defect: 200 of them must not take long either.
        timeoutMs: 50,
        cpu: 0,
      });
      report(`${family.name}, rps_cpus=3`, us);
      // Whoever knocks a little slower gets in also here.
      const [source, host] = [family.source(1), family.server];
      await stage.client.knock({ host, ports: KNOCKS, source, gapMs: 20 });
      const result = await stage.client.connect({ host, port: GUARDED, source, timeoutMs: 500 });
      strictEqual(result.connected, true);
    });
  }
});

netnsTest(
  "the mark of who is let in is seen by nobody else, and marks of others stay",
  async (t) => {
    await using stage = await setStage({ sources: TIMES });
    await using _pk = await startPk(stage.ns);
    const nft = (...args: readonly string[]) => must(...enter(stage.ns), "nft", ...args);
    const counted = async (name: string) => {
      const listed = await nft("-j", `list counter inet host ${name}`);
      return JSON.parse(listed).nftables[1].counter.packets as number;
    };
    const syn = `tcp dport ${GUARDED} tcp flags syn / syn,ack`;
    const chain = (name: string, hook: string, rules: string) =>
      `add chain inet host ${name} { type filter hook ${hook}; }\nadd rule inet host ${name} ${rules}\n`;
    // Between the hold and the guard; after the guard, as hosts with several uplinks restore their marks.
    await nft(
      "add table inet host\n" +
        ["let_in", "leaked", "own"].map((name) => `add counter inet host ${name}\n`).join("") +
        chain(
          "between",
          "prerouting priority -195",
          `${syn} meta mark 0x706b696e counter name let_in`,
        ) +
        chain("mangle", "prerouting priority -150", `${syn} meta mark != 0 counter name leaked`) +
        "add rule inet host mangle meta mark set ct mark\n",
    );
    const race = (family: typeof FAMILIES[number]) =>
      stage.client.race({
        host: family.server,
        ports: KNOCKS,
        guarded: GUARDED,
        sources: range(TIMES / 2).map(family.source),
        timeoutMs: 5000,
        cpu: 0,
      });
    for (const family of FAMILIES) {
      await t.step(`${family.name}, a host that restores marks`, async () => {
        const before = await counted("let_in");
        strictEqual((await race(family)).filter(atOnce).length, TIMES / 2);
        const letIn = await counted("let_in") - before;
        console.log(`${family.name}: ${letIn} of ${TIMES / 2} let in before their grants`);
        ok(letIn > 0);
        strictEqual(await counted("leaked"), 0);
      });
    }
    await nft("flush chain inet host mangle");
    await nft(
      chain("early", "prerouting priority -300", `${syn} meta mark set 7`) +
        chain("input", "input priority 0", `${syn} meta mark 7 counter name own`),
    );
    for (const family of FAMILIES) {
      await t.step(`${family.name}, a host that marks SYNs itself`, async () => {
        const before = { letIn: await counted("let_in"), own: await counted("own") };
        const source = family.source(TIMES - 1);
        await stage.client.knock({ host: family.server, ports: KNOCKS, source });
        strictEqual(await getsIn(stage.client, family, source), true);
        strictEqual(await counted("let_in"), before.letIn);
        strictEqual(await counted("own"), before.own + 1);
      });
    }
  },
);

function atOnce(us: number | null): us is number {
  return us !== null && us < 500_000;
}

async function granted(pk: Awaited<ReturnType<typeof startPk>>, source: string): Promise<boolean> {
  return (await pk.event("granted", { source })).timeoutMs === 20_000;
}

/** One line for a person: how many first SYNs got in, and how fast. */
function report(what: string, results: readonly (number | null)[]): void {
  const us = results.filter(atOnce).sort((a, b) => a - b);
  const [p50, max] = [us[Math.floor(us.length / 2)], us.at(-1)];
  console.log(
    `${what}: ${us.length} of ${results.length} first SYNs, p50 ${p50} µs, max ${max} µs`,
  );
}
