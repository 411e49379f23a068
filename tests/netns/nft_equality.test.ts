// Our transactions against the same as text through `nft -f`: what the kernel then lists has to be
// the same, for each object alone and for the whole ruleset. Each side in a namespace of its own.
//
//     namespace a: before.nft, then our transaction  ─┐
//                                                     ├─ nft --stateless list ruleset: equal?
//     namespace b: before.nft, then the command      ─┘

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { parseFlags } from "../../src/config/flags.ts";
import { rulesetOf, rulesetText } from "../../src/firewall/ruleset.ts";
import { counterText } from "../../src/nftables/counter_object.ts";
import { layoutOf, setText } from "../../src/nftables/set.ts";
import { netnsTest } from "../support/cases.ts";
import { enter, inside, must, run } from "../support/netns.ts";
import { type NftObject, nftText, objects, sets } from "../support/nft_objects.ts";
import { PK } from "../support/pk.ts";
import { rulesetConfigs } from "../support/ruleset_configs.ts";

const TRANSACT = new URL("../support/transact.ts", import.meta.url).pathname;
const PORT_SEQ = "7000,8000,7000,9000";
const PORT_DEST = "2222";
/** The statement that needs CONFIG_NFT_QUEUE, as written and as nft lists either form of it. */
const QUEUE_STATEMENT = / (queue|xt target) .*$/gm;

netnsTest("kernel: each object of ours is listed as nft's own", async (t) => {
  await using pair = await createPair();
  for (const object of objects.filter(({ notListed }) => notListed === undefined)) {
    await t.step(object.command, async () => {
      await pair.clear();
      for (const ns of [pair.ours, pair.nft]) await load(ns, nftText(object.before));
      await transact(pair.ours, "object", object.name);
      await load(pair.nft, nftText([object.command]));
      strictEqual(await list(pair.ours), await list(pair.nft));
      if (!/^(delete|flush) /.test(object.command)) await changes(pair.ours, object);
    });
  }
});

netnsTest(
  "kernel: --dry-run prints the ruleset of the configuration, and nft reads it",
  async () => {
    await using pair = await createPair();
    const flags = { portSeq: PORT_SEQ, portDest: PORT_DEST, tableOwner: false };
    const text = rulesetText(rulesetOf(parseFlags(flags).config, "queue"), false);
    strictEqual(await must(PK, "--dry-run", ...cliFlags(), "--no-table-owner"), text);
    const cut = await queueCutter(pair.nft);
    await load(pair.nft, cut(await must(PK, "--dry-run", ...cliFlags())));
    match(await list(pair.nft), /chain gate/);
  },
);

netnsTest("kernel: the ruleset installed is the one that nft makes of its text", async (t) => {
  await using pair = await createPair();
  const cut = await queueCutter(pair.nft);
  for (const [name, config] of Object.entries(rulesetConfigs)) {
    await t.step(name, async () => {
      await pair.clear();
      await load(pair.nft, cut(rulesetText(rulesetOf(config, "queue"), false)));
      await transact(pair.ours, "install", name);
      const ours = await list(pair.ours);
      match(ours, /queue .*4660/, "our rule has the queue in one form or the other");
      strictEqual(cut(ours), cut(await list(pair.nft)));
    });
  }
});

netnsTest("kernel: with owner and persist, the flags are all that differs", async () => {
  await using pair = await createPair();
  const [name = ""] = Object.keys(rulesetConfigs);
  await transact(pair.nft, "install", name);
  const { form } = JSON.parse(await transact(pair.ours, "install", name, "owner"));
  const ours = await list(pair.ours);
  strictEqual(/^\tflags/m.test(ours), form.flags !== 0);
  strictEqual(withoutFlags(ours), withoutFlags(await list(pair.nft)));
});

