// Writes the .txt files beside this one: what the kernel dumps after each of the rulesets in
// tests/support/host_firewall_cases.ts, and those of ufw and firewalld beside this file, was loaded:
//
//     sudo unshare --net deno run --allow-all tests/golden/host_firewall/capture.ts
//
// It flushes the ruleset of the namespace it runs in, and refuses one with a network. Needs nft and iptables-nft. The tests only read the files.

import { openNetlinkSocket } from "../../../ffi/libmnl.ts";
import { NETLINK, NFNL_SUBSYS, NLM_F } from "../../../src/netlink/constants.ts";
import { type Attribute, getText, text } from "../../../src/netlink/attribute.ts";
import { openConversation } from "../../../src/netlink/conversation.ts";
import {
  messageAttributes,
  messageFamily,
  nfnetlinkRequest,
} from "../../../src/netlink/nfnetlink.ts";
import { NFT_MSG } from "../../../src/nftables/constants.ts";
import { hostFirewallCases } from "../../support/host_firewall_cases.ts";
import {
  type CapturedRuleset,
  type Dumped,
  readStored,
  writeCaptured,
} from "../../support/host_firewall_golden.ts";

if (/^\d+: (?!lo:)[^\n]*\bUP\b/m.test(await run("ip", ["-o", "link"]))) {
  throw new Error("Run this in a network namespace of its own: unshare --net …");
}
await run("ip", ["link", "set", "lo", "up"]);
using socket = openNetlinkSocket(NETLINK.NETLINK_NETFILTER);
const kernel = openConversation(socket);
const header = `# dumped by Linux ${Deno.osRelease()}, loaded with ${await run("nft", [
  "--version",
])}`;

const captured: CapturedRuleset[] = [];
for (const { name, by, text } of hostFirewallCases) {
  try {
    captured.push(await capture(name, text, () => load(by, text)));
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : error}`);
  }
}
writeCaptured("cases.txt", header, captured);
const firewalld = await capture(
  "firewalld",
  "firewalld.nft",
  () => load("nft", readStored("firewalld.nft")),
);
writeCaptured("firewalld.txt", header, [firewalld]);
const ufw = await capture("ufw", "ufw.v4, ufw.v6", async () => {
  await run("iptables-nft-restore", [], readStored("ufw.v4"));
  await run("ip6tables-nft-restore", [], readStored("ufw.v6"));
});
writeCaptured("ufw.txt", header, [ufw]);

async function load(by: "nft" | "iptables", text: string): Promise<void> {
  if (by === "nft") return void await run("nft", ["-f", "-"], text);
  await run("iptables-nft-restore", [], text);
  await run("ip6tables-nft-restore", [], text);
}

async function capture(
  name: string,
  loaded: string,
  loads: () => Promise<void>,
): Promise<CapturedRuleset> {
  await run("nft", ["flush", "ruleset"]);
  await loads();
  const { NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET } = NFT_MSG;
  const objects = [NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE].flatMap((type) =>
    dump(type)
  );
  const sets = dump(NFT_MSG_GETSET);
  const elements = sets.flatMap(({ payload, type }) => {
    const set = { type, payload, flags: 0, sequence: 0, port: 0 };
    const names = [1, 2].map((at) => text(at, getText(messageAttributes(set), at) ?? ""));
    return dump(NFT_MSG.NFT_MSG_GETSETELEM, messageFamily(set), names);
  });
  return { name, text: loaded, messages: [...objects, ...sets, ...elements] };
}

function dump(type: number, family = 0, attributes: readonly Attribute[] = []): Dumped[] {
  const flags = NLM_F.NLM_F_DUMP;
  const subsystem = NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES;
  return kernel.ask({
    what: "dump",
    ...nfnetlinkRequest(subsystem, type, flags, family, attributes),
  }).map(({ type, payload }) => ({ type, payload: payload.slice() }));
}

async function run(program: string, args: readonly string[], input = ""): Promise<string> {
  const child = new Deno.Command(program, {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  const decode = (bytes: Uint8Array<ArrayBuffer>) => new TextDecoder().decode(bytes).trim();
  if (!success) throw new Error(`${program}: ${decode(stderr)}`);
  return decode(stdout);
}
