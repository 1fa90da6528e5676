"""Entries of the neighbour tables that came by themselves, as little more than their names, and how to delete one.

The kernel holds the entries of all namespaces in one table of limited size (gc_thresh3, arp(7)).
Numbers and layouts: include/uapi/linux/neighbour.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from cnitest.kernel.rtnetlink.netlink import Message, attribute, attributes

_DELNEIGH = 29
_HEADER = 16
_DST = 1
_NOARP, _PERMANENT = 0x40, 0x80
# NTF_MANAGED is among the flags that need an attribute of their own; who sets one of these means it to stay.
_EXT_LEARNED, _PROXY = 0x10, 0x08

_ndmsg = struct.Struct("=BxxxiHBB")


class NeighbourEntry(NamedTuple):
    """An entry of the ARP or ND table by family, link and packed address."""

    family: int
    ifindex: int
    address: bytes


def learned(rows: Iterable[bytes]) -> set[NeighbourEntry]:
    """The entries among RTM_NEWNEIGH rows that nobody has set."""
    found = set()
    for row in rows:
        family, ifindex, state, flags, _ = _ndmsg.unpack_from(row, _HEADER)
        if family in (socket.AF_INET, socket.AF_INET6) and not (
            state & (_NOARP | _PERMANENT) or flags & (_EXT_LEARNED | _PROXY)
        ):
            found |= {
                NeighbourEntry(family, ifindex, row[a:b])
                for kind, a, b in attributes(row, _HEADER + _ndmsg.size, len(row))
                if kind == _DST
            }
    return found


def delete(entry: NeighbourEntry) -> Message:
    """Delete an entry."""
    body = _ndmsg.pack(entry.family, entry.ifindex, 0, 0, 0) + attribute(_DST, entry.address)
    return Message(_DELNEIGH, 0, body, f"neighbour {entry.address.hex()}")
