"""The ends of probes to a port: a client's socket, and at the far end one of ours, unless a server has the port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cnitest.kernel.namespaces import NetworkNamespace, run_each
from cnitest.lab.probe.base import is_ipv6
from cnitest.lab.probe.kinds.numbers import from_fresh_port
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place
    from cnitest.lab.probe.kinds.to_port import PortProbe

#: A function that gives a socket, or None for a port that is taken, and the namespace to run it in.
_Call = tuple[NetworkNamespace, Callable[[], socket.socket | None]]


def listen(place: Place, address: str, port: int, kind: int) -> socket.socket | None:
    """A bound, non-blocking socket at ``place``; None when something already listens on that port.

    Bound to any address, for the one that was dialled may be translated on the way. Raises OSError.
    """
    return place.namespace.run(partial(_listening, address, port, kind, 0))


def dial(place: Place, address: str, kind: int, options: Options, protocol: int = 0) -> socket.socket:
    """A non-blocking client socket at ``place``, as ``options`` want it. Raises OSError."""
    return place.namespace.run(partial(_client, address, kind, options, protocol))


class Ends(NamedTuple):
    """The listener's socket, None where there is none of ours, and the client's, or why its kernel refuses one."""

    server: socket.socket | None
    client: socket.socket | OSError


def open_ends(probe: PortProbe, far: Place | None, kind: int, undo: ExitStack) -> Ends:
    """Sockets at both ends of a probe, as of `listen` and `dial`; ``undo`` closes them. Raises OSError for the
    listener's.

    One call of the thread makes both: two would take a tenth of a probe's time.
    """
    address, protocol = probe.destination, probe.protocol
    calls: list[_Call] = [(probe.sender.namespace, partial(_client, address, kind, probe.options, protocol))]
    if far:
        calls.insert(0, (far.namespace, partial(_listening, address, probe.listener_port, kind, protocol)))
    *servers, client = run_each(calls)
    for made in (*servers, client):
        if isinstance(made, socket.socket):
            undo.callback(made.close)
    server = servers[0] if servers else None
    if isinstance(server, OSError):
        raise server
    assert client is not None, "a client's socket needs no free port"
    return Ends(server, client)


def _listening(address: str, port: int, kind: int, protocol: int) -> socket.socket | None:
    six = is_ipv6(address)
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


def _client(address: str, kind: int, options: Options, protocol: int) -> socket.socket:
    if kind == socket.SOCK_DGRAM and not options.source_port:
        return from_fresh_port(partial(_bound, address, kind, options, protocol))
    return _opened(address, kind, options, protocol)


def _bound(address: str, kind: int, options: Options, protocol: int) -> socket.socket:
    """A client's socket that has a port already, which connect(2) would give it else."""
    client = _opened(address, kind, options, protocol)
    if not options.source:
        client.bind(("::" if is_ipv6(address) else "0.0.0.0", 0))
    return client


def _opened(address: str, kind: int, options: Options, protocol: int) -> socket.socket:
    six = is_ipv6(address)
    client = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind, protocol)
    try:
        client.setblocking(False)
        options.apply(client, six=six)
    except OSError:
        client.close()
        raise
    return client


def target(place: Place, address: str, port: int) -> tuple[str | int, ...]:
    """What connect(2) takes for an address, its scope resolved in ``place``."""
    if not is_ipv6(address):
        return (address, port)
    bare, _, scope = address.partition("%")
    return (bare, port, 0, place.link(scope).ifindex if scope else 0)
