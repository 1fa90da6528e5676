"""The far end of TCP and UDP probes: a socket of our own, unless a server already listens there."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from cnitest.lab.probe.base import is_ipv6
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place


def listen(place: Place, address: str, port: int, kind: int, protocol: int = 0) -> socket.socket | None:
    """A bound, non-blocking socket at ``place``; None when something already listens on that port.

    Bound to any address, for the one that was dialled may be translated on the way. Raises OSError.
    """
    six = is_ipv6(address)

    def call() -> socket.socket | None:
        server = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind, protocol)
        try:
            server.setblocking(False)
            if kind == socket.SOCK_STREAM:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if six:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind(("::" if six else "0.0.0.0", port))
            if kind == socket.SOCK_STREAM:
                server.listen(8)
        except OSError as error:
            server.close()
            if error.errno == errno.EADDRINUSE:
                return None
            raise
        return server

    return place.namespace.run(call)


def dial(place: Place, address: str, kind: int, options: Options, protocol: int = 0) -> socket.socket:
    """A non-blocking client socket at ``place``, as ``options`` want it. Raises OSError."""

    def call() -> socket.socket:
        six = is_ipv6(address)
        client = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind, protocol)
        try:
            client.setblocking(False)
            options.apply(client, six=six)
        except OSError:
            client.close()
            raise
        return client

    return place.namespace.run(call)


def target(place: Place, address: str, port: int) -> tuple[str | int, ...]:
    """What connect(2) takes for an address, its scope resolved in ``place``."""
    if not is_ipv6(address):
        return (address, port)
    bare, _, scope = address.partition("%")
    return (bare, port, 0, place.link(scope).ifindex if scope else 0)
