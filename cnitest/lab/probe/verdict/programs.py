"""Whether a program may yet answer a packet that no kernel of the lab will: then silence has to be waited for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cnitest.kernel import packet_socket

if TYPE_CHECKING:
    from cnitest.lab.lab import Lab

_PACKET_INODE, _INODE = 8, 9
_ENDS = 2


def may_see(lab: Lab) -> bool:
    """Whether a program at some place sees whole frames as our sniffers do, whatever a kernel makes of them."""
    own = packet_socket.own_inodes()
    tables = [lab.own_file_reader(place.namespace)("packet") for place in lab.places]
    return any(inode not in own for table in tables for inode in _inodes(table, _PACKET_INODE))


def may_answer(lab: Lab, transport: str) -> bool:
    """Whether a program takes what comes by a transport: by a raw socket, by a UDP socket that is no end of a probe."""
    if transport == "icmp":
        kept = {inode for place in lab.places for inode in place.namespace.kept_inodes}
        return any(inode not in kept for inode in _all(lab, "raw", "raw6"))
    if transport == "udp":
        own, found = _own_sockets(), list(_all(lab, "udp", "udp6"))
        return len(found) > _ENDS or any(inode not in own for inode in found)
    return False


def _all(lab: Lab, *tables: str) -> Iterator[int]:
    """The sockets in some tables of all places; the kernel's own, which have no inode, are left out."""
    for place in lab.places:
        read = lab.own_file_reader(place.namespace)
        yield from (inode for table in tables for inode in _inodes(read(table), _INODE) if inode)


def _own_sockets() -> set[int]:
    """The inodes of this process's sockets."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{fd}")
            if target.startswith("socket:["):
                found.add(int(target[len("socket:[") : -1]))
    return found


def _inodes(table: str, column: int) -> Iterator[int]:
    """The sockets of a table of /proc/net."""
    for line in table.splitlines()[1:]:
        yield int(line.split()[column])
