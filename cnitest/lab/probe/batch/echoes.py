"""Echo requests that are under way together, over the raw sockets that their places keep."""

from __future__ import annotations

import socket
from functools import partial

from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt
from cnitest.lab.probe.batch.outcomes import Outcomes
from cnitest.lab.probe.batch.sockets import Namespaced, Ready, Sockets
from cnitest.lab.probe.kinds.echo import EchoProbe, Request, drain

_TOKEN = len(wire.token())


class Echoes:
    """Tells replies by their payload, ICMP errors by what they quote."""

    def __init__(self, sockets: Sockets, outcomes: Outcomes) -> None:
        self._sockets, self._outcomes = Namespaced(sockets), outcomes
        self._sent: dict[int, tuple[EchoProbe, Request]] = {}
        self._by_payload: dict[bytes, int] = {}
        self._by_destination: dict[tuple[int, str], list[int]] = {}

    def send(self, at: int, probe: EchoProbe) -> None:
        """Send one request."""
        (kept,) = probe.kept
        echo = self._sockets.get(kept.namespace, kept.name, kept.make, self._first)
        sent = probe.prepare()
        self._sent[at] = probe, sent
        self._by_payload[sent.payload[:_TOKEN]] = at
        self._by_destination.setdefault((echo.fileno(), probe.destination.partition("%")[0]), []).append(at)
        self._outcomes.note(at, Attempt(sent.matches))
        try:
            probe.send(echo, sent)
        except OSError as error:
            self._outcomes.settle(at, Attempt(sent.matches, error=error))

    def silent(self, at: int, probe: EchoProbe) -> Attempt:  # noqa: ARG002
        """Nothing more is known of it."""
        return self._outcomes.attempts[at]

    def _first(self, echo: socket.socket) -> Ready:
        drain(echo)
        return partial(self._read, echo)

    def _read(self, echo: socket.socket, _event: int) -> None:
        while True:
            try:
                packet, sender = echo.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error, of which there is a packet, too
                continue
            self._take(echo, packet, sender[0])

    def _take(self, echo: socket.socket, packet: bytes, sender: str) -> None:
        six = echo.family == socket.AF_INET6
        message = packet if six else packet[(packet[0] & 15) * 4 :]
        at = self._by_payload.get(message[8 : 8 + _TOKEN])
        candidates = [at] if at is not None else self._quoted(echo, message[8:], six=six)
        for each in candidates:
            probe, sent = self._sent[each]
            attempt = probe.heard(packet, sender, sent)
            if attempt:
                self._outcomes.settle(each, attempt)
                return

    def _quoted(self, echo: socket.socket, original: bytes, *, six: bool) -> list[int]:
        """The requests that went to where the packet did that an ICMP error quotes."""
        quoted = wire.read_packet(original, six=six)
        return self._by_destination.get((echo.fileno(), quoted.destination), [])
