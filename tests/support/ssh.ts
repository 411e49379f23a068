// A real OpenSSH server in a namespace, and what its client needs: keys and configurations in a
// folder of their own.

import { enter, inside, must, type Outcome, sleep } from "./netns.ts";
import { PK } from "./pk.ts";

/** `proxied` goes by `ProxyCommand pk connect %h %p`, `passed` by the same with --pass-fd. */
export type Way = "plain" | "proxied" | "passed";

export interface Ssh extends AsyncDisposable {
  readonly folder: string;
  /** The command line of a client. */
  command(way: Way, ...remote: string[]): string[];
  /** Runs it in the client's namespace. */
  run(way: Way, ...remote: string[]): Promise<Outcome>;
}

/** Starts sshd at a port of the server, for root with a key. */
export async function startSsh(
  { server, client, address, port }: {
    server: string;
    client: string;
    address: string;
    port: number;
  },
): Promise<Ssh> {
  const folder = await Deno.makeTempDir({ prefix: "pk-ssh-" });
  const write = (name: string, lines: readonly string[], mode = 0o600) =>
    Deno.writeTextFile(`${folder}/${name}`, lines.join("\n") + "\n", { mode });
  for (const key of ["host", "user"]) {
    await must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", `${folder}/${key}`);
  }
  await Deno.copyFile(`${folder}/user.pub`, `${folder}/authorized`);
  await write("sshd.conf", [
    `Port ${port}`,
    `HostKey ${folder}/host`,
    `AuthorizedKeysFile ${folder}/authorized`,
    "PidFile none",
    "UsePAM no",
    "StrictModes no",
    "PermitRootLogin prohibit-password",
    "MaxStartups 100",
  ]);
  await write("ssh.conf", [
    "Host plain",
    "Host proxied",
    `  ProxyCommand ${PK} connect --profiles ${folder}/hosts.yaml %h %p`,
    "Host passed",
    `  ProxyCommand ${PK} connect --pass-fd --profiles ${folder}/hosts.yaml %h %p`,
    "  ProxyUseFdpass yes",
    "Host *",
    `  HostName ${address}`,
    `  Port ${port}`,
    "  User root",
    `  IdentityFile ${folder}/user`,
    "  IdentitiesOnly yes",
    "  UserKnownHostsFile /dev/null",
    "  StrictHostKeyChecking no",
    "  LogLevel ERROR",
    "  BatchMode yes",
    "  ConnectTimeout 20",
  ]);
  await must("mkdir", "-p", "/run/sshd"); // where sshd puts its unprivileged half
  const [program, ...entering] = enter(server);
  const child = new Deno.Command(program, {
    args: [...entering, "/usr/sbin/sshd", "-D", "-q", "-f", `${folder}/sshd.conf`],
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  const command = (way: Way, ...remote: string[]) => [
    "env",
    `XDG_STATE_HOME=${folder}/state`,
    "ssh",
    "-F",
    `${folder}/ssh.conf`,
    way,
    ...remote,
  ];
  for (let tries = 0; tries < 100; tries++) {
    if ((await must(...enter(server), "ss", "-tln")).includes(`:${port} `)) break;
    await sleep(50);
  }
  return {
    folder,
    command,
    run: (way, ...remote) => inside(client, ...command(way, ...remote)),
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended before.
      }
      await child.status;
      await Deno.remove(folder, { recursive: true });
    },
  };
}
