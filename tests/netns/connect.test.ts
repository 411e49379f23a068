// pk connect as ssh's ProxyCommand, with OpenSSH's own server and client, and by itself.
//
//     client  veth0 ◄────────► veth0  server: sshd on 2222, which pk guards
//     ssh ─ pk connect

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { netnsTest, sideBySide } from "../support/cases.ts";
import {
  createLab,
  enter,
  FAMILIES,
  type Family,
  inside,
  IPV4,
  IPV6,
  must,
  type Outcome,
  run,
  sleep,
} from "../support/netns.ts";
import { GUARDED, KNOCKS, setStage, startPk } from "../support/pk.ts";
import { type Profiles, writeProfiles } from "../support/profiles.ts";
import { type Ssh, startSsh } from "../support/ssh.ts";
import { withFault } from "../support/tamper.ts";

const BYTES = 100 * 1024 * 1024;

netnsTest("ssh through pk connect gets in, also while another session is up", async (t) => {
  await using lab = await createLab({ sources: 0 });
  await using _pk = await startPk(lab.server, "--rule-timer", "1s");
  for (const family of FAMILIES) {
    await t.step(family.name, async () => {
      await using ssh = await startSsh({ ...lab, address: family.server, port: GUARDED });
      await writeProfile(ssh, family);
      const shut = await inside(lab.client, "nc", "-z", "-w", "1", family.server, `${GUARDED}`);
      strictEqual(shut.code, 1, "nobody gets in without knocking");

      await using first = await startSession(lab.client, ssh);
      strictEqual(await first.ask("one"), "one");
      const started = performance.now();
      const second = await ssh.run("proxied", "echo", "two");
      strictEqual(second.stdout, "two\n", second.stderr);
      strictEqual(second.stderr, "", "nothing to say where nothing is wrong");
      ok(performance.now() - started < 10_000, "no SYN was lost on the way");
      const passed = await ssh.run("passed", "echo", "three");
      deepStrictEqual([passed.stdout, passed.stderr], ["three\n", ""]);
      await sleep(1_500);
      strictEqual(await first.ask("four"), "four", "the first session outlives its grant");
    });
  }
});

netnsTest("100 MB each way through ssh arrive whole, about as fast as without pk", async () => {
  await using lab = await createLab({ sources: 0 });
  await using _pk = await startPk(lab.server, "--rule-timer", "10m");
  await using ssh = await startSsh({ ...lab, address: IPV4.server, port: GUARDED });
  await writeProfile(ssh, IPV4);
  const file = `${ssh.folder}/file`;
  await must("sh", "-c", `head -c ${BYTES} /dev/urandom >${file}`);
  const [expected] = (await must("sha256sum", file)).split(" ");
  strictEqual((await ssh.run("proxied", "true")).code, 0); // from here on the plain way gets in, too
  const times = { plain: slowest(), proxied: slowest(), passed: slowest() };
  // Each way comes first once: what was written before costs whoever comes next.
  for (
    const ways of [
      ["plain", "proxied", "passed"],
      ["proxied", "passed", "plain"],
      ["passed", "plain", "proxied"],
    ] as const
  ) {
    for (const way of ways) {
      const copy = `${ssh.folder}/copy`;
      // To log in takes as long as the way to it takes: of the transfer's time it is no part.
      const begun = performance.now();
      strictEqual((await ssh.run(way, "true")).code, 0);
      times[way].login = Math.min(performance.now() - begun, times[way].login);
      const transfer = async (line: string) => {
        const started = performance.now();
        await must(...enter(lab.client), "sh", "-c", line);
        const ms = performance.now() - started;
        const [sum] = (await must("sha256sum", copy)).split(" ");
        strictEqual(sum, expected, `${way}: ${line}`);
        await Deno.remove(copy);
        return ms;
      };
      const down = await transfer(`${ssh.command(way, `cat ${file}`).join(" ")} >${copy}`);
      const up = await transfer(`${ssh.command(way, `'cat >${copy}'`).join(" ")} <${file}`);
      // The best of each: what else runs here only makes a transfer slower.
      times[way].down = Math.min(down, times[way].down);
      times[way].up = Math.min(up, times[way].up);
    }
  }
  for (const way of ["proxied", "passed"] as const) {
    const figures = (["down", "up"] as const).map((direction) => {
      const [ms, plainMs] = [way, "plain" as const].map((way) =>
        times[way][direction] - times[way].login
      ) as [number, number];
      const speed = (ms: number) => (BYTES / 1e3 / ms).toFixed(0);
      return `${direction} ${speed(ms)} of ${speed(plainMs)} MB/s (${(plainMs / ms).toFixed(2)})`;
    });
    console.log(`100 MB, ${way}: ${figures.join(", ")}`);
  }
});

