"""Requests for routes with all that they can have, and for policy rules, packed by hand.

Numbers and layouts: include/uapi/linux/{rtnetlink,fib_rules}.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cnitest.kernel.rtnetlink.netlink import CREATE, EXCL, Message, attribute
from cnitest.kernel.rtnetlink.rtnl import NEWROUTE, prefix_bytes
from cnitest.kernel.rtnetlink.tables import address_bytes

_NEWRULE = 32
_KINDS = {
    "unicast": 1,
    "local": 2,
    "broadcast": 3,
    "anycast": 4,
    "multicast": 5,
    "blackhole": 6,
    "unreachable": 7,
    "prohibit": 8,
    "throw": 9,
}
_METRICS = {"mtu": 2, "window": 3, "advmss": 8, "hoplimit": 10, "initcwnd": 11, "initrwnd": 14, "quickack": 15}
_METRIC_LOCK, _METRIC_CONGESTION = 1, 16
_ONLINK = 4
_STATIC = 4
_SCOPE_LINK, _SCOPE_HOST = 253, 254
_ACTIONS = {"lookup": 1, "goto": 2, "nop": 3, "blackhole": 6, "unreachable": 7, "prohibit": 8}
_INVERT = 2
_rtmsg = struct.Struct("=BBBBBBBBI")
_nexthop = struct.Struct("=HBBi")


class Way(NamedTuple):
    """Where a route leads: a gateway, a link by index (0: the kernel finds it), a weight 1-256."""

    via: str | None = None
    link: int = 0
    weight: int = 1
    onlink: bool = False


def _u32(kind: int, value: int) -> bytes:
    return struct.pack("=HHI", 8, kind, value)


def add_route(
    to: str,
    ways: Sequence[Way],
    *,
    family: int,
    source: str | None = None,
    table: int | None = None,
    metric: int | None = None,
    metrics: Mapping[str, tuple[int, bool]] | None = None,
    congestion: str | None = None,
    kind: str = "unicast",
    protocol: int | None = None,
    scope: int | None = None,
    tos: int | None = None,
    what: str = "",
) -> Message:
    """A route in all its parts; ``metrics`` are values by name, each with whether it is locked.

    One way is the route's own, several are next hops; none is that of a route which leads nowhere.
    """
    number, length, packed = prefix_bytes(to, socket.AF_INET6 if family == 6 else socket.AF_INET)
    table = table or (255 if kind in ("local", "broadcast") else 254)
    small, made_by = table if table < 256 else 0, _STATIC if protocol is None else protocol
    scope = _natural_scope(kind, ways) if scope is None else scope
    flags = _ONLINK if len(ways) == 1 and ways[0].onlink else 0
    body = _rtmsg.pack(number, length, 0, tos or 0, small, made_by, scope, _KINDS[kind], flags)
    body += attribute(1, packed) if packed else b""
    body += _u32(15, table) if table > 255 else b""
    body += _gateways(ways, number)
    if source:
        body += attribute(7, address_bytes(source)[1])
    if metric is not None:
        body += _u32(6, metric)
    if inner := _packed_metrics(metrics or {}, congestion):
        body += attribute(8, inner)
    return Message(NEWROUTE, CREATE | EXCL, body, what)


def _natural_scope(kind: str, ways: Sequence[Way]) -> int:
    """The scope that ip(8) gives a route of which none is said."""
    if kind == "local":
        return _SCOPE_HOST
    gateway = any(way.via for way in ways)
    return _SCOPE_LINK if kind in ("unicast", "broadcast", "multicast", "anycast") and not gateway else 0


def _gateways(ways: Sequence[Way], family: int) -> bytes:
    if len(ways) == 1:
        way = ways[0]
        return (_gateway(way, family) if way.via else b"") + (_u32(4, way.link) if way.link else b"")
    parts = b""
    for way in ways:
        inner = _gateway(way, family) if way.via else b""
        head = _nexthop.pack(8 + len(inner), _ONLINK if way.onlink else 0, way.weight - 1, way.link)
        parts += head + inner
    return attribute(9, parts) if parts else b""


def _gateway(way: Way, family: int) -> bytes:
    """RTA_GATEWAY, or RTA_VIA where the gateway is of the other family."""
    theirs, packed = address_bytes(str(way.via))
    if theirs == family:
        return attribute(5, packed)
    return attribute(18, struct.pack("=H", theirs) + packed)


def _packed_metrics(metrics: Mapping[str, tuple[int, bool]], congestion: str | None) -> bytes:
    inner = b""
    lock = 0
    for name, (value, locked) in metrics.items():
        number = _METRICS[name]
        inner += _u32(number, value)
        lock |= int(locked) << number
    if congestion:
        inner += attribute(_METRIC_CONGESTION, congestion.encode() + b"\0")
    return inner + (_u32(_METRIC_LOCK, lock) if lock else b"")


def add_rule(
    *,
    family: int,
    action: str = "lookup",
    table: int | None = None,
    priority: int | None = None,
    source: str | None = None,
    to: str | None = None,
    mark: tuple[int, int] | None = None,
    iif: str | None = None,
    oif: str | None = None,
    inverted: bool = False,
    tos: int | None = None,
    numbers: Mapping[str, int | None] | None = None,
    ranges: Mapping[str, tuple[int, int] | None] | None = None,
    l3mdev: bool = False,
    what: str = "",
) -> Message:
    """A policy rule. ``mark`` is a mark and its mask; ``numbers`` are ``ipproto``, ``protocol``, ``tun_id``, ``goto``,
    ``suppress_prefixlength``, ``suppress_ifgroup``; ``ranges`` are ``sport``, ``dport``, ``uidrange``."""
    lengths, body = {"source": 0, "to": 0}, b""
    for name, kind, text in (("source", 2, source), ("to", 1, to)):
        if text:
            _, lengths[name], packed = prefix_bytes(text, socket.AF_INET)
            body += attribute(kind, packed)
    for kind, link in ((3, iif), (17, oif)):
        body += attribute(kind, link.encode() + b"\0") if link else b""
    if mark is not None:
        body += _u32(10, mark[0]) + _u32(16, mark[1])
    if priority is not None:
        body += _u32(6, priority)
    body += _rule_numbers(numbers or {}) + _rule_ranges(ranges or {})
    if table is not None:
        body += _u32(15, table)
    body += attribute(19, b"\1") if l3mdev else b""
    number, small = socket.AF_INET6 if family == 6 else socket.AF_INET, table if table and table < 256 else 0
    flags = _INVERT if inverted else 0
    head = _rtmsg.pack(number, lengths["to"], lengths["source"], tos or 0, small, 0, 0, _ACTIONS[action], flags)
    return Message(_NEWRULE, CREATE | EXCL, head + body, what)


def _rule_numbers(numbers: Mapping[str, int | None]) -> bytes:
    body = b""
    for kind, name in ((4, "goto"), (13, "suppress_ifgroup"), (14, "suppress_prefixlength")):
        if (value := numbers.get(name)) is not None:
            body += _u32(kind, value)
    for kind, name in ((21, "protocol"), (22, "ipproto")):
        if (value := numbers.get(name)) is not None:
            body += attribute(kind, bytes([value]))
    if (tunnel := numbers.get("tun_id")) is not None:
        body += attribute(12, struct.pack(">Q", tunnel))
    return body


def _rule_ranges(ranges: Mapping[str, tuple[int, int] | None]) -> bytes:
    body = b""
    for name, kind, form in (("uidrange", 20, "=II"), ("sport", 23, "=HH"), ("dport", 24, "=HH")):
        if pair := ranges.get(name):
            body += attribute(kind, struct.pack(form, *pair))
    return body
