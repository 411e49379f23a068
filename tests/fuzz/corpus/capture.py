"""Writes the .hex files beside this one: what the kernel and scapy make of each command below.

    sudo unshare --net /usr/bin/python3 tests/fuzz/corpus/capture.py

Needs root, ip, nft, iptables-nft and scapy. Everything happens on the loopback interface of a network
namespace of its own, whose addresses are those of documentation, and is gone afterwards. The fuzzer
only reads the files: an entry is a line with its command and a line with its bytes.
"""

import os
import socket
import struct
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SOL_NETLINK, NETLINK_SOCK_DIAG, NETLINK_NETFILTER = 270, 4, 12
REQUEST, ACK, DUMP, CREATE = 0x1, 0x4, 0x300, 0x400
QUEUE, ULOG, NFTABLES = 3, 4, 10
INET = 1
ETH_P_ALL = 3

entries = {}  # file -> [(command, bytes)]


def record(file, command, data):
    known = entries.setdefault(file, [])
    if all(data != other for _, other in known):
        known.append((command, bytes(data)))


def run(command, text=None):
    subprocess.run(command, shell=isinstance(command, str), input=text, text=True, check=True)


# -- netlink ------------------------------------------------------------------------------------


def netlink(protocol, groups=0):
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    s.bind((0, 0))
    s.settimeout(0.3)
    s.setsockopt(SOL_NETLINK, 11, 1)  # NETLINK_EXT_ACK
    s.setsockopt(SOL_NETLINK, 10, 1)  # NETLINK_CAP_ACK
    if groups:
        s.setsockopt(SOL_NETLINK, 1, groups)  # NETLINK_ADD_MEMBERSHIP
    return s


def attribute(kind, data):
    if isinstance(data, str):
        data = data.encode() + b"\0"
    size = 4 + len(data)
    return struct.pack("=HH", size, kind) + data + bytes(-size % 4)


def message(kind, flags, body, sequence=1):
    return struct.pack("=IHHII", 16 + len(body), kind, flags | REQUEST, sequence, 0) + body


def nfgen(family, resource=0):
    return struct.pack(">BBH", family, 0, resource)


def nft_message(kind, flags, *attributes, sequence=1):
    return message(NFTABLES << 8 | kind, flags, nfgen(INET) + b"".join(attributes), sequence)


def batch(*messages):
    begin = message(0x10, 0, nfgen(0, NFTABLES), 0)
    return begin + b"".join(messages) + message(0x11, 0, nfgen(0, NFTABLES), 9)


def datagrams(s):
    while True:
        try:
            yield s.recv(65536)
        except (TimeoutError, socket.timeout):
            return


def exchange(s, file, command, request):
    s.send(request)
    for answer in datagrams(s):
        record(file, command, answer)


RULESET = """
table inet pk {
  comment "pk/1"
  set watched { type inet_proto . inet_service; elements = { tcp . 80, tcp . 81, tcp . 82 } }
  set grants4 {
    type ipv4_addr . inet_proto . inet_service; size 65536; flags timeout
    elements = { 192.0.2.1 . tcp . 22 timeout 20s, 198.51.100.7 . tcp . 443 timeout 2m,
                 203.0.113.9 . udp . 53 timeout 1h }
  }
  set grants6 {
    type ipv6_addr . inet_proto . inet_service; size 65536; flags timeout
    elements = { 2001:db8::1 . tcp . 22 timeout 20s }
  }
  set inherited4 {
    type ipv4_addr . inet_service . inet_service; size 65536; flags timeout
    elements = { 192.0.2.1 . 40000 . 22 timeout 5d }
  }
  set forever { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 192.0.2.7 } }
  set counted { type inet_service; counter; comment "others' words"; elements = { 22 comment "ssh" } }
  chain guard { type filter hook prerouting priority -150; policy accept; tcp dport 22 goto gate; }
  chain gate { ip saddr . meta l4proto . tcp dport @grants4 accept; counter drop; }
}
"""

