// The hands of a test inside a namespace: typed calls of agent.py, which makes the sockets there.
// One JSON line per request and answer. Decides nothing: what it hands back, the test judges.

import { lines } from "./lines.ts";

/** Extension headers or options that a SYN carries. */
export type Options = "ipv4-options" | "destination-options" | "hop-by-hop";

export interface Connect {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly source?: string;
  readonly sourcePort?: number;
  readonly options?: Options;
}

export type Connected =
  | { readonly connected: true; readonly us: number; session: number; readonly sourcePort: number }
  | { readonly connected: false; readonly us: number; readonly error: string };

export interface Knock {
  readonly host: string;
  readonly ports: readonly number[];
  readonly source?: string;
  /** When each SYN goes out, from the start; or the gap between two. Neither: as fast as it goes. */
  readonly atMs?: readonly number[];
  readonly gapMs?: number;
  /** Keep the sockets open, so that the kernel repeats unanswered SYNs. */
  readonly hold?: boolean;
  readonly options?: Options;
}

export interface Probed {
  readonly tries: number;
  /** When each connection stood, in ms since the epoch. */
  readonly connectedAt: readonly number[];
}

/** Between these two times, in ms since the epoch, the kernel removed the ruleset. */
export interface Flushed {
  readonly begun: number;
  readonly done: number;
}

export interface Intruded {
  readonly tries: number;
  readonly connections: readonly {
    /** ms since the epoch. */
    readonly connectedAt: number;
    readonly sourcePort: number;
    /** Absent where it still lived at the end. */
    readonly endedAt?: number;
    /** ECONNRESET, or "closed". */
    readonly how?: string;
  }[];
}

export interface Agent extends AsyncDisposable {
  connect(request: Connect): Promise<Connected>;
  echo(session: number, text: string, timeoutMs?: number): Promise<boolean>;
  /** As `echo`, with the reason where nothing came back: ECONNRESET, "closed", "timeout". */
  type(
    session: number,
    text: string,
    timeoutMs?: number,
  ): Promise<{ readonly echoed: boolean; readonly error?: string }>;
  close(session: number): Promise<void>;
  /** Forgets a session without a packet, so that conntrack elsewhere does not learn of it. */
  vanish(session: number): Promise<void>;
  /** Sends the SYNs; when the last went out, in ms since the epoch. */
  knock(request: Knock): Promise<number>;
  /** From each source all knocks and at once a connection: µs from the last knock, or null. */
  race(request: {
    readonly host: string;
    readonly ports: readonly number[];
    readonly guarded: number;
    readonly sources: readonly string[];
    readonly timeoutMs: number;
    readonly cpu?: number;
  }): Promise<readonly (number | null)[]>;
  /** Tries to connect again and again until the returned function is called. */
  probe(request: {
    readonly host: string;
    readonly port: number;
    readonly source?: string;
    readonly intervalMs?: number;
  }): () => Promise<Probed>;
  /** As `probe`, but keeps what it gets, and for some time after its end sees how that ends. */
  intrude(request: {
    readonly host: string;
    readonly port: number;
    readonly source?: string;
    readonly intervalMs?: number;
    readonly watchMs?: number;
  }): () => Promise<Intruded>;
  /** Waits until a session ends by itself: "ECONNRESET", "closed", or "lives" when the time is over. */
  ends(
    session: number,
    timeoutMs: number,
  ): Promise<{ readonly how: string; readonly at?: number }>;
  flood(request: {
    readonly host: string;
    readonly ports: readonly number[];
    readonly count: number;
    readonly source?: string;
  }): Promise<void>;
  /** Starts an echo service; "dual" sees IPv4 peers as v4-mapped. */
  listen(port: number, family?: "dual" | "ipv4" | "ipv6"): Promise<void>;
  /** Addresses of everybody whose connection the service accepted so far. */
  peers(port: number): Promise<readonly string[]>;
  /** Binds a netfilter queue, as another program would. */
  takeQueue(number: number): Promise<void>;
  /** What `nft flush ruleset` does. */
  flushRuleset(): Promise<Flushed>;
  /** A SYN in two IPv4 fragments: was it answered with SYN and ACK? */
  fragmentedSyn(request: {
    readonly host: string;
    readonly port: number;
    readonly source: string;
    readonly firstBytes: number;
    readonly timeoutMs: number;
  }): Promise<boolean>;
}

/** Starts agent.py in a namespace. */
export function startAgent(ns: string): Agent {
  const program = new URL("agent.py", import.meta.url).pathname;
  const child = new Deno.Command("nsenter", {
    // Ctrl-C is for the test run, which ends the agent.
    args: [`--net=/run/netns/${ns}`, "sh", "-c", `trap "" INT; exec python3 "$1"`, "sh", program],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const reading = (async () => {
    for await (const line of lines(child.stdout)) {
      const { id, failed, ...reply } = JSON.parse(line);
      if (failed) waiting.get(id)?.reject(new Error(`agent.py: ${failed}`));
      else waiting.get(id)?.resolve(reply);
      waiting.delete(id);
    }
    for (const { reject } of waiting.values()) reject(new Error("agent.py ended"));
  })();

  let last = 0;
  /** Sends a request; its id and its answer, whose shape agent.py gives. */
  function send<T>(op: string, fields: object = {}): { id: number; reply: Promise<T> } {
    const id = ++last;
    const answered = Promise.withResolvers<unknown>();
    answered.promise.catch(() => {}); // a test that failed no longer waits for its prober
    waiting.set(id, answered);
    const line = JSON.stringify({ id, op, ...fields }) + "\n";
    writer.write(new TextEncoder().encode(line)).catch(answered.reject);
    return { id, reply: answered.promise as Promise<T> };
  }
  async function call<T = void>(op: string, fields: object = {}): Promise<T> {
    return await send<T>(op, fields).reply;
  }

  return {
    connect: (request) => call<Connected>("connect", request),
    echo: async (session, text, timeoutMs = 3000) =>
      (await call<{ echoed: boolean }>("echo", { session, text, timeoutMs })).echoed,
    type: (session, text, timeoutMs = 3000) => call("echo", { session, text, timeoutMs }),
    close: (session) => call("close", { session }),
    vanish: (session) => call("vanish", { session }),
    knock: async (request) => (await call<{ lastAt: number }>("knock", request)).lastAt,
    race: async (request) => (await call<{ us: (number | null)[] }>("race", request)).us,
    probe: (request) => {
      const { id, reply } = send<Probed>("probe", request);
      return async () => {
        await call("stop", { probe: id });
        return await reply;
      };
    },
    intrude: (request) => {
      const { id, reply } = send<Intruded>("intrude", request);
      return async () => {
        await call("stop", { probe: id });
        return await reply;
      };
    },
    ends: (session, timeoutMs) => call("ends", { session, timeoutMs }),
    flood: (request) => call("flood", request),
    listen: (port, family = "dual") => call("listen", { port, family }),
    peers: async (port) =>
      (await call<{ peers: [string, number][] }>("peers", { port })).peers.map(([peer]) => peer),
    takeQueue: (number) => call("take_queue", { number }),
    flushRuleset: () => call<Flushed>("flush_ruleset"),
    fragmentedSyn: async (request) =>
      (await call<{ answered: boolean }>("fragmented_syn", request)).answered,
    async [Symbol.asyncDispose]() {
      await writer.close().catch(() => {}); // it ended before: nothing to close
      try {
        child.kill("SIGKILL");
      } catch {
        // It ended by itself meanwhile.
      }
      await Promise.all([child.status, reading]);
    },
  };
}
