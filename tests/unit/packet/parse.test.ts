// parsePacket() over hand-made packets: what is read of the good ones, and what the others are
// taken for. Every byte string at all is in parse_properties.test.ts.

import assert from "node:assert/strict";
import { emptyHeader, type PacketHeader, type Source } from "../../../src/packet/header.ts";
import { isKnock, PARSE, PARSE_NAMES, type ParseName } from "../../../src/packet/outcome.ts";
import { EXTENSION_HEADERS_MAX } from "../../../src/limits.ts";
import { parsePacket } from "../../../src/packet/parse.ts";
import {
  authentication,
  type Bytes,
  concat,
  echo,
  type Extension,
  fragment,
  IPPROTO,
  ipv4,
  ipv6,
  options,
  patch,
  routing,
  TCP,
  tcp,
  udp,
} from "../../support/packets.ts";

/** Where TCP begins in a packet without options or extension headers. */
const TCP4 = 20;
const TCP6 = 40;

const SEGMENT = {
  sourcePort: 65535,
  destinationPort: 1,
  sequence: 0xfffffffe,
  flags: TCP.SYN | TCP.CWR,
} as const;

const IPV4: PacketHeader = {
  ...emptyHeader(),
  ...SEGMENT,
  word3: 0xdfffff01,
  protocol: IPPROTO.TCP,
};
const IPV6: PacketHeader = {
  ...SEGMENT,
  family: 6,
  word0: 0xfe800000,
  word1: 0,
  word2: 0xffffffff,
  word3: 0x80000001,
  protocol: IPPROTO.TCP,
};
const SOURCE4 = "223.255.255.1";
const SOURCE6 = "fe80::ffff:ffff:8000:1";

const KINDS = new Map<number, ParseName>([
  [IPPROTO.TCP, "tcp"],
  [IPPROTO.UDP, "udp"],
  [IPPROTO.ICMP, "echo"],
  [IPPROTO.ICMPV6, "echo"],
]);

/** A segment whose length is in its data offset: 15 words. */
const LONG = { ...SEGMENT, options: new Uint8Array(40).fill(1), data: new Uint8Array(9) };

const hop = options(IPPROTO.HOPOPTS);
const destination = options(IPPROTO.DSTOPTS);
const wideDestination = options(IPPROTO.DSTOPTS, new Uint8Array(2046));
const sixteen = options(IPPROTO.DSTOPTS, new Uint8Array(14));

function v6(extensions: readonly Extension[], payload = tcp(SEGMENT)): Bytes {
  return ipv6({ source: SOURCE6, extensions, payload });
}

const readable: readonly [string, Bytes, PacketHeader][] = [
  ["IPv4", ipv4({ source: SOURCE4, payload: tcp(SEGMENT) }), IPV4],
  [
    "IPv4 with don't-fragment off",
    ipv4({ source: SOURCE4, fragment: 0, payload: tcp(SEGMENT) }),
    IPV4,
  ],
  [
    "IPv4 with options",
    ipv4({ source: SOURCE4, options: new Uint8Array(40), payload: tcp(SEGMENT) }),
    IPV4,
  ],
  ["IPv4, TCP options and data", ipv4({ source: SOURCE4, payload: tcp(LONG) }), IPV4],
  [
    "IPv4 with bytes after it",
    concat(ipv4({ source: SOURCE4, payload: tcp(SEGMENT) }), new Uint8Array(6)),
    IPV4,
  ],
  [
    "IPv4 cut after the TCP header",
    ipv4({ source: SOURCE4, payload: tcp(LONG) }).slice(0, TCP4 + 20),
    IPV4,
  ],
  ["IPv6", v6([]), IPV6],
  ["IPv6, TCP options and data", v6([], tcp(LONG)), IPV6],
  ["IPv6 with bytes after it", concat(v6([]), new Uint8Array(6)), IPV6],
  ["IPv6 cut after the TCP header", v6([], tcp(LONG)).slice(0, TCP6 + 20), IPV6],
  ["hop-by-hop options", v6([hop]), IPV6],
  ["16 bytes of destination options", v6([sixteen]), IPV6],
  ["2048 bytes of destination options", v6([wideDestination]), IPV6],
  ["a routing header", v6([routing(2)]), IPV6],
  ["an atomic fragment", v6([fragment()]), IPV6],
  [
    "an atomic fragment with reserved bits",
    v6([{ ...fragment(), bytes: patch(fragment().bytes, 1, 255, 0, 6) }]),
    IPV6,
  ],
  ["an authentication header of 12 bytes", v6([authentication(0)]), IPV6],
  ["an authentication header of 24 bytes", v6([authentication(12)]), IPV6],
  ["an authentication header of 1028 bytes", v6([authentication(1016)]), IPV6],
  [
    "all kinds, in the order of RFC 8200",
    v6([hop, destination, routing(1), fragment(), authentication(), destination]),
    IPV6,
  ],
  [
    `${EXTENSION_HEADERS_MAX} headers`,
    v6(Array<Extension>(EXTENSION_HEADERS_MAX).fill(destination)),
    IPV6,
  ],
];