netnsTest(
  "kernel: a table of our own takes any other configuration in one transaction, and keeps its grants",
  async (t) => {
    await using pair = await createPair();
    const names = Object.keys(rulesetConfigs);
    // Each after one that has more and one that has less.
    const last = "all kinds of doors";
    for (const [index, name] of names.entries()) {
      await t.step(name, async () => {
        await pair.clear();
        const others = [last, name, names[index + 1] ?? name, name];
        const { owner, form, installed } = JSON.parse(
          await transact(pair.ours, "reload", name, ...others),
        );
        strictEqual(owner !== undefined, form.flags !== 0);
        deepStrictEqual(installed, others.map(() => ({ transactions: 1, grants: 1 })));
        const ours = await list(pair.ours);
        match(ours, /192\.0\.2\.1 \. udp \. 53/);
        await transact(pair.nft, "install", name);
        const grant = /\n\t\telements = \{ 192\.0\.2\.1[^}]*\}/;
        const objects = (listing: string) => blocks(withoutFlags(listing.replace(grant, "")));
        deepStrictEqual(objects(ours), objects(await list(pair.nft)));
      });
    }
  },
);

netnsTest("kernel: what nft made is read as it is", async () => {
  await using pair = await createPair();
  await load(
    pair.nft,
    `table inet t {
      comment "pk/1"
      set g4 { type ipv4_addr . inet_proto . inet_service; size 77; flags timeout; }
      set p { type inet_proto . inet_service; elements = { tcp . 443 } }
    }
    add element inet t g4 { 192.0.2.1 . tcp . 22 timeout 20s expires 9s, 192.0.2.2 . tcp . 23 }`,
  );
  const { table, sets, elements } = JSON.parse(await transact(pair.nft, "read"));
  deepStrictEqual(table, { name: "t", flags: 0, comment: "pk/1" });
  deepStrictEqual(sets, [
    {
      name: "g4",
      keyType: 7 << 12 | 12 << 6 | 13,
      keyLength: 12,
      timeout: true,
      dynamic: false,
      size: 77,
    },
    { name: "p", keyType: 12 << 6 | 13, keyLength: 8, timeout: false, dynamic: false },
  ]);
  deepStrictEqual(elements[1], [{ key: "06000000" + "01bb0000" }]);
  const [first, second] = elements[0].toSorted((a: Read, b: Read) => a.key.localeCompare(b.key));
  strictEqual(first.key, "c0000201" + "06000000" + "00160000");
  ok(first.timeoutMs > 5_000 && first.timeoutMs <= 9_000, `${first.timeoutMs} ms are left`);
  deepStrictEqual(second, { key: "c0000202" + "06000000" + "00170000" });
});

netnsTest("kernel: each set of ours is read back with the layout it was given", async () => {
  await using pair = await createPair();
  for (const ns of [pair.ours, pair.nft]) await load(ns, "add table inet t");
  for (const { key } of sets) await transact(pair.ours, "object", `set_${key.join("_")}`);
  await load(pair.nft, ["table inet t {", ...sets.flatMap((set) => setText(set)), "}"].join("\n"));
  for (const ns of [pair.ours, pair.nft]) {
    const read = JSON.parse(await transact(ns, "read")).sets;
    deepStrictEqual(read, JSON.parse(JSON.stringify(sets.map(layoutOf))));
  }
});

netnsTest("kernel: adding a counter that stands leaves what it has counted", async () => {
  await using pair = await createPair();
  await load(pair.ours, "table inet t { counter knocks { packets 3 bytes 180; }; }");
  await transact(pair.ours, "object", "counter_add");
  const { counters } = JSON.parse(await transact(pair.ours, "read"));
  deepStrictEqual(counters, [{ name: "knocks", packets: 3, bytes: 180 }]);
});

netnsTest("kernel: a counter as text is the one that is added", async () => {
  await using pair = await createPair();
  await load(pair.ours, "add table inet t");
  await transact(pair.ours, "object", "counter_add");
  await load(pair.nft, ["table inet t {", ...counterText("knocks"), "}"].join("\n"));
  strictEqual(await list(pair.ours), await list(pair.nft));
});

