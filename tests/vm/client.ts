// What the client beside a guest does: knock with Debian's own client, log in by ssh, and hold ssh
// sessions open. Sources are addresses of the client's end, see guest.ts.

import { lines, within } from "./agent.ts";
import { end, type Guest } from "./guest.ts";

export interface Session extends AsyncDisposable {
  /** Types a line to `cat` on the other side and waits until it comes back. */
  echoes(word: string): Promise<void>;
}

/** `undefined`: logged in. Otherwise what ssh said. */
export type Refusal = string | undefined;

// An emulated sshd may take long to greet. This limit is also the one for the connection, so who
// expects a shut port sets one of a few SYNs.
const greetingS = 60;
const answerMs = 60_000;

/** Knocks from the client's first address of that family. */
export async function knock(guest: Guest, to: string, ports: readonly number[]): Promise<void> {
  const { success } = await guest.client("knock", ["-d", "50", to, ...ports.map(String)], {
    stdin: "null",
  }).status;
  if (!success) throw new Error(`knock to ${to} has failed: see the lines above`);
}

/** Logs in from an address, has a word echoed, and logs out. */
export async function login(
  guest: Guest,
  to: string,
  from: string,
  connectTimeoutS = greetingS,
): Promise<Refusal> {
  const word = crypto.randomUUID();
  const child = guest.client("ssh", [
    ...[...guest.sshOptions, "-o", `ConnectTimeout=${connectTimeoutS}`, "-b", from],
    ...[`root@${to}`, `echo ${word}`],
  ], { stdin: "null", stdout: "piped", stderr: "piped" });
  const { success, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  return success && text(stdout) === word ? undefined : text(stderr) || "no echo";
}

/** Opens a session and keeps it open. */
export async function hold(guest: Guest, to: string, from: string): Promise<Session> {
  const child = guest.client("ssh", [
    ...[...guest.sshOptions, "-o", `ConnectTimeout=${greetingS}`, "-b", from],
    ...[`root@${to}`, "cat"],
  ], { stdin: "piped", stdout: "piped", stderr: "inherit" });
  const typed = child.stdin.getWriter();
  const shown = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(lines()).getReader();

  async function echoes(word: string): Promise<void> {
    await typed.write(new TextEncoder().encode(`${word}\n`));
    const { value } = await within(shown.read(), answerMs, `the ssh session of ${from}`);
    if (value !== word) throw new Error(`The ssh session of ${from} has ended`);
  }

  async function close(): Promise<void> {
    await end(child);
    await typed.abort().catch(() => {}); // the pipe may be broken
    await shown.cancel();
  }

  await using unlessOpened = new AsyncDisposableStack();
  unlessOpened.defer(close);
  await echoes("session opened");
  unlessOpened.move();
  return { echoes, [Symbol.asyncDispose]: close };
}