const DATAGRAM = { sourcePort: 65535, destinationPort: 1, data: new Uint8Array(9) } as const;
const REQUEST = { identifier: 65535, sequence: 65534, data: new Uint8Array(56) } as const;
const UDP4 = { ...IPV4, protocol: IPPROTO.UDP, sequence: 0, flags: 0 };
const UDP6 = { ...IPV6, protocol: IPPROTO.UDP, sequence: 0, flags: 0 };
const PING4 = {
  ...IPV4,
  protocol: IPPROTO.ICMP,
  sourcePort: 65535,
  destinationPort: 56,
  sequence: 65534,
  flags: 0,
};
const PING6 = { ...PING4, ...address(IPV6), protocol: IPPROTO.ICMPV6 };

function udp4(fields = {}): Bytes {
  return ipv4({
    source: SOURCE4,
    protocol: IPPROTO.UDP,
    payload: udp({ ...DATAGRAM, ...fields }),
  });
}

function udp6(extensions: readonly Extension[] = [], fields = {}): Bytes {
  const payload = udp({ ...DATAGRAM, ...fields });
  return ipv6({ source: SOURCE6, protocol: IPPROTO.UDP, extensions, payload });
}

function ping4(fields = {}): Bytes {
  const payload = echo({ ...REQUEST, ...fields });
  return ipv4({ source: SOURCE4, protocol: IPPROTO.ICMP, payload });
}

function ping6(extensions: readonly Extension[] = [], fields = {}): Bytes {
  const payload = echo({ type: 128, ...REQUEST, ...fields });
  return ipv6({ source: SOURCE6, protocol: IPPROTO.ICMPV6, extensions, payload });
}

const otherKinds: readonly [string, Bytes, PacketHeader][] = [
  ["UDP over IPv4", udp4(), UDP4],
  ["UDP over IPv6", udp6(), UDP6],
  ["UDP without data", udp4({ data: concat() }), UDP4],
  ["UDP without a source port", udp4({ sourcePort: 0 }), { ...UDP4, sourcePort: 0 }],
  ["UDP cut after its header", udp6().slice(0, TCP6 + 8), UDP6],
  ["UDP that ends before the packet", patch(udp4(), TCP4 + 4, 0, 8), UDP4],
  ["UDP behind extension headers", udp6([hop, destination]), UDP6],
  ["an echo request over IPv4", ping4(), PING4],
  ["an echo request over IPv6", ping6(), PING6],
  ["an echo request without data", ping4({ data: concat() }), { ...PING4, destinationPort: 0 }],
  ["an echo request cut after its header", ping4().slice(0, TCP4 + 8), PING4],
  [
    "an echo request with bytes after the packet",
    concat(ping4(), new Uint8Array(6)),
    PING4,
  ],
  [
    "an echo request behind IPv4 options",
    ipv4({
      source: SOURCE4,
      protocol: IPPROTO.ICMP,
      options: new Uint8Array(8),
      payload: echo(REQUEST),
    }),
    PING4,
  ],
  ["an echo request behind extension headers", ping6([hop, sixteen]), PING6],
  [
    "the longest echo request",
    ping4({ data: new Uint8Array(65_507) }).slice(0, 1_024),
    { ...PING4, destinationPort: 65_507 },
  ],
];

for (const [name, packet, expected] of [...readable, ...otherKinds]) {
  Deno.test(`parsePacket() reads ${name}`, () => {
    // What was in it before must not shine through.
    const header: PacketHeader = { ...emptyHeader(), sequence: 7, flags: 7, word1: 7 };
    const outcome = parse(packet, header);
    assert.equal(outcome, KINDS.get(expected.protocol));
    assert.ok(isKnock(PARSE[outcome ?? "malformed"]));
    assert.deepEqual(header, expected);
  });
}

const jumbo = patch(
  v6([options(IPPROTO.HOPOPTS, new Uint8Array([0xc2, 4, 0, 0, 0, 28]))]),
  4,
  0,
  0,
);

