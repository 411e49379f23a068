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
  run,
  sleep,
} from "../support/netns.ts";
import { GUARDED, KNOCKS, setStage, startPk } from "../support/pk.ts";
import { type Profiles, writeProfiles } from "../support/profiles.ts";
import { type Ssh, startSsh } from "../support/ssh.ts";

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
  for (const _round of [1, 2, 3]) {
    for (const way of ["plain", "proxied", "passed"] as const) {
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

/** Tells, after the client has ended its side, how many bytes came and which. */
const DIGEST_SERVER = `
import hashlib, socket
listener = socket.create_server(("::", 4000), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    peer, _ = listener.accept()
    digest, count = hashlib.sha256(), 0
    while data := peer.recv(65536):
        digest.update(data)
        count += len(data)
    peer.sendall(f"{count} {digest.hexdigest()}".encode())
    peer.close()
`;

/** Ends its own side at once, then writes into a file what still comes. */
const FAREWELL_SERVER = `
import socket, sys
listener = socket.create_server(("::", 4001), family=socket.AF_INET6, dualstack_ipv6=True)
peer, _ = listener.accept()
peer.sendall(b"bye")
peer.shutdown(socket.SHUT_WR)
received = b""
while data := peer.recv(65536):
    received += data
open(sys.argv[1], "wb").write(received)
`;

/** Resets the connection after some bytes. */
const RESET_SERVER = `
import socket, struct
listener = socket.create_server(("::", 4002), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    peer, _ = listener.accept()
    peer.recv(5)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
`;

netnsTest("each side's end is handed on by itself, and not a byte is lost", async (t) => {
  await using lab = await createLab({ sources: 0 });
  await using client = await writeServerProfile(lab.client, IPV4);
  await using _digest = await startPython(lab.server, 4000, DIGEST_SERVER);
  const received = `${client.folder}/received`;
  await using _farewell = await startPython(lab.server, 4001, FAREWELL_SERVER, received);
  await using _reset = await startPython(lab.server, 4002, RESET_SERVER);
  const connect = (port: number) => client.command("connect", "server", `${port}`);
  const shell = (line: string, port: number) =>
    run("sh", "-c", `${line.replaceAll("CONNECT", `"$@"`)}`, "sh", ...connect(port));

  await t.step("the input ends first", async () => {
    const file = `${client.folder}/file`;
    await must("sh", "-c", `head -c 20000003 /dev/urandom >${file}`);
    const [digest] = (await must("sha256sum", file)).split(" ");
    const { stdout, stderr } = await shell(`CONNECT <${file}`, 4000);
    strictEqual(stdout, `20000003 ${digest}`, stderr);
  });
  await t.step("nothing at all is sent", async () => {
    const { stdout } = await shell("CONNECT </dev/null", 4000);
    match(stdout, /^0 e3b0c44298fc1c14/);
  });
  await t.step("the peer ends first", async () => {
    const { code, stdout } = await shell("(sleep 1; echo late) | CONNECT", 4001);
    deepStrictEqual([code, stdout], [0, "bye"]);
    strictEqual(await Deno.readTextFile(received), "late\n");
  });
  await t.step("the peer breaks off", async () => {
    const { code, stdout, stderr } = await shell(
      "(echo hello; sleep 3) | timeout 2 CONNECT",
      4002,
    );
    deepStrictEqual([code, stdout], [1, ""]);
    match(stderr, /^pk: error: The connection broke: .*reset/i);
  });
  await t.step("nobody takes the descriptor", async () => {
    const { code, stderr } = await shell("CONNECT --pass-fd </dev/null", 4000);
    strictEqual(code, 1);
    match(stderr, /Cannot pass the connection on: ENOTSOCK\. --pass-fd is for ssh/);
  });
  await t.step("nobody reads the output", async () => {
    const { code } = await shell("head -c 1000000 /dev/zero | timeout 10 CONNECT | true", 4000);
    strictEqual(code, 0);
  });
});

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