function slowest() {
  return { down: Infinity, up: Infinity, login: Infinity };
}

/** The same handful of lines for every server: each connection is served in a process of its own. */
const serve = (port: number, lines: string) => `
import hashlib, os, signal, socket, struct, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.create_server(("::", ${port}), family=socket.AF_INET6, dualstack_ipv6=True)
def receive():
    while data := peer.recv(65536):
        yield data
while True:
    peer, _ = listener.accept()
    if os.fork() == 0:
        try:
            ${lines.trim().replaceAll("\n", "\n            ")}
        except ConnectionError: pass
        os._exit(0)
    peer.close()
`;

const SERVERS = {
  /** Tells, after the client has ended its side, how many bytes came and which; begins after a second. */
  digest: {
    port: 4000,
    lines: `
time.sleep(1)
digest, count = hashlib.sha256(), 0
for data in receive():
    digest.update(data)
    count += len(data)
peer.sendall(f"{count} {digest.hexdigest()}".encode())`,
  },
  /** Ends its own side at once, then makes a file of the name that still comes. */
  farewell: {
    port: 4001,
    lines: `
peer.sendall(b"bye")
peer.shutdown(socket.SHUT_WR)
open(sys.argv[1] + "/" + b"".join(receive()).decode().strip(), "w")`,
  },
  /** Resets the connection after some bytes. */
  reset: {
    port: 4002,
    lines: `
peer.recv(5)
peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))`,
  },
  /** Sends 20 MB, after the client has ended its side. */
  source: {
    port: 4003,
    lines: `
for data in receive(): pass
peer.sendall((b"y\\n" * 10000002)[:20000003])`,
  },
  /** Has urgent data between its words. */
  urgent: {
    port: 4004,
    lines: `
for word in (b"one ", b"two ", b"three"):
    peer.sendall(word)
    time.sleep(0.2)
    peer.send(b"!", socket.MSG_OOB)
    time.sleep(0.2)
peer.sendall(b" four")`,
  },
  /** Is killed after some bytes. */
  killed: { port: 4005, lines: "peer.recv(100)\nos.kill(os.getpid(), signal.SIGKILL)" },
} as const;

/** Runs a command with sockets as standard input and output, and what comes and goes through them. */
const WITH_SOCKETS = `
import os, socket, subprocess, sys, threading
(to, stdin), (come, stdout) = socket.socketpair(), socket.socketpair()
child = subprocess.Popen(sys.argv[1:], stdin=stdin, stdout=stdout)
stdin.close(), stdout.close()
def send():
    while data := os.read(0, 65536): to.sendall(data)
    to.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
try:
    while data := come.recv(65536): os.write(1, data)
    os.close(1)
except BrokenPipeError: come.close()
code = child.wait()
os._exit(code)
`;

/** What pk's standard input and output are, and what makes them so: the kernel joins the first kind only. */
const PLUMBING = {
  pipes: [],
  "pipes that cannot be spliced": withFault({ call: "splice", inject: "error=EINVAL" }),
  sockets: ["python3", "-c", WITH_SOCKETS],
} as const;

/** Runs a line of bash with pk in the place of each CONNECT; the code is that of who failed. */
function shell(line: string, connect: readonly string[]): Promise<Outcome> {
  return run("bash", "-o", "pipefail", "-c", line.replace("CONNECT", '"$@"'), "sh", ...connect);
}

