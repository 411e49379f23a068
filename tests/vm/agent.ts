// Commands in a virtual machine through the QEMU guest agent (docs/interop/qemu-ga-ref): lines of
// JSON over a virtio serial port, here QEMU's own stdin and stdout. It uses no network, so it works
// on a guest that is filtered shut, and puts no packet through the filter under test.
// One command at a time.

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Agent {
  /** Runs one shell line as root; never throws because of the line's exit code. */
  run(line: string, timeoutMs?: number): Promise<Outcome>;
  /** Reboots the guest in an orderly way, until its agent answers again. */
  reboot(timeoutMs: number): Promise<void>;
  /** Lets go of QEMU's stdin and stdout. */
  close(): Promise<void>;
}

/** Waits until the agent of a guest that is starting answers. */
export async function connectAgent(
  input: WritableStream<Uint8Array>,
  output: ReadableStream<Uint8Array>,
  startTimeoutMs: number,
): Promise<Agent> {
  const writer = input.getWriter();
  const replies = output.pipeThrough(new TextDecoderStream()).pipeThrough(lines()).getReader();

  async function send(execute: string, args: object): Promise<void> {
    await writer.write(
      new TextEncoder().encode(JSON.stringify({ execute, arguments: args }) + "\n"),
    );
  }

  // A read that was waited for in vain gets the next reply all the same: it is kept.
  let read: ReturnType<typeof replies.read> | undefined;
  async function receive(timeoutMs: number): Promise<Reply> {
    read ??= replies.read();
    const { done, value } = await within(read, timeoutMs, "the guest agent");
    read = undefined;
    if (done) throw new Error("QEMU has ended");
    return JSON.parse(value);
  }

  async function call(execute: string, args: object, timeoutMs: number): Promise<unknown> {
    await send(execute, args);
    const reply = await receive(timeoutMs);
    if (reply.error) throw new Error(`The guest agent refuses ${execute}: ${reply.error.desc}`);
    return reply.return;
  }

  // Asks until the agent answers to this question, and not to one before a timeout or a reboot.
  async function sync(timeoutMs: number): Promise<void> {
    for (const deadline = Date.now() + timeoutMs;;) {
      const id = crypto.getRandomValues(new Uint32Array(1))[0];
      await send("guest-sync", { id });
      try {
        while ((await receive(5_000)).return !== id);
        return;
      } catch (error) {
        if (!(error instanceof Late) || Date.now() > deadline) throw error;
      }
    }
  }

  async function run(line: string, timeoutMs = 120_000): Promise<Outcome> {
    const deadline = Date.now() + timeoutMs;
    const started = await call("guest-exec", {
      path: "/bin/bash",
      arg: ["-c", line],
      env: ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"],
      "capture-output": true,
    }, timeoutMs) as { pid: number };
    for (let napMs = 20;; napMs = Math.min(napMs * 1.5, 500)) {
      const status = await call("guest-exec-status", started, timeoutMs) as ExecStatus;
      if (status.exited) {
        return {
          code: status.exitcode ?? 128 + (status.signal ?? 0),
          stdout: fromBase64(status["out-data"]),
          stderr: fromBase64(status["err-data"]),
        };
      }
      if (Date.now() > deadline) throw new Error(`Still running after ${timeoutMs} ms: ${line}`);
      await new Promise((resolve) => setTimeout(resolve, napMs));
    }
  }

  async function reboot(timeoutMs: number): Promise<void> {
    const readBootId = "cat /proc/sys/kernel/random/boot_id";
    const { stdout: before } = await run(readBootId);
    // What became of it may be asked of the next agent, which knows nothing of it: the boot's id tells.
    await run("systemctl reboot").catch(() => {});
    for (const deadline = Date.now() + timeoutMs;;) {
      await sync(timeoutMs);
      // The agent that answers may be the old one, and gone at the next question.
      const now = await run(readBootId, 5_000).catch(() => undefined);
      if (now?.code === 0 && now.stdout !== before) return;
      if (Date.now() > deadline) throw new Error(`The guest is not back after ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }

  async function close(): Promise<void> {
    await writer.abort().catch(() => {}); // the pipe may be broken
    await replies.cancel();
  }

  try {
    await sync(startTimeoutMs);
  } catch (error) {
    await close();
    throw error;
  }
  return { run, reboot, close };
}

/** Nothing came in time. */
class Late extends Error {}

/** The promise's value, or an error that says for what was waited in vain. */
export async function within<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Late(`No answer from ${what} in ${timeoutMs} ms`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Cuts text into lines; what follows the last newline waits for its own. */
export function lines(): TransformStream<string, string> {
  let rest = "";
  return new TransformStream({
    transform(chunk, controller) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      for (const part of parts) controller.enqueue(part);
    },
  });
}

interface Reply {
  readonly return?: unknown;
  readonly error?: { readonly desc: string };
}

interface ExecStatus {
  readonly exited: boolean;
  readonly exitcode?: number;
  readonly signal?: number;
  readonly "out-data"?: string;
  readonly "err-data"?: string;
}

function fromBase64(text = ""): string {
  return new TextDecoder().decode(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
}
