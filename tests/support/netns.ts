// Network namespaces for tests: a server and a client joined by a veth pair, nothing else reachable.
// ip-netns(8). Names carry the test run's pid, so runs beside each other do not meet, and what a
// killed run left behind is removed by the next one. Never touches a namespace it did not name.
//
//     client                                          server
//     veth0  10.99.0.2/16     ◄──── veth pair ────►   veth0  10.99.0.1/16
//            fd99::2/64                                      fd99::1/64
//            10.99.1.N, fd99::1:N  (more sources)

/** Tests in namespaces need root; without it they are reported as ignored. */
export const root = Deno.uid() === 0;

/** One of the two address families, with the addresses of the lab: tests run the same over both. */
export interface Family {
  readonly name: "IPv4" | "IPv6";
  readonly server: string;
  readonly client: string;
  /** The client's n-th further address, 1 to `sources` of the lab. */
  source(n: number): string;
}

export const IPV4: Family = {
  name: "IPv4",
  server: "10.99.0.1",
  client: "10.99.0.2",
  source: (n) => `10.99.1.${n}`,
};
export const IPV6: Family = {
  name: "IPv6",
  server: "fd99::1",
  client: "fd99::2",
  source: (n) => `fd99::1:${n.toString(16)}`,
};
export const FAMILIES = [IPV4, IPV6] as const;

/** Two namespaces that are gone, with all their processes, when the scope ends. */
export interface Lab extends AsyncDisposable {
  readonly server: string;
  readonly client: string;
  /** One more namespace, joined to nothing yet. */
  add(suffix: string): Promise<string>;
}

/** What a command did. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Makes a server and a client namespace joined by veth, with so many further client addresses. */
export async function createLab({ sources = 20 } = {}): Promise<Lab> {
  await removeStale();
  const name = `pk-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
  await using undo = new AsyncDisposableStack();
  const all = new AsyncDisposableStack();
  undo.use(all);
  const add = async (suffix: string) => {
    const ns = `${name}-${suffix}`;
    all.defer(() => removeNamespace(ns));
    await must("ip", "netns", "add", ns);
    // No waiting for duplicate address detection, of link-local addresses neither.
    await must(...enter(ns), "sh", "-c", NO_DAD);
    return ns;
  };
  const [server, client] = [await add("s"), await add("c")];
  await must(
    ..."ip link add veth0 netns".split(" "),
    server,
    ..."type veth peer name veth0 netns".split(" "),
    client,
  );
  await configure(server, [
    "addr add 10.99.0.1/16 dev veth0",
    "addr add fd99::1/64 dev veth0 nodad",
  ]);
  await configure(client, [
    "addr add 10.99.0.2/16 dev veth0",
    "addr add fd99::2/64 dev veth0 nodad",
    ...range(sources).map((n) => `addr add ${IPV4.source(n)}/16 dev veth0`),
    // Deprecated addresses are never chosen by the kernel itself, only when a test binds to one.
    ...range(sources).map((n) =>
      `addr add ${IPV6.source(n)}/64 dev veth0 nodad valid_lft forever preferred_lft 0`
    ),
  ]);
  for (const ns of [server, client]) await ready(ns);
  undo.move();
  return { server, client, add, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

/**
 * What goes before a command to run it in a namespace. Not `ip netns exec`: that one mounts, for which
 * `/` has to be a mount point, and in a plain chroot it is none.
 */
export function enter(ns: string): [string, ...string[]] {
  return ["nsenter", `--net=/run/netns/${ns}`];
}

/** Runs a command in a namespace to its end, whatever its exit code. */
export function inside(ns: string, ...command: string[]): Promise<Outcome> {
  return run(...enter(ns), ...command);
}

/** Runs a command to its end, whatever its exit code. */
export async function run(...command: string[]): Promise<Outcome> {
  const [program = "", ...args] = command;
  const { code, stdout, stderr } = await new Deno.Command(program, { args, stdin: "null" })
    .output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** Runs a command that has to succeed; its standard output. */
export async function must(...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...command);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr.trim()}`);
  return stdout;
}

/** Loads nft text in a namespace, as the host's own firewall or as another program would. */
export async function nft(ns: string, text: string): Promise<void> {
  await must(...enter(ns), "nft", text);
}

/** The ruleset of a namespace, without what counts or ticks and whose a table is; "" for none. */
export async function ruleset(ns: string): Promise<string> {
  const text = await must(...enter(ns), "nft", "--stateless", "list", "ruleset");
  return text.replace(/ # progname .*/g, "").replace(/^\tflags[a-z, ]*\n/gm, "").replace(
    /\n\n/g,
    "\n",
  );
}

/** The kernel's release as numbers: "6.18.44" is [6, 18]. */
export function kernel(): readonly [number, number] {
  const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
  return [major, minor];
}

/** 1 to n. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, index) => index + 1);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const NO_DAD = "for f in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 >$f; done";

async function configure(ns: string, lines: readonly string[]): Promise<void> {
  const [program, ...entering] = enter(ns);
  const child = new Deno.Command(program, {
    args: [...entering, "ip", "-batch", "-"],
    stdin: "piped",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(
    new TextEncoder().encode(["link set lo up", ...lines, "link set veth0 up", ""].join("\n")),
  );
  await writer.close();
  if (!(await child.status).success) throw new Error(`Cannot configure the namespace ${ns}`);
}

/**
 * Waits until IPv6 works on a new link. The kernel sets it up some time after the link is up, and until
 * then drops multicast, with it neighbour solicitations: replies to a new peer would be 1 s late.
 * The link-local address comes last.
 */
async function ready(ns: string): Promise<void> {
  const show = ["-6", "addr", "show", "dev", "veth0", "scope", "link", "-tentative"];
  for (let waitedMs = 0; waitedMs < 5000; waitedMs += 20) {
    if ((await must(...enter(ns), "ip", ...show)).includes("fe80:")) return;
    await sleep(20);
  }
  throw new Error(`IPv6 did not come up in the namespace ${ns} within 5 s`);
}

/** Ends what runs in a namespace, then removes it; harmless when it is gone. */
async function removeNamespace(ns: string): Promise<void> {
  for (const pid of (await run("ip", "netns", "pids", ns)).stdout.split("\n").filter(Boolean)) {
    try {
      Deno.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended by itself meanwhile.
    }
  }
  await run("ip", "netns", "delete", ns);
}

let staleRemoved: Promise<void> | undefined;

/** Removes, once a run, the namespaces of runs whose process no longer lives. */
function removeStale(): Promise<void> {
  staleRemoved ??= (async () => {
    const names = (await must("ip", "netns", "list")).matchAll(
      /^(pk-(\d+)-[0-9a-f]{8}-[a-z]+)\b/gm,
    );
    for (const [, ns = "", pid] of names) {
      const alive = await Deno.stat(`/proc/${pid}`).then(() => true, () => false);
      if (!alive) await removeNamespace(ns);
    }
  })();
  return staleRemoved;
}
