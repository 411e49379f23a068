// Packets that no well-behaved client sends, from inside a namespace: typed calls of hostile.py, which
// makes them with scapy. Which forms there are stands there, what they should lead to in the test.

import { lines } from "./lines.ts";
import { enter, must } from "./netns.ts";

/** A SYN in some form, which may be several frames. */
export interface Shot {
  /** A name from the tables of hostile.py, or "flags 0x.." */
  readonly form: string;
  readonly source: string;
  readonly destination: string;
  readonly port: number;
}

/** What a salvo came to. */
export interface Salvo {
  /** By shot: the TCP flags of the first answer ("SA", "RA"), or null. */
  readonly answers: readonly (string | null)[];
  /** Frames that went out. */
  readonly frames: number;
}

export interface Shooter extends AsyncDisposable {
  /** Sends all shots in order, and listens for answers for so long after the last. */
  send(shots: readonly Shot[], listenMs: number): Promise<Salvo>;
}

/** Starts hostile.py in a namespace; its frames go to `target`, at the other end of veth0. */
export async function startShooter(ns: string, target: string): Promise<Shooter> {
  const show = await must(...enter(target), "ip", "-j", "link", "show", "dev", "veth0");
  const mac = JSON.parse(show)[0].address;
  const program = new URL("hostile.py", import.meta.url).pathname;
  const [command, ...entering] = enter(ns);
  const child = new Deno.Command(command, {
    // Debian's own python3, which is the one that has Debian's scapy.
    args: [...entering, "/usr/bin/python3", program],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  const replies = lines(child.stdout);
  return {
    async send(shots, listenMs) {
      const line = JSON.stringify({ mac, shots, listenMs }) + "\n";
      await writer.write(new TextEncoder().encode(line));
      const { done, value } = await replies.next();
      if (done) throw new Error("hostile.py ended");
      const { failed, ...salvo } = JSON.parse(value);
      if (failed) throw new Error(`hostile.py: ${failed}`);
      return salvo;
    },
    async [Symbol.asyncDispose]() {
      await writer.close().catch(() => {}); // it ended before: nothing to close
      try {
        child.kill("SIGKILL");
      } catch {
        // It ended by itself meanwhile.
      }
      await child.status;
    },
  };
}
