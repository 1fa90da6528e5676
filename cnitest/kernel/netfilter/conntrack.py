"""Tracked connections of a namespace. Layout: include/uapi/linux/netfilter/nfnetlink_conntrack.h."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import NamedTuple

from cnitest.kernel.netfilter import tables
from cnitest.kernel.rtnetlink.netlink import Message

_GET, _STATS = (1 << 8) | 1, (1 << 8) | 5
_ORIGINAL, _REPLY = 1, 2
_ADDRESSES, _PROTOCOL = 1, 2
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
# The identifier of an echo, of ICMP and of ICMPv6.
_ECHO_NUMBERS = (4, 7)
_NAMES = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}


class Flow(NamedTuple):
    """A tracked connection: what the first packet said, and what its answers say (they differ under NAT).

    ``number`` is the identifier of an ICMP echo, which has no ports; 0 of all others.
    """

    protocol: str
    source: str
    destination: str
    reply_source: str
    reply_destination: str
    number: int = 0


def dump_flows() -> Message:
    """All tracked connections, for a socket of NETLINK_NETFILTER."""
    return Message(_GET, 0, bytes(4), "connections")


def count_flows() -> Message:
    """How many connections a namespace tracks: the whole table is that of all namespaces, and slow to walk."""
    return Message(_STATS, 0, bytes(4), "count of connections")


def flow_count(rows: Iterable[bytes]) -> int:
    """The answer to `count_flows`."""
    return next((tables.number(tables.values_of(row), 1) for row in rows), 0)


def flows(rows: Iterable[bytes]) -> tuple[Flow, ...]:
    """The answers to `dump_flows`."""
    return tuple(_flow(tables.values_of(row)) for row in rows)


def _flow(values: dict[int, bytes]) -> Flow:
    first, answer = (tables.nested(values, kind) for kind in (_ORIGINAL, _REPLY))
    fields = tables.nested(first, _PROTOCOL)
    echo = next((tables.number(fields, kind) for kind in _ECHO_NUMBERS if kind in fields), 0)
    return Flow(protocol_name(tables.number(fields, _NUMBER)), *_ends(first), *_ends(answer), echo)


def protocol_name(protocol: int) -> str:
    """What a `Flow` calls a protocol of IP: ``tcp``; its number where it has no name here."""
    return _NAMES.get(protocol, str(protocol))


def _ends(direction: dict[int, bytes]) -> tuple[str, str]:
    """Source and destination as ``address:port``."""
    addresses, protocol = (tables.nested(direction, kind) for kind in (_ADDRESSES, _PROTOCOL))
    source, destination = (_address(addresses, four, six) for four, six in ((1, 3), (2, 4)))
    if _SOURCE_PORT not in protocol:
        return source, destination
    ports = (tables.number(protocol, kind) for kind in (_SOURCE_PORT, _DESTINATION_PORT))
    source_port, destination_port = ports
    return f"{source}:{source_port}", f"{destination}:{destination_port}"


def _address(values: dict[int, bytes], four: int, six: int) -> str:
    if four in values:
        return socket.inet_ntop(socket.AF_INET, values[four])
    return socket.inet_ntop(socket.AF_INET6, values[six]) if six in values else ""
