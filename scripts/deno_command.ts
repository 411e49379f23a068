// Runs this Deno once more, with a subcommand: no input, no colour, no stack of Deno's own.
// Certificates of the machine are trusted beside Mozilla's, as in env.sh.

export interface Surroundings {
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal | undefined;
}

/** What `deno ARGS` prints; throws what it says on stderr when it fails. */
export async function deno(args: readonly string[], around: Surroundings = {}): Promise<string> {
  const { env, signal } = around;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    env: {
      DENO_TLS_CA_STORE: Deno.env.get("DENO_TLS_CA_STORE") ?? "mozilla,system",
      NO_COLOR: "1",
      RUST_BACKTRACE: "0",
      ...env,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...(signal === undefined ? {} : { signal }),
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  if (signal?.aborted) throw new Error(`deno ${args[0]} did not end within its time`);
  throw new Error(new TextDecoder().decode(stderr).trim());
}