const others: readonly [string, Bytes, ParseName][] = [
  ["nothing", concat(), "truncated"],
  ["version 0", new Uint8Array(60), "malformed"],
  ["one byte of version 0", new Uint8Array(1), "malformed"],
  ["version 5", patch(ipv4(), 0, 0x55), "malformed"],
  ["version 4 of IPv6", patch(ipv6(), 0, 0x45), "malformed"],

  ["IPv4: 19 bytes", ipv4().slice(0, 19), "truncated"],
  ["IPv4: header length 16", patch(ipv4(), 0, 0x44), "malformed"],
  ["IPv4: total length under header length", patch(ipv4(), 2, 0, 19), "malformed"],
  ["IPv4: total length 0", patch(ipv4(), 2, 0, 0), "malformed"],
  ["IPv4: options cut off", ipv4({ options: new Uint8Array(40) }).slice(0, 59), "truncated"],
  ["IPv4: cut in the TCP header", ipv4().slice(0, TCP4 + 19), "truncated"],
  ["IPv4: total length ends in the TCP header", patch(ipv4(), 2, 0, TCP4 + 19), "malformed"],
  ["IPv4: UDP without content", ipv4({ protocol: IPPROTO.UDP, payload: concat() }), "malformed"],
  ["IPv4: authentication header", ipv4({ protocol: IPPROTO.AH }), "notKnock"],
  ["IPv4: first fragment", ipv4({ fragment: 0x2000 }), "fragment"],
  ["IPv4: later fragment", ipv4({ fragment: 0x2001 }), "fragment"],
  ["IPv4: last fragment", ipv4({ fragment: 0x1fff }), "fragment"],

  ["IPv6: 39 bytes", ipv6().slice(0, 39), "truncated"],
  ["IPv6: cut in the TCP header", ipv6().slice(0, TCP6 + 19), "truncated"],
  ["IPv6: payload length ends in the TCP header", patch(ipv6(), 4, 0, 19), "malformed"],
  ["IPv6: payload length 0", patch(ipv6(), 4, 0, 0), "malformed"],
  ["IPv6: jumbogram", jumbo, "malformed"],
  ["IPv6: cut in an extension header", v6([hop]).slice(0, 47), "truncated"],
  ["IPv6: cut behind the first 8 bytes of one", v6([sixteen]).slice(0, 50), "truncated"],
  ["IPv6: payload length ends in an extension header", patch(v6([hop]), 4, 0, 7), "malformed"],
  ["IPv6: extension header longer than the packet", patch(v6([hop]), TCP6 + 1, 4), "malformed"],
  [
    "IPv6: unknown header behind one longer than the packet",
    patch(v6([hop]), TCP6, 255, 4),
    "malformed",
  ],
  ["IPv6: hop-by-hop options in second place", v6([destination, hop]), "malformed"],
  [
    "IPv6: authentication header of 8 bytes",
    v6([{ protocol: IPPROTO.AH, bytes: new Uint8Array(8) }]),
    "malformed",
  ],
  ["IPv6: first fragment", v6([fragment({ more: true })]), "fragment"],
  ["IPv6: later fragment", v6([fragment({ offset: 1, more: true })]), "fragment"],
  ["IPv6: last fragment", v6([fragment({ offset: 0x1fff })]), "fragment"],
  [
    "IPv6: fragment behind other headers",
    v6([hop, routing(), fragment({ offset: 1 })]),
    "fragment",
  ],
  ["IPv6: fragment behind an atomic one", v6([fragment(), fragment({ more: true })]), "fragment"],
  ["IPv6: ESP", ipv6({ protocol: IPPROTO.ESP }), "notKnock"],
  ["IPv6: no next header", ipv6({ protocol: IPPROTO.NONE, payload: concat() }), "notKnock"],
  [
    "IPv6: no next header behind options",
    ipv6({ protocol: IPPROTO.NONE, extensions: [hop], payload: concat() }),
    "notKnock",
  ],
  ["IPv6: unknown next header", ipv6({ protocol: 253 }), "notKnock"],
  [
    `IPv6: ${EXTENSION_HEADERS_MAX + 1} headers`,
    v6(Array<Extension>(EXTENSION_HEADERS_MAX + 1).fill(destination)),
    "tooManyHeaders",
  ],

  ["UDP: 7 bytes", ipv4({ protocol: IPPROTO.UDP, payload: udp().slice(0, 7) }), "malformed"],
  ["UDP: cut in its header", udp6().slice(0, TCP6 + 7), "truncated"],
  ["UDP: destination port 0", udp4({ destinationPort: 0 }), "malformed"],
  ["UDP: length 7", patch(udp4(), TCP4 + 4, 0, 7), "malformed"],
  ["UDP: length 0, as of a jumbogram", patch(udp6(), TCP6 + 4, 0, 0), "malformed"],
  ["UDP: length behind the end", patch(udp4(), TCP4 + 4, 0, 18), "malformed"],
  [
    "UDP: length behind the end, within bytes after the packet",
    concat(patch(udp4(), TCP4 + 4, 0, 18), new Uint8Array(4)),
    "malformed",
  ],
  ["UDP: first fragment", patch(udp4(), 6, 0x20), "fragment"],
  ["ICMP: 7 bytes", ipv4({ protocol: IPPROTO.ICMP, payload: echo().slice(0, 7) }), "malformed"],
  ["ICMP: cut in its header", ping4().slice(0, TCP4 + 7), "truncated"],
  ["ICMP: echo reply", ping4({ type: 0 }), "notKnock"],
  ["ICMP: destination unreachable", ping4({ type: 3 }), "notKnock"],
  ["ICMP: ICMPv6's echo request", ping4({ type: 128 }), "notKnock"],
  ["ICMP: echo request with a code", ping4({ code: 1 }), "malformed"],
  ["ICMP in IPv6", ipv6({ protocol: IPPROTO.ICMP, payload: echo() }), "notKnock"],
  ["ICMPv6: 7 bytes", ipv6({ protocol: IPPROTO.ICMPV6, payload: echo().slice(1) }), "malformed"],
  ["ICMPv6: cut in its header", ping6().slice(0, TCP6 + 7), "truncated"],
  ["ICMPv6: echo reply", ping6([], { type: 129 }), "notKnock"],
  ["ICMPv6: neighbour solicitation", ping6([], { type: 135 }), "notKnock"],
  ["ICMPv6: ICMP's echo request", ping6([], { type: 8 }), "notKnock"],
  ["ICMPv6: echo request with a code", ping6([], { code: 255 }), "malformed"],
  [
    "ICMPv6 in IPv4",
    ipv4({ protocol: IPPROTO.ICMPV6, payload: echo({ type: 128 }) }),
    "notKnock",
  ],

  ["TCP: source port 0", ipv4({ payload: tcp({ sourcePort: 0 }) }), "malformed"],
  ["TCP: destination port 0", ipv6({ payload: tcp({ destinationPort: 0 }) }), "malformed"],
  ["TCP: data offset 4", patch(ipv4(), TCP4 + 12, 0x40), "malformed"],
  ["TCP: data offset behind the end", patch(ipv6(), TCP6 + 12, 0x60), "malformed"],
  [
    "TCP: data offset behind the end, within bytes after the packet",
    concat(patch(ipv4(), TCP4 + 12, 0x60), new Uint8Array(4)),
    "malformed",
  ],
];

