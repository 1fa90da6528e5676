"""Which rules of the older iptables a packet meets: what it logs of packets that are marked (see `nft_trace`).

The mark is that of the TRACE target; the log goes to the socket that a namespace keeps, while `log_here` holds.
Layout: include/uapi/linux/netfilter/nfnetlink_log.h.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from cnitest.errors import KernelError
from cnitest.kernel import sysctl
from cnitest.kernel.namespaces import NetworkNamespace
from cnitest.kernel.netfilter import events, tables
from cnitest.kernel.rtnetlink.netlink import ACK, REQUEST, attribute

_SUBSYSTEM, _PACKET, _CONFIG, _GROUP, _KEPT = 4, 0, 1, 0, "log trace"
_BIND, _UNBIND = 1, 2
_LOGGER = "nfnetlink_log"
_FAMILIES = {"ip": 2, "ip6": 10}
_PREFIX = "TRACE: "
_COPY_PACKET, _LARGEST = 2, 2048
_header = struct.Struct("=IHHII")


class LogEvent(NamedTuple):
    """A rule, or the end of a chain, that a packet met.

    ``kind`` is ``rule``, ``return`` (the end of a chain that was jumped to) or ``policy``; ``number`` the rule's in its
    chain, from 1. ``iif`` and ``oif`` are links' indices, 0 where there is none. ``packet`` begins at its network
    header; ``mark`` is its fwmark by then.
    """

    family: str
    table: str
    chain: str
    kind: str
    number: int
    iif: int
    oif: int
    packet: bytes
    mark: int = 0


@contextmanager
def log_here(namespace: NetworkNamespace) -> Iterator[None]:
    """Have the kernel send us what it logs of a namespace's packets while the block runs. Raises KernelError where it
    cannot, or somebody else of the namespace listens already."""
    before = namespace.run(lambda: {name: sysctl.read(_sysctl(name)) or "" for name in _FAMILIES})
    listener = namespace.kept(_KEPT, events.opened)
    _ask(listener, _GROUP, attribute(1, bytes([_BIND])), "log group 0")
    try:
        _ask(listener, _GROUP, attribute(2, struct.pack("!IBB", _LARGEST, _COPY_PACKET, 0)), "log of packets")
        _ask(listener, _GROUP, attribute(5, struct.pack("!I", 1)), "log at once")
        namespace.run(lambda: _choose(dict.fromkeys(_FAMILIES, _LOGGER)))
        for _ in events.received(listener):
            pass
        yield
    finally:
        namespace.run(partial(_choose, before))
        _ask(listener, _GROUP, attribute(1, bytes([_UNBIND])), "log group 0")


def traced(namespace: NetworkNamespace) -> tuple[LogEvent, ...]:
    """What packets met since it was asked last, in order."""
    listener = namespace.kept(_KEPT, events.opened)
    found = (_event(row) for kind, row in events.received(listener) if kind == _SUBSYSTEM << 8 | _PACKET)
    return tuple(event for event in found if event)


def _event(row: bytes) -> LogEvent | None:
    values = tables.values_of(row)
    words = tables.text(values, 10)
    if not words.startswith(_PREFIX):
        return None
    table, _, rest = words.removeprefix(_PREFIX).strip().partition(":")
    chain, kind, number = rest.rsplit(":", 2)
    return LogEvent(
        {2: "ip", 10: "ip6"}.get(row[16], ""),
        table,
        chain,
        kind,
        int(number),
        tables.number(values, 4),
        tables.number(values, 5),
        values.get(9, b""),
        tables.number(values, 2),
    )


def _ask(listener: socket.socket, group: int, body: bytes, what: str) -> None:
    """Configure the log. Raises KernelError."""
    message = struct.pack("!BBH", 0, 0, group) + body
    listener.send(_header.pack(16 + len(message), _SUBSYSTEM << 8 | _CONFIG, REQUEST | ACK, 1, 0) + message)
    for kind, row in events.received(listener):
        number = -struct.unpack_from("=i", row, 16)[0] if kind == 2 else 0
        if number:
            raise KernelError(f"{what}: {os.strerror(number)}", number)


def _sysctl(family: str) -> str:
    return f"net.netfilter.nf_log.{_FAMILIES[family]}"


def _choose(loggers: dict[str, str]) -> None:
    for family, name in loggers.items():
        sysctl.write(_sysctl(family), name)
