// What goes over a wire: tcpdump in a namespace, its lines as packets.

import { lines } from "./lines.ts";
import { enter, sleep } from "./netns.ts";

export interface Packet {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Address and port as tcpdump writes them: "10.99.0.2.40000"; of ICMP without a port. */
  readonly from: string;
  readonly to: string;
  /** What it is, in tcpdump's words: "Flags [S], seq …". */
  readonly what: string;
  /** The packet from its IP header on, as hexadecimal digits. */
  readonly bytes: string;
}

export interface Capture extends AsyncDisposable {
  /** Ends the capture; what passed so far. */
  packets(): Promise<readonly Packet[]>;
}

/** Time for the last packets to be printed. */
const LAST_MS = 200;

/** Captures what passes veth0 of a namespace, both ways; comes back when it looks. */
export async function startCapture(ns: string, filter: string): Promise<Capture> {
  const [program, ...entering] = enter(ns);
  const child = new Deno.Command(program, {
    args: [...entering, "tcpdump", "-i", "veth0", "-nn", "-tt", "-x", "-l", "--immediate-mode"]
      .concat(filter),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said: string[] = [];
  const looking = Promise.withResolvers<void>();
  const saying = (async () => {
    for await (const line of lines(child.stderr)) {
      said.push(line);
      if (line.startsWith("listening on")) looking.resolve();
    }
    looking.reject(new Error(`tcpdump: ${said.join("\n")}`));
  })();
  const packets: Packet[] = [];
  const reading = (async () => {
    for await (const line of lines(child.stdout)) add(packets, line);
  })();
  const stop = async () => {
    try {
      child.kill("SIGINT");
    } catch {
      // It has ended before.
    }
    await Promise.all([child.status, saying, reading]);
  };
  looking.promise.catch(() => {});
  await looking.promise;
  return {
    packets: async () => {
      await sleep(LAST_MS);
      await stop();
      return packets;
    },
    [Symbol.asyncDispose]: stop,
  };
}

function add(packets: Packet[], line: string): void {
  const [, hex] = /^\s+0x[0-9a-f]+:\s+(.*)$/.exec(line) ?? [];
  const last = packets.at(-1);
  if (hex !== undefined && last !== undefined) {
    packets[packets.length - 1] = { ...last, bytes: last.bytes + hex.replaceAll(" ", "") };
    return;
  }
  const [, at, from, to, what] = /^([\d.]+) IP6? (\S+) > (\S+): (.*)$/.exec(line) ?? [];
  if (at === undefined || from === undefined || to === undefined || what === undefined) return;
  packets.push({ at: Number(at) * 1000, from, to, what, bytes: "" });
}