for (const [name, packet, outcome] of others) {
  Deno.test(`parsePacket() takes "${name}" for ${outcome}`, () => {
    assert.equal(parse(packet), outcome);
  });
}

const sources: readonly [string, ParseName][] = [
  ["0.0.0.0", "badSource"],
  ["0.255.255.255", "badSource"],
  ["1.0.0.0", "tcp"],
  ["126.255.255.255", "tcp"],
  ["127.0.0.0", "badSource"],
  ["127.255.255.255", "badSource"],
  ["128.0.0.0", "tcp"],
  ["223.255.255.255", "tcp"],
  ["224.0.0.0", "badSource"],
  ["240.0.0.0", "badSource"],
  ["255.255.255.255", "badSource"],
  ["::", "badSource"],
  ["::1", "badSource"],
  ["::2", "tcp"],
  ["::1:0:0", "tcp"],
  ["::fffe:ffff:ffff", "tcp"],
  ["::ffff:0:0", "badSource"],
  ["::ffff:192.0.2.1", "badSource"],
  ["::ffff:ffff:ffff", "badSource"],
  ["::1:0:0:0", "tcp"],
  ["0:0:0:1:0:ffff:192.0.2.1", "tcp"],
  ["1::ffff:192.0.2.1", "tcp"],
  ["0:1::1", "tcp"],
  ["2001:db8::", "tcp"],
  ["fe80::1", "tcp"],
  ["feff:ffff::", "tcp"],
  ["ff00::", "badSource"],
  ["ff02::1", "badSource"],
  ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "badSource"],
];

for (const [source, outcome] of sources) {
  Deno.test(`parsePacket() takes a SYN from ${source} for ${outcome}`, () => {
    assert.equal(parse(source.includes(":") ? ipv6({ source }) : ipv4({ source })), outcome);
  });
}

Deno.test("isKnock() is true of the outcomes that fill in the header, and of no others", () => {
  const knocks = PARSE_NAMES.filter((name) => isKnock(PARSE[name]));
  assert.deepEqual(knocks, ["tcp", "udp", "echo"]);
});

Deno.test("PARSE_NAMES has each name at its number", () => {
  for (const [name, outcome] of Object.entries(PARSE)) assert.equal(PARSE_NAMES[outcome], name);
  assert.equal(PARSE_NAMES.length, Object.keys(PARSE).length);
});

function address({ family, word0, word1, word2, word3 }: PacketHeader): Source {
  return { family, word0, word1, word2, word3 };
}

function parse(packet: Bytes, header = emptyHeader()): ParseName | undefined {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  return PARSE_NAMES[parsePacket(view, 0, packet.length, header)];
}
