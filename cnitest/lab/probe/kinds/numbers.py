"""Numbers by which connection tracking tells a probe from those before it: of echoes and of datagrams' sources.

What a place tracks goes on as the rules were when it began. A number that a probe had some seconds ago would bring what
was decided then, as by chance one in some 10,000 did.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable

_ECHOES = itertools.count(int.from_bytes(os.urandom(2), "big"))
_REMEMBERED = 2048
_TRIES = 16
#: The ports of the latest datagrams, the oldest first.
_recent: dict[int, None] = {}


def identifier() -> int:
    """The identifier of an echo, RFC 792: 1 to 65535, each of them before one comes again."""
    return next(_ECHOES) % 0xFFFF + 1


def from_fresh_port(bound: Callable[[], socket.socket]) -> socket.socket:
    """A socket from ``bound``, which gives it a port of the kernel's choice: one of none of the latest datagrams, where
    the kernel has so many. Raises OSError."""
    client = bound()
    for _ in range(_TRIES):
        if client.getsockname()[1] not in _recent:
            break
        client.close()
        client = bound()
    port = client.getsockname()[1]
    _recent.pop(port, None)
    _recent[port] = None
    if len(_recent) > _REMEMBERED:
        _recent.pop(next(iter(_recent)), None)
    return client
