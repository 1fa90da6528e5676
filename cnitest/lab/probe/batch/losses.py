"""Where packets may be lost only because many are under way: queues that are full, tables that are full.

When none of it has happened, silence in a batch says as much as silence alone.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnitest.kernel.rows import queues

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab

# Columns of hexadecimal numbers: per processor, dropped for a full backlog; entries refused by a full neighbour table.
_BACKLOG, _BACKLOG_DROPPED = "/proc/net/softnet_stat", 1
_NEIGHBOURS, _TABLE_FULL = ("/proc/net/stat/arp_cache", "/proc/net/stat/ndisc_cache"), "table_fulls"


class Losses(NamedTuple):
    """What has been lost so far, and whether something still waits in a queue."""

    backlog: int
    tables: int
    queues: tuple[tuple[str, int, int, int, int], ...]
    waiting: bool


def losses(lab: Lab) -> Losses:
    """What has been lost in a lab, and on the machine where all labs share a limit."""
    found = [
        (place.full_name, queue)
        for place in lab.places
        for queue in queues.queues(place.namespace.netlink.dump(queues.dump()))
    ]
    return Losses(
        sum(int(line.split()[_BACKLOG_DROPPED], 16) for line in _lines(_BACKLOG)),
        sum(_table_full(path) for path in _NEIGHBOURS),
        tuple((name, queue.ifindex, queue.handle, queue.parent, queue.dropped) for name, queue in found),
        any(queue.waiting for _, queue in found),
    )


def _table_full(path: str) -> int:
    """How often a neighbour table was full; only the first namespace of the machine shows it."""
    head, *rows = _lines(path) or [""]
    names = head.split()
    return sum(int(row.split()[names.index(_TABLE_FULL)], 16) for row in rows if _TABLE_FULL in names)


def _lines(path: str) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(path).read_text(encoding="ascii").splitlines()
    return []
