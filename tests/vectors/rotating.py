#!/usr/bin/env python3
"""Prints rotating.json, by PROTOCOL.md alone: python3 rotating.py > rotating.json"""

import hashlib
import hmac
import ipaddress
import json


def message(door, time_step, index, source):
    name = door.encode()
    address = ipaddress.ip_address(source) if source else None
    if address and address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    family = address.version if address else 0
    return (
        b"pk-rotating-1"
        + bytes([len(name)])
        + name
        + time_step.to_bytes(8, "big")
        + bytes([index, family])
        + (address.packed if address else b"")
    )


def sequence(key, door, first, last, knocks, time_step, source):
    free = list(range(first, last + 1))
    ports = []
    for index in range(knocks):
        digest = hmac.new(key, message(door, time_step, index, source), hashlib.sha256).digest()
        offset = digest[-1] & 0x0F
        value = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
        ports.append(free.pop(value % len(free)))
    return ports


RFC_KEY = b"12345678901234567890"
DEFAULT = (20000, 21023, 5)
CASES = [
    ("the default", RFC_KEY, "admin", DEFAULT, 56666666, "192.0.2.1"),
    ("the next step", RFC_KEY, "admin", DEFAULT, 56666667, "192.0.2.1"),
    ("another source", RFC_KEY, "admin", DEFAULT, 56666666, "192.0.2.2"),
    ("IPv6", RFC_KEY, "admin", DEFAULT, 56666666, "2001:db8::1"),
    ("IPv4-mapped is IPv4", RFC_KEY, "admin", DEFAULT, 56666666, "::ffff:192.0.2.1"),
    ("no source", RFC_KEY, "admin", DEFAULT, 56666666, None),
    ("another door", RFC_KEY, "admin2", DEFAULT, 56666666, "192.0.2.1"),
    ("another secret", bytes(20), "admin", DEFAULT, 56666666, "192.0.2.1"),
    ("a key longer than a block of SHA-256", bytes(range(100)), "x", DEFAULT, 0, "192.0.2.1"),
    ("a name that is not ASCII", RFC_KEY, "tür", DEFAULT, 1, "fe80::1"),
    ("a step of more than 32 bits", RFC_KEY, "admin", DEFAULT, 2**32 + 5, "203.0.113.255"),
    ("all ports of a range", RFC_KEY, "admin", (65526, 65535, 10), 7, "192.0.2.1"),
    ("two of two ports", RFC_KEY, "admin", (1, 2, 2), 7, "192.0.2.1"),
    ("all there are", RFC_KEY, "admin", (1, 65535, 10), 7, "255.255.255.255"),
]


def case(name, key, door, ports, time_step, source):
    first, last, knocks = ports
    return {
        "case": name,
        "key": key.hex(),
        "door": door,
        "first": first,
        "last": last,
        "knocks": knocks,
        "timeStep": time_step,
        "source": source,
        "firstMessage": message(door, time_step, 0, source).hex(),
        "sequence": sequence(key, door, first, last, knocks, time_step, source),
    }


print(json.dumps([case(*one) for one in CASES], indent=2, ensure_ascii=False))
