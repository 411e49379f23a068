// config/pk.service as systemd reads it, with dist/pk in its place, and the flags of config/pk.default
// as pk reads them. Needs dist/pk (deno task build) and systemd-analyze; systemd itself need not run.

import assert from "node:assert/strict";

const root = new URL("../../", import.meta.url).pathname;

Deno.test("systemd finds nothing wrong with pk.service", async () => {
  const host = await Deno.makeTempDir();
  try {
    await install(`${root}config/pk.service`, `${host}/etc/systemd/system/pk.service`);
    await install(`${root}dist/pk`, `${host}/usr/local/bin/pk`);
    await install("/bin/kill", `${host}/bin/kill`);
    const verified = await run("systemd-analyze", "verify", `--root=${host}`, "pk.service");
    assert.deepEqual(verified, { code: 0, stdout: "", stderr: "" });
  } finally {
    await Deno.remove(host, { recursive: true });
  }
});

Deno.test("the unit runs a configuration file, and may write what pk has to remember", async () => {
  const unit = await Deno.readTextFile(`${root}config/pk.service`);
  for (
    const line of [
      "Environment=PK_ARGS=run",
      "ExecStart=/usr/local/bin/pk $PK_ARGS",
      "StateDirectory=pk",
      "ReadWritePaths=-/etc/pk",
      "RestartPreventExitStatus=2 3",
    ]
  ) assert.ok(unit.includes(`\n${line}\n`), line);
});

Deno.test("pk refuses pk.default until a sequence is chosen, and takes the rest as it is", async () => {
  const defaults = await Deno.readTextFile(`${root}config/pk.default`);
  const [, flags] = defaults.match(/^PK_ARGS="(.+)"$/m) ?? [];
  assert.ok(flags, "config/pk.default sets PK_ARGS");
  const dryRun = (line: string) => run(`${root}dist/pk`, "--dry-run", ...line.split(" "));
  const unchanged = await dryRun(flags);
  assert.equal(unchanged.code, 2);
  assert.match(unchanged.stderr, /^pk: error: Cannot use --port-seq "CHANGE,ME": [^\n]*\n$/);
  const { code, stderr } = await dryRun(
    flags.replace("CHANGE,ME", "7153,2918,8461,5307,9822,3077,6150"),
  );
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
});

async function install(source: string, target: string): Promise<void> {
  await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
  await Deno.copyFile(source, target);
}

async function run(command: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null" })
    .output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}
