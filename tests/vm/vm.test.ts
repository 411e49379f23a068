// The shipped thing on real distributions: dist/pk and config/pk.service, copied into a stock
// Debian 12 (Linux 6.1) and 13 (Linux 6.12) in QEMU, guard the port of ssh there. Knocks and logins
// come from outside, commands in the guest go through its agent: see guest.ts.
// One guest per suite; the steps build on each other. Emulation is slow: no claim about speed.

import assert from "node:assert/strict";
import { hold, knock, login, type Session } from "./client.ts";
import { boot, buildImage, type Guest, type Suite, whyNot } from "./guest.ts";

const sequence = [7000, 8123, 9321];
const timerMs = 40_000;
const ssh4 = { to: "10.77.0.2", from: "10.77.0.1", other: "10.77.0.9" };
const ssh6 = { to: "fd77::2", from: "fd77::1", other: "fd77::9" };
const startMs = 120_000;

const reason = whyNot();
for (const suite of ["bookworm", "trixie"] as const) {
  Deno.test({
    name: `${suite}: pk guards ssh${reason ? ` (ignored: ${reason})` : ""}`,
    ignore: reason !== undefined,
    fn: (t) => guardsSsh(suite, t),
  });
}

async function guardsSsh(suite: Suite, t: Deno.TestContext): Promise<void> {
  await buildImage(suite);
  await using guest = await boot(suite, {
    "/usr/local/bin/pk": { data: await fromProject("dist/pk"), mode: 0o755 },
    "/etc/systemd/system/pk.service": { data: await fromProject("config/pk.service"), mode: 0o644 },
    "/etc/systemd/system/pk.service.d/emulated.conf": { data: text(patience), mode: 0o644 },
    "/etc/default/pk": { data: text(defaults), mode: 0o600 },
  });
  await using sessions = new AsyncDisposableStack();
  const step = steps(t, guest);
  const held = async (from: string) => sessions.use(await hold(guest, ssh4.to, from));

  let older: Session | undefined;
  await step("a session is older than pk, and nothing has used conntrack", async () => {
    older = await held(ssh4.other);
    const modules = await guest.sh("cut -d ' ' -f 1 /proc/modules");
    assert(!modules.split("\n").includes("nf_conntrack"), "nf_conntrack is loaded already");
  });

  await step("the unit starts and is active", async () => {
    await guest.sh("systemctl start pk", startMs);
    assert.equal(await guest.sh("systemctl is-active pk"), "active");
    assert.equal((await events(guest, "ready")).length, 1);
  });

  await step("the session that is older than pk lives on", () => echoes(older, "still here"));

  await step("the kernel's own queue expression is in use, no xtables target", async () => {
    const listing = await guest.sh("nft list table inet pk");
    const expressions = await guest.sh("nft --debug=netlink list table inet pk");
    assert.match(listing, /queue flags bypass to \d+|queue num \d+ bypass/);
    assert.match(expressions, /\[ queue num \d+ bypass/);
    assert.doesNotMatch(expressions, /\[ target /);
  });

  await step(
    suite === "trixie"
      ? "the table is owned and persistent"
      : "the table has no flags on Linux 6.1",
    async () => {
      const [, flags] = /^\tflags (.*)$/m.exec(await guest.sh("nft list table inet pk")) ?? [];
      assert.equal(flags?.replaceAll(" ", ""), suite === "trixie" ? "owner,persist" : undefined);
    },
  );

  await step("the kernel has what a share of the sources is chosen by", async () => {
    const rule = (family: string) =>
      `nft add rule inet share c jhash ${family} saddr mod 3 seed 0x1 != 2 counter accept`;
    await guest.sh("nft add table inet share && nft add chain inet share c");
    await guest.sh(`${rule("ip")} && ${rule("ip6")} && nft delete table inet share`);
  });

  await step("the unit's hardening holds in the running process", () => hardened(guest));

  let young: Session | undefined;
  for (const { to, from, other } of [ssh4, ssh6]) {
    await step(`${to}: shut before the knocks`, () => shut(guest, to, from));
    await step(`${to}: the knocks open it to their source, and to no other`, async () => {
      await knock(guest, to, sequence);
      await open(guest, to, from);
      if (to === ssh4.to) young = await held(from);
      await shut(guest, to, other);
    });
  }

  await step(
    "after the timer it is shut anew, and a session made while open lives on",
    async () => {
      await expired(guest);
      await shut(guest, ssh4.to, ssh4.from);
      await shut(guest, ssh6.to, ssh6.from);
      await echoes(young, "made while open");
      await echoes(older, "older than pk");
      assert.equal((await events(guest, "expired")).length, 2);
    },
  );

  await step("nft flush ruleset: table and grant are there, or there again", async () => {
    await knockAndWait(guest);
    const back = await guest.sh(`
      nft flush ruleset; started=$(date +%s%3N)
      for try in {1..500}; do
        nft list set inet pk grants4 2>/dev/null | grep -q ${ssh4.from} && break; sleep 0.01
      done
      echo $(( $(date +%s%3N) - started ))`);
    // A table that pk owns is not flushed; one that it does not own, pk puts back.
    assert.equal((await events(guest, "restored")).length, suite === "bookworm" ? 1 : 0);
    console.log(`table and grant seen ${back} ms after nft flush ruleset`);
    await open(guest, ssh4.to, ssh4.from);
    await shut(guest, ssh4.to, ssh4.other);
    await echoes(young, "after the flush");
  });

  await step("restart: the grant is adopted and not renewed", async () => {
    const before = await knockAndWait(guest);
    await guest.sh("systemctl restart pk", startMs);
    const after = await grantSeconds(guest);
    console.log(`seconds left before and after the restart: ${before}, ${after}`);
    assert(after < before, `${after} s left, ${before} s before the restart`);
    await open(guest, ssh4.to, ssh4.from);
  });

  await step("kill -9: systemd starts it again, the grant is adopted", async () => {
    const before = await knockAndWait(guest);
    const pid = await guest.sh("systemctl show pk -p MainPID --value");
    await guest.sh("systemctl kill -s KILL pk");
    await shut(guest, ssh4.to, ssh4.other);
    await guest.sh(
      `
      for try in {1..300}; do
        [ "$(systemctl show pk -p MainPID --value)" != ${pid} ] && systemctl -q is-active pk && exit
        sleep 0.2
      done
      exit 1`,
      startMs,
    );
    assert.equal(await guest.sh("systemctl show pk -p NRestarts --value"), "1");
    assert(await grantSeconds(guest) < before);
    await open(guest, ssh4.to, ssh4.from);
    await echoes(young, "after the kill");
  });

  await step("stop: the rules stay, and nobody new gets in", async () => {
    await guest.sh("systemctl stop pk", startMs);
    assert.equal(await guest.sh("systemctl show pk -p Result --value"), "success");
    await guest.sh("nft list table inet pk");
    await knock(guest, ssh6.to, sequence); // its grant has ended long ago
    await shut(guest, ssh6.to, ssh6.from);
    await echoes(young, "after the stop");
  });

  await step("pk down without a daemon: the host is as before", async () => {
    await guest.sh("pk down", startMs);
    assert.equal(await guest.sh("nft list ruleset"), "");
    await open(guest, ssh4.to, ssh4.from);
  });

  await step("pk down with a daemon: it stops, and the host is as before", async () => {
    await guest.sh("systemctl start pk", startMs);
    await shut(guest, ssh4.to, ssh4.other);
    await guest.sh("pk down", startMs);
    assert.equal(await guest.sh("nft list ruleset"), "");
    const { stdout } = await guest.run("systemctl is-active pk");
    assert.equal(stdout.trim(), "inactive");
  });

  await step("after a reboot it is shut from the start, and the knocks open it", async () => {
    await sessions.disposeAsync(); // the reboot would end them
    await guest.sh("systemctl -q enable pk");
    await guest.reboot();
    assert.equal(await guest.sh("systemctl is-active pk"), "active");
    assert.equal(
      await guest.sh("journalctl -b -t systemd -q -o cat -g 'ordering cycle' || true"),
      "",
    );
    await shut(guest, ssh4.to, ssh4.from);
    await knock(guest, ssh4.to, sequence);
    await open(guest, ssh4.to, ssh4.from);
  });

  await step("nothing in the journal is an error", async () => {
    assert.equal(await guest.sh("journalctl -u pk -p err -q -o cat"), "");
    const all = await events(guest);
    assert(all.length > 0);
    assert.deepEqual(all.filter(({ level }) => level === "error" || level === "fatal"), []);
  });
}

const defaults = `PK_ARGS="--port-seq ${sequence} --port-dest 22 --rule-timer ${timerMs} ` +
  `--log-format json"\n`;

// The unit's own limits, 30 s and 10 s, are for real processors, not for busy emulated ones.
const patience = `[Service]\nTimeoutStartSec=${startMs / 1000}\nTimeoutStopSec=60\n`;

// Sessions and QEMU outlive the step that starts them: their end is the test's, which is checked.
function steps(t: Deno.TestContext, guest: Guest) {
  return (name: string, fn: () => Promise<void>) =>
    t.step({
      name,
      sanitizeOps: false,
      sanitizeResources: false,
      fn: async () => {
        try {
          await fn();
        } catch (error) {
          console.error((await guest.run("journalctl -u pk -n 20; nft list ruleset")).stdout);
          throw error;
        }
      },
    });
}

async function open(guest: Guest, to: string, from: string): Promise<void> {
  const refusal = await login(guest, to, from);
  assert.equal(refusal, undefined, `${from} cannot log in at ${to}: ${refusal}`);
}

// Shut is a port that does not connect: one that connects and is slow to greet is open.
async function shut(guest: Guest, to: string, from: string): Promise<void> {
  const refusal = await login(guest, to, from, 6);
  assert(refusal, `${from} could log in at ${to}`);
  assert.match(refusal, /^ssh: connect to host \S+ port 22: Connection (timed out|refused)/);
}

async function echoes(session: Session | undefined, word: string): Promise<void> {
  assert(session, "the session was never opened: see the step that opens it");
  await session.echoes(word);
}

// What is left of the only grant there is.
async function grantSeconds(guest: Guest): Promise<number> {
  const listing = await guest.sh("nft list set inet pk grants4");
  const [, seconds, ms] =
    /10\.77\.0\.1 \. tcp \. 22 .*expires (?:(\d+)s)?(?:(\d+)ms)?/.exec(listing) ??
      [];
  assert(seconds ?? ms, `no grant in\n${listing}`);
  return Number(seconds ?? 0) + Number(ms ?? 0) / 1000;
}

// Knocks, and waits until the whole timer runs (an earlier grant may stand there still).
async function knockAndWait(guest: Guest): Promise<number> {
  await knock(guest, ssh4.to, sequence);
  for (const deadline = Date.now() + timerMs / 2;;) {
    const left = await grantSeconds(guest).catch((error) => {
      if (Date.now() > deadline) throw error;
      return 0;
    });
    if (left > timerMs / 1000 - 3) return left;
    assert(Date.now() < deadline, `the knocks have not renewed the grant: ${left} s left`);
  }
}

async function expired(guest: Guest): Promise<void> {
  await guest.sh(
    `
    for try in {1..300}; do
      { nft list set inet pk grants4; nft list set inet pk grants6; } | grep -q expires || exit 0
      sleep 0.5
    done
    exit 1`,
    2 * timerMs + startMs,
  );
}

interface Event {
  readonly event: string;
  readonly level: string;
}

// What pk has logged, of one kind or all of it. A line that is no event makes this fail.
async function events(guest: Guest, kind?: string): Promise<readonly Event[]> {
  const journal = await guest.sh("journalctl -u pk -t pk -q -o cat");
  const all: readonly Event[] = journal.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return kind === undefined ? all : all.filter(({ event }) => event === kind);
}

async function hardened(guest: Guest): Promise<void> {
  const asked = ["NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateDevices", "PrivateTmp"]
    .concat(
      "ProtectKernelTunables",
      "RestrictNamespaces",
      "LockPersonality",
      "CapabilityBoundingSet",
    );
  console.log(await guest.sh(`systemctl show pk -p ${asked}`));
  const pid = await guest.sh("systemctl show pk -p MainPID --value");
  const status = await guest.sh(`cat /proc/${pid}/status`);
  const value = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1];
  assert.equal(value("CapEff"), "0000000000001000", "CAP_NET_ADMIN, and no other capability");
  assert.equal(value("CapBnd"), value("CapEff"));
  assert.equal(value("NoNewPrivs"), "1");
  assert.equal(value("Seccomp"), "2", "the filter of system calls");
  // Nothing of the system can be written to by the process.
  const mounts = await guest.sh(`cat /proc/${pid}/mounts`);
  assert.match(mounts, /^\S+ \/ \S+ ro[ ,]/m);
}

function text(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

async function fromProject(path: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(new URL(`../../${path}`, import.meta.url));
  } catch (error) {
    throw new Error(`Cannot read ${path}: run "deno task build" first`, { cause: error });
  }
}
