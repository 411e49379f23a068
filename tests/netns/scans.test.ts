// What a port scanner opens: nothing where no SYN is sent, and with SYNs what the order of the ports
// comes to. All 65,535 ports each time, from a source of its own, in one second or a few.
//
//     client  veth0 ◄────────► veth0  server: pk guards 2222 (a service listens)
//     nmap                            every other port is closed, and says so
//
// A scan of all ports meets every knock port once. In rising order it opens a rising sequence, and two
// in a row one that rises but for one place. In random order it opens a sequence of n ports once in n!
// times, so the chances of these tests to fail for no reason are 1 in 40,320 for each such scan.

import { ok, strictEqual } from "node:assert/strict";
import { enter, type Family, inside, IPV4, IPV6, must } from "../support/netns.ts";
import { GUARDED, setStage, type Stage, startPk } from "../support/pk.ts";
import { netnsTest } from "../support/cases.ts";

const DEFAULT = "80,81,82,83,84,85,86,87";
/** As SECURITY.md recommends: eight, in no order, none of those that nmap takes first. */
const RECOMMENDED = "41207,6113,58842,23571,9046,50311,33870,17298";
/** Rises but for one place. */
const BROKEN_ONCE = "23571,33870,41207,50311,58842,6113,9046,17298";

interface Scan {
  readonly name: string;
  readonly args: readonly string[];
  /** Times the scan is run, in a row and from the same source; 1 if not said. */
  readonly passes?: number;
  readonly family?: Family;
}

const WITHOUT_SYN: readonly Scan[] = [
  { name: "-sF", args: ["-sF"] },
  { name: "-sX", args: ["-sX"] },
  // No second try: the kernel sends few ICMP errors, and nmap would ask nearly every port again.
  { name: "-sU", args: ["-sU", "-r", "--max-retries", "0"] },
];
const RANDOM: readonly Scan[] = [
  { name: "-sS", args: ["-sS"] },
  { name: "-sT", args: ["-sT"] },
];
const RISING: readonly Scan[] = [
  { name: "-sS -r", args: ["-sS", "-r"] },
  { name: "-sS -r, IPv6", args: ["-sS", "-r"], family: IPV6 },
  { name: "-sT -r", args: ["-sT", "-r"] },
];
const TWICE: readonly Scan[] = [{ name: "-sS -r, twice", args: ["-sS", "-r"], passes: 2 }];
const ALL: readonly Scan[] = [...WITHOUT_SYN, ...RANDOM, ...RISING, ...TWICE];

netnsTest("the recommended sequence: no scan opens", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--port-seq", RECOMMENDED);
  await each(t, ALL, async (scan, source) => {
    const states = await run(stage, scan, source);
    ok(states.every((state) => !/^(open|closed)$/.test(state)), `${states}`);
    strictEqual(pk.seen("granted").length, 0);
  });
});

netnsTest("the default sequence: a scan in rising order opens it", async (t) => {
  await using stage = await setStage();
  await using pk = await startPk(stage.ns, "--port-seq", DEFAULT);
  await each(t, WITHOUT_SYN, async (scan, source) => {
    ok(!/^(open|closed)$/.test(`${await run(stage, scan, source)}`));
    strictEqual(pk.seen("granted").length, 0);
  });
  await each(t, RANDOM, async (scan, source) => {
    // By chance, and 80 is always among the first: 1 in 5,040. Reported, since no promise is made.
    const states = await run(stage, scan, source);
    console.log(`nmap ${scan.name}: ${states}, ${pk.seen("granted", { source }).length} grants`);
  });
  await each(t, RISING, async (scan, source) => {
    strictEqual(`${await run(stage, scan, source)}`, "open", "nmap itself sees the port open");
    await pk.event("granted", { source });
  });
});

netnsTest("a sequence that rises but for one place: two scans in a row open it", async (t) => {
  await using stage = await setStage();
  // However long nmap takes on a busy machine: two scans are to be one attempt.
  await using pk = await startPk(stage.ns, "--port-seq", BROKEN_ONCE, "--within", "60s");
  await each(t, [...RISING.slice(0, 1), ...TWICE], async (scan, source) => {
    await run(stage, scan, source);
    if (scan.passes === 2) await pk.event("granted", { source });
    else strictEqual(pk.seen("granted", { source }).length, 0);
  });
});

netnsTest(
  "a sequence that rises, with a decoy in it: scans in rising order do not open it",
  async (t) => {
    await using stage = await setStage();
    await using pk = await startPk(stage.ns, "--port-seq", "7000,8000,9000", "--decoys", "7500");
    await each(t, [...RISING, ...TWICE], async (scan, source) => {
      const states = await run(stage, scan, source);
      ok(states.every((state) => !/^(open|closed)$/.test(state)), `${states}`);
      strictEqual(pk.seen("granted").length, 0);
      await pk.event("decoy", { source });
    });
  },
);

/** Runs scans one after the other as steps, each from a source of its own. */
async function each(
  t: Deno.TestContext,
  scans: readonly Scan[],
  fn: (scan: Scan, source: string) => Promise<void>,
): Promise<void> {
  for (const scan of scans) {
    const { family = IPV4, name } = scan;
    await t.step(name, () => fn(scan, family.source(1 + ALL.indexOf(scan))));
  }
}

/** What nmap says of the guarded port: "open", "filtered", "open|filtered", or "closed"; by pass. */
async function run({ lab }: Stage, scan: Scan, source: string): Promise<string[]> {
  const { args, passes = 1, family = IPV4 } = scan;
  // A scanner takes the source that the route names, with raw packets and with connections.
  const [bits, version] = family === IPV4 ? [32, "-4"] : [128, "-6"];
  const to = [`${family.server}/${bits}`, ..."dev veth0 src".split(" "), source];
  await must(...enter(lab.client), "ip", version, "route", "replace", ...to);
  const states: string[] = [];
  for (let pass = 0; pass < passes; pass++) {
    const speed = "-n -Pn -T5 --min-rate 20000 --max-retries 1 -p 1-65535 -oG -".split(" ");
    const six = family === IPV6 ? ["-6"] : [];
    const nmap = ["nmap", ...six, ...speed, ...args, family.server];
    const { code, stdout, stderr } = await inside(lab.client, ...nmap);
    strictEqual(code, 0, stderr);
    states.push(
      stdout.match(new RegExp(`[ ,]${GUARDED}/([a-z|]+)/tcp`))?.[1] ?? "among the others",
    );
  }
  return states;
}
