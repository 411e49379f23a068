"""Unbinds the netfilter queue or log group of another process: unbind.py PID nfnetlink_queue|nfnetlink_log

The kernel takes the request only from the socket that bound it. pidfd_getfd(2) duplicates that socket
for whoever may trace the process. Fails unless the listener was there before and is gone after.
"""

import ctypes
import os
import socket
import struct
import sys

PIDFD_GETFD = 438  # the same on all architectures

pid, subsystem = int(sys.argv[1]), sys.argv[2]
listeners = f"/proc/{pid}/net/netfilter/{subsystem}"
# The first two columns: queue or group, netlink port of its socket.
number, port = map(int, open(listeners).read().split()[:2])

# nfgenmsg with the number, then the command UNBIND: NFQA_CFG_CMD {2, pad, pf}, NFULA_CFG_CMD {2}.
command = {
    "nfnetlink_queue": (3 << 8 | 2, struct.pack("=HH", 8, 1) + struct.pack("!BBH", 2, 0, 0)),
    "nfnetlink_log": (4 << 8 | 1, struct.pack("=HHB3x", 5, 1, 2)),
}
kind, attribute = command[subsystem]
body = struct.pack("!BBH", 0, 0, number) + attribute

libc = ctypes.CDLL(None, use_errno=True)
process = os.pidfd_open(pid)
for fd in map(int, os.listdir(f"/proc/{pid}/fd")):
    if not os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
        continue
    copy = libc.syscall(PIDFD_GETFD, process, fd, 0)
    if copy < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(fileno=copy) as s:
        if s.family == socket.AF_NETLINK and s.getsockname()[0] == port:
            s.send(struct.pack("=IHHII", 16 + len(body), kind, 1, 0, 0) + body)

if open(listeners).read():
    sys.exit("it is still bound")