# What the kernel lacks of these is left out.
OTHERS = (
    "add table inet others",
    "add counter inet others refused { packets 7 bytes 420; }",
    "add chain inet others web",
    "add chain inet others input { type filter hook input priority filter; policy drop; }",
    "add map inet others ports { type inet_service : verdict; }",
    "add element inet others ports { 22 : accept, 23 : drop, 80 : goto web }",
    "add set inet others nets { type ipv4_addr; flags interval; auto-merge; }",
    "add element inet others nets { 10.0.0.0/8, 192.0.2.0/24 }",
    "add set inet others both { type ipv4_addr . inet_service; flags interval; }",
    "add element inet others both { 10.0.0.0/8 . 1-1024 }",
    "add rule inet others web tcp dport { 80, 443 } ct state established,related accept",
    "add rule inet others web counter name refused",
    *(f"add rule inet others input {rule}" for rule in (
        'iifname "lo" accept',
        "ct state vmap { established : accept, related : accept, invalid : drop }",
        "ip saddr @nets tcp dport vmap @ports",
        "ip saddr . tcp dport @both accept",
        "meta mark & 0xff == 0x12 limit rate 5/second burst 10 packets accept",
        "tcp dport 1000-2000 tcp flags & (syn | ack) == syn counter reject with tcp reset",
        "tcp dport 1000-2000 counter drop",
        "tcp dport != 3000-4000 tcp flags & (syn | ack) == syn drop",
        "fib saddr . iif oif missing drop",
        "fib daddr type local accept",
        "ip6 saddr 2001:db8::/32 ct count over 3 drop",
        'ip6 saddr 2001:db8::/32 log prefix "many " level debug drop',
        "meta l4proto { icmp, ipv6-icmp } queue flags bypass to 5",
        "th dport != 53 meta priority set 1:2 jump web",
        "ct mark set meta mark",
        "numgen random mod 2 vmap { 0 : accept, 1 : drop }",
    )),
    "add table netdev edge",
    "add chain netdev edge lo { type filter hook ingress device lo priority 0; policy drop; }",
)

IPTABLES = (
    "-A INPUT -p tcp --dport 22 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",
    "-A INPUT -p tcp -m multiport --dports 80,443,1000:2000 -m comment --comment web -j ACCEPT",
    "-A INPUT -p tcp -m multiport ! --sports 80,443 -j REJECT --reject-with tcp-reset",
    "-A INPUT -m addrtype --dst-type LOCAL -m state --state NEW -j LOG --log-prefix x",
    "-A INPUT -p tcp ! --syn -m limit --limit 3/min -j DROP",
    "-P INPUT DROP",
)


def capture_others():
    for command in OTHERS:
        subprocess.run(["nft", command])
    for rule in IPTABLES:
        subprocess.run(f"iptables-nft {rule}", shell=True)
    s = netlink(NETLINK_NETFILTER)
    for kind, name in ((1, "TABLE"), (4, "CHAIN"), (7, "RULE"), (10, "SET"), (19, "OBJ")):
        request = message(NFTABLES << 8 | kind, DUMP, nfgen(0))
        exchange(s, "listing", f"NFT_MSG_GET{name} dump of all families", request)
    for name in ("ports", "nets", "both", "__set0"):
        request = nft_message(13, DUMP, attribute(1, "others"), attribute(2, name))
        exchange(s, "listing", f"NFT_MSG_GETSETELEM dump {name}", request)
    exchange(s, "listing", "NFT_MSG_GETGEN", nft_message(16, ACK))
    run("nft flush ruleset")


