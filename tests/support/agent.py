"""The hands of the tests inside a network namespace: sockets on demand, spoken to in JSON lines.

One request a line on stdin, {"id": 1, "op": "connect", ...}; one answer a line on stdout with the
same id. Every request runs in its own thread, so a slow one holds nobody up. Standard library only.
It knows nothing of pk: it connects, knocks, listens, and says what happened and how long it took.
"""

import errno
import json
import os
import select
import socket
import struct
import sys
import threading
import time

TCP_REPAIR = 19
IPV6_HOPOPTS = 54
IPV6_DSTOPTS = 59
# An options header of 8 bytes: next header (the kernel fills it in), length 0, PadN of 4 bytes.
EMPTY_OPTIONS = bytes([0, 0, 1, 4, 0, 0, 0, 0])
FOUR_NOPS = bytes([1, 1, 1, 1])

lock = threading.Lock()
sessions = {}  # id -> connected client socket
held = []  # sockets kept open to the end: of knocks, so that the kernel repeats their SYNs
services = {}  # port -> {"peers": [[address, port]]}
stops = {}  # id of a prober -> event that ends it


def tcp(host, source=None, source_port=0, options=None):
    """A TCP socket of the host's family, bound to a source, with IP options or extension headers."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    if options == "ipv4-options":
        s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, FOUR_NOPS)
    elif options == "destination-options":
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, EMPTY_OPTIONS)
    elif options == "hop-by-hop":
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, EMPTY_OPTIONS)
    if source_port:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if source or source_port:
        s.bind(address(source or ("::" if family == socket.AF_INET6 else "0.0.0.0"), source_port))
    return s


def address(host, port):
    """What bind and connect take; "fe80::1%veth0" carries its interface."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4]


def syn(host, port, source=None, options=None):
    """A socket that has sent exactly one SYN; closed at once, it never sends another packet."""
    s = tcp(host, source, options=options)
    s.setblocking(False)
    code = s.connect_ex(address(host, port))
    if code not in (0, errno.EINPROGRESS):
        s.close()
        raise OSError(code, os.strerror(code))
    return s


def connect(host, port, timeoutMs, source=None, sourcePort=0, options=None):
    """One connection, kept as a session; how long until it stood, in microseconds."""
    s = tcp(host, source, sourcePort, options)
    s.settimeout(timeoutMs / 1000)
    begun = time.monotonic_ns()
    try:
        s.connect(address(host, port))
    except OSError as error:
        s.close()
        return {"connected": False, "error": reason(error), "us": since(begun)}
    us = since(begun)
    with lock:
        session = len(sessions) + 1
        sessions[session] = s
    return {"connected": True, "us": us, "session": session, "sourcePort": s.getsockname()[1]}


def echo(session, text, timeoutMs):
    """Types a line into a session and waits for its echo."""
    s = sessions[session]
    s.settimeout(timeoutMs / 1000)
    begun = time.monotonic_ns()
    want = text.encode()
    try:
        s.sendall(want)
        have = b""
        while len(have) < len(want):
            part = s.recv(65536)
            if not part:
                return {"echoed": False, "error": "closed"}
            have += part
    except OSError as error:
        return {"echoed": False, "error": reason(error)}
    return {"echoed": have == want, "us": since(begun)}


def close(session):
    sessions[session].close()
    return {}


def vanish(session):
    """Forgets a session without a packet (TCP_REPAIR): conntrack elsewhere does not learn of it."""
    s = sessions[session]
    s.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    s.close()
    return {}


def knock(host, ports, source=None, atMs=None, gapMs=0, hold=False, options=None):
    """One SYN to each port, in order; at the given times, or with a gap between two."""
    begun = time.monotonic()
    for index, port in enumerate(ports):
        due = begun + (atMs[index] if atMs else index * gapMs) / 1000
        time.sleep(max(0, due - time.monotonic()))
        s = syn(host, port, source, options)
        if hold:
            held.append(s)
        else:
            s.close()
    return {"lastAt": time.time() * 1000}


