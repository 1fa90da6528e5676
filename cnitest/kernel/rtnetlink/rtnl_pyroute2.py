"""Queueing disciplines, through pyroute2's message classes.

pyroute2 knows their attributes; it is loaded on the first use only, which takes 0.2 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnitest.kernel.rtnetlink.netlink import CREATE, EXCL, Message, attributes

# Of decoded options what is their frame, or counts packets.
_NO_OPTIONS = frozenset(("header", "length", "type", "direct_pkts"))


def _body(message: Any) -> bytes:
    message.encode()
    return bytes(message.data)[16:]


def add_qdisc(kind: str, index: int) -> Message:
    """A root queueing discipline without options on link ``index``."""
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    message = tcmsg()
    message["index"] = index
    message["parent"] = 0xFFFFFFFF
    message["attrs"] = [("TCA_KIND", kind)]
    return Message(36, CREATE | EXCL, _body(message), f"qdisc {kind}")


def qdisc_options(row: bytes) -> tuple[tuple[str, int | str], ...]:
    """What a queueing discipline or class was given: numbers and words by name, tables, zeros and counters left out.

    What pyroute2 does not know shows as ``attribute-7`` in hexadecimal.
    """
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    message = tcmsg(row)
    message.decode()
    options = message.get_attr("TCA_OPTIONS")
    return tuple(sorted(dict((*_unknown_options(options, row), *_plain_options(options))).items()))


def _unknown_options(options: Any, row: bytes) -> Iterator[tuple[str, str]]:
    """The attributes that have no name in pyroute2's classes: those that `_plain_options` does not know."""
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
