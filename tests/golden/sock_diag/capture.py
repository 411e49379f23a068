"""Writes the .txt files beside this one: TCP sockets as this kernel lists them, and what ss sends to
end each of them.

    sudo unshare --net python3 tests/golden/sock_diag/capture.py

Needs root, ip, ss and strace. The tests only read the files; sockets' cookies and inodes differ from
run to run.
"""

import os
import re
import socket
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# name, family of the listener, its address and port, the client's address and port
PAIRS = (
    ("ipv4", socket.AF_INET, "127.0.0.1", 2222, "127.0.0.5", 40001),
    ("ipv6", socket.AF_INET6, "::1", 2222, "::1", 40001),
    ("mapped", socket.AF_INET6, "127.0.0.2", 2223, "127.0.0.6", 40002),
)
SOCK_DIAG_BY_FAMILY, DUMP, ESTABLISHED = 20, 0x301, 1 << 1


def listen(family, name, port):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, name != "mapped")
    s.bind(("0.0.0.0" if family == socket.AF_INET else "::", port))
    s.listen()
    return s


def listed(family, port):
    """The first message of a dump of the family's connections with that local port."""
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
    s.bind((0, 0))
    body = struct.pack("=BBHI", family, 6, 0, ESTABLISHED) + struct.pack("!H", port) + bytes(46)
    s.send(struct.pack("=IHHII", 16 + len(body), SOCK_DIAG_BY_FAMILY, DUMP, 1, 0) + body)
    answer = s.recv(65536)
    return answer[: struct.unpack_from("=I", answer)[0]]


def destroyed(port):
    """The SOCK_DESTROY that ss sends."""
    trace = ["strace", "-e", "trace=sendmsg", "-e", "write=all"]
    command = ["ss", "-Ktn", "state", "established", "sport", "=", f":{port}"]
    text = subprocess.run(trace + command, capture_output=True, text=True).stderr
    call = text[text.index("SOCK_DESTROY") :].split("sendmsg(")[0]
    dump = re.findall(r"^ \| [0-9a-f]+  ((?:[0-9a-f]{2} +)+)", call, re.M)
    return bytes.fromhex("".join(dump))


def write(name, what, data):
    lines = re.findall(".{1,64}", data.hex())
    with open(f"{HERE}/{name}.txt", "w") as file:
        file.write("\n".join([f"# {what}", f"# Captured on Linux {os.uname().release}", *lines, ""]))


def main():
    if os.geteuid():
        sys.exit("Needs root: sudo unshare --net python3 capture.py")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, family, to, port, source, source_port in PAIRS:
        listener = listen(family, name, port)
        client = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
        client.bind((source, source_port))
        client.connect((to, port))
        accepted = listener.accept()
        ends = f"{to}:{port} with {source}:{source_port}"
        write(f"listed_{name}", f"inet_diag_msg of {ends}", listed(family, port))
        write(f"destroy_{name}", f"what ss -K sends for {ends}", destroyed(port))
        for one in (listener, client, accepted[0]):
            one.close()


main()
