"""UDP: send a datagram with a unique payload, get it back."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import time
from collections.abc import Callable, Container
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from cnitest.deadline import Deadline
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt, Gone, carrying, is_ipv6, rounds
from cnitest.lab.probe.kinds.listener import open_ends, target
from cnitest.lab.probe.kinds.to_port import PortProbe
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_IP_PKTINFO = 8


class DatagramProbe(PortProbe):
    """A datagram to ``port`` of an address; the listener sends it back from the address it was sent to."""

    name = "udp"
    #: Nobody does.
    sent_again_after = math.inf

    def __init__(
        self,
        sender: Place,
        address: str,
        port: int,
        listener: Place | None,
        listener_port: int,
        size: int = 32,
        options: Options | None = None,
    ) -> None:
        super().__init__(sender, address, port, listener, listener_port, options)
        self.size = max(size, len(wire.token()))

    def attempt(self, wait: float) -> Attempt:
        """Send one datagram and await it back."""
        return self.attempt_unless(None, wait)

    def attempt_unless(self, gone: Gone | None, wait: float) -> Attempt:
        """As ``attempt``, and give up when ``gone`` says so."""
        far = self.far
        payload = wire.token()
        sent = payload.ljust(self.size, b".")
        matches = carrying(payload[: wire.DISTINCT])
        with ExitStack() as undo:
            server, client = open_ends(self, far, socket.SOCK_DGRAM, undo)
            if isinstance(client, OSError):
                return Attempt(matches, error=client)
            if server:
                tell_destination(server, is_ipv6(self.destination))
            began = time.perf_counter()
            try:
                client.connect(target(self.sender, self.destination, self.port))
                client.send(sent)
            except OSError as error:
                return Attempt(matches, error=error)
            others = self.is_for_owner  # something on the way may translate it to another server
            exchange = _Exchange(client, server, sent, matches, began, others)
            attempt = exchange.serve(Deadline.exactly(wait, "a datagram"), partial(gone, matches) if gone else None)
            return attempt if server or not far else replace(attempt, doubt=self.doubt(far))

    def doubt(self, far: Place) -> str:
        """Why silence proves nothing where somebody else's server has the port."""
        return f"the server that has port {self.listener_port} at {far.full_name} is not ours and may not answer"


@dataclass(frozen=True)
class _Exchange:
    """A datagram that was sent, and both of its ends."""

    client: socket.socket
    server: socket.socket | None
    sent: bytes
    matches: Callable[[Frame], bool]
    began: float
    others: bool

    def serve(self, deadline: Deadline, gone: Callable[[], bool] | None) -> Attempt:
        """Serve both ends until the datagram is back."""
        client, server, sent, matches = self.client, self.server, self.sent, self.matches
        source: str | None = None
        received = 0
        watch = select.poll()
        watch.register(client, select.POLLIN)
        if server:
            watch.register(server, select.POLLIN)
        for events in rounds(watch, deadline, gone):
            for fd, _ in events:
                if server and fd == server.fileno():
                    sender = _send_back(server, sent)
                    source, received = sender or source, received + bool(sender)
                    continue
                try:
                    answer = client.recv(65536)
                except ConnectionRefusedError:
                    return Attempt(matches, refusal="refused: an unreachable message came back", source_seen=source)
                except OSError:
                    continue
                if answer == sent or not server or (self.others and not received):
                    took = time.perf_counter() - self.began
                    received += _more(server, sent) if server else 0
                    return Attempt(matches, True, str(client.getpeername()[0]), source, took, received=received)
        return Attempt(matches, source_seen=source, received=received, until=time.time_ns())


def _more(server: socket.socket, expected: bytes) -> int:
    """How many more copies of a datagram are there."""
    count = 0
    with contextlib.suppress(OSError):
        while True:
            count += server.recv(65536) == expected
    return count


def tell_destination(server: socket.socket, six: bool) -> None:
    """Have each datagram come with the address it was sent to."""
    if six:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        server.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def _send_back(server: socket.socket, expected: bytes) -> str | None:
    """Return a datagram from the address it was sent to; the sender's address when it was ours."""
    returned = send_back(server, (expected,))
    return returned[1] if returned else None


def send_back(server: socket.socket, expected: Container[bytes]) -> tuple[bytes, str] | None:
    """Return a datagram from the address it was sent to; it and the sender's address when it is one of the expected."""
    try:
        data, ancillary, _, sender = server.recvmsg(65536, socket.CMSG_SPACE(20))
        if data not in expected:
            return None
        server.sendmsg([data], [reversed_info(level, kind, info) for level, kind, info in ancillary], 0, sender)
    except OSError:
        return None
    return data, str(sender[0])


def reversed_info(level: int, kind: int, info: bytes) -> tuple[int, int, bytes]:
    """The received destination as the source to send from: struct in_pktinfo has it third, in6_pktinfo first."""
    if level == socket.IPPROTO_IP:
        return level, kind, bytes(4) + info[8:12] + bytes(4)
    return level, socket.IPV6_PKTINFO, info[:16] + bytes(4)