# Of tcp, iptables-nft hands on what has no expression of nft's own; all rules are for both families.
MATCHES = (
    "-p tcp --tcp-option 5",
    "-p tcp --dport 22 --tcp-option 5",
    "-p tcp ! --dport 20:30 ! --sport 1024:65535 ! --tcp-option 5",
    "-p tcp --sport 1024:65535 --dport 8000:9000 --syn --tcp-option 2",
    "-p tcp ! --tcp-flags ALL SYN --tcp-option 2",
    "-p tcp -m multiport --dports 22",
    "-p tcp -m multiport --dports 80,443,1000:2000,8000:9000",
    "-p tcp -m multiport ! --dports 20:30,443",
    "-p tcp -m multiport --dports 1:2,3:4,5:6,7:8,9:10,11:12,13:22,23",
    "-p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,22",
    "-p tcp -m multiport ! --sports 80,443",
    "-p tcp -m multiport --ports 22,80:90",
    "-m conntrack --ctstate NEW",
    "-m conntrack --ctstate RELATED,ESTABLISHED",
    "-m conntrack ! --ctstate NEW,SNAT",
    "-m conntrack --ctstate DNAT,UNTRACKED,INVALID",
    "-p tcp -m conntrack --ctstate NEW --ctproto tcp --ctorigdstport 22",
    "-m conntrack --ctdir ORIGINAL --ctexpire 1:10",
    "-m conntrack --ctstatus NONE",
    "-m state --state NEW",
    "-m addrtype --dst-type LOCAL",
    "-m addrtype ! --dst-type LOCAL",
    "-m addrtype --dst-type LOCAL,MULTICAST",
    "-m addrtype --dst-type UNICAST,LOCAL",
    "-m addrtype --dst-type MULTICAST",
    "-m addrtype --src-type UNICAST ! --dst-type LOCAL",
    "-m addrtype --dst-type LOCAL --limit-iface-in",
    "-m comment --comment web",
    "-m recent --name seen --update --seconds 60",
    "-m limit --limit 3/min",
)


def capture_matches():
    for program in ("iptables-nft", "ip6tables-nft"):
        for match in MATCHES:
            run(f"{program} -A INPUT {match} -j ACCEPT")
    for family in (2, 10):
        exchange(netlink(NETLINK_NETFILTER), "match", "NFT_MSG_GETRULE dump of iptables-nft's rules",
                 message(NFTABLES << 8 | 7, DUMP, nfgen(family)))
    run("nft flush ruleset")


def capture_nftables():
    watcher = netlink(NETLINK_NETFILTER, 7)
    run(["nft", "-f", "-"], RULESET)
    run("nft delete element inet pk grants4 '{ 198.51.100.7 . tcp . 443 }'")
    for data in datagrams(watcher):
        record("netlink", "notification: nft -f ruleset; nft delete element …", data)
    s = netlink(NETLINK_NETFILTER)
    exchange(s, "netlink", "NFT_MSG_GETTABLE pk", nft_message(1, ACK, attribute(1, "pk")))
    exchange(s, "netlink", "NFT_MSG_GETTABLE dump", nft_message(1, DUMP))
    exchange(s, "netlink", "NFT_MSG_GETTABLE none", nft_message(1, ACK, attribute(1, "none")))
    exchange(s, "netlink", "NFT_MSG_GETSET dump", nft_message(10, DUMP, attribute(1, "pk")))
    for name in ("watched", "grants4", "grants6", "inherited4", "forever", "counted"):
        request = nft_message(13, DUMP, attribute(1, "pk"), attribute(2, name))
        exchange(s, "netlink", f"NFT_MSG_GETSETELEM dump {name}", request)
    exchange(s, "netlink", "NFT_MSG_GETCHAIN dump", nft_message(4, DUMP))
    exchange(s, "netlink", "NFT_MSG_GETRULE dump", nft_message(7, DUMP, attribute(1, "pk")))
    exchange(s, "netlink", "NFT_MSG_GETGEN", nft_message(16, ACK))
    owner = struct.pack(">I", 6)  # owner and persist
    exchange(s, "netlink", "batch: add owned table t", batch(
        nft_message(0, CREATE | ACK, attribute(1, "t"), attribute(2, owner), sequence=1)))
    exchange(s, "netlink", "NFT_MSG_GETTABLE t, owned", nft_message(1, ACK, attribute(1, "t")))
    other = netlink(NETLINK_NETFILTER)
    for command, request in (
        ("delete owned table of another", nft_message(2, ACK, attribute(1, "t"))),
        ("delete table none", nft_message(2, ACK, attribute(1, "none"))),
        ("delete set none", nft_message(11, ACK, attribute(1, "pk"), attribute(2, "none"))),
        ("add chain without a name", nft_message(3, CREATE | ACK, attribute(1, "pk"))),
        ("add table with unknown flags", nft_message(
            0, CREATE | ACK, attribute(1, "u"), attribute(2, struct.pack(">I", 0x80)))),
    ):
        exchange(other, "netlink", f"batch: {command}", batch(request))
    uncapped = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    uncapped.bind((0, 0))
    uncapped.settimeout(0.3)
    uncapped.setsockopt(SOL_NETLINK, 11, 1)
    exchange(uncapped, "netlink", "batch without NETLINK_CAP_ACK: delete set none",
             batch(nft_message(11, ACK, attribute(1, "pk"), attribute(2, "none"))))
    s.send(batch(nft_message(2, ACK, attribute(1, "t"))))