netnsTest("each side's end is handed on by itself, and not a byte is lost", async (t) => {
  await using lab = await createLab({ sources: 0 });
  await using client = await writeServerProfile(lab.client, IPV4);
  const { folder } = client;
  await using servers = new AsyncDisposableStack();
  for (const { port, lines } of Object.values(SERVERS)) {
    servers.use(await startPython(lab.server, port, serve(port, lines), folder));
  }
  const file = `${folder}/file`;
  await must("sh", "-c", `head -c 20000003 /dev/urandom >${file}`);
  const [digest] = (await must("sha256sum", file)).split(" ");
  const sourceDigest = await must("sh", "-c", "yes | head -c 20000003 | sha256sum");

  type Plumbing = keyof typeof PLUMBING;
  const kinds = Object.keys(PLUMBING) as Plumbing[];
  await sideBySide(t, kinds, (kind) => kind, async (kind) => {
    const at = (server: keyof typeof SERVERS, line: string) => {
      const command = client.command("connect", "server", `${SERVERS[server].port}`);
      return shell(line, [...PLUMBING[kind], ...command]);
    };
    /** The same, and that its processor time is that of its start, however long nothing goes on. */
    const stalled = async (server: keyof typeof SERVERS, line: string) => {
      const timed = line.replace("CONNECT", "{ TIMEFORMAT='cpu %U %S'; time CONNECT; }");
      const outcome = await at(server, timed);
      const [, user, system] = outcome.stderr.match(/cpu (\S+) (\S+)/) ?? [];
      ok(Number(user) + Number(system) < 2, `${kind}: ${outcome.stderr}`);
      return outcome;
    };

    const sent = await at("digest", `cat ${file} | CONNECT`);
    strictEqual(sent.stdout, `20000003 ${digest}`, `the input ends first: ${sent.stderr}`);

    const nothing = await at("digest", "true | CONNECT");
    match(nothing.stdout, /^0 e3b0c44298fc1c14/, "nothing at all is sent");

    const name = kind.replaceAll(" ", "-");
    const read = `(cat; test -e ${folder}/${name} || echo " first")`;
    const late = await at("farewell", `(sleep 1; echo ${name}) | CONNECT | ${read}`);
    deepStrictEqual([late.code, late.stdout], [0, "bye first\n"], "the peer ends first");
    await Deno.stat(`${folder}/${name}`);

    const answer = await at("source", "true | CONNECT | sha256sum");
    deepStrictEqual([answer.code, answer.stdout], [0, sourceDigest], "more comes than is sent");

    const urgent = await at("urgent", "sleep 1 | CONNECT");
    strictEqual(urgent.stdout, "one two three four", "urgent data is left out");

    const reset = await at("reset", "(echo hello; sleep 1) | CONNECT");
    deepStrictEqual([reset.code, reset.stdout], [1, ""], "the peer breaks off");
    match(reset.stderr, /^pk: error: The connection broke: .*reset/i);

    const killed = await at("killed", "(for i in 1 2 3; do echo hello; sleep 0.5; done) | CONNECT");
    deepStrictEqual([killed.code, killed.stdout], [1, ""], "the peer is killed");
    match(killed.stderr, /^pk: error: The connection broke: Broken pipe/);

    const unread = await at("digest", "head -c 1000000 /dev/zero | timeout 10 CONNECT | true");
    strictEqual(unread.code, 0, `nobody reads the output: ${unread.stderr}`);
    const head = await at("source", "true | timeout 10 CONNECT | head -c 1");
    deepStrictEqual([head.code, head.stdout], [0, "y"], head.stderr);

    const slowReader = await stalled("source", "true | CONNECT | (sleep 4; sha256sum)");
    strictEqual(slowReader.stdout, sourceDigest, "who reads the output is slow");
    const slowPeer = await stalled("digest", `(cat ${file}; sleep 3) | CONNECT`);
    strictEqual(slowPeer.stdout, `20000003 ${digest}`, "the peer is slow, and then the input");
  });

  await t.step("files", async () => {
    const command = client.command("connect", "server", `${SERVERS.digest.port}`);
    const { stderr } = await shell(`CONNECT <${file} >${folder}/answer`, command);
    strictEqual(await Deno.readTextFile(`${folder}/answer`), `20000003 ${digest}`, stderr);
    const full = await shell(`CONNECT <${file} >/dev/full`, command);
    strictEqual(full.code, 1);
    match(full.stderr, /^pk: error: Cannot write to standard output: No space left/);
  });
  await t.step("nobody takes the descriptor", async () => {
    const { code, stderr } = await shell(
      "CONNECT </dev/null",
      client.command("connect", "--pass-fd", "server", `${SERVERS.digest.port}`),
    );
    strictEqual(code, 1);
    match(stderr, /Cannot pass the connection on: ENOTSOCK\. --pass-fd is for ssh/);
  });
});

