"""What queueing disciplines hold back and have dropped. Numbers: include/uapi/linux/gen_stats.h."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from cnitest.kernel.rows.readers import MAIN_HEADER
from cnitest.kernel.rtnetlink.netlink import Message, attributes

_GETQDISC = 38
_STATISTICS2, _QUEUE = 7, 3

_tcmsg = struct.Struct("=BxxxiIII")
_queue = struct.Struct("=IIIII")


class Queue(NamedTuple):
    """A queueing discipline: how many packets wait in it, and how many it has dropped."""

    ifindex: int
    handle: int
    parent: int
    waiting: int
    dropped: int


def dump() -> Message:
    """Ask for all of them."""
    return Message(_GETQDISC, 0, _tcmsg.pack(0, 0, 0, 0, 0), "qdiscs")


def queues(rows: Iterable[bytes]) -> tuple[Queue, ...]:
    """RTM_NEWQDISC rows."""
    return tuple(found for row in rows for found in _queues(row))


def _queues(row: bytes) -> Iterable[Queue]:
    _, ifindex, handle, parent, _ = _tcmsg.unpack_from(row, MAIN_HEADER)
    for kind, start, end in attributes(row, MAIN_HEADER + _tcmsg.size, len(row)):
        for inner, a, b in attributes(row, start, end) if kind == _STATISTICS2 else ():
            if inner == _QUEUE and b - a >= _queue.size:
                waiting, _, dropped, _, _ = _queue.unpack_from(row, a)
                yield Queue(ifindex, handle, parent, waiting, dropped)