netnsTest("kernel: renewing gives the element its whole time again", async () => {
  await using pair = await createPair();
  const renew = objects.find(({ name }) => name === "element_renew");
  ok(renew);
  await load(pair.ours, nftText(renew.before));
  const [[before]] = JSON.parse(await transact(pair.ours, "read")).elements;
  ok(before.timeoutMs > 3_500_000, "an hour");
  await transact(pair.ours, "object", renew.name);
  const [[after]] = JSON.parse(await transact(pair.ours, "read")).elements;
  ok(after.timeoutMs > 15_000 && after.timeoutMs <= 20_000, `${after.timeoutMs} ms are left`);
});

interface Read {
  readonly key: string;
  readonly timeoutMs?: number;
}

/** Two empty namespaces, gone at the end of the scope. */
interface Pair extends AsyncDisposable {
  readonly ours: string;
  readonly nft: string;
  clear(): Promise<void>;
}

async function createPair(): Promise<Pair> {
  const name = `pk-${Deno.pid}-${crypto.randomUUID().slice(0, 8)}`;
  const pair = { ours: `${name}-ours`, nft: `${name}-nft` };
  const clear = async () => {
    for (const ns of [pair.ours, pair.nft]) {
      await run("ip", "netns", "delete", ns);
      await must("ip", "netns", "add", ns);
    }
  };
  await clear();
  return {
    ...pair,
    clear,
    async [Symbol.asyncDispose]() {
      for (const ns of [pair.ours, pair.nft]) await run("ip", "netns", "delete", ns);
    },
  };
}

/** Runs our code in a namespace; its line of JSON. */
async function transact(ns: string, ...args: string[]): Promise<string> {
  const deno = [Deno.execPath(), "run", "--frozen", "--allow-ffi", "--allow-env", TRANSACT];
  return await must(...enter(ns), ...deno, ...args);
}

async function load(ns: string, text: string): Promise<void> {
  const child = new Deno.Command("nsenter", {
    args: [`--net=/run/netns/${ns}`, "nft", "-f", "-"],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stderr } = await child.output();
  ok(success, new TextDecoder().decode(stderr));
}

/** What nft lists, without what counts or ticks. Elements are sorted: the kernel hashes them anew. */
async function list(ns: string): Promise<string> {
  const text = await must(...enter(ns), "nft", "--stateless", "list", "ruleset");
  return text.replaceAll(/elements = \{([^}]*)\}/g, (_, elements: string) => {
    const sorted = elements.split(",").map((element) => element.trim()).sort();
    return `elements = { ${sorted.join(", ")} }`;
  });
}

/** An object that is listed the same as nothing would prove nothing. */
async function changes(ns: string, { before }: NftObject): Promise<void> {
  const after = await list(ns);
  await must(...enter(ns), "nft", "flush", "ruleset");
  await load(ns, nftText(before));
  ok(after !== await list(ns));
}

/** Takes out the statement that this kernel refuses, if it does. */
async function queueCutter(ns: string): Promise<(text: string) => string> {
  const queue = await hasQueue(ns);
  return (text) => queue ? text : text.replace(QUEUE_STATEMENT, "");
}

/** nft 1.0.6 does not know `persist` and prints no name behind `flags`. */
function withoutFlags(listing: string): string {
  return listing.replace(/^\tflags.*\n/m, "").replace(/\n+/g, "\n");
}

/** Sets, counters and chains of a table in some order: a set that goes and comes again is the last. */
function blocks(listing: string): string[] {
  return listing.split(/(?<=\n\t\}\n)/).toSorted();
}

async function hasQueue(ns: string): Promise<boolean> {
  await load(ns, "add table inet q\nadd chain inet q c");
  const { code } = await inside(ns, "nft", "add rule inet q c queue flags bypass to 27085");
  await must(...enter(ns), "nft", "delete table inet q");
  return code === 0;
}

function cliFlags(): string[] {
  return ["--port-seq", PORT_SEQ, "--port-dest", PORT_DEST];
}
