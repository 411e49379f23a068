// What pk refuses to start on: one line on stderr that says what is wrong and what to do, an exit code
// that is not 0, and a kernel in which nothing changed.
//
//     one namespace, pk started in it under conditions in which it must not start

import { match, notStrictEqual, strictEqual } from "node:assert/strict";
import {
  createLab,
  enter,
  inside,
  type Lab,
  must,
  nft,
  type Outcome,
  ruleset,
} from "../support/netns.ts";
import { startAgent } from "../support/agent.ts";
import { GUARDED, KNOCKS, PK, runPk, startPk } from "../support/pk.ts";
import { netnsTest, sideBySide } from "../support/cases.ts";

const ARGS = ["--port-seq", KNOCKS.join(), "--port-dest", `${GUARDED}`];
const QUEUE = 4711;

interface Case {
  readonly name: string;
  /** What the one line must name. */
  readonly says: readonly RegExp[];
  run(lab: Lab): Promise<Outcome>;
}

const CASES: readonly Case[] = [
  {
    name: "not root",
    says: [/root|CAP_NET_ADMIN/, /sudo|CAP_NET_ADMIN/],
    run: async ({ server }) => {
      const folder = await Deno.makeTempDir({ prefix: "pk-nobody-" });
      try {
        // The project's folder may be closed to nobody; a folder of its own is not.
        await Deno.chmod(folder, 0o755);
        await Deno.copyFile(PK, `${folder}/pk`);
        const nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
        return await inside(server, ...nobody, `${folder}/pk`, ...ARGS);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  },
  {
    name: "root without CAP_NET_ADMIN",
    says: [/CAP_NET_ADMIN/],
    run: ({ server }) => {
      const without = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"];
      return inside(server, ...without, PK, ...ARGS);
    },
  },
  ...["libmnl.so.0", "libnetfilter_queue.so.1"].map((library): Case => ({
    name: `without ${library}`,
    says: [
      new RegExp(library.replaceAll(".", "\\.")),
      library.startsWith("libmnl") ? /libmnl0/ : /libnetfilter-queue1/,
      /Debian.*Ubuntu/,
      /Fedora/,
      /Arch/,
    ],
    run: async ({ server }) => {
      // Its loader finds the library missing, wherever it looks; nothing is done to the host.
      const known = await must("sh", "-c", "PATH=$PATH:/sbin:/usr/sbin ldconfig -p");
      const line = new RegExp(`^\\s*${library.replaceAll(".", "\\.")}\\s.*=> (?:/usr)?(.*)$`, "m");
      const path = known.match(line)?.[1] ?? "";
      const missing = ["-e", "inject=openat:error=ENOENT", "-P", path, "-P", `/usr${path}`];
      const quiet = [
        "-f",
        "--quiet=attach,exit,path-resolution",
        "-o",
        "/dev/null",
        "-e",
        "trace=openat",
      ];
      return await inside(server, "strace", ...quiet, ...missing, PK, ...ARGS);
    },
  })),
  {
    name: "a queue that another program has",
    says: [new RegExp(`${QUEUE}`), /--queue-num/],
    run: async ({ server }) => {
      await using other = startAgent(server);
      await other.takeQueue(QUEUE);
      return await runPk(server, ...ARGS, "--queue-num", `${QUEUE}`);
    },
  },
  {
    name: "a second pk in the namespace",
    says: [/pk/, /already|runs|running|another/],
    run: async ({ server }) => {
      await using first = await startPk(server);
      const before = await ruleset(server);
      const second = await runPk(server, ...ARGS, "--queue-num", `${QUEUE}`);
      strictEqual(await ruleset(server), before, "the first pk's rules");
      strictEqual(first.seen("stopping").length, 0);
      first.kill("SIGTERM");
      await first.ended();
      await must(...enter(server), PK, "down");
      return second;
    },
  },
  {
    name: "a table pk of somebody else",
    says: [/table.*pk/, /not|foreign|other/],
    run: async ({ server }) => {
      await nft(server, "add table inet pk; add chain inet pk mine; add rule inet pk mine accept");
      return await runPk(server, ...ARGS);
    },
  },
  {
    name: "pk down with a table pk of somebody else",
    says: [/table.*pk/, /not|foreign|other/],
    run: async ({ server }) => {
      await nft(server, "add table inet pk; add chain inet pk mine; add rule inet pk mine accept");
      return await runPk(server, "down");
    },
  },
];

netnsTest("pk refuses in one line and changes nothing", async (t) => {
  await sideBySide(t, CASES, ({ name }) => name, async ({ run, says, name }) => {
    await using lab = await createLab({ sources: 0 });
    const { code, stderr } = await run(lab);
    const left = await ruleset(lab.server);
    if (name.includes("somebody else")) match(left, /chain mine \{\s*accept\s*\}\s*\}\s*$/);
    else strictEqual(left, "");
    console.log(`${name}: exit ${code}: ${stderr.trim()}`);
    notStrictEqual(code, 0);
    strictEqual(stderr.trim().split("\n").length, 1, stderr);
    for (const expected of says) match(stderr, expected);
  });
});