def capture_sock_diag():
    listener = socket.create_server(("::", 7022), family=socket.AF_INET6, dualstack_ipv6=True)
    kept = [listener]
    for source, target in (("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")):
        kept.append(socket.create_connection((target, 7022), source_address=(source, 0)))
        kept.append(listener.accept()[0])
    plain = socket.create_server(("192.0.2.2", 7023))
    kept.append(socket.create_connection(("192.0.2.2", 7023), source_address=("192.0.2.1", 0)))
    kept += [plain, plain.accept()[0]]
    s = netlink(NETLINK_SOCK_DIAG)
    for family, name in ((2, "AF_INET"), (10, "AF_INET6")):
        for extensions in (0, 0xff):
            body = struct.pack("=BBBBI", family, 6, extensions, 0, 0xffffffff) + bytes(48)
            exchange(s, "sock_diag", f"SOCK_DIAG_BY_FAMILY {name} idiag_ext {extensions:#x}",
                     message(20, DUMP, body))


# -- packets ------------------------------------------------------------------------------------


def connect(source, target, port, options=None, data=b""):
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    if options:
        s.setsockopt(*options)
    s.bind((source, 0))
    s.settimeout(0.3)
    try:
        s.connect((target, port))
        if data:
            s.sendall(data)
    except OSError:
        pass
    s.close()


def datagram(data, target):
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.sendto(data, (target, 53))


EMPTY_OPTIONS = bytes([0, 0, 1, 4, 0, 0, 0, 0])
V4, V6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")
TRAFFIC = (
    ("connect(2) to a closed port, IPv4", lambda: connect(*V4, 81)),
    ("connect(2) to a closed port, IPv6", lambda: connect(*V6, 81)),
    ("connect(2) to an open port with data, IPv4", lambda: connect(*V4, 7080, None, b"x" * 64)),
    ("connect(2) to an open port with data, IPv6", lambda: connect(*V6, 7080, None, b"x" * 64)),
    ("connect(2) with IP_OPTIONS, four NOPs",
     lambda: connect(*V4, 82, (socket.IPPROTO_IP, 4, bytes([1, 1, 1, 1])))),
    ("connect(2) with IP_OPTIONS, record route of 36 bytes",
     lambda: connect(*V4, 82, (socket.IPPROTO_IP, 4, bytes([7, 35, 4]) + bytes(33)))),
    ("connect(2) with IPV6_HOPOPTS", lambda: connect(*V6, 82, (41, 54, EMPTY_OPTIONS))),
    ("connect(2) with IPV6_DSTOPTS", lambda: connect(*V6, 82, (41, 59, EMPTY_OPTIONS))),
    ("sendto(2) of a datagram", lambda: datagram(b"query", V4[1])),
    ("sendto(2) of 3000 bytes (fragments), IPv4", lambda: datagram(b"x" * 3000, V4[1])),
    ("sendto(2) of 3000 bytes (fragments), IPv6", lambda: datagram(b"x" * 3000, V6[1])),
)


