"""TCP: connect, send a unique payload, get it back."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import sys
import termios
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from cnitest.deadline import Deadline
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import tunnels, wire
from cnitest.lab.probe.base import Attempt, Gone, carrying, is_ipv6, rounds
from cnitest.lab.probe.kinds.listener import open_ends, target
from cnitest.lab.probe.kinds.to_port import PortProbe

IN_PROGRESS = (0, errno.EINPROGRESS)
_LOCAL = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EPERM, errno.EADDRNOTAVAIL, errno.ENETDOWN)


class StreamProbe(PortProbe):
    """A connection to ``port`` of an address; the listener answers with what it was sent.

    Where the address is its listener's own, something on the way may translate it to a server of the test's own
    elsewhere (a published port), which may say nothing: it answered when it has taken the connection and the payload.
    """

    #: The first retransmission of a SYN, RFC 6298 section 2; an SCTP INIT has three seconds, RFC 9260 section 16.
    sent_again_after = 1.0
    name = "tcp"

    def attempt(self, wait: float) -> Attempt:
        """Connect once, from a port that no attempt before had."""
        return self.attempt_unless(None, wait)

    def attempt_unless(self, gone: Gone | None, wait: float) -> Attempt:
        """As ``attempt``, and give up when ``gone`` says so before there is a connection."""
        with ExitStack() as undo:
            server, client = open_ends(self, self.far, socket.SOCK_STREAM, undo)
            if isinstance(client, OSError):
                return Attempt(lambda _: False, error=client)
            where = target(self.sender, self.destination, self.port)
            conversation = _Conversation(client, server, self.matcher, gone, others=self._may_be_another)
            attempt = conversation.hold(where, Deadline.exactly(wait, "a connection"))
        if attempt.answered or attempt.refusal or attempt.error:
            return attempt
        return replace(attempt, error=self.own_refusal(where))

    @property
    def _may_be_another(self) -> bool:
        """Whether a server of somebody else's may answer: none was named for an address that is another place's."""
        return self.protocol == 0 and self.is_for_owner

    def matcher(self, client: socket.socket, payload: bytes) -> Callable[[Frame], bool]:
        """Tells the frames of a connection that was begun from all others."""
        return matcher(client.getsockname()[1], payload)

    def own_refusal(self, where: tuple[str | int, ...]) -> OSError | None:
        """What the sender's own firewall says to a connection, which TCP itself keeps quiet about.

        Asked with a lone segment whose checksum is wrong on purpose: whoever receives it throws it away.
        """
        family = socket.AF_INET6 if is_ipv6(self.destination) else socket.AF_INET
        raw = self.sender.namespace.run(lambda: socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP))
        try:
            replace(self.options, source_port=0).apply(raw, six=family == socket.AF_INET6)
            raw.sendto(wire.lone_syn(self.port), (where[0], 0, *where[2:]))
        except OSError as error:
            return error if error.errno == errno.EPERM else None
        finally:
            raw.close()
        return None


class _Conversation:
    """Both ends of one connection, served by one loop."""

    def __init__(
        self,
        client: socket.socket,
        server: socket.socket | None,
        matcher: Callable[[socket.socket, bytes], Callable[[Frame], bool]],
        gone: Gone | None,
        *,
        others: bool,
    ) -> None:
        self._gone, self._connected, self._others = gone, False, others
        self._client, self._server, self._matcher = client, server, matcher
        self._accepted: socket.socket | None = None
        self._payload = wire.token()
        self._peer: str | None = None
        self._poll = select.poll()
        self._attempt = Attempt(lambda _: False)

    def hold(self, where: tuple[str | int, ...], deadline: Deadline) -> Attempt:
        began = time.perf_counter()
        number = self._client.connect_ex(where)
        self._attempt = Attempt(self._matcher(self._client, self._payload))
        if number not in IN_PROGRESS:
            return failed(self._attempt, number)
        self._poll.register(self._client, select.POLLOUT)
        if self._server:
            self._poll.register(self._server, select.POLLIN)
        try:
            finished = self._serve(deadline)
        finally:
            if self._accepted:
                self._accepted.close()
        if finished.answered:
            return replace(finished, rtt=time.perf_counter() - began, source_seen=self._peer, answered_by=str(where[0]))
        return finished

    def _serve(self, deadline: Deadline) -> Attempt:
        for events in rounds(self._poll, deadline, self._is_over):
            for fd, event in events:
                if self._server and fd == self._server.fileno():
                    self._accept()
                elif self._accepted and fd == self._accepted.fileno():
                    self._echo()
                elif event & select.POLLOUT:
                    if (ended := self._send()) is not None:
                        return ended
                else:
                    return self._heard()
        return replace(self._attempt, answered=self._is_elsewhere())

    def _send(self) -> Attempt | None:
        """Send the payload now that the connection is there; what that ends the attempt with, if it does."""
        number = self._client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number and not (number == errno.ECONNRESET and not self._server):
            return failed(self._attempt, number)
        self._connected = True
        with contextlib.suppress(OSError):  # what came of it is known when we read
            self._client.send(self._payload)
        self._attempt = replace(self._attempt, pending=carrying(self._payload))
        if not self._server:  # a server of the test's own: what it says to this is its affair
            return replace(self._attempt, answered=True)
        self._poll.register(self._client, select.POLLIN)
        return None

    def _is_over(self) -> bool:
        """Whether nothing more is to come: nothing of it is on its way any more (a connection that is there sends again
        what is lost), or another server has it all."""
        if self._connected:
            return self._is_elsewhere()
        return self._gone is not None and self._gone(self._attempt.matches)

    def _is_elsewhere(self) -> bool:
        """Whether another server than ours has taken the connection, and acknowledged the payload."""
        if not (self._others and self._connected and self._server) or self._accepted or self._is_asked():
            return False
        unsent = fcntl.ioctl(self._client, termios.TIOCOUTQ, bytes(4))
        return not int.from_bytes(unsent, sys.byteorder)

    def _is_asked(self) -> bool:
        """Whether a connection waits for our listener to accept it."""
        assert self._server is not None, "only a listener is asked"
        return any(fd == self._server.fileno() for fd, _ in self._poll.poll(0))

    def _accept(self) -> None:
        assert self._server is not None, "accepting needs a server"
        if self._accepted:
            return
        self._accepted, peer = self._server.accept()
        self._peer = str(peer[0])
        self._accepted.setblocking(False)
        self._poll.register(self._accepted, select.POLLIN)

    def _echo(self) -> None:
        assert self._accepted is not None, "echoing needs a connection"
        try:
            data = self._accepted.recv(4096)
            self._accepted.send(data)
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(self._accepted)

    def _heard(self) -> Attempt:
        try:
            answered = self._client.recv(4096) == self._payload or self._is_elsewhere()
        except OSError as error:
            return failed(self._attempt, error.errno or 0)
        return replace(self._attempt, answered=answered, refusal="" if answered else "the connection was closed on us")


def failed(attempt: Attempt, number: int) -> Attempt:
    """What an attempt came to by an error of the kernel's: it was turned down, never sent, or got no answer."""
    if number == errno.ECONNREFUSED:
        return replace(attempt, refusal="refused: a reset or an unreachable message came back")
    if number == errno.ECONNRESET:
        return replace(attempt, refusal="the connection was reset")
    error = OSError(number, os.strerror(number))
    return replace(attempt, error=error if number in _LOCAL else None)


def matcher(port: int, payload: bytes) -> Callable[[Frame], bool]:
    """Frames of one connection: by our port and, where that was translated, by the sequence number it began with; those
    of tunnels that carry them, too."""
    begun: set[int] = set()

    def matches(frame: Frame) -> bool:
        error = wire.icmp_error(frame.data)
        headers = tunnels.inner(error[2] if error else wire.read(frame.data))
        if headers.protocol != wire.TCP:
            return payload in frame.data
        if port in (headers.source_port, headers.destination_port):
            if headers.source_port == port and not begun:
                begun.add(headers.sequence)
            return True
        return headers.sequence in begun or (headers.acknowledged - 1) % (1 << 32) in begun or payload in frame.data

    return matches
