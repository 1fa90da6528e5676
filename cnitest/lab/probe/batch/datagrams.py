"""Datagrams that are under way together: each has a socket of its own, each port of a place one listener."""

from __future__ import annotations

import errno
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, carrying
from cnitest.lab.probe.batch.listeners import Listeners
from cnitest.lab.probe.batch.outcomes import Outcomes
from cnitest.lab.probe.batch.sockets import READABLE, Ready, Sockets
from cnitest.lab.probe.kinds.datagram import DatagramProbe, send_back, tell_destination
from cnitest.lab.probe.kinds.listener import dial, target


class _Sent(NamedTuple):
    """A datagram on its way; ``server`` is our listener that it goes to, None when it is somebody else's."""

    at: int
    client: socket.socket
    server: socket.socket | None
    data: bytes
    matches: Callable[[Frame], bool]
    began: float


class Datagrams:
    """Our listeners send back what is ours, from the address that it was sent to."""

    def __init__(self, sockets: Sockets, outcomes: Outcomes) -> None:
        self._sockets, self._outcomes = sockets, outcomes
        self._listeners = Listeners(sockets, socket.SOCK_DGRAM, self._serve)
        self._numbers: dict[bytes, int] = {}
        self._sources: dict[int, str] = {}
        self._received: Counter[int] = Counter()

    def send(self, at: int, probe: DatagramProbe) -> None:
        """Send one datagram."""
        payload = wire.token()
        data = payload.ljust(probe.size, b".")
        matches = carrying(payload)
        self._numbers[data] = at
        server = self._listeners.of(probe)
        self._outcomes.note(at, Attempt(matches))
        try:
            client = self._sockets.own(dial(probe.sender, probe.destination, socket.SOCK_DGRAM, probe.options))
            sent = _Sent(at, client, server, data, matches, time.perf_counter())
            self._sockets.watch(client, READABLE, partial(self._hear, sent))
            client.connect(target(probe.sender, probe.destination, probe.port))
            client.send(data)
        except OSError as error:
            self._outcomes.settle(at, Attempt(matches, error=error))

    def silent(self, at: int, probe: DatagramProbe) -> Attempt:
        """With what our listener knows of it until now, and a doubt where there is none of ours."""
        attempt = replace(self._known(at, self._outcomes.attempts[at]), until=time.time_ns())
        far = probe.far
        return replace(attempt, doubt=probe.doubt(far)) if far and not self._listeners.of(probe) else attempt

    def _serve(self, server: socket.socket) -> Ready:
        tell_destination(server, server.family == socket.AF_INET6)

        def ready(_event: int) -> None:
            returned = send_back(server, self._numbers)
            if returned:
                at = self._numbers[returned[0]]
                self._sources[at] = returned[1]
                self._received[at] += 1

        return ready

    def _hear(self, sent: _Sent, _event: int) -> None:
        attempt = Attempt(sent.matches)
        try:
            answer = sent.client.recv(65536)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                attempt = replace(attempt, refusal="refused: an unreachable message came back")
                self._outcomes.settle(sent.at, self._known(sent.at, attempt))
            return
        if answer == sent.data or not sent.server:
            took = time.perf_counter() - sent.began
            attempt = replace(attempt, answered=True, answered_by=str(sent.client.getpeername()[0]), rtt=took)
            self._outcomes.settle(sent.at, self._known(sent.at, attempt))

    def _known(self, at: int, attempt: Attempt) -> Attempt:
        return replace(attempt, source_seen=self._sources.get(at), received=self._received[at])
