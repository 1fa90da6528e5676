"""A connection over the lab that stays open while things change around it."""

from __future__ import annotations

import errno
import os
import select
import socket
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING

from cnitest.deadline import Deadline
from cnitest.errors import DeadlineExceeded, KernelError, UsageError, is_ours
from cnitest.lab.arguments import checked
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import canonical, is_ipv6
from cnitest.lab.probe.kinds.datagram import reversed_info, tell_destination
from cnitest.lab.probe.kinds.listener import dial, listen, target
from cnitest.lab.probe.kinds.live import End, LiveProbe
from cnitest.lab.probe.options import Options
from cnitest.lab.probe.verdict.inquiry import prove
from cnitest.lab.reach import Reach, Verdict
from cnitest.typos import did_you_mean

if TYPE_CHECKING:
    from cnitest.lab.place import Place

__tracebackhide__ = is_ours

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Connection:
    """``with sandbox.connection("10.40.80.12", 80) as connection:`` is a TCP connection, or a UDP flow, held open.

    Both ends are ours: `send` and `receive` are the client's, ``far.send`` and ``far.receive`` the listener's.
    ``source_seen`` is the address that the listener saw, ``source_port`` the client's port.
    """

    def __init__(
        self,
        place: Place,
        address: str,
        port: int,
        *,
        protocol: str = "tcp",
        listener: Place | None = None,
        listener_port: int | None = None,
        options: Options | None = None,
        wait: float = 2.0,
    ) -> None:
        if protocol not in _KINDS:
            raise UsageError(f"protocol {protocol!r} is none of 'tcp' and 'udp'{did_you_mean(protocol, _KINDS)}")
        self._place, self._address, self._port = place, canonical(address), port
        self._kind, self._options, self._wait = _KINDS[protocol], options or Options(), wait
        far = listener or place.lab.owner(self._address.partition("%")[0], place)
        if far is None:
            raise UsageError(f"no place of the lab has {address}: say who listens, with listener=…")
        self._far, self._listener_port = far, listener_port or port
        self._undo = ExitStack()
        self._client: End | None = None
        self._server: End | None = None
        self.what = f"{protocol} {self._address} port {port} from {place.full_name}"
        self.source_seen: str | None = None
        self.source_port = 0

    def __enter__(self) -> Connection:
        try:
            self._connect(Deadline.after(self._wait, f"the connection {self.what}"))
        except BaseException:
            self._undo.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def __repr__(self) -> str:
        return f"<Connection {self.what}>"

    @property
    def far(self) -> End:
        """The listener's end. Raises UsageError outside the ``with`` block."""
        return self._open(self._server)

    @property
    def ends(self) -> tuple[End, End]:
        """The client's end and the listener's. Raises UsageError outside the ``with`` block."""
        return self._open(self._client), self._open(self._server)

    @checked
    def send(self, data: bytes, *, timeout: float = 2.0) -> None:
        """Send bytes from the client's end; see `End.send`."""
        self._open(self._client).send(data, timeout=timeout)

    @checked
    def receive(self, size: int | None = None, *, timeout: float = 2.0) -> bytes:
        """What came to the client's end; see `End.receive`."""
        return self._open(self._client).receive(size, timeout=timeout)

    @checked
    def alive(self, wait: float | None = None) -> Reach:
        """Send bytes over it and get them back, with a verdict as of any probe: where they were last seen, if not.

        ``wait`` is how long an attempt may take: TCP sends again after 0.2 s, then after twice as long each time.
        """
        client, server = self.ends
        what = f"{self.what}, connected before"
        if ended := client.look():
            reach = Reach(
                verdict=Verdict.DROPPED,
                probe=what,
                sender=self._place.full_name,
                receiver=self._far.full_name,
                destination=self._address,
                reason=ended,
            )
            self._place.lab.journal.note(reach)
            return reach
        probe = LiveProbe(self._place, self._address, self._far, (client, server), self._listener_port, what)
        return prove(probe, wait)

    def _open(self, end: End | None) -> End:
        if end is None or end.socket.fileno() < 0:
            raise UsageError(f"{self!r} is not open: use it inside `with sandbox.connection(…) as connection:`")
        return end

    def _connect(self, deadline: Deadline) -> None:
        server = listen(self._far, self._address, self._listener_port, self._kind)
        if server is None:
            whose = f"port {self._listener_port} at {self._far.full_name}"
            raise UsageError(f"{self.what}: a program has {whose}; a connection needs a port with no listener")
        self._undo.callback(server.close)
        client = dial(self._place, self._address, self._kind, self._options)
        self._undo.callback(client.close)
        number = client.connect_ex(target(self._place, self._address, self._port))
        if number not in (0, errno.EINPROGRESS):
            raise self._failed(number)
        self.source_port = client.getsockname()[1]
        self._client = End(client, self.what)
        accept = self._accept if self._kind == socket.SOCK_STREAM else self._first_datagram
        self._server = accept(client, server, deadline)

    def _accept(self, client: socket.socket, server: socket.socket, deadline: Deadline) -> End:
        self._await(client, select.POLLOUT, deadline)
        if number := client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise self._failed(number)
        self._await(server, select.POLLIN, deadline)
        accepted, peer = server.accept()
        self._undo.callback(accepted.close)
        accepted.setblocking(False)
        self.source_seen = str(peer[0])
        return End(accepted, f"the listener of {self.what}")

    def _first_datagram(self, client: socket.socket, server: socket.socket, deadline: Deadline) -> End:
        """A flow is there once a datagram has arrived; the listener then knows whom to answer."""
        token = wire.token()
        tell_destination(server, is_ipv6(self._address))
        client.send(token)
        data = b""
        while data != token:  # it may be another flow's, which was still on its way
            self._await(server, select.POLLIN, deadline)
            data, ancillary, _, peer = server.recvmsg(len(token) + 1, socket.CMSG_SPACE(20))
        self.source_seen = str(peer[0])
        answers = [reversed_info(*each) for each in ancillary]
        return End(server, f"the listener of {self.what}", peer, answers)

    def _await(self, end: socket.socket, event: int, deadline: Deadline) -> None:
        watch = select.poll()
        watch.register(end, event)
        if not watch.poll(deadline.remaining * 1000):
            raise DeadlineExceeded(f"{deadline.words}; {self._kind_words}() says where it is lost")

    @property
    def _kind_words(self) -> str:
        return "tcp" if self._kind == socket.SOCK_STREAM else "udp"

    def _failed(self, number: int) -> KernelError:
        return KernelError(f"{self.what}: {os.strerror(number)}", number)
