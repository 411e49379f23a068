// The compiled pk under test: started in a namespace, its JSON log read as events, ended by its pid.
// Never builds it: `deno task build` does.

import { type Agent, startAgent } from "./agent.ts";
import { lines } from "./lines.ts";
import { createLab, enter, type Family, inside, type Lab, must, type Outcome } from "./netns.ts";

/** The executable under test; PK_BINARY names another one. */
export const PK = Deno.env.get("PK_BINARY") ?? new URL("../../dist/pk", import.meta.url).pathname;

export const KNOCKS = [7000, 8000, 9000] as const;
export const GUARDED = 2222;

/** A tenth of a second on an idle machine; on one that boots virtual machines beside it, much more. */
const READY_MS = 30_000;

/** One line of the log with `--log-format json`. */
export interface Event {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

type Fields = Readonly<Record<string, unknown>>;

/** A running pk. */
export interface Daemon extends AsyncDisposable {
  readonly pid: number;
  readonly events: readonly Event[];
  /** Everything it wrote on stderr, also what is not JSON. */
  readonly log: readonly string[];
  /** All events of that name with these fields, so far. */
  seen(name: string, fields?: Fields): Event[];
  /** Waits for the n-th event of that name with these fields, past or to come. */
  event(
    name: string,
    fields?: Fields,
    options?: { readonly nth?: number; readonly timeoutMs?: number },
  ): Promise<Event>;
  kill(signal: Deno.Signal): void;
  /** Its exit code, when it has ended. */
  ended(timeoutMs?: number): Promise<number>;
}

/** The flags that nearly every test uses, before its own. */
export function flags(...more: string[]): string[] {
  const sequence = more.includes("--port-seq") ? [] : ["--port-seq", KNOCKS.join()];
  return [...sequence, "--port-dest", `${GUARDED}`, "--log-format", "json", ...more];
}

/** Starts pk in a namespace without waiting for anything. `wrap` goes before it: ["strace", "-D"]. */
export function spawnPk(ns: string, args: readonly string[], wrap: readonly string[] = []): Daemon {
  const [program, ...entering] = enter(ns);
  const child = new Deno.Command(program, {
    args: [...entering, ...wrap, PK, ...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log: string[] = [];
  const events: Event[] = [];
  let status: Deno.CommandStatus | undefined;
  let changed = Promise.withResolvers<void>();
  const tell = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const reading = (async () => {
    for await (const line of lines(child.stderr)) {
      log.push(line);
      if (line.startsWith("{")) events.push(JSON.parse(line));
      tell();
    }
    status = await child.status;
    tell();
  })();

  const story = () => `\npk's log:\n${log.map((line) => `  ${line}`).join("\n")}`;
  /** Waits until `found` finds something, for at most so long. */
  async function wait<T>(what: string, timeoutMs: number, found: () => T | undefined): Promise<T> {
    let timer = 0;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs));
    const until = Date.now() + timeoutMs;
    try {
      for (;;) {
        const value = found();
        if (value !== undefined) return value;
        if (status) throw new Error(`pk ended with ${status.code}, no ${what}${story()}`);
        if (Date.now() >= until) throw new Error(`No ${what} within ${timeoutMs} ms${story()}`);
        await Promise.race([changed.promise, late]);
      }
    } finally {
      clearTimeout(timer);
    }
  }
  const matches = (event: Event, name: string, fields: Fields) =>
    event.event === name && Object.entries(fields).every(([key, value]) => event[key] === value);

  return {
    pid: child.pid,
    events,
    log,
    seen: (name, fields = {}) => events.filter((event) => matches(event, name, fields)),
    event(name, fields = {}, { nth = 1, timeoutMs = 5000 } = {}) {
      let looked = 0;
      let found = 0;
      // Each event is looked at once: a flood makes hundreds of thousands.
      const next = () => {
        for (; looked < events.length; looked++) {
          const event = events[looked];
          if (event && matches(event, name, fields) && ++found === nth) return event;
        }
        return undefined;
      };
      return wait(`event "${name}" ${JSON.stringify(fields)} number ${nth}`, timeoutMs, next);
    },
    kill: (signal) => child.kill(signal),
    ended: (timeoutMs = 5000) => wait("end", timeoutMs, () => status?.code),
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended before.
      }
      await reading;
    },
  };
}

/** Starts pk in a namespace and waits until it is ready. */
export async function startPk(ns: string, ...more: string[]): Promise<Daemon> {
  const daemon = spawnPk(ns, flags(...more));
  try {
    await daemon.event("ready", {}, { timeoutMs: READY_MS });
    return daemon;
  } catch (error) {
    await daemon[Symbol.asyncDispose]();
    throw error;
  }
}

/** Runs pk in a namespace to its end. */
export function runPk(ns: string, ...args: string[]): Promise<Outcome> {
  return inside(ns, PK, ...args);
}

/** A lab with a guarded echo service in the server namespace and hands in both. */
export interface Stage extends AsyncDisposable {
  readonly lab: Lab;
  /** The namespace that pk runs in. */
  readonly ns: string;
  readonly client: Agent;
  readonly server: Agent;
}

/** Sets the stage on which nearly every test plays; pk itself does not run yet. */
export async function setStage(options: { readonly sources?: number } = {}): Promise<Stage> {
  await using undo = new AsyncDisposableStack();
  const lab = undo.use(await createLab(options));
  const client = undo.use(startAgent(lab.client));
  const server = undo.use(startAgent(lab.server));
  await server.listen(GUARDED);
  const keep = undo.move();
  return { lab, ns: lab.server, client, server, [Symbol.asyncDispose]: () => keep.disposeAsync() };
}

/** Whether a source gets in to the guarded port (or another) with its first SYN. */
export async function getsIn(
  client: Agent,
  family: Family,
  source: string,
  { port = GUARDED, timeoutMs = 900 } = {},
): Promise<boolean> {
  const result = await client.connect({ host: family.server, port, source, timeoutMs });
  if (result.connected) await client.close(result.session);
  return result.connected;
}

/** A grant as the kernel has it. */
export interface Grant {
  readonly source: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly expiresMs: number;
}

/** The grants in the kernel, of both families; nft shows seconds. */
export async function grants(ns: string): Promise<Grant[]> {
  const found: Grant[] = [];
  for (const set of ["grants4", "grants6"]) {
    const text = await must(
      ...enter(ns),
      "nft",
      "-j",
      "list",
      "set",
      "inet",
      "pk",
      set,
    );
    for (const { elem } of JSON.parse(text).nftables[1].set.elem ?? []) {
      const [source, , port] = elem.val.concat;
      const [timeoutMs, expiresMs] = [elem.timeout * 1000, elem.expires * 1000];
      found.push({ source, port, timeoutMs, expiresMs });
    }
  }
  return found;
}
