// Golden files of what nft sends: their text form, and messages as comparable lines.

import { LITTLE_ENDIAN } from "../../src/bytes/endian.ts";
import { hex, unhex } from "../../src/bytes/hex.ts";
import { listAttributes } from "../../src/netlink/attribute.ts";
import { NFNL_SUBSYS, NLA } from "../../src/netlink/constants.ts";
import { type Message, readMessages } from "../../src/netlink/message.ts";
import { NFT_MSG } from "../../src/nftables/constants.ts";

const FOLDER = new URL("../golden/nftables/", import.meta.url);
const NFGENMSG_BYTES = 4;
const HEX_PER_LINE = 64;

/** The text of a golden file. */
export function goldenText(command: string, version: string, bytes: Uint8Array): string {
  const lines = hex(bytes).match(new RegExp(`.{1,${HEX_PER_LINE}}`, "g")) ?? [];
  return [`# ${command}`, `# sent by ${version}`, ...lines, ""].join("\n");
}

export interface Golden {
  /** The command that made it. */
  readonly command: string;
  readonly bytes: Uint8Array;
}

/** A golden file by the name of its object. */
export function readGolden(name: string): Golden {
  const lines = Deno.readTextFileSync(new URL(`${name}.txt`, FOLDER)).split("\n");
  return {
    command: lines[0]?.replace(/^# (?:nft '(.*)'|(.*))$/, "$1$2") ?? "",
    bytes: unhex(lines.filter((line) => !line.startsWith("#")).join("")),
  };
}

/** The names of all golden files. */
export function goldenNames(): string[] {
  return [...Deno.readDirSync(FOLDER)].flatMap(({ name }) =>
    name.endsWith(".txt") ? [name.slice(0, -".txt".length)] : []
  ).sort();
}

/**
 * Each message of a batch as lines: its header, then one line for each attribute that holds bytes,
 * with the way to it. Sorted, so that only the order of attributes of different types is lost; of
 * several with one type, the number after `#` keeps it. What is nested is told by the flag
 * NLA_F_NESTED, which is thereby compared, too. The attributes of an expression stand behind its
 * name:
 *
 *     NFT_MSG_NEWRULE flags 0xc01 family 1 version 0 resource 0
 *     1 = 7400
 *     4.1#2 cmp.2 = 00000000
 */
export function describeBatch(bytes: Uint8Array): string[][] {
  return readMessages(bytes).map((message) => [
    describeHeader(message),
    ...nameExpressions(describeAttributes(message.payload.subarray(NFGENMSG_BYTES), "")).sort(),
  ]);
}

const MESSAGE_NAMES = new Map<number, string>(
  Object.entries(NFT_MSG).map(([name, value]) => [value, name]),
);

function describeHeader({ type, flags, payload }: Message): string {
  const ours = type >> 8 === NFNL_SUBSYS.NFNL_SUBSYS_NFTABLES;
  const name = ours ? MESSAGE_NAMES.get(type & 0xff) : undefined;
  const [family, version, high = 0, low = 0] = payload;
  return `${name ?? `message ${type}`} flags 0x${flags.toString(16)} family ${family} ` +
    `version ${version} resource ${high << 8 | low}`;
}

function describeAttributes(bytes: Uint8Array, way: string): string[] {
  const seen = new Map<number, number>();
  return listAttributes(bytes).flatMap(([type, payload]) => {
    const count = (seen.get(type) ?? 0) + 1;
    seen.set(type, count);
    const name = `${way}${type}${count > 1 ? `#${count}` : ""}`;
    return isNested(payload)
      ? describeAttributes(payload, `${name}.`)
      : [`${name} = ${hex(payload)}`];
  });
}

/** The flag stands in the header before the payload, where listAttributes() leaves it out. */
function isNested(payload: Uint8Array): boolean {
  const type = new DataView(payload.buffer, payload.byteOffset - 2, 2).getUint16(0, LITTLE_ENDIAN);
  return (type & NLA.NLA_F_NESTED) !== 0;
}

/** `4.1#2.1 = 636d7000` says that `4.1#2.2.…` are the attributes of an expression `cmp`. */
function nameExpressions(lines: readonly string[]): string[] {
  const names = new Map(lines.flatMap((line) => {
    const [, way, name] = /^(4\.1(?:#\d+)?)\.1 = ((?:[0-9a-f]{2})+)00$/.exec(line) ?? [];
    if (way === undefined || name === undefined) return [];
    return [[way, new TextDecoder().decode(unhex(name))] as const];
  }));
  return lines.map((line) =>
    line.replace(/^(4\.1(?:#\d+)?)\.2\./, (all, way: string) => {
      const name = names.get(way);
      return name === undefined ? all : `${way} ${name}.`;
    })
  );
}
