"""Connection tracking and queueing disciplines, through pyroute2's message classes.

pyroute2 knows their attributes; it is loaded on the first use only, which takes 0.2 s.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from cnitest.kernel.rtnetlink.netlink import CREATE, EXCL, Message, attributes

_CONNTRACK_GET, _CONNTRACK_STATS = (1 << 8) | 1, (1 << 8) | 5
# Of a netlink message, and of one about the packet filter.
_MAIN_HEADER = 20
# Of decoded options what is their frame, or counts packets.
_NO_OPTIONS = frozenset(("header", "length", "type", "direct_pkts"))


class Flow(NamedTuple):
    """A tracked connection: what the first packet said, and what its answers say (they differ under NAT)."""

    protocol: str
    source: str
    destination: str
    reply_source: str
    reply_destination: str


def _body(message: Any) -> bytes:
    message.encode()
    return bytes(message.data)[16:]


def dump_flows() -> Message:
    """All tracked connections, for a socket of NETLINK_NETFILTER."""
    return Message(_CONNTRACK_GET, 0, struct.pack("=BBH", 0, 0, 0), "connections")


def count_flows() -> Message:
    """How many connections a namespace tracks: the whole table is that of all namespaces, and slow to walk."""
    return Message(_CONNTRACK_STATS, 0, bytes(4), "count of connections")


def flow_count(rows: Iterable[bytes]) -> int:
    """The answer to `count_flows`."""
    for row in rows:
        for kind, start, _ in attributes(row, _MAIN_HEADER, len(row)):
            if kind == 1:
                return int.from_bytes(row[start : start + 4], "big")
    return 0


def flows(rows: Iterable[bytes]) -> tuple[Flow, ...]:
    """The answers to `dump_flows`."""
    rows = list(rows)
    if not rows:
        return ()
    from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg

    return tuple(_flow(nfct_msg, row) for row in rows)


def _flow(message_class: Any, row: bytes) -> Flow:
    message = message_class(row)
    message.decode()
    first, answer = (message.get_attr(name) for name in ("CTA_TUPLE_ORIG", "CTA_TUPLE_REPLY"))
    protocol = first.get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_NUM")
    names = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}
    return Flow(names.get(protocol, str(protocol)), *_ends(first), *_ends(answer))


def _ends(direction: Any) -> tuple[str, str]:
    """Source and destination as ``address:port``."""
    addresses, protocol = direction.get_attr("CTA_TUPLE_IP"), direction.get_attr("CTA_TUPLE_PROTO")
    ends = []
    for side in ("SRC", "DST"):
        address = addresses.get_attr(f"CTA_IP_V4_{side}") or addresses.get_attr(f"CTA_IP_V6_{side}")
        port = protocol.get_attr(f"CTA_PROTO_{side}_PORT")
        ends.append(f"{address}:{port}" if port is not None else str(address))
    return ends[0], ends[1]


def add_qdisc(kind: str, index: int) -> Message:
    """A root queueing discipline without options on link ``index``."""
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    message = tcmsg()
    message["index"] = index
    message["parent"] = 0xFFFFFFFF
    message["attrs"] = [("TCA_KIND", kind)]
    return Message(36, CREATE | EXCL, _body(message), f"qdisc {kind}")


def qdisc_options(row: bytes) -> tuple[tuple[str, int | str], ...]:
    """What a queueing discipline or class was told: numbers and words by name, tables, zeros and counters left out.

    What pyroute2 does not know shows as ``attribute-7`` in hexadecimal.
    """
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    message = tcmsg(row)
    message.decode()
    options = message.get_attr("TCA_OPTIONS")
    return tuple(sorted(dict((*_unknown_options(options, row), *_plain_options(options))).items()))


def _unknown_options(options: Any, row: bytes) -> Iterator[tuple[str, str]]:
    """The attributes that have no name in pyroute2's classes: those that `_plain_options` cannot tell."""
    if not isinstance(options, Mapping) or "attrs" not in options:
        return
    for name, value in options["attrs"]:
        if name == "UNKNOWN":
            yield f"attribute-{value['header']['type']}", _attribute_bytes(row, value["header"]["type"]).hex()


def _attribute_bytes(row: bytes, wanted: int) -> bytes:
    for kind, start, end in attributes(row, 36, len(row)):
        if kind == 2:
            return next((row[a:b] for number, a, b in attributes(row, start, end) if number == wanted), b"")
    return b""


def _plain_options(value: Any, name: str = "options") -> Iterator[tuple[str, int | str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            pairs = inner if key == "attrs" else [(key, inner)]
            for inner_name, item in pairs:
                yield from _plain_options(item, inner_name)
    elif isinstance(value, (int, str)) and value and name not in _NO_OPTIONS:
        yield name.lower().rpartition("tca_")[2], value
