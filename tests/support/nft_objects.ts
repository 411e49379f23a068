// Every nf_tables object pk can build, one by one, beside the nft command for the same thing. Three
// users: the capture of what nft sends (tests/golden/nftables), the comparison of those bytes with
// ours, and the comparison of what the kernel lists after either (tests/netns).

import { unhex } from "../../src/bytes/hex.ts";
import { addChain, deleteChain } from "../../src/nftables/chain.ts";
import { NFT_TABLE_F } from "../../src/nftables/constants.ts";
import { addCounter } from "../../src/nftables/counter_object.ts";
import {
  addElements,
  deleteElements,
  type Element,
  flushSet,
  renewElement,
} from "../../src/nftables/element.ts";
import type { Operation } from "../../src/nftables/operation.ts";
import { addRule, flushChain, ruleText, type Statement } from "../../src/nftables/rule.ts";
import { addSet, deleteSet, encodeKey, type NftSet, setText } from "../../src/nftables/set.ts";
import {
  anyProtocol,
  counted,
  countedAs,
  ctEstablished,
  destinationIn,
  echoRequest,
  fromType,
  limitedTo,
  loggedTo,
  notLoopback,
  overProtocol,
  rejected,
  rememberSource,
  sourceAloneIn,
  sourceHashNot,
  sourceIn,
  tcpFlagBits,
  tcpFlags,
  tcpFlagsNot,
  toLocalAddress,
  toQueue,
  unreachable,
  verdict,
} from "../../src/nftables/statement.ts";
import { addTable, deleteTable } from "../../src/nftables/table.ts";

export interface NftObject {
  /** Name of the golden file. */
  readonly name: string;
  /** What has to be there before, as nft commands. */
  readonly before: readonly string[];
  /** The command: for nft, or as a whole for another program. */
  readonly command: string;
  readonly ours: readonly Operation[];
  /** What the kernel lists afterwards cannot be compared, and why. */
  readonly notListed?: string;
}

/** The queue that rules of this table name. */
export const QUEUE = 27_085;

const TABLE = "add table inet t";
const CHAIN = "add chain inet t c";
const ports: NftSet = { name: "p", key: ["inet_proto", "inet_service"], timeout: false };
const grants4: NftSet = {
  name: "g4",
  key: ["ipv4_addr", "inet_proto", "inet_service"],
  timeout: true,
  size: 65_536,
};
const grants6: NftSet = { ...grants4, name: "g6", key: ["ipv6_addr", ...ports.key] };
const inherited4: NftSet = {
  ...grants4,
  name: "i4",
  key: ["ipv4_addr", "inet_service", "inet_service"],
};
const inherited6: NftSet = {
  ...inherited4,
  name: "i6",
  key: ["ipv6_addr", "inet_service", "inet_service"],
};
const finishing4: NftSet = {
  name: "f4",
  key: ["ipv4_addr"],
  timeout: true,
  timeoutMs: 2_000,
  dynamic: true,
  size: 1_024,
};
const finishing6: NftSet = { ...finishing4, name: "f6", key: ["ipv6_addr"] };

export const sets: readonly NftSet[] = [
  ports,
  grants4,
  grants6,
  inherited4,
  inherited6,
  finishing4,
  finishing6,
];

const grant4: Element = {
  key: encodeKey([unhex("c0000201"), unhex("06"), unhex("0016")]),
  timeoutMs: 20_000,
};
const grant6: Element = {
  key: encodeKey([unhex("20010db8000000000000000000000001"), unhex("06"), unhex("0016")]),
  timeoutMs: 120_000,
};
const http: Element = { key: encodeKey([unhex("06"), unhex("0050")]) };
const https: Element = { key: encodeKey([unhex("06"), unhex("01bb")]) };

const GRANT4 = "inet t g4 { 192.0.2.1 . tcp . 22 timeout 20s }";
const GRANT4_KEY = "inet t g4 { 192.0.2.1 . tcp . 22 }";
const COUNTER = "add counter inet t knocks";
const PORTS = "inet t p { tcp . 80, tcp . 443 }";

