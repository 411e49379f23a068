// Tests of files as the server has them, by way of libc: in a folder of their own, which is removed.

const NEEDED = ["ffi", "read", "write", "run"] as const;
const granted = NEEDED.every((name) => Deno.permissions.querySync({ name }).state === "granted");

/** A test that needs all permissions: without them it is reported as ignored, never as passed. */
export function folderTest(
  name: string,
  fn: (folder: string, t: Deno.TestContext) => void | Promise<void>,
  { ignore = false } = {},
): void {
  Deno.test({
    name: granted ? name : `${name} (needs --allow-all)`,
    ignore: !granted || ignore,
    sanitizeResources: false, // libc stays open
    async fn(t) {
      const folder = await Deno.makeTempDir({ prefix: "pk-files-" });
      try {
        await fn(folder, t);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

/** The name of the error that a call throws; undefined where it throws none. */
export function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
}

export const isRoot = granted && Deno.uid() === 0;

/** Is this program installed? */
export function hasProgram(name: string): boolean {
  if (!granted) return false;
  try {
    return new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}
