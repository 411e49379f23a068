"""Writes the .txt files beside this one: what nf_tables tells its listeners about changes of the
table pk and of others.

    sudo unshare --net python3 tests/golden/nft_events/capture.py

Needs root, nft and iptables-nft. Each line after the comments is one datagram. The tests only read
the files; ports and pids differ from run to run.
"""

import os
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = "add table inet pk; add chain inet pk gate; add rule inet pk gate drop; " + (
    "add set inet pk grants4 { type ipv4_addr; }"
)
CASES = (
    ("flush_ruleset", TABLE, ["nft", "flush ruleset"]),
    ("delete_table", TABLE, ["nft", "delete table inet pk"]),
    ("flush_chain", TABLE, ["nft", "flush chain inet pk gate"]),
    ("grant_by_hand", TABLE, ["nft", "add element inet pk grants4 { 192.0.2.1 }"]),
    ("other_table", TABLE, ["nft", "add table inet other"]),
    ("iptables", TABLE, ["iptables-nft", "-A", "INPUT", "-j", "ACCEPT"]),
)


def main():
    if os.geteuid():
        sys.exit("Needs root: sudo unshare --net python3 capture.py")
    for name, before, command in CASES:
        subprocess.run(["nft", f"flush ruleset; {before}"], check=True)
        listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        listener.bind((0, 0))
        listener.setsockopt(270, 1, 7)  # SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTABLES
        child = subprocess.Popen(command)
        child.wait()
        time.sleep(0.1)
        listener.setblocking(False)
        lines = [f"# {' '.join(command)}", f"# by process {child.pid}; Linux {os.uname().release}"]
        try:
            while True:
                lines.append(listener.recv(65536).hex())
        except BlockingIOError:
            pass
        with open(f"{HERE}/{name}.txt", "w") as file:
            file.write("\n".join([*lines, ""]))


main()
