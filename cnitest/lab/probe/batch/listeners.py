"""The far ends of TCP and UDP probes that are under way together: one socket for each port of a place."""

from __future__ import annotations

import socket
from collections.abc import Callable

from cnitest.lab.probe.base import is_ipv6
from cnitest.lab.probe.batch.sockets import READABLE, Ready, Sockets
from cnitest.lab.probe.kinds.datagram import DatagramProbe
from cnitest.lab.probe.kinds.listener import listen
from cnitest.lab.probe.kinds.stream import StreamProbe

_BACKLOG = 1024


class Listeners:
    """Opened when first needed; None where somebody else's server has the port."""

    def __init__(self, sockets: Sockets, kind: int, serve: Callable[[socket.socket], Ready]) -> None:
        self._sockets, self._kind, self._serve = sockets, kind, serve
        self._open: dict[tuple[str, int, bool], socket.socket | None] = {}

    def of(self, probe: DatagramProbe | StreamProbe) -> socket.socket | None:
        """The listener that answers a probe. Raises OSError."""
        far, six = probe.far, is_ipv6(probe.destination)
        if far is None:
            return None
        key = (far.full_name, probe.listener_port, six)
        if key not in self._open:
            self._open[key] = server = listen(far, probe.destination, probe.listener_port, self._kind)
            if server:
                if self._kind == socket.SOCK_STREAM:
                    server.listen(_BACKLOG)
                self._sockets.own(server)
                self._sockets.watch(server, READABLE, self._serve(server))
        return self._open[key]