def capture_traffic():
    """Everything on lo as tcpdump would see it, cut to 256 bytes; logged and queued as well."""
    run("iptables-nft -t mangle -A PREROUTING -j NFLOG --nflog-group 5 --nflog-prefix 'k 1' "
        "--nflog-size 256")
    run("ip6tables-nft -t mangle -A PREROUTING -j NFLOG --nflog-group 5 --nflog-prefix g")
    for program in ("iptables-nft", "ip6tables-nft"):
        run(f"{program} -t mangle -A PREROUTING -j NFQUEUE --queue-num 7 --queue-bypass")
    server = [socket.create_server((V4[1], 7080)),
              socket.create_server((V6[1], 7080), family=socket.AF_INET6)]
    log, queue = netlink(NETLINK_NETFILTER), netlink(NETLINK_NETFILTER)
    mode = struct.pack(">IBB", 256, 2, 0)
    log.send(message(ULOG << 8 | 1, ACK, nfgen(0, 5) + attribute(1, b"\1") + attribute(2, mode)
                     + attribute(5, struct.pack(">I", 1)) + attribute(6, struct.pack(">H", 1))))
    for command in ("NFULNL_MSG_CONFIG, answer",):
        for data in datagrams(log):
            record("log_message", command, data)
    queue.send(message(QUEUE << 8 | 2, ACK, nfgen(0, 7) + attribute(1, b"\1\0\0\0")))
    queue.send(message(QUEUE << 8 | 2, ACK, nfgen(0, 7) + attribute(2, struct.pack(">IB", 256, 2))))
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.bind(("lo", 0))
    wire.settimeout(0.1)
    queue.settimeout(0.1)
    log.settimeout(0.1)
    stop = threading.Event()
    doing = ["NFQNL_MSG_CONFIG, answers"]

    def accept():
        while not stop.is_set():
            for data in datagrams(queue):
                record("queue_message", doing[0], data)
                if struct.unpack_from("=H", data, 4)[0] == QUEUE << 8:
                    verdict = struct.pack(">I", 1) + data[24:28]  # NF_ACCEPT, the packet's id
                    queue.send(message(QUEUE << 8 | 1, 0, nfgen(0, 7) + attribute(2, verdict)))

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    for command, action in TRAFFIC:
        doing[0] = command
        action()
        time.sleep(0.3)
        for data in datagrams(wire):
            record("packet", f"{command}: AF_PACKET", data[14:270])
        for data in datagrams(log):
            record("log_message", command, data)
    stop.set()
    thread.join()
    for one in server:
        one.close()


