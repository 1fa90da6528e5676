"""TCP connections that are begun together: each has a client of its own, each port of a place one listener."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from dataclasses import dataclass, replace
from functools import partial

from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, carrying
from cnitest.lab.probe.batch.listeners import Listeners
from cnitest.lab.probe.batch.outcomes import Outcomes
from cnitest.lab.probe.batch.sockets import READABLE, WRITABLE, Ready, Sockets
from cnitest.lab.probe.kinds.listener import dial, target
from cnitest.lab.probe.kinds.stream import IN_PROGRESS, StreamProbe, failed


@dataclass
class _Connection:
    """One connection from its client's side."""

    at: int
    client: socket.socket
    server: socket.socket | None
    destination: str
    payload: bytes
    began: float
    attempt: Attempt


class Streams:
    """Clients send their payload once they are connected; our listeners send back what comes."""

    def __init__(self, sockets: Sockets, outcomes: Outcomes) -> None:
        self._sockets, self._outcomes = sockets, outcomes
        self._listeners = Listeners(sockets, socket.SOCK_STREAM, self._serve)
        self._peers: dict[bytes, str] = {}

    def send(self, at: int, probe: StreamProbe) -> None:
        """Begin one connection, from a port that no attempt before had."""
        payload = wire.token()
        server = self._listeners.of(probe)
        try:
            client = self._sockets.own(
                dial(probe.sender, probe.destination, socket.SOCK_STREAM, probe.options, probe.protocol)
            )
        except OSError as error:
            self._outcomes.settle(at, Attempt(lambda _: False, error=error))
            return
        where = target(probe.sender, probe.destination, probe.port)
        began = time.perf_counter()
        number = client.connect_ex(where)
        attempt = Attempt(probe.matcher(client, payload))
        self._outcomes.note(at, attempt)
        if number not in IN_PROGRESS:
            self._outcomes.settle(at, failed(attempt, number))
            return
        one = _Connection(at, client, server, str(where[0]), payload, began, attempt)
        self._sockets.watch(client, WRITABLE, partial(self._connected, one))

    def silent(self, at: int, probe: StreamProbe) -> Attempt:
        """With what the sender's own firewall says to it."""
        attempt = self._outcomes.attempts[at]
        where = target(probe.sender, probe.destination, probe.port)
        return replace(attempt, error=probe.own_refusal(where))

    def _connected(self, one: _Connection, _event: int) -> None:
        number = one.client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number and not (number == errno.ECONNRESET and not one.server):
            self._end(one, failed(one.attempt, number))
            return
        with contextlib.suppress(OSError):  # what came of it is known when we read
            one.client.send(one.payload)
        one.attempt = replace(one.attempt, pending=carrying(one.payload))
        self._outcomes.note(one.at, one.attempt)
        if one.server:
            self._sockets.watch(one.client, READABLE, partial(self._heard, one))
        else:  # a server of the test's own: what it says to this is its affair
            self._end(one, self._answered(one))

    def _heard(self, one: _Connection, _event: int) -> None:
        try:
            answered = one.client.recv(4096) == one.payload
        except OSError as error:
            self._end(one, failed(one.attempt, error.errno or 0))
            return
        refused = replace(one.attempt, refusal="the connection was closed on us")
        self._end(one, self._answered(one) if answered else refused)

    def _answered(self, one: _Connection) -> Attempt:
        took, peer = time.perf_counter() - one.began, self._peers.get(one.payload)
        return replace(one.attempt, answered=True, answered_by=one.destination, rtt=took, source_seen=peer)

    def _end(self, one: _Connection, attempt: Attempt) -> None:
        self._sockets.leave(one.client)
        if attempt.answered or attempt.refusal or attempt.error:
            self._outcomes.settle(one.at, attempt)
        else:
            self._outcomes.note(one.at, attempt)

    def _serve(self, server: socket.socket) -> Ready:
        def ready(_event: int) -> None:
            with contextlib.suppress(OSError):
                accepted, peer = server.accept()
                self._sockets.own(accepted).setblocking(False)
                self._sockets.watch(accepted, READABLE, partial(self._echo, accepted, str(peer[0])))

        return ready

    def _echo(self, accepted: socket.socket, peer: str, _event: int) -> None:
        try:
            data = accepted.recv(4096)
            self._peers.setdefault(data, peer)
            accepted.send(data)
        except OSError:
            data = b""
        if not data:
            self._sockets.leave(accepted)
