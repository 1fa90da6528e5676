"""A DHCP server for one client, run as a program of its own: leases of a few seconds, rejections, and silence.

What it is to do is JSON in its first argument; see ``leases.short_leases``.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from ipaddress import IPv4Address
from typing import Any

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6
MAGIC = b"\x63\x82\x53\x63"
#: What a message of BOOTP has before its cookie, in bytes.
FIXED = 236


def main() -> None:
    """Serve until the end."""
    plan = json.loads(sys.argv[1])
    answers = list(plan["answers"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        service.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        service.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, plan["link"].encode())
        service.bind(("", 67))
        sys.stdout.write("serving\n")
        sys.stdout.flush()
        while True:
            request = service.recv(1500)
            if reply := answer(request, plan, answers):
                service.sendto(reply, ("255.255.255.255", 68))


def answer(request: bytes, plan: dict[str, Any], answers: list[str]) -> bytes:
    """The reply to a request; empty for none. Takes from ``answers`` what a REQUEST gets."""
    kind = kind_of(request)
    if kind == DISCOVER and answers[0] != "silence":
        return reply(request, OFFER, plan)
    if kind != REQUEST:
        return b""
    word = answers.pop(0) if len(answers) > 1 else answers[0]
    return b"" if word == "silence" else reply(request, ACK if word == "ack" else NAK, plan)


def kind_of(message: bytes) -> int:
    """The message type of a message; 0 for what is no DHCP: without the magic cookie, without a type, or cut off."""
    options = message[FIXED + len(MAGIC) :] if message[FIXED:].startswith(MAGIC) else b""
    while options and options[0] not in (53, 255):
        options = options[1:] if options[0] == 0 else options[2 + options[1] :] if len(options) > 1 else b""
    return options[2] if len(options) > 2 and options[0] == 53 else 0


def reply(request: bytes, kind: int, plan: dict[str, Any]) -> bytes:
    """A reply to a request; a rejection has no address."""
    address = b"\0\0\0\0" if kind == NAK else packed(plan["address"])
    head = b"\x02" + request[1:12] + request[12:16] + address + b"\0" * 8 + request[28:44] + b"\0" * 192 + MAGIC
    options = option(53, bytes([kind])) + option(54, packed(plan["server"]))
    if kind != NAK:
        options += option(1, packed(plan["mask"])) if plan["mask"] else b""
        for code, name in ((51, "lease"), (58, "renewal"), (59, "rebinding")):
            options += option(code, struct.pack("!I", plan[name]))
    return head + options + b"\xff"


def option(code: int, value: bytes) -> bytes:
    """One option."""
    return bytes([code, len(value)]) + value


def packed(address: str) -> bytes:
    """An address as its four bytes."""
    return IPv4Address(address).packed


if __name__ == "__main__":
    main()
