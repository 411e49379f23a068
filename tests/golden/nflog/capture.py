"""Writes the .txt files beside this one: what nfnetlink_log sends for packets of this kernel.

    sudo unshare --net python3 tests/golden/nflog/capture.py

Needs root, nft and ip. A second namespace, joined by veth, sends; both are gone afterwards. The tests
only read the files; they state what the kernel chose at random (identification, flow label, sequence
numbers, time stamps), so that has to be copied into them.

    192.0.2.1, 2001:db8::1  sender ----- veth ----- receiver  192.0.2.2, 2001:db8::2
"""

import array
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys

NETLINK_NETFILTER = 12
ULOG_CONFIG = 4 << 8 | 1
GROUP = 4660
RULES = """table inet t {
    chain watch {
        type filter hook prerouting priority -250
        tcp dport 22 log prefix "refused" group 4660
        tcp dport 81-83 log group 4660
        ip6 nexthdr 44 log group 4660
    }
    chain defragment {
        type filter hook prerouting priority 0
        ct state invalid counter
    }
}
"""
V4 = ("192.0.2.1", "192.0.2.2")
V6 = ("2001:db8::1", "2001:db8::2")


def connect(port, source_port, to=V4):
    """The SYN of connect(2); nobody listens, so that it is the only one."""
    one = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET)
    one.bind((to[0], source_port))
    one.connect_ex((to[1], port))


def fill_in_checksums():
    """Otherwise they are left to the device, and a log shows the packet without (a queue does not)."""
    command = array.array("I", [0x17, 0])  # ETHTOOL_STXCSUM, off
    request = struct.pack("16sP", b"v1", command.buffer_info()[0])
    fcntl.ioctl(socket.socket(socket.AF_INET), 0x8946, request)  # SIOCETHTOOL


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn(source_port, port, sequence, data=b""):
    head = struct.pack(">HHIIBBHHH", source_port, port, sequence, 0, 5 << 4, 2, 64240, 0, 0) + data
    pseudo = b"".join(socket.inet_pton(socket.AF_INET6, one) for one in V6)
    sum_ = checksum(pseudo + struct.pack(">II", len(head), 6) + head)
    return head[:16] + struct.pack(">H", sum_) + head[18:]


def raw(next_header, payload):
    """One IPv6 packet from a raw socket, which writes the header itself."""
    one = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    addresses = b"".join(socket.inet_pton(socket.AF_INET6, one) for one in V6)
    header = struct.pack(">IHBB", 6 << 28, len(payload), next_header, 64) + addresses
    one.sendto(header + payload, (V6[1], 0))


def fragment(next_header, offset, more, identification):
    return struct.pack(">BBHI", next_header, 0, offset | more, identification)


def extensions():
    hop = bytes([60, 0, 1, 4, 0, 0, 0, 0])
    destination = bytes([44, 1, 1, 12]) + bytes(12)
    raw(0, hop + destination + fragment(6, 0, 0, 5) + syn(40003, 82, 0xfffffffe))


def reassembled():
    whole = syn(40004, 83, 7, b"x" * 20)
    raw(44, fragment(6, 0, 1, 76) + whole[:24])
    raw(44, fragment(6, 24, 0, 76) + whole[24:])


def too_short():
    raw(44, fragment(6, 0, 1, 77) + syn(40009, 84, 9)[:16])


