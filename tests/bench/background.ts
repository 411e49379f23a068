// A program of the bench that runs in the background and answers each JSON order on stdin with one
// JSON line on stdout. It is ended by its own pid when it is disposed of.

import { lines } from "../support/lines.ts";

export interface Background extends AsyncDisposable {
  readonly pid: number;
  /** Sends an order and waits for its answer. */
  readonly order: (order: unknown) => Promise<unknown>;
}

export function background(command: readonly string[]): Background {
  const [program = "", ...args] = command;
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  const answers = lines(child.stdout);
  return {
    pid: child.pid,
    async order(order) {
      await writer.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
      const answer = await answers.next();
      if (answer.done) throw new Error(`${command.join(" ")} ended without an answer`);
      return JSON.parse(answer.value);
    },
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGTERM");
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // TypeError: it has ended before
      }
      await child.status;
      await writer.close().catch(() => {}); // its end of the pipe is gone
    },
  };
}

/** The other side of the pipe: answers each order of stdin until it ends. */
export async function serve(answer: (order: unknown) => unknown): Promise<void> {
  const encoder = new TextEncoder();
  for await (const line of lines(Deno.stdin.readable)) {
    const text = JSON.stringify(await answer(JSON.parse(line)));
    Deno.stdout.writeSync(encoder.encode(`${text}\n`));
  }
}
