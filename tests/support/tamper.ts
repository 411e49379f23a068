// Ways to hurt a running pk from outside, as the real thing rather than a double: system calls that
// fail (strace's fault injection) and listeners that are unbound through pk's own descriptor.

import { must } from "./netns.ts";
import { lines } from "./lines.ts";

/** What strace does to one system call: "error=EINTR:when=1+2" is every second call, from the first. */
export interface Fault {
  readonly call: string;
  readonly inject: string;
}

/** What goes before pk to start it with such a fault from the first call on. */
export function withFault({ call, inject }: Fault): string[] {
  const select = ["-e", `trace=${call}`, "-e", "signal=none", "-e", `inject=${call}:${inject}`];
  // -D: pk stays our child and strace looks on from the side, so signals go to pk itself.
  return ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", ...select];
}

/**
 * A fault that lasts until the scope ends. Calls are counted from here, in each thread: all of them, or
 * only the main one, which is pk's own, while others wait for signals with some of the same calls.
 */
export async function tamper(
  pid: number,
  { call, inject }: Fault,
  threads: "main" | "all" = "main",
): Promise<AsyncDisposable> {
  const child = new Deno.Command("strace", {
    args: [
      ...(threads === "all" ? ["-f"] : []),
      ...["-p", `${pid}`, "-o", "/dev/null"],
      ...["-e", `trace=${call}`, "-e", "signal=none", "-e", `inject=${call}:${inject}`],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  // "strace: Process 4711 attached with 9 threads"
  const attached = Promise.withResolvers<void>();
  const reading = (async () => {
    const said: string[] = [];
    for await (const line of lines(child.stderr)) {
      said.push(line);
      if (line.includes("attached")) attached.resolve();
    }
    attached.reject(new Error(`strace ended: ${said.join("; ")}`));
  })();
  attached.promise.catch(() => {});
  await attached.promise;
  return {
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGTERM"); // it lets go of its tracee
      } catch {
        // It ended with pk.
      }
      await Promise.all([reading, child.status]);
    },
  };
}

/** Takes pk's queue or log group away, as whoever can reach its descriptors could. */
export async function unbind(pid: number, what: "queue" | "log group"): Promise<void> {
  const program = new URL("unbind.py", import.meta.url).pathname;
  await must("python3", program, `${pid}`, what === "queue" ? "nfnetlink_queue" : "nfnetlink_log");
}