# Name of the file, copy range, what sends, what the file says of it.
CASES = (
    ("syn_ipv4", 1024, lambda: connect(81, 40001),
     "A SYN of connect(2) from 192.0.2.1:40001 to 192.0.2.2:81; copy range 1024."),
    ("syn_ipv6", 1024, lambda: connect(81, 40002, V6),
     "A SYN of connect(2) from [2001:db8::1]:40002 to [2001:db8::2]:81; copy range 1024."),
    ("extensions_ipv6", 1024, extensions,
     "A SYN from a raw socket, 2001:db8::1 port 40003 to port 82, sequence 0xfffffffe, behind\n"
     "hop-by-hop options, destination options (16 bytes) and an atomic fragment header, which the\n"
     "kernel's defragmentation takes out."),
    ("reassembled_ipv6", 1024, reassembled,
     "A SYN with 20 bytes of data from a raw socket, 2001:db8::1 port 40004 to port 83, sent as two\n"
     "fragments (24 and 16 bytes): copied in one piece."),
    ("fragment_ipv6", 1024, too_short,
     "A SYN like that of reassembled_ipv6, port 40009 to port 84, with its first fragment cut inside\n"
     "the TCP header (16 bytes): that the kernel does not gather, the fragment is copied."),
    ("cut_ipv4", 30, lambda: connect(81, 40005),
     "A SYN of connect(2) from 192.0.2.1:40005 to 192.0.2.2:81; copy range 30, so that 60 bytes are\n"
     "cut to 30."),
    ("refused_ipv4", 1024, lambda: connect(22, 40006),
     'A SYN of connect(2) from 192.0.2.1:40006 to 192.0.2.2:22; the prefix is "refused".'),
)


def main():
    peer = f"pk-golden-{os.getpid()}"
    run("ip", "netns", "add", peer)
    try:
        join(peer)
        run("nft", "-f", "-", text=RULES)
        capture(peer)
    finally:
        run("ip", "netns", "delete", peer)


def join(peer):
    run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", peer)
    for name, inside, four, six in (
        ("v0", [], V4[1], V6[1]),
        ("v1", ["ip", "netns", "exec", peer], V4[0], V6[0]),
    ):
        run(*inside, "ip", "address", "add", f"{four}/24", "dev", name)
        run(*inside, "ip", "address", "add", f"{six}/64", "dev", name, "nodad")
        run(*inside, "ip", "link", "set", name, "up")


def capture(peer):
    log, other = netlink(), netlink()
    for name, one, what in (
        ("ack", log, "The answer to NFULNL_CFG_CMD_BIND with NLM_F_ACK: NLMSG_ERROR 0."),
        ("refusal", other, "The answer to NFULNL_CFG_CMD_BIND of a group that another socket has: "
         "NLMSG_ERROR\nEPERM (EBUSY is for the socket that has it already)."),
    ):
        one.send(config(attribute(1, b"\1") + mode(1024) + attribute(5, struct.pack(">I", 1))
                        + attribute(6, struct.pack(">H", 1))))
        write(name, what, one.recv(65536))
    for name, copy_range, _send, what in CASES:
        log.send(config(mode(copy_range)))
        log.recv(65536)
        run("ip", "netns", "exec", peer, sys.executable, __file__, name)
        write(name, what, log.recv(65536))


def netlink():
    one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    one.settimeout(2)
    return one


def config(attributes):
    body = struct.pack(">BBH", 0, 0, GROUP) + attributes
    return struct.pack("=IHHII", 16 + len(body), ULOG_CONFIG, 1 | 4, 1, 0) + body


def mode(copy_range):
    return attribute(2, struct.pack(">IBB", copy_range, 2, 0))


def attribute(kind, content):
    return struct.pack("=HH", 4 + len(content), kind) + content + bytes(-len(content) % 4)


def write(name, what, data):
    release = re.match(r"\d+\.\d+", os.uname().release)[0]
    lines = [
        *what.split("\n"),
        f"Captured on Linux {release} ({os.uname().machine}) by capture.py: two namespaces joined by veth; in the",
        f"receiving one recv() from a raw NETLINK_NETFILTER socket bound to log group {GROUP}, and the rules",
        *RULES.rstrip("\n").split("\n"),
    ]
    with open(os.path.join(os.path.dirname(__file__), f"{name}.txt"), "w") as out:
        out.writelines(f"# {line}\n" for line in lines)
        out.writelines(f"{part}\n" for part in re.findall(".{1,64}", data.hex()))
    print(f"{name}: {len(data)} bytes")


def run(*command, text=None):
    subprocess.run(command, input=text, text=True, check=True, stdout=subprocess.DEVNULL)


if len(sys.argv) > 1:
    fill_in_checksums()
    next(send for name, _range, send, _what in CASES if name == sys.argv[1])()
else:
    main()