def race(host, ports, guarded, sources, timeoutMs, cpu=None):
    """From each source: all knocks, and the connection right after the last, with nothing between."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    results = []
    for source in sources:
        for port in ports[:-1]:
            syn(host, port, source).close()
        # Made before the last knock, so that nothing but two system calls lies between the two SYNs.
        s = tcp(host, source)
        s.settimeout(timeoutMs / 1000)
        to = address(host, guarded)
        last = syn(host, ports[-1], source)
        begun = time.monotonic_ns()
        try:
            s.connect(to)
            results.append(since(begun))
        except OSError:
            results.append(None)
        last.close()
        s.close()
    return {"us": results}


def probe(id, host, port, source=None, intervalMs=2, holdMs=200):
    """Tries to connect again and again, each try held for a while, until `stop`."""
    ended = stops.setdefault(id, threading.Event())
    waiting = {}  # file descriptor -> (socket, begun)
    tries, connected = 0, []
    poller = select.poll()
    while True:
        if not ended.is_set():
            s = syn(host, port, source)
            waiting[s.fileno()] = (s, time.monotonic())
            poller.register(s, select.POLLOUT)
            tries += 1
        elif not waiting:
            break
        until = time.monotonic() + intervalMs / 1000
        while time.monotonic() < until:
            for fd, events in poller.poll(max(0, (until - time.monotonic()) * 1000)):
                poller.unregister(fd)
                s, _ = waiting.pop(fd)
                if events & select.POLLOUT and not s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    connected.append(time.time() * 1000)
                s.close()
            if not waiting:
                time.sleep(max(0, until - time.monotonic()))
        now = time.monotonic()
        for fd, (s, begun) in list(waiting.items()):
            if now - begun > holdMs / 1000:
                poller.unregister(fd)
                del waiting[fd]
                s.close()
    return {"tries": tries, "connectedAt": connected}


def intrude(id, host, port, source=None, intervalMs=2, watchMs=1500):
    """Tries to connect until `stop`, keeps what it gets, and sees for how long: when and how it ends."""
    ended = stops.setdefault(id, threading.Event())
    waiting, kept = {}, {}  # file descriptor -> socket; -> (socket, connection)
    tries, connections = 0, []
    poller = select.poll()
    until = None
    while until is None or time.monotonic() < until:
        if not ended.is_set():
            s = syn(host, port, source)
            waiting[s.fileno()] = s
            poller.register(s, select.POLLOUT)
            tries += 1
        elif until is None:
            until = time.monotonic() + watchMs / 1000
        due = time.monotonic() + intervalMs / 1000
        while (left := due - time.monotonic()) > 0:
            for fd, _ in poller.poll(left * 1000):
                if fd in kept:
                    s, connection = kept.pop(fd)
                    code = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    connection.update(endedAt=time.time() * 1000, how=errno.errorcode.get(code, "closed"))
                    poller.unregister(fd)
                    s.close()
                    continue
                s = waiting.pop(fd)
                if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    poller.unregister(fd)
                    s.close()
                    continue
                connection = {"connectedAt": time.time() * 1000, "sourcePort": s.getsockname()[1]}
                connections.append(connection)
                kept[fd] = (s, connection)
                poller.modify(s, select.POLLIN)
    for s in [*waiting.values(), *(s for s, _ in kept.values())]:
        s.close()
    return {"tries": tries, "connections": connections}


def ends(session, timeoutMs):
    """Waits until a session ends by itself: when, and how."""
    s = sessions[session]
    s.settimeout(timeoutMs / 1000)
    try:
        how = "sent" if s.recv(1) else "closed"
    except TimeoutError:
        return {"how": "lives"}
    except OSError as error:
        how = reason(error)
    return {"how": how, "at": time.time() * 1000}


def stop(probe):
    stops.setdefault(probe, threading.Event()).set()
    return {}


def flood(host, ports, count, source=None):
    """Single SYNs, as fast as this goes, over the given ports in turn."""
    begun = time.monotonic_ns()
    for index in range(count):
        syn(host, ports[index % len(ports)], source).close()
    return {"us": since(begun)}


def listen(port, family="dual"):
    """An echo service; "dual" sees IPv4 peers as v4-mapped, "ipv4" and "ipv6" only their own."""
    if port not in services:
        services[port] = {"peers": []}
    s = socket.socket(socket.AF_INET if family == "ipv4" else socket.AF_INET6, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family != "ipv4":
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if family == "ipv6" else 0)
    s.bind(("0.0.0.0" if family == "ipv4" else "::", port))
    s.listen(4096)
    threading.Thread(target=accept, args=(s, services[port]), daemon=True).start()
    return {}


def accept(listener, service):
    while True:
        s, peer = listener.accept()
        service["peers"].append([peer[0].removeprefix("::ffff:"), peer[1]])
        threading.Thread(target=serve, args=(s,), daemon=True).start()


def serve(s):
    try:
        while part := s.recv(65536):
            s.sendall(part)
        s.close()
    except OSError:
        pass  # reset, or made to vanish


def peers(port):
    """Everybody whose connection the service accepted so far."""
    return {"peers": services[port]["peers"]}


def netfilter(*messages):
    """Sends nfnetlink messages (type, flags, nfgenmsg and attributes) and waits for the last's ack."""
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    s.bind((0, 0))
    s.send(
        b"".join(
            struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body
            for kind, flags, body in messages
        )
    )
    code = struct.unpack_from("=i", s.recv(4096), 16)[0]
    if code:
        raise OSError(-code, os.strerror(-code))
    return s


