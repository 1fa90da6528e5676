"""Sockets that the packet filter sends messages to: what came in is read when somebody asks."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

_SOL_NETLINK, _ADD_MEMBERSHIP, _NETFILTER = 270, 1, 12
_SO_RCVBUFFORCE = 33
_BUFFER, _LARGEST = 4 << 20, 1 << 16
_header = struct.Struct("=IHHII")

#: The type of the message that says that others are missing (NLMSG_OVERRUN of linux/netlink.h).
OVERRUN = 4


def opened(group: int = 0) -> socket.socket:
    """A socket in the caller's network namespace that gets what is sent to a multicast group from now on."""
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
    try:
        events.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:  # in a user namespace, where the machine's limit holds
        events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    events.bind((0, 0))
    if group:
        events.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    events.setblocking(False)
    return events


def received(events: socket.socket) -> Iterator[tuple[int, bytes]]:
    """The messages that came since it was asked last, in order, with their types. Where some did not fit in the
    socket's buffer and are missing, there is one of the type `OVERRUN` without a content."""
    while True:
        try:
            data = events.recv(_LARGEST)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                yield OVERRUN, b""
                continue
            raise
        start = 0
        while start + _header.size <= len(data):
            length, kind, *_ = _header.unpack_from(data, start)
            yield kind, data[start : start + length]
            start += (length + 3) & ~3
