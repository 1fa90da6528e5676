"""Entries of the neighbour tables that came by themselves, as little more than their names, and how to delete one.

The kernel holds the entries of all namespaces in one table of limited size (gc_thresh3, arp(7)).
Numbers and layouts: include/uapi/linux/neighbour.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Container, Iterable
from typing import NamedTuple

from cnitest.kernel.rtnetlink.netlink import CREATE, Message, attribute, attributes

_NEWNEIGH, _DELNEIGH, _REPLACE = 28, 29, 0x100
_HEADER = 16
_DST, _LLADDR, _CACHEINFO = 1, 2, 3
_INCOMPLETE, _STALE, _DELAY, _PROBE, _FAILED, _NOARP, _PERMANENT = 0x01, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80
_TICKS = 100  # a second, of what the kernel tells programs (USER_HZ)
# NTF_MANAGED is among the flags that need an attribute of their own; who sets one of these means it to stay.
_EXT_LEARNED, _PROXY = 0x10, 0x08

_ndmsg = struct.Struct("=BxxxiHBB")


class NeighbourEntry(NamedTuple):
    """An entry of the ARP or ND table by family, link and packed address."""

    family: int
    ifindex: int
    address: bytes


class Belief(NamedTuple):
    """What an entry says: its state, the MAC (packed, empty where none is known), and for how many seconds it does."""

    state: int
    mac: bytes
    age: float

    @property
    def in_vain(self) -> bool:
        """Whether the kernel asks for the MAC, has given up, or is to ask with its next packet."""
        return not self.state or bool(self.state & (_INCOMPLETE | _FAILED))


def beliefs(rows: Iterable[bytes], addresses: Container[bytes]) -> dict[NeighbourEntry, Belief]:
    """The entries of some addresses among RTM_NEWNEIGH rows, but for those that somebody has set."""
    found = {}
    for row in rows:
        family, ifindex, state, flags, _ = _ndmsg.unpack_from(row, _HEADER)
        parts = {kind: row[a:b] for kind, a, b in attributes(row, _HEADER + _ndmsg.size, len(row))}
        address = parts.get(_DST, b"")
        if address in addresses and not (state & (_NOARP | _PERMANENT) or flags & _PROXY):
            (_, _, updated, _) = struct.unpack("=4I", parts.get(_CACHEINFO, bytes(16)))
            entry = NeighbourEntry(family, ifindex, address)
            found[entry] = Belief(state, parts.get(_LLADDR, b""), updated / _TICKS)
    return found


def believe(entry: NeighbourEntry, belief: Belief) -> Message:
    """Have an entry say something again; what was being asked for the kernel asks for with its next packet."""
    asks, is_checked = belief.state & _INCOMPLETE, belief.state & (_DELAY | _PROBE)
    state = 0 if asks else _STALE if is_checked else belief.state
    body = _ndmsg.pack(entry.family, entry.ifindex, state, 0, 0) + attribute(_DST, entry.address)
    body += b"" if belief.in_vain else attribute(_LLADDR, belief.mac)
    return Message(_NEWNEIGH, CREATE | _REPLACE, body, f"neighbour {entry.address.hex()}")


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
