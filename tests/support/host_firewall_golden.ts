// Captured rulesets as text files, and a kernel in which one of them stands.
//
//     == the name of the case
//     > table inet t { … }        what was loaded
//     0a03 01000000…              a message that the kernel then dumped: type and payload
//
// The captured messages are those of tables, chains, rules, sets and elements, of all families.

import { hex, unhex } from "../../src/bytes/hex.ts";
import { ERRNO } from "../../src/errors.ts";
import { getText, u32be } from "../../src/netlink/attribute.ts";
import { NFNL_SUBSYS, NLM_F } from "../../src/netlink/constants.ts";
import type { Message } from "../../src/netlink/message.ts";
import { messageAttributes, messageFamily } from "../../src/netlink/nfnetlink.ts";
import { NFT_MSG } from "../../src/nftables/constants.ts";
import {
  ack,
  done,
  type Kernel,
  message,
  messagesOf,
  objectMessage,
  refusal,
} from "./fake_kernel.ts";

const FOLDER = new URL("../golden/host_firewall/", import.meta.url);
const NFTA_GEN_ID = 1;

/** The part of a message that the kernel does not number anew each time. */
export type Dumped = Pick<Message, "type" | "payload">;

export interface CapturedRuleset {
  readonly name: string;
  readonly text: string;
  readonly messages: readonly Dumped[];
}

/** The rulesets in a golden file, by name. */
export function readCaptured(file: string): Map<string, CapturedRuleset> {
  const all = Deno.readTextFileSync(new URL(file, FOLDER)).split(/^== /m).slice(1);
  return new Map(all.map((part) => {
    const [name = "", ...lines] = part.trimEnd().split("\n");
    const text = lines.flatMap((line) => line.startsWith("> ") ? [line.slice(2)] : []).join("\n");
    const messages = lines.filter((line) => !line.startsWith("> ")).map((line) => {
      const [type = "", payload = ""] = line.split(" ");
      return { type: Number.parseInt(type, 16), payload: unhex(payload) };
    });
    return [name, { name, text, messages }];
  }));
}

export function writeCaptured(
  file: string,
  header: string,
  rulesets: readonly CapturedRuleset[],
): void {
  const parts = rulesets.map(({ name, text, messages }) =>
    [
      `== ${name}`,
      ...text.split("\n").map((line) => `> ${line}`),
      ...messages.map(({ type, payload }) =>
        `${type.toString(16).padStart(4, "0")} ${hex(payload)}`
      ),
      "",
    ].join("\n")
  );
  Deno.writeTextFileSync(new URL(file, FOLDER), [header, ...parts].join("\n"));
}

/** A stored ruleset as the program that made it writes it. */
export function readStored(file: string): string {
  return Deno.readTextFileSync(new URL(file, FOLDER));
}

/** What a dump is asked of: the kernel's answers have the type after NFT_MSG_GET…, less one. */
export function kernelWith(messages: readonly Dumped[], generation = () => 7): Kernel {
  const ask: Kernel = (bytes) => {
    const [asked] = messagesOf(bytes);
    const { type, flags, sequence } = asked;
    if (type === typeOf(NFT_MSG.NFT_MSG_GETGEN)) {
      const number = [u32be(NFTA_GEN_ID, generation())];
      return [objectMessage(typeOf(NFT_MSG.NFT_MSG_NEWGEN), sequence, number), ack(asked)];
    }
    const found = messages.filter((one) => one.type === type - 1 && isAskedFor(asked, one));
    const isDump = (flags & NLM_F.NLM_F_DUMP) === NLM_F.NLM_F_DUMP;
    if (found.length === 0 && !isDump) return [refusal(asked, ERRNO.ENOENT)];
    const answers = found.map((one) =>
      message(one.type, isDump ? NLM_F.NLM_F_MULTI : 0, sequence, one.payload)
    );
    return [...answers, isDump ? done(sequence) : ack(asked)];
  };
  return ask;
}

/** All attributes of the request, which are names, and its family. */
function isAskedFor(asked: Message, one: Dumped): boolean {
  const answer = { ...asked, ...one };
  const family = messageFamily(asked);
  if (family !== 0 && family !== messageFamily(answer)) return false;
  const names = [...messageAttributes(asked).keys()];
  return names.every((name) =>
    getText(messageAttributes(asked), name) === getText(messageAttributes(answer), name)
  );
}

function typeOf(message: number): number {
  return NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES << 8 | message;
}
