// Connection tracking over netlink (ctnetlink: linux/netfilter/nfnetlink_conntrack.h): the kernel's list
// of datagram flows, and the end of one. Pure; both need CAP_NET_ADMIN.
//
// A flow is told by two tuples, the addresses and ports of its first packet and those of the answer:
//
//   CTA_TUPLE_ORIG
//     CTA_TUPLE_IP     CTA_IP_V4_SRC, CTA_IP_V4_DST, or of IPv6
//     CTA_TUPLE_PROTO  CTA_PROTO_NUM (u8), CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT (u16, network order)

import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { readSource } from "../packet/address.ts";
import type { Source } from "../packet/header.ts";
import { IPPROTO_UDP } from "../packet/protocol.ts";
import { type Attribute, type Attributes, getNested, nested, raw } from "./attribute.ts";
import { FAMILY, NFNL_SUBSYS, NLM_F } from "./constants.ts";
import type { NamedRequest } from "./conversation.ts";
import type { Message } from "./message.ts";
import { messageAttributes, messageFamily, nfnetlinkRequest } from "./nfnetlink.ts";

const IPCTNL_MSG = { IPCTNL_MSG_CT_GET: 1, IPCTNL_MSG_CT_DELETE: 2 } as const;
const CTA = {
  CTA_TUPLE_ORIG: 1,
  CTA_TUPLE_REPLY: 2,
  CTA_ID: 12,
  CTA_ZONE: 18,
  CTA_FILTER: 25,
} as const;
const CTA_TUPLE = { CTA_TUPLE_IP: 1, CTA_TUPLE_PROTO: 2 } as const;
const CTA_IP = { CTA_IP_V4_SRC: 1, CTA_IP_V4_DST: 2, CTA_IP_V6_SRC: 3, CTA_IP_V6_DST: 4 } as const;
const CTA_PROTO = { CTA_PROTO_NUM: 1, CTA_PROTO_SRC_PORT: 2, CTA_PROTO_DST_PORT: 3 } as const;
const CTA_FILTER_ORIG_FLAGS = 1;
/** The kernel's nf_internals.h; CTA_FILTER_ORIG_FLAGS has 32 bits in host order. */
const CTA_FILTER_F_CTA_PROTO_NUM = 1 << 3;

/** One end of a tuple. */
export interface End {
  readonly address: Readonly<Source>;
  readonly port: number;
}

/** Datagrams between two ends, as they were before any address was rewritten, and as they are answered. */
export interface Flow {
  /** Who sent the first packet, and to whom. */
  readonly from: End;
  readonly to: End;
  /** Whom the answer goes to: another one than `from` where that one is masqueraded. */
  readonly answered: End;
  /** AF_INET or AF_INET6. */
  readonly family: number;
  /** What names it to the kernel. */
  readonly name: readonly Attribute[];
}

/** Asks for the flows of UDP, of either family: one request each. Kernels before 5.8 tell others, too. */
export function listFlows(): NamedRequest[] {
  const protocol = raw(CTA_PROTO.CTA_PROTO_NUM, Uint8Array.of(IPPROTO_UDP));
  const flags = new Writer().u32ne(CTA_FILTER_F_CTA_PROTO_NUM).bytes();
  return [FAMILY.NFPROTO_IPV4, FAMILY.NFPROTO_IPV6].map((family) => ({
    what: "list tracked flows",
    ...nfnetlinkRequest(
      NFNL_SUBSYS.NFNL_SUBSYS_CTNETLINK,
      IPCTNL_MSG.IPCTNL_MSG_CT_GET,
      NLM_F.NLM_F_DUMP,
      family,
      [
        nested(CTA.CTA_TUPLE_ORIG, [nested(CTA_TUPLE.CTA_TUPLE_PROTO, [protocol])]),
        nested(CTA.CTA_FILTER, [raw(CTA_FILTER_ORIG_FLAGS, flags)]),
      ],
    ),
  }));
}

/** Asks to forget a flow. ENOENT: it has ended already. */
export function forgetFlow({ family, name }: Flow): NamedRequest {
  const { NFNL_SUBSYS_CTNETLINK } = NFNL_SUBSYS;
  return {
    what: "end a tracked flow",
    ...nfnetlinkRequest(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG.IPCTNL_MSG_CT_DELETE, 0, family, name),
  };
}

/** The flow in one message of the answer; undefined where it is none of UDP. @throws {DecodeError} */
export function parseFlow(message: Message): Flow | undefined {
  const attributes = messageAttributes(message);
  const original = parseTuple(getNested(attributes, CTA.CTA_TUPLE_ORIG));
  const answer = parseTuple(getNested(attributes, CTA.CTA_TUPLE_REPLY));
  if (original === undefined || answer === undefined) return undefined;
  const name = [CTA.CTA_TUPLE_ORIG, CTA.CTA_ID, CTA.CTA_ZONE].flatMap((type) => {
    const payload = attributes.get(type);
    return payload === undefined ? [] : [raw(type, payload)];
  });
  return { ...original, answered: answer.to, family: messageFamily(message), name };
}

function parseTuple(tuple: Attributes): { readonly from: End; readonly to: End } | undefined {
  const protocol = getNested(tuple, CTA_TUPLE.CTA_TUPLE_PROTO);
  if (protocol.get(CTA_PROTO.CTA_PROTO_NUM)?.[0] !== IPPROTO_UDP) return undefined;
  const addresses = getNested(tuple, CTA_TUPLE.CTA_TUPLE_IP);
  const from = endOf(addresses, protocol, {
    four: CTA_IP.CTA_IP_V4_SRC,
    six: CTA_IP.CTA_IP_V6_SRC,
    port: CTA_PROTO.CTA_PROTO_SRC_PORT,
  });
  const to = endOf(addresses, protocol, {
    four: CTA_IP.CTA_IP_V4_DST,
    six: CTA_IP.CTA_IP_V6_DST,
    port: CTA_PROTO.CTA_PROTO_DST_PORT,
  });
  return from && to && { from, to };
}

function endOf(
  addresses: Attributes,
  ports: Attributes,
  types: { readonly four: number; readonly six: number; readonly port: number },
): End | undefined {
  const [four, six, port] = [
    addresses.get(types.four),
    addresses.get(types.six),
    ports.get(types.port),
  ];
  const bytes = four ?? six;
  if (bytes === undefined || port === undefined) return undefined;
  const address = readSource(new Reader(bytes), four === undefined ? 6 : 4);
  return { address, port: new Reader(port).u16be() };
}