netnsTest(
  "bytes between pipes are moved by the kernel, also to an address of one link",
  async () => {
    await using lab = await createLab({ sources: 0 });
    const links = await must(
      ...enter(lab.server),
      ..."ip -6 -o addr show veth0 scope link".split(" "),
    );
    const [address] = links.match(/fe80::[0-9a-f:]+/) ?? [];
    await using client = await writeProfiles(
      lab.client,
      `  server: { host: "${address}%veth0", opens: tcp/${GUARDED}, knock: [tcp/7000, tcp/8000] }`,
    );
    const { port, lines } = SERVERS.digest;
    await using _digest = await startPython(lab.server, port, serve(port, lines));
    const command = client.command("connect", "server", `${port}`);
    const trace = `${client.folder}/trace`;
    const strace = ["strace", "-f", "-qq", "-e", "trace=splice", "-o", trace];
    const { stdout, stderr } = await shell(
      "head -c 1000000 /dev/zero | CONNECT",
      [...strace, ...command],
    );
    match(stdout, /^1000000 /, stderr);
    match(await Deno.readTextFile(trace), /splice\(0, NULL, \d+, NULL, .* = [1-9]\d+\n/);
    const { code, stderr: refusal } = await shell("CONNECT </dev/null", command);
    strictEqual(code, 2);
    match(refusal, /it is an address of one link only\. Use pipes, another address/);
  },
);

netnsTest("what goes wrong is said on standard error, and the exit code is 1", async (t) => {
  await using stage = await setStage();
  await using _pk = await startPk(stage.ns);
  const cases: readonly { family: Family; args: string[]; code?: number; says: RegExp }[] = [
    { family: IPV4, args: ["server"], says: /tcp\/2222 .* no answer within 1s/ },
    { family: IPV6, args: ["server"], says: /tcp\/2222 .* no answer within 1s/ },
    { family: IPV4, args: ["server", "2223"], says: /tcp\/2223 .* reset.* service run/ },
    { family: IPV4, args: ["--pass-fd", "server"], says: /tcp\/2222 .* no answer within 1s/ },
    { family: IPV6, args: ["--pass-fd", "server", "2223"], says: /tcp\/2223 .* reset/ },
    { family: IPV4, args: ["sever"], code: 2, says: /no profile "sever".*Did you mean server/ },
    { family: IPV4, args: ["server", "0"], code: 2, says: /port "0"/ },
  ];
  await sideBySide(
    t,
    cases,
    ({ family, args }) => `${family.name} ${args.join(" ")}`,
    async ({ family, args, code: expected = 1, says }) => {
      await using client = await writeServerProfile(stage.lab.client, family, [9000, 8000]);
      const { code, stdout, stderr } = await client.run("connect", "--timeout", "1s", ...args);
      match(stderr, says);
      deepStrictEqual([code, stdout], [expected, ""]);
    },
  );
});

/** A profile "server" whose knocks open the guarded port, or do not. */
function writeServerProfile(
  ns: string,
  family: Family,
  knocks: readonly number[] = KNOCKS,
): Promise<Profiles> {
  const knock = knocks.map((port) => `tcp/${port}`).join(", ");
  return writeProfiles(
    ns,
    `  server: { host: "${family.server}", opens: tcp/${GUARDED}, knock: [${knock}] }`,
  );
}

/** Runs a Python server in a namespace until the scope ends; comes back when it listens. */
async function startPython(
  ns: string,
  port: number,
  program: string,
  ...args: string[]
): Promise<AsyncDisposable> {
  const [enterProgram, ...entering] = enter(ns);
  const child = new Deno.Command(enterProgram, {
    args: [...entering, "python3", "-c", program, ...args],
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  while (!(await must(...enter(ns), "ss", "-tln")).includes(`:${port} `)) await sleep(50);
  return {
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended by itself.
      }
      await child.status;
    },
  };
}

/** The profile "server", which is also found by its host. */
function writeProfile(ssh: Ssh, family: Family): Promise<void> {
  const knock = KNOCKS.map((port) => `tcp/${port}`).join(", ");
  return Deno.writeTextFile(
    `${ssh.folder}/hosts.yaml`,
    `hosts: { server: { host: "${family.server}", opens: tcp/${GUARDED}, knock: [${knock}] } }\n`,
  );
}

interface Session extends AsyncDisposable {
  /** Writes a line to `cat` at the server; the line that comes back. */
  ask(line: string): Promise<string>;
}

async function startSession(client: string, ssh: Ssh): Promise<Session> {
  const [program, ...entering] = enter(client);
  const child = new Deno.Command(program, {
    args: [...entering, ...ssh.command("proxied", "cat")],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  return await Promise.resolve({
    ask: async (line: string) => {
      await writer.write(new TextEncoder().encode(`${line}\n`));
      const { value = "" } = await reader.read();
      return value.trimEnd();
    },
    async [Symbol.asyncDispose]() {
      await writer.close();
      await reader.cancel();
      await child.status;
    },
  });
}
