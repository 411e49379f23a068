// The inputs to begin with: the .hex files of corpus/, captured or built by others' code, and the
// golden files of the tests. Each entry is one line of bytes; lines with # tell where it comes from.

import { unhex } from "../../src/bytes/hex.ts";
import { readMessages } from "../../src/netlink/message.ts";

export type Bytes = Uint8Array<ArrayBuffer>;

const TESTS = new URL("../", import.meta.url);

/** The entries of corpus/NAME.hex. */
export function readCorpus(name: string): Bytes[] {
  return readEntries(new URL(`fuzz/corpus/${name}.hex`, TESTS));
}

/** The bytes of each line that has any. */
export function readEntries(file: URL): Bytes[] {
  const lines = Deno.readTextFileSync(file).split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#")).map(unhex);
}

/** Golden files of a folder: each is one entry over several lines. */
export function readGolden(folder: string): Bytes[] {
  const url = new URL(`golden/${folder}/`, TESTS);
  const names = [...Deno.readDirSync(url)].map(({ name }) => name).filter((name) =>
    name.endsWith(".txt") && name !== "status.txt"
  );
  return names.sort().map((name) =>
    unhex(Deno.readTextFileSync(new URL(name, url)).replace(/^#.*$/gm, ""))
  );
}

/** Datagrams as the kernel sent them, and requests as nft did. */
export function netlinkDatagrams(): Bytes[] {
  return [...readCorpus("netlink"), ...readCorpus("sock_diag"), ...readGolden("nftables")];
}

/** What stands behind nfgenmsg in each message of nf_tables. */
export function nftablesAttributes(): Bytes[] {
  const messages = [...readCorpus("netlink"), ...readGolden("nftables")].flatMap(readMessages);
  const objects = messages.filter(({ type }) => type >> 8 === 10);
  return objects.map(({ payload }) => payload.slice(4));
}