def make_with_scapy():
    from scapy.all import (AH, ESP, ICMP, IP, IPOption_NOP, IPOption_RR, IPv6, IPv6ExtHdrDestOpt,
                           IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting,
                           IPv6ExtHdrSegmentRouting, HBHOptUnknown, Jumbo, PadN, RouterAlert, TCP,
                           UDP, fragment, fragment6, raw)
    four = IP(src="198.51.100.7", dst="192.0.2.2")
    six = IPv6(src="2001:db8:7::9", dst="2001:db8::2")
    syn = TCP(sport=40000, dport=80, seq=0xfffffffe, flags="S",
              options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None),
                       ("WScale", 10)])
    hop = IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"\0" * 4)])
    dst = IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])
    long = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=30, optdata=b"x" * 250)])
    route = IPv6ExtHdrRouting(addresses=["2001:db8::5"], segleft=0)
    segments = IPv6ExtHdrSegmentRouting(addresses=["2001:db8::5", "2001:db8::6"], segleft=0)
    whole = IPv6ExtHdrFragment(id=7)
    ah = AH(spi=1, seq=2, icv=b"i" * 12)
    for name, packet in (
        ("four / syn", four / syn),
        ("four / TCP() with 40 bytes of options", four / TCP(
            sport=1, dport=65535, flags="SECN", options=[("NOP", None)] * 40)),
        ("four / TCP() with all flags", four / TCP(flags=0xff, sport=9, dport=9) / b"data"),
        ("IP() with 40 bytes of options / syn", IP(
            src="198.51.100.7", dst="192.0.2.2",
            options=[IPOption_RR(pointer=4, routers=["192.0.2.9"] * 9), IPOption_NOP()]) / syn),
        ("four / ICMP()", four / ICMP()),
        ("four / UDP()", four / UDP(dport=53) / b"query"),
        ("four / AH() / syn", four / AH(icv=b"i" * 12) / syn),
        ("four / four / syn", four / IP(src="192.0.2.1", dst="192.0.2.2") / syn),
        ("IP(src='127.0.0.1') / syn", IP(src="127.0.0.1", dst="192.0.2.2") / syn),
        ("IP(src='0.0.0.0') / syn", IP(src="0.0.0.0", dst="192.0.2.2") / syn),
        ("IP(src='255.255.255.255') / syn", IP(src="255.255.255.255", dst="192.0.2.2") / syn),
        ("six / syn", six / syn),
        ("six / hop / syn", six / hop / syn),
        ("six / hop / dst / route / whole / ah / dst / syn",
         six / hop / dst / route / whole / ah / dst / syn),
        ("six / segments / syn", six / segments / syn),
        ("six / long / syn", six / long / syn),
        ("six / dst * 8 / syn", six / dst / dst / dst / dst / dst / dst / dst / dst / syn),
        ("six / dst * 9 / syn", six / dst / dst / dst / dst / dst / dst / dst / dst / dst / syn),
        ("six / dst / hop / syn", six / dst / hop / syn),
        ("six / whole / ah / syn", six / whole / ah / syn),
        ("six / ESP()", six / ESP(spi=1, seq=1, data=b"secret" * 8)),
        ("six / whole / UDP()", six / whole / UDP(dport=53) / b"query"),
        ("six / hop with Jumbo() / syn", IPv6(
            src="2001:db8:7::9", dst="2001:db8::2", plen=0) / IPv6ExtHdrHopByHop(
                options=[Jumbo(jumboplen=70000)]) / syn),
        ("IPv6(nh=59)", IPv6(src="2001:db8:7::9", dst="2001:db8::2", nh=59)),
        ("IPv6(nh=135), mobility", IPv6(src="2001:db8:7::9", dst="2001:db8::2", nh=135) / (
            b"\x3b" + bytes(7))),
        ("IPv6(src='::1') / syn", IPv6(src="::1", dst="2001:db8::2") / syn),
        ("IPv6(src='::ffff:192.0.2.1') / syn",
         IPv6(src="::ffff:192.0.2.1", dst="2001:db8::2") / syn),
        ("IPv6(src='ff02::1') / syn", IPv6(src="ff02::1", dst="2001:db8::2") / syn),
    ):
        record("packet", f"scapy: {name}", raw(packet))
    for part in fragment(four / syn / (b"x" * 100), 64):
        record("packet", "scapy: fragment(four / syn / 100 bytes, 64)", raw(part))
    for part in fragment6(six / IPv6ExtHdrFragment(id=9) / syn / (b"x" * 1400), 1280):
        record("packet", "scapy: fragment6(six / IPv6ExtHdrFragment() / syn / …, 1280)",
               raw(part)[:256])


run("ip link set lo mtu 1500 up")
for family, addresses in (("-4", V4), ("-6", V6)):
    for one in addresses:
        run(f"ip {family} address add {one}/128 dev lo nodad" if family == "-6"
            else f"ip address add {one}/32 dev lo")
capture_others()
capture_matches()
capture_nftables()
capture_sock_diag()
run("nft flush ruleset")
capture_traffic()
make_with_scapy()
kernel = os.uname()
for file, found in entries.items():
    with open(os.path.join(HERE, f"{file}.hex"), "w") as out:
        out.write("# unshare --net python3 tests/fuzz/corpus/capture.py\n")
        out.write(f"# Linux {kernel.release.split('-')[0]}, {kernel.machine}\n")
        for command, data in found:
            out.write(f"\n# {command}\n{data.hex()}\n")
    print(f"{file}.hex: {len(found)} entries, {sum(len(data) for _, data in found)} bytes")
