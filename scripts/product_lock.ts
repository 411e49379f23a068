// The part of deno.lock that main.ts needs. `deno compile` packs every package of its lock file, also
// those that only the tests import: with this one, nothing is in dist/pk that does not run there.

import { deno } from "./deno_command.ts";

interface LockFile {
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<Record<string, unknown>>;
}

interface DenoInfo {
  readonly modules: readonly { readonly npmPackage?: string }[];
  readonly npmPackages: Readonly<Record<string, { readonly dependencies: readonly string[] }>>;
}

/** Writes that part to `path`, with the integrity hashes as they are. */
export async function writeProductLock(path: string): Promise<void> {
  const lock: LockFile = JSON.parse(await Deno.readTextFile("deno.lock"));
  const needed = neededPackages(JSON.parse(await deno(["info", "--json", "main.ts"])));
  const npm = Object.entries(lock.npm).filter(([id]) => needed.has(id));
  const specifiers = Object.entries(lock.specifiers).filter(([specifier, version]) =>
    needed.has(specifier.replace(/^npm:(.+)@.*$/, `$1@${version}`))
  );
  const product = {
    ...lock,
    specifiers: Object.fromEntries(specifiers),
    npm: Object.fromEntries(npm),
  };
  await Deno.writeTextFile(path, JSON.stringify(product, undefined, 2));
}

/** What the modules import from npm, and what that depends on. */
function neededPackages({ modules, npmPackages }: DenoInfo): ReadonlySet<string> {
  const needed = new Set<string>();
  const add = (id: string) => {
    if (needed.has(id)) return;
    needed.add(id);
    npmPackages[id]?.dependencies.forEach(add);
  };
  for (const { npmPackage } of modules) if (npmPackage !== undefined) add(npmPackage);
  return needed;
}
