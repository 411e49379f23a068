// What a page put on the wire: the SYNs that arrive in a namespace, by tcpdump.

import { enter, sleep } from "../support/netns.ts";
import { lines } from "../support/lines.ts";

export interface Syn {
  /** When it arrived, in ms since the epoch. */
  readonly atMs: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly port: number;
}

/** A running capture. */
export interface Capture extends AsyncDisposable {
  /** Those to the given ports so far, in their order. */
  syns(ports: readonly number[]): readonly Syn[];
}

const SYNS = "(tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn) or " +
  "(ip6[6] = 6 and ip6[40 + 13] & 0x12 == 0x02)";

/** Starts to capture. */
export async function captureSyns(ns: string): Promise<Capture> {
  const [program, ...entering] = enter(ns);
  const child = new Deno.Command(program, {
    args: [...entering, "tcpdump", "-l", "-n", "-tt", "--immediate-mode", "-i", "veth0", SYNS],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const syns: Syn[] = [];
  const listening = Promise.withResolvers<void>();
  const reading = [
    (async () => {
      for await (const line of lines(child.stdout)) {
        // 1700000000.123456 IP 10.99.0.2.41196 > 10.99.0.1.7000: Flags [S], ...
        const [, at, source = "", sourcePort, port] =
          /^([\d.]+) IP6? (\S+)\.(\d+) > \S+\.(\d+): /.exec(line) ??
            [];
        const [atMs, from, to] = [Number(at) * 1000, Number(sourcePort), Number(port)];
        syns.push({ atMs, source, sourcePort: from, port: to });
      }
    })(),
    (async () => {
      for await (const line of lines(child.stderr)) {
        if (line.includes("listening on")) listening.resolve();
      }
      listening.reject(new Error("tcpdump ended"));
    })(),
  ];
  listening.promise.catch(() => {});
  await listening.promise;
  await sleep(100);
  return {
    syns: (ports) => syns.filter(({ port }) => ports.includes(port)),
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await Promise.all([...reading, child.status]);
    },
  };
}
