// Writes the .txt files beside this one: what nft itself sends to the kernel for each object that pk
// can build (tests/support/nft_objects.ts), as strace sees it. Run it when an object is added, or to
// see what another version of nft does:
//
//     sudo deno run --allow-all tests/golden/nftables/capture.ts [NAME…]
//
// Needs root, nft, iptables-nft, ip and strace. Works in network namespaces of its own, which are
// gone afterwards. The tests only read the files.

import { unhex } from "../../../src/bytes/hex.ts";
import { goldenText } from "../../support/nft_golden.ts";
import { type NftObject, nftText, objects } from "../../support/nft_objects.ts";

const NFNL_MSG_BATCH_BEGIN = "1000";

const wanted = Deno.args.length === 0
  ? objects
  : objects.filter(({ name }) => Deno.args.includes(name));
for (const object of wanted) {
  const bytes = await capture(object);
  const { command } = object;
  const program = command.startsWith("iptables-nft ") ? "iptables-nft" : "nft";
  const version = (await run([program, "--version"])).output.trim();
  const text = goldenText(program === "nft" ? `nft '${command}'` : command, version, bytes);
  Deno.writeTextFileSync(new URL(`${object.name}.txt`, import.meta.url), text);
  console.log(`${object.name}: ${bytes.length} bytes`);
}

/** The batch that the command sends. */
async function capture({ name, before, command }: NftObject): Promise<Uint8Array> {
  const namespace = `pk-golden-${Deno.pid}`;
  const inside = ["ip", "netns", "exec", namespace];
  await must(["ip", "netns", "add", namespace]);
  try {
    if (before.length > 0) await must([...inside, "nft", "-f", "-"], nftText(before));
    const program = command.startsWith("iptables-nft ") ? command.split(" ") : ["nft", command];
    // The kernel may refuse it (no CONFIG_NFT_QUEUE): it was sent all the same.
    const strace = ["strace", "-f", "-e", "trace=sendmsg", "-e", "write=all"];
    const { output } = await run([...inside, ...strace, ...program]);
    const batches = dumps(output).filter((dump) => dump.startsWith(NFNL_MSG_BATCH_BEGIN, 8));
    const [batch] = batches;
    if (batch === undefined || batches.length > 1) {
      throw new Error(`${name}: expected one batch, saw ${batches.length} in\n${output}`);
    }
    return unhex(batch);
  } finally {
    await must(["ip", "netns", "delete", namespace]);
  }
}

/** Each buffer that strace dumped: lines ` | 00010  00 00 00 0a 30 00 00 00  00 0a … |`. */
function dumps(output: string): string[] {
  const found: string[] = [];
  for (const line of output.split("\n")) {
    const [, offset, digits = ""] = /^ \| ([0-9a-f]{5}) {2}((?:[0-9a-f]{2} {1,2})+)/.exec(line) ??
      [];
    if (offset === undefined) continue;
    if (offset === "00000") found.push("");
    found.push((found.pop() ?? "") + digits.replaceAll(" ", ""));
  }
  return found;
}

async function run(
  command: readonly string[],
  input = "",
): Promise<{ ok: boolean; output: string }> {
  const [program = "", ...args] = command;
  const child = new Deno.Command(program, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { ok: success, output: text.decode(stdout) + text.decode(stderr) };
}

async function must(command: readonly string[], input?: string): Promise<void> {
  const { ok, output } = await run(command, input);
  if (!ok) throw new Error(`${command.join(" ")}: ${output}`);
}