export const objects: readonly NftObject[] = [
  {
    name: "table_comment",
    before: [],
    command: 'add table inet t { comment "pk/1" ; }',
    ours: [addTable({ name: "t", flags: 0, comment: "pk/1" })],
  },
  {
    name: "table_flags_dormant",
    before: [],
    command: "add table inet t { flags dormant ; }",
    ours: [addTable({ name: "t", flags: NFT_TABLE_F.NFT_TABLE_F_DORMANT, comment: undefined })],
  },
  {
    name: "table_flags_owner",
    before: [],
    command: "add table inet t { flags owner ; }",
    ours: [addTable({ name: "t", flags: NFT_TABLE_F.NFT_TABLE_F_OWNER, comment: undefined })],
    notListed: "an owned table without `persist` is gone when its socket closes",
  },
  {
    name: "table_delete",
    before: [TABLE],
    command: "delete table inet t",
    ours: [deleteTable("t")],
  },
  {
    name: "chain_base",
    before: [TABLE],
    command: `${CHAIN} { type filter hook prerouting priority -250 ; policy accept ; }`,
    ours: [addChain("t", { name: "c", prerouting: -250 })],
  },
  {
    name: "chain_regular",
    before: [TABLE],
    command: CHAIN,
    ours: [addChain("t", { name: "c" })],
  },
  {
    name: "chain_flush",
    before: [TABLE, CHAIN, "add rule inet t c counter"],
    command: "flush chain inet t c",
    ours: [flushChain("t", "c")],
  },
  {
    name: "chain_delete",
    before: [TABLE, CHAIN],
    command: "delete chain inet t c",
    ours: [deleteChain("t", "c")],
  },
  ...sets.map((set): NftObject => ({
    name: `set_${set.key.join("_")}`,
    before: [TABLE],
    command: addSetCommand(set),
    ours: [addSet("t", set, 1)],
  })),
  {
    name: "set_delete",
    before: [TABLE, addSetCommand(ports), `add element ${PORTS}`],
    command: "delete set inet t p",
    ours: [deleteSet("t", "p")],
  },
  {
    name: "set_flush",
    before: [TABLE, addSetCommand(ports), `add element ${PORTS}`],
    command: "flush set inet t p",
    ours: [flushSet("t", "p")],
  },
  {
    name: "element_add",
    before: [TABLE, addSetCommand(ports)],
    command: `add element ${PORTS}`,
    ours: addElements("t", "p", [http, https]),
  },
  {
    name: "element_add_timeout4",
    before: [TABLE, addSetCommand(grants4)],
    command: `add element ${GRANT4}`,
    ours: addElements("t", "g4", [grant4]),
  },
  {
    name: "element_add_timeout6",
    before: [TABLE, addSetCommand(grants6)],
    command: "add element inet t g6 { 2001:db8::1 . tcp . 22 timeout 2m }",
    ours: addElements("t", "g6", [grant6]),
  },
  {
    name: "element_delete",
    before: [TABLE, addSetCommand(ports), `add element ${PORTS}`],
    command: "delete element inet t p { tcp . 443 }",
    ours: deleteElements("t", "p", [https]),
  },
  {
    name: "element_renew",
    before: [TABLE, addSetCommand(grants4), `add element ${GRANT4.replace("20s", "1h")}`],
    command: `add element ${GRANT4}; delete element ${GRANT4_KEY}; add element ${GRANT4}`,
    ours: renewElement("t", "g4", grant4),
  },
  {
    name: "counter_add",
    before: [TABLE],
    command: COUNTER,
    ours: [addCounter("t", "knocks")],
  },
  rule("tcp_flags_first_syn", tcpFlags(["syn"], ["fin", "syn", "rst", "ack"])),
  rule("tcp_flags_syn", tcpFlags(["syn"], ["syn", "ack"])),
  rule("tcp_flags_one", tcpFlags(["rst"], ["rst"])),
  rule("tcp_flag_bits_all", tcpFlagBits({ mask: 0xff, value: 0x29 })),
  rule("tcp_flag_bits_none", tcpFlagBits({ mask: 0x43, value: 0 })),
  rule("tcp_flag_bits_any", tcpFlagBits({ mask: 0, value: 0 })),
  rule("over_udp", overProtocol("udp")),
  rule("any_protocol", anyProtocol()),
  rule("echo_request_icmp", echoRequest("icmp", 56)),
  rule("echo_request_icmp6", echoRequest("icmp6", 65_507)),
  rule("unreachable", unreachable()),
  rule("destination_in", destinationIn("p"), [addSetCommand(ports)]),
  rule("source_in_ip", sourceIn("ip", ["l4proto", "dport"], "g4"), [addSetCommand(grants4)]),
  rule("source_in_ip6", sourceIn("ip6", ["l4proto", "dport"], "g6"), [addSetCommand(grants6)]),
  rule("session_in_ip", sourceIn("ip", ["sport", "dport"], "i4"), [addSetCommand(inherited4)]),
  rule("session_in_ip6", sourceIn("ip6", ["sport", "dport"], "i6"), [addSetCommand(inherited6)]),
  rule("source_alone_in_ip", sourceAloneIn("ip", "f4"), [addSetCommand(finishing4)]),
  rule("source_alone_in_ip6", sourceAloneIn("ip6", "f6"), [addSetCommand(finishing6)]),
  rule("remember_source_ip", rememberSource("ip", "f4"), [addSetCommand(finishing4)]),
  rule("remember_source_ip6", rememberSource("ip6", "f6"), [addSetCommand(finishing6)]),
  rule("source_hash_not_ip", sourceHashNot("ip", { modulus: 16, seed: 0xfedcba98, value: 5 })),
  rule("source_hash_not_ip6", sourceHashNot("ip6", { modulus: 2, seed: 1, value: 0 })),
  rule("not_loopback", notLoopback()),
  rule("to_local_address", toLocalAddress()),
  rule("from_local", fromType("local")),
  rule("from_broadcast", fromType("broadcast")),
  rule("tcp_flags_not_syn", tcpFlagsNot(["syn"], ["syn", "ack"])),
  rule("ct_established", ctEstablished()),
  rule("counter", counted()),
  rule("counter_name", countedAs("knocks"), [COUNTER]),
  rule("limit", limitedTo(16, 32)),
  rule("log", loggedTo(QUEUE)),
  rule("log_prefix", loggedTo(QUEUE, "refused")),
  rule("reject", [tcpFlags(["syn"], ["syn", "ack"]), rejected()]),
  rule("accept", verdict("accept")),
  rule("drop", verdict("drop")),
  rule("goto", verdict({ goto: "gate" }), ["add chain inet t gate"]),
  {
    name: "rule_with_its_set_and_counter",
    before: [TABLE, CHAIN],
    command: `${addSetCommand(finishing4)}; ${COUNTER}; ` +
      'add rule inet t c update @f4 { ip saddr } counter name "knocks"',
    ours: [
      addSet("t", finishing4, 1),
      addCounter("t", "knocks"),
      addRule("t", {
        chain: "c",
        statements: [rememberSource("ip", "f4"), countedAs("knocks")],
      }),
    ],
  },
  {
    ...rule("queue", toQueue(QUEUE, "queue")),
    notListed:
      "a kernel without CONFIG_NFT_QUEUE refuses it; the whole ruleset is compared with it",
  },
  {
    // nft cannot say `target`; iptables-nft, which only knows tables of its own, can.
    ...rule("xt_target", toQueue(QUEUE, "xt-target")),
    before: [],
    command: `iptables-nft -t mangle -A PREROUTING -j NFQUEUE --queue-num ${QUEUE} --queue-bypass`,
    notListed: "it stands in another table than iptables-nft's",
  },
];

/** The nft text of an object's `before` and `command`, for `nft -f -`. */
export function nftText(commands: readonly string[]): string {
  return commands.flatMap((command) => command.split("; ")).join("\n") + "\n";
}

function rule(
  name: string,
  statement: Statement | readonly Statement[],
  before: readonly string[] = [],
): NftObject {
  const added = { chain: "c", statements: [statement].flat() };
  return {
    name: `rule_${name}`,
    before: [TABLE, CHAIN, ...before],
    command: `add rule inet t c ${ruleText(added)}`,
    ours: [addRule("t", added)],
  };
}

function addSetCommand(set: NftSet): string {
  const body = setText(set).slice(1, -1).map((line) => `${line.trim()} ;`).join(" ");
  return `add set inet t ${set.name} { ${body} }`;
}