def take_queue(number):
    """Binds a netfilter queue as any other program would (nfnetlink_queue.h), and keeps it."""
    # nfgenmsg with the queue's number, then NFQA_CFG_CMD {NFQNL_CFG_CMD_BIND, pad, pf}.
    command = struct.pack("=HH", 8, 1) + struct.pack("!BBH", 1, 0, 0)
    held.append(netfilter((3 << 8 | 2, 5, struct.pack("!BBH", 0, 0, number) + command)))
    return {}


def flush_ruleset():
    """`nft flush ruleset` without the time that nft takes to start: NFT_MSG_DELTABLE of no table."""
    batch = struct.pack("!BBH", 0, 0, 10)
    begun = time.time()
    netfilter((16, 1, batch), (10 << 8 | 2, 5, bytes(4)), (17, 1, batch)).close()
    return {"begun": begun * 1000, "done": time.time() * 1000}


def fragmented_syn(host, port, source, firstBytes, timeoutMs):
    """A SYN in two IPv4 fragments, the first with so many bytes of TCP; was it answered SYN+ACK?"""
    source_port = 20000 + time.monotonic_ns() % 20000
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    sniff = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    src, dst = socket.inet_aton(source), socket.inet_aton(host)
    segment = struct.pack("!HHIIBBHHH", source_port, port, 1, 0, 0x50, 0x02, 64240, 0, 0)
    summed = checksum(src + dst + struct.pack("!BBH", 0, 6, len(segment)) + segment)
    segment = segment[:16] + struct.pack("!H", summed) + segment[18:]
    for offset, more, part in ((0, 0x2000, segment[:firstBytes]), (firstBytes, 0, segment[firstBytes:])):
        header = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), source_port, more | offset // 8, 64, 6, 0, src, dst
        )
        raw.sendto(header + part, (host, 0))
    begun = time.monotonic()
    while (left := timeoutMs / 1000 - (time.monotonic() - begun)) > 0:
        sniff.settimeout(left)
        try:
            packet = sniff.recv(4096)
        except TimeoutError:
            break
        head = (packet[0] & 15) * 4
        if struct.unpack_from("!HH", packet, head) == (port, source_port):
            return {"answered": packet[head + 13] & 0x12 == 0x12}
    return {"answered": False}


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def since(begun):
    return (time.monotonic_ns() - begun) // 1000


def reason(error):
    return "timeout" if isinstance(error, TimeoutError) else errno.errorcode.get(error.errno, str(error))


OPS = {
    f.__name__: f
    for f in (connect, echo, close, vanish, knock, race, probe, intrude, ends, stop, flood, listen, peers)
    + (take_queue, flush_ruleset, fragmented_syn)
}


def answer(request):
    id, op = request.pop("id"), request.pop("op")
    try:
        reply = OPS[op](**({"id": id, **request} if op in ("probe", "intrude") else request))
    except Exception as error:  # the test that asked is told, whatever it is
        reply = {"failed": f"{type(error).__name__}: {error}"}
    with lock:
        sys.stdout.write(json.dumps({"id": id, **reply}) + "\n")
        sys.stdout.flush()


def main():
    for line in sys.stdin:  # ends when the test run does, however it ends
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()


main()
