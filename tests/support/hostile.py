"""Packets that no well-behaved client sends, made with scapy inside a network namespace.

One request a line on stdin, one answer a line on stdout, as agent.py does. A request is a list of
shots: a form from the tables below, a source, a destination, a port. All frames are made first and
then sent in order on veth0; afterwards it is told, by shot, what the port answered. It knows nothing
of pk: what a form should lead to stands in the test.
"""

import ipaddress
import json
import random
import select
import socket
import struct
import sys
import time

from scapy.config import conf

conf.use_pcap = False

from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import ICMPv6DestUnreach, IPv6  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

PACKET_OUTGOING = 4
HOPOPTS, ROUTING, FRAGMENT, ESP, AH, NONE, DSTOPTS = 0, 43, 44, 50, 51, 59, 60
UNWATCHED = 7777
BROADCAST = "ff:ff:ff:ff:ff:ff"


class Shot:
    """A SYN to be bent: addresses, ports, and its layers with whatever a form changes in them."""

    def __init__(self, source, destination, port, source_port):
        self.src, self.dst, self.dport, self.sport = source, destination, port, source_port
        self.v6 = ":" in destination
        self.seq = random.getrandbits(32)
        self.id = random.getrandbits(16)

    def ip(self, **fields):
        if self.v6:
            return IPv6(**{"src": self.src, "dst": self.dst, **fields})
        return IP(**{"src": self.src, "dst": self.dst, "id": self.id, **fields})

    def tcp(self, **fields):
        base = {"sport": self.sport, "dport": self.dport, "seq": self.seq, "flags": "S"}
        return TCP(**{**base, "window": 64240, **fields})

    def segment(self, **fields):
        """The bytes of the TCP segment, with the checksum that it has behind a bare IP header."""
        data = fields.pop("data", b"")
        whole = bytes(self.ip() / self.tcp(**fields) / Raw(data))
        return whole[40 if self.v6 else 20 :]

    def raw(self, protocol, data, **fields):
        """An IP packet with these bytes in it."""
        kind = {"nh": protocol} if self.v6 else {"proto": protocol}
        return self.ip(**kind, **fields) / Raw(data)

    def optioned(self, options):
        """The segment behind an IPv4 header with these options."""
        return [self.raw(6, self.segment(), options=Raw(options))]

    def pieces(self, *pieces, protocol=6):
        """Fragments: each a position, bytes and whether more are to come."""
        if not self.v6:
            return [
                self.raw(protocol, data, frag=at // 8, flags="MF" if more else 0)
                for at, data, more in pieces
            ]
        return [
            self.raw(FRAGMENT, struct.pack("!BBHI", protocol, 0, at | more, self.id) + data)
            for at, data, more in pieces
        ]

    def cut(self, size, **fields):
        """The segment cut into fragments of this size."""
        data = self.segment(**fields)
        starts = range(0, len(data), size)
        return self.pieces(*((at, data[at : at + size], at + size < len(data)) for at in starts))

    def chain(self, *headers):
        """The segment behind extension headers: each its number, or a number and its bytes."""
        data, following = self.segment(), 6
        for header in reversed(headers):
            number, body = header if isinstance(header, tuple) else (header, EMPTY[header])
            data, following = bytes([following]) + body + data, number
        return [self.raw(following, data)]


# Extension headers without the next-header byte that they begin with. Options: PadN of 4 bytes.
EMPTY = {
    HOPOPTS: bytes([0, 1, 4, 0, 0, 0, 0]),
    DSTOPTS: bytes([0, 1, 4, 0, 0, 0, 0]),
    ROUTING: bytes(7),
    FRAGMENT: bytes([0, 0, 0, 0, 0, 0, 9]),
    # Length 4 (of 32-bit words, less two): 24 bytes with an integrity value that nobody can verify.
    AH: bytes([4, 0, 0]) + struct.pack("!II", 256, 1) + bytes(12),
    NONE: bytes(7),
    # Mobility, HIP, shim6, for experiments.
    **{number: bytes(7) for number in (135, 139, 140, 253)},
}


def routing(s, kind, left):
    """A routing header with one address, the host's own or another."""
    address = socket.inet_pton(socket.AF_INET6, "fd99::99" if left else s.dst)
    return (ROUTING, bytes([2, kind, left]) + bytes(4) + address)


def padded(size):
    """A destination options header of so many bytes, full of one-byte padding."""
    return (DSTOPTS, bytes([size // 8 - 1]) + bytes(size - 2))


def without_length(packets):
    """With payload length 0, as a jumbogram has it."""
    for packet in packets:
        packet.plen = 0
    return packets


def jumbo(s, length):
    """A jumbo payload option (RFC 2675) that says so many bytes."""
    return without_length(s.chain((HOPOPTS, bytes([0, 0xC2, 4]) + struct.pack("!I", length))))


def headers_in_two(s):
    """A destination options header that begins in one fragment and ends in the next, before TCP."""
    whole = bytes([6, 1, 1, 12]) + bytes(12) + s.segment()
    return s.pieces((0, whole[:8], True), (8, whole[8:], False), protocol=DSTOPTS)


def overlapping(s):
    """Two parts of a SYN with data that share eight bytes, and disagree about them."""
    a, b = s.segment(data=b"a" * 12), s.segment(data=b"b" * 12)
    return s.pieces((0, a[:24], True), (16, b[16:], False))


def twice_first(s, first, second):
    """The first eight bytes twice, with two different destination ports. Then the rest."""
    a, b = s.segment(dport=first, data=b"1234"), s.segment(dport=second, data=b"1234")
    return s.pieces((0, a[:8], True), (0, b[:8], True), (8, a[8:], False))


def quoted(s):
    """An ICMP error that quotes a SYN of ours: its bytes look like a knock."""
    quote = s.ip() / s.tcp()
    error = ICMPv6DestUnreach() if s.v6 else ICMP(type=3, code=3)
    return [s.ip() / error / Raw(bytes(quote))]


def ports_alike(s):
    s.sport = s.dport
    return [s.ip() / s.tcp()]


FORMS = {
    "plain": lambda s: [s.ip() / s.tcp()],
    # TCP
    "ECN": lambda s: [s.ip() / s.tcp(flags="SEC")],
    "ECE alone": lambda s: [s.ip() / s.tcp(flags="SE")],
    "CWR alone": lambda s: [s.ip() / s.tcp(flags="SC")],
    "reserved bits": lambda s: [s.ip() / s.tcp(reserved=7)],
    "with data": lambda s: [s.ip() / s.tcp() / Raw(b"GET / HTTP/1.0\r\n\r\n")],
    "fast open, asking": lambda s: [s.ip() / s.tcp(options=[(34, b"")])],
    "fast open, with data": lambda s: [
        s.ip() / s.tcp(options=[(34, b"8 bytes!")]) / Raw(b"hello")
    ],
    "full options": lambda s: [s.ip() / s.tcp(options=[(254, bytes(38))])],
    "broken options": lambda s: [s.ip() / s.tcp(dataofs=6) / Raw(b"\xfe\0\xfe\xff")],
    "offset 0": lambda s: [s.ip() / s.tcp(dataofs=0)],
    "offset 4": lambda s: [s.ip() / s.tcp(dataofs=4)],
    "offset behind the end": lambda s: [s.ip() / s.tcp(dataofs=15)],
    "bad checksum": lambda s: [s.ip() / s.tcp(chksum=0xDEAD)],
    "checksum 0": lambda s: [s.ip() / s.tcp(chksum=0)],
    "urgent pointer": lambda s: [s.ip() / s.tcp(urgptr=0xFFFF)],
    "acknowledgment": lambda s: [s.ip() / s.tcp(ack=0xFFFFFFFF)],
    "no window": lambda s: [s.ip() / s.tcp(window=0)],
    "source port 0": lambda s: [s.ip() / s.tcp(sport=0)],
    "destination port 0": lambda s: [s.ip() / s.tcp(dport=0)],
    "ports alike": ports_alike,
    "cut after the ports": lambda s: [s.raw(6, s.segment()[:4])],
    "cut after the flags": lambda s: [s.raw(6, s.segment()[:14])],
    "cut before the end": lambda s: [s.raw(6, s.segment()[:19])],
    "no TCP at all": lambda s: [s.raw(6, b"")],
    # Other protocols around the same bytes
    "UDP": lambda s: [s.ip() / UDP(sport=s.sport, dport=s.dport) / Raw(s.segment()[8:])],
    "SCTP": lambda s: [s.raw(132, s.segment())],
    "ICMP error": quoted,
    "GRE": lambda s: [s.raw(47, b"\0\0" + ethertype(s.v6) + bytes(s.ip() / s.tcp()))],
    "tunnel": lambda s: [s.raw(41 if s.v6 else 4, bytes(s.ip() / s.tcp()))],
    # Frames
    "broadcast frame": lambda s: [Ether(dst=BROADCAST) / s.ip() / s.tcp()],
    "another's frame": lambda s: [Ether(dst="02:00:00:00:00:01") / s.ip() / s.tcp()],
    "bytes behind the end": lambda s: [bytes(s.ip() / s.tcp()) + bytes(range(200))],
    # Fragments
    "two fragments": lambda s: s.cut(24, data=b"behind the header"),
    "fragments of 8 bytes": lambda s: s.cut(8),
    "fragments backwards": lambda s: s.cut(24, data=b"behind the header")[::-1],
    "fragments doubled": lambda s: [f for f in s.cut(24, data=b"12345678") for _ in (1, 2)],
    "first fragment only": lambda s: s.cut(24, data=b"behind the header")[:1],
    "last fragment only": lambda s: s.cut(24, data=b"behind the header")[1:],
    "hole": lambda s: [*s.cut(24, data=b"x" * 60)[:1], *s.cut(24, data=b"x" * 60)[2:]],
    "overlap": overlapping,
    "overlap of the flags": lambda s: s.pieces(
        (0, s.segment(flags="A", data=b"12345678")[:24], True), (8, s.segment()[8:], False)
    ),
    "inner fragment": lambda s: s.pieces(
        (0, s.segment(data=b"12345678")[:24], True), (8, b"inside!!", False)
    ),
    "ports twice, first watched": lambda s: twice_first(s, s.dport, UNWATCHED),
    "ports twice, last watched": lambda s: twice_first(s, UNWATCHED, s.dport),
    "behind 65535": lambda s: s.pieces(
        (0, s.segment(data=b"1234"), True), (0xFFF8, b"x" * 64, False)
    ),
    "empty fragment": lambda s: s.pieces(
        (0, s.segment()[:16], True), (16, b"", True), (16, s.segment()[16:], False)
    ),
    "odd fragment": lambda s: s.pieces((0, s.segment()[:13], True), (8, s.segment()[8:], False)),
}

FORMS4 = {
    "NOP options": lambda s: s.optioned(b"\1" * 4),
    "40 bytes of options": lambda s: s.optioned(b"\1" * 40),
    "record route": lambda s: s.optioned(b"\7\7\4\0\0\0\0\0"),
    "timestamp": lambda s: s.optioned(b"\x44\x08\x05\0\0\0\0\0"),
    "router alert": lambda s: s.optioned(b"\x94\x04\0\0"),
    "loose source route": lambda s: s.optioned(b"\x83\7\4\x0a\x63\0\x63\0"),
    "strict source route": lambda s: s.optioned(b"\x89\7\4\x0a\x63\0\x63\0"),
    "option without length": lambda s: s.optioned(b"\x83\0\0\0"),
    "option behind the end": lambda s: s.optioned(b"\x07\xff\x04\0"),
    "header length 4": lambda s: [s.ip(ihl=4) / s.tcp()],
    "header length 15": lambda s: [s.ip(ihl=15) / s.tcp()],
    "version 6": lambda s: [s.ip(version=6) / s.tcp()],
    "bad IP checksum": lambda s: [s.ip(chksum=0xDEAD) / s.tcp()],
    "total length 65535": lambda s: [s.ip(len=65535) / s.tcp()],
    "total length 20": lambda s: [s.ip(len=20) / s.tcp()],
    "total length 39": lambda s: [s.ip(len=39) / s.tcp()],
    "total length 0": lambda s: [s.ip(len=0) / s.tcp()],
    "time to live 0": lambda s: [s.ip(ttl=0) / s.tcp()],
    "reserved flag": lambda s: [s.ip(flags="evil") / s.tcp()],
    "don't and more": lambda s: [
        s.raw(6, s.segment()[:16], flags="DF+MF"),
        s.raw(6, s.segment()[16:], frag=2, flags="DF"),
    ],
    "AH": lambda s: [s.raw(AH, b"\6" + EMPTY[AH] + s.segment())],
    "ESP": lambda s: [s.raw(ESP, s.segment())],
    "6in4": lambda s: [s.raw(41, bytes(IPv6(src="fd99::2", dst="fd99::1") / s.tcp()))],
}

FORMS6 = {
    "hop-by-hop": lambda s: s.chain(HOPOPTS),
    "destination options": lambda s: s.chain(DSTOPTS),
    "routing, type 0, at its end": lambda s: s.chain(ROUTING),
    "routing, type 0, to go on": lambda s: s.chain(routing(s, 0, 1)),
    "routing, type 2": lambda s: s.chain(routing(s, 2, 1)),
    "routing, type 3": lambda s: s.chain(routing(s, 3, 1)),
    "routing, type 4": lambda s: s.chain(routing(s, 4, 0)),
    "routing, unknown type": lambda s: s.chain(routing(s, 200, 1)),
    "headers in two fragments": headers_in_two,
    "atomic fragment": lambda s: s.chain(FRAGMENT),
    "AH": lambda s: s.chain(AH),
    "AH that is too short": lambda s: s.chain((AH, bytes(7))),
    "ESP": lambda s: [s.raw(ESP, s.segment())],
    "no next header": lambda s: s.chain(NONE),
    "nothing follows": lambda s: [s.raw(NONE, s.segment())],
    "mobility": lambda s: s.chain(135),
    "HIP": lambda s: s.chain(139),
    "shim6": lambda s: s.chain(140),
    "experimental header": lambda s: s.chain(253),
    "all in the order of RFC 8200, with AH": lambda s: s.chain(
        HOPOPTS, DSTOPTS, ROUTING, FRAGMENT, AH, DSTOPTS
    ),
    "all but AH": lambda s: s.chain(HOPOPTS, DSTOPTS, ROUTING, FRAGMENT, DSTOPTS),
    "8 headers": lambda s: s.chain(*[DSTOPTS] * 8),
    "9 headers": lambda s: s.chain(*[DSTOPTS] * 9),
    "150 headers": lambda s: s.chain(*[DSTOPTS] * 150),
    "header of 512 bytes": lambda s: s.chain(padded(512)),
    "header of 1,024 bytes": lambda s: s.chain(padded(1024)),
    "hop-by-hop second": lambda s: s.chain(DSTOPTS, HOPOPTS),
    "hop-by-hop twice": lambda s: s.chain(HOPOPTS, HOPOPTS),
    "two fragment headers": lambda s: s.chain(FRAGMENT, (FRAGMENT, bytes([0, 0, 0, 0, 0, 0, 8]))),
    "header behind the end": lambda s: s.chain((DSTOPTS, b"\xff" + EMPTY[DSTOPTS][1:])),
    "unknown option, discard": lambda s: s.chain((DSTOPTS, bytes([0, 0x7E, 4, 0, 0, 0, 0]))),
    "jumbo, a lie": lambda s: jumbo(s, 70_000),
    "jumbo, too small": lambda s: jumbo(s, 28),
    "payload length 0": lambda s: [s.ip(plen=0) / s.tcp()],
    "payload length 0, hop-by-hop": lambda s: without_length(s.chain(HOPOPTS)),
    "payload length 65535": lambda s: [s.ip(plen=65535) / s.tcp()],
    "payload length 19": lambda s: [s.ip(plen=19) / s.tcp()],
    "hop limit 0": lambda s: [s.ip(hlim=0) / s.tcp()],
    "version 4": lambda s: [s.ip(version=4) / s.tcp()],
    "4in6": lambda s: [s.raw(4, bytes(IP(src="10.99.0.2", dst="10.99.0.1") / s.tcp()))],
}


def form(name, s):
    """The frames of a form; "flags 0x2d" is the segment with just these flags."""
    if name.startswith("flags "):
        return [s.ip() / s.tcp(flags=int(name[6:], 0))]
    return {**FORMS, **(FORMS6 if s.v6 else FORMS4)}[name](s)


def frame(mac, packet, v6):
    if isinstance(packet, Ether):
        return bytes(packet)
    return bytes.fromhex(mac.replace(":", "")) + OWN_MAC + ethertype(v6) + bytes(packet)


def ethertype(v6):
    return b"\x86\xdd" if v6 else b"\x08\0"


def send(mac, shots, listenMs):
    """Sends the shots in order; the TCP flags of the first answer to each, by name, or null."""
    made = []
    for index, shot in enumerate(shots):
        s = Shot(shot["source"], shot["destination"], shot["port"], 1024 + index % 64000)
        made.append((s, [frame(mac, packet, s.v6) for packet in form(shot["form"], s)]))
    answers, by_address = [None] * len(shots), {}
    for index, (s, _) in enumerate(made):
        by_address[(ipaddress.ip_address(s.src).packed, s.sport, s.dport)] = index
    for s, frames in made:
        for one in frames:
            wire.send(one)
        take(by_address, answers, 0)
    until = time.monotonic() + listenMs / 1000
    while (left := until - time.monotonic()) > 0:
        take(by_address, answers, left)
    return {"answers": answers, "frames": sum(len(frames) for _, frames in made)}


def take(by_address, answers, timeout):
    """Reads what has come: which shot does it answer?"""
    while select.select([wire], [], [], timeout)[0]:
        timeout = 0
        data, address = wire.recvfrom(2048)
        if address[2] == PACKET_OUTGOING:
            continue
        if data[12:14] == ethertype(False) and data[23] == 6:
            peer, segment = data[30:34], data[14 + (data[14] & 15) * 4 :]
        elif data[12:14] == ethertype(True) and data[20] == 6:
            peer, segment = data[38:54], data[54:]
        else:
            continue
        port, source_port = struct.unpack_from("!HH", segment)
        index = by_address.get((peer, source_port, port))
        if index is not None and answers[index] is None:
            answers[index] = str(TCP(segment[:20]).flags)


wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
wire.bind(("veth0", 0))
OWN_MAC = wire.getsockname()[4]

for line in sys.stdin:  # ends when the test run does, however it ends
    try:
        reply = send(**json.loads(line))
    except Exception as error:  # the test that asked is told, whatever it is
        reply = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
