#!/usr/bin/env python3
"""Prints encrypted.json, by PROTOCOL.md alone: python3 encrypted.py > encrypted.json

AES is that of the package `cryptography`; scrypt and HMAC are Python's own.
"""

import base64
import hashlib
import hmac
import ipaddress
import json
import re

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

GENERATED = re.compile(r"[a-z2-7]{4}([- ][a-z2-7]{4}){7}")


def labelled(label, door, user):
    name = door.encode()
    return label + bytes([len(name)]) + name + bytes([user])


def keys(secret, door, user):
    salt = labelled(b"pk-encrypted-key-1", door, user)
    text = secret.strip().lower()
    if not GENERATED.fullmatch(text):
        memory = 64 * 1024 * 1024
        return hashlib.scrypt(
            secret.encode(), salt=salt, n=32768, r=8, p=1, maxmem=memory, dklen=64
        )
    key = base64.b32decode(re.sub("[- ]", "", text).upper())
    prk = hmac.digest(salt, key, "sha256")
    first = hmac.digest(prk, b"\x01", "sha256")
    return first + hmac.digest(prk, first + b"\x02", "sha256")


def mac_message(door, user, time_step, source):
    address = ipaddress.ip_address(source)
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return (
        labelled(b"pk-encrypted-mac-1", door, user)
        + time_step.to_bytes(8, "big")
        + bytes([address.version])
        + address.packed
    )


def case(name, secret, door, user, time_step, source):
    both = keys(secret, door, user)
    aes, mac = both[:32], both[32:]
    message = mac_message(door, user, time_step, source)
    plain = (
        bytes([user])
        + (time_step % 2**24).to_bytes(3, "big")
        + hmac.digest(mac, message, "sha256")[:12]
    )
    encryptor = Cipher(algorithms.AES(aes), modes.ECB()).encryptor()
    block = encryptor.update(plain) + encryptor.finalize()
    return {
        "case": name,
        "secret": secret,
        "door": door,
        "userId": user,
        "timeStep": time_step,
        "source": source,
        "aesKey": aes.hex(),
        "hmacKey": mac.hex(),
        "macMessage": message.hex(),
        "plain": plain.hex(),
        "block": block.hex(),
        "window": [22000 + value for value in block],
        "indexed": [24000 + 256 * place + value for place, value in enumerate(block)],
    }


KEY = "aebc-agba-ydea-scij-ayfa-4aca-3j3e-mmz5"
WORDS = "correct horse battery staple"
CASES = [
    ("a key that was made", KEY, "vault", 1, 56666666, "192.0.2.1"),
    ("the next step", KEY, "vault", 1, 56666667, "192.0.2.1"),
    ("another source", KEY, "vault", 1, 56666666, "192.0.2.2"),
    ("IPv6", KEY, "vault", 1, 56666666, "2001:db8::1"),
    ("IPv4-mapped is IPv4", KEY, "vault", 1, 56666666, "::ffff:192.0.2.1"),
    ("another user", KEY, "vault", 255, 56666666, "192.0.2.1"),
    ("another door", KEY, "vault2", 1, 56666666, "192.0.2.1"),
    ("the same key, typed", KEY.upper().replace("-", " ") + " ", "vault", 1, 56666666, "192.0.2.1"),
    ("a passphrase", WORDS, "vault", 1, 56666666, "192.0.2.1"),
    ("32 letters are a passphrase", KEY.replace("-", ""), "vault", 1, 56666666, "192.0.2.1"),
    ("UTF-8", "Zwölf Boxkämpfer", "tür", 0, 56666666, "fe80::1"),
    ("the 24 bits at their end", KEY, "vault", 1, 2**26 - 1, "192.0.2.1"),
    ("the 24 bits at their beginning", KEY, "vault", 1, 2**26, "192.0.2.1"),
    ("a step of more than 32 bits", KEY, "vault", 1, 2**32 + 5, "192.0.2.1"),
]

print(json.dumps([case(*one) for one in CASES], indent=2, ensure_ascii=False))
