"""TCP with more than a few bytes: a size each way, at a rate, and held open for a while."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cnitest.deadline import Deadline
from cnitest.errors import UsageError
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import Attempt
from cnitest.lab.probe.kinds.listener import open_ends, target
from cnitest.lab.probe.kinds.stream import StreamProbe, failed
from cnitest.lab.probe.kinds.transfer import Corrupted, Transfer, bits, quiet, run
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_IN_PROGRESS = (0, errno.EINPROGRESS)
#: Seconds without a byte after which a transfer counts as stuck; TCP sends again after a fifth of one.
STALL = 1.0
_LONGEST = 120.0
_TOKEN = 16


@dataclass(frozen=True)
class Load:
    """What goes over a connection: bytes there and back, bits a second, and seconds of rest before it is used again."""

    size: int = _TOKEN
    reply_size: int = _TOKEN
    rate: float | None = None
    hold: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("size", self.size), ("reply_size", self.reply_size)):
            if not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} {value!r} is none: a number of bytes, at least 1")
        if self.hold < 0:
            raise UsageError(f"hold {self.hold!r} is none: seconds of rest")


def load(size: int | None, reply_size: int | None, rate: float | str | None, hold: float) -> Load:
    """What is to go over a connection, from what was asked for. Raises UsageError."""
    asked = {name: value for name, value in (("size", size), ("reply_size", reply_size)) if value is not None}
    return Load(**asked, rate=bits(rate), hold=hold)


class BulkProbe(StreamProbe):
    """A connection over which ``load.size`` bytes go and ``load.reply_size`` come back, each checked."""

    #: A connection that is there sends at any time what was lost.
    sent_again_after = 0.0

    def __init__(
        self,
        sender: Place,
        address: str,
        port: int,
        listener: Place | None,
        listener_port: int,
        load: Load,
        options: Options | None = None,
    ) -> None:
        super().__init__(sender, address, port, listener, listener_port, options)
        self._load = load
        self.size = max(load.size, load.reply_size)
        self.what += f" with {load.size} bytes there, {load.reply_size} back"
        if load.hold:
            self.what += f", held open for {load.hold:g} s"

    def attempt(self, wait: float) -> Attempt:
        """Connect once and move everything."""
        far = self.far
        with ExitStack() as undo:
            server, client = open_ends(self, far, socket.SOCK_STREAM, undo)
            if isinstance(client, OSError):
                return Attempt(lambda _: False, error=client)
            where = target(self.sender, self.destination, self.port)
            exchange = _Exchange(client, server, self._load, undo)
            attempt = exchange.hold(where, wait)
        if far and not server:
            whose = f"the server that has port {self.listener_port} at {far.full_name} is not ours"
            return replace(attempt, answered=False, doubt=f"{whose} and counts no bytes")
        if attempt.answered or attempt.refusal or attempt.error or exchange.established:
            return attempt
        return replace(attempt, error=self.own_refusal(where))


class _Exchange:
    """Both ends of one connection, from the handshake to the last byte."""

    def __init__(self, client: socket.socket, server: socket.socket | None, load: Load, undo: ExitStack) -> None:
        self._client, self._server, self._load, self._undo = client, server, load, undo
        self._attempt = Attempt(lambda _: False)
        self._trace = BulkTrace(0)
        self.established = False

    def hold(self, where: tuple[str | int, ...], wait: float) -> Attempt:
        began = time.perf_counter()
        number = self._client.connect_ex(where)
        self._trace = BulkTrace(self._client.getsockname()[1])
        self._attempt = Attempt(self._trace.matches)
        if number not in _IN_PROGRESS:
            return failed(self._attempt, number)
        accepted = self._handshake(Deadline.exactly(wait, "a connection"))
        if accepted is None:
            return self._attempt
        self._attempt = replace(self._attempt, source_seen=str(accepted.getpeername()[0]))
        stuck = self._everything(accepted, max(wait, STALL))
        if stuck is not None:
            return stuck
        took = time.perf_counter() - began
        return replace(self._attempt, answered=True, answered_by=str(where[0]), rtt=took)

    def _handshake(self, deadline: Deadline) -> socket.socket | None:
        """The listener's end of the connection once both ends have it; None when that does not come to be."""
        watch = select.poll()
        watch.register(self._client, select.POLLOUT)
        accepted: socket.socket | None = None
        while not (self.established and accepted) and (events := watch.poll(deadline.remaining * 1000)):
            for fd, _ in events:
                if self._server and fd == self._server.fileno():
                    accepted = self._server.accept()[0]
                    self._undo.callback(accepted.close)
                    accepted.setblocking(False)
                    watch.unregister(fd)
                    continue
                number = self._client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if number:
                    self._attempt = failed(self._attempt, number)
                    return None
                self.established = True
                watch.unregister(fd)
                if not self._server:
                    return None
                watch.register(self._server, select.POLLIN)
        return accepted

    def _everything(self, accepted: socket.socket, stall: float) -> Attempt | None:
        """All transfers, one after the other; what came of the first that did not end well."""
        load, there, back = self._load, (self._client, accepted), (accepted, self._client)
        stuck = self._move(*there, load.size, stall) or self._move(*back, load.reply_size, stall)
        if stuck is not None or not load.hold:
            return stuck
        if not quiet((self._client, accepted), load.hold):
            return replace(self._attempt, refusal=f"the connection was ended while it rested for {load.hold:g} s")
        stuck = self._move(*there, _TOKEN, stall) or self._move(*back, _TOKEN, stall)
        return stuck and replace(stuck, remark=f"after {load.hold:g} s of rest: {stuck.remark}")

    def _move(self, source: socket.socket, sink: socket.socket, total: int, stall: float) -> Attempt | None:
        transfer = Transfer(source, sink, total, self._load.rate)
        deadline = Deadline.after(_LONGEST + (total * 8 / self._load.rate if self._load.rate else 0), "a transfer")
        forth = source is self._client
        try:
            finished = run(transfer, stall, deadline)
        except Corrupted as error:
            return replace(self._attempt, refusal=str(error))
        except OSError as error:
            return failed(self._attempt, error.errno or 0)
        self._trace.end(transfer.received, forth=forth)
        if finished:
            return None
        way = "there" if forth else "back"
        remark = f"the connection was made, then {transfer.received} of {total} bytes came {way}"
        return replace(self._attempt, pending=self._trace.pending(forth=forth), remark=remark)


class BulkTrace:
    """Tells the frames of one connection from others, and those that carry the first byte that is missing.

    By our port and, where that was translated, by the sequence numbers that both sides began with.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._first: dict[bool, int] = {}
        self._moved = {True: 0, False: 0}

    def end(self, received: int, *, forth: bool) -> None:
        """So many bytes have arrived in that direction."""
        self._moved[forth] += received

    def matches(self, frame: Frame) -> bool:
        """Whether a frame belongs to the connection."""
        error = wire.icmp_error(frame.data)
        headers = error[2] if error else wire.read(frame.data)
        if headers.protocol != wire.TCP:
            return False
        if not error:
            self._learn(headers)
        if self._port in (headers.source_port, headers.destination_port):
            return True
        return any(self._offset(headers.sequence, forth) is not None for forth in (True, False))

    def _learn(self, headers: wire.Headers) -> None:
        if headers.source_port == self._port:
            self._first.setdefault(True, headers.sequence)
        elif headers.destination_port == self._port and True in self._first:
            self._first.setdefault(False, headers.sequence)

    def _offset(self, sequence: int, forth: bool) -> int | None:
        """How far a sequence number is into the stream of one direction, None when it is not near it."""
        if forth not in self._first:
            return None
        offset = (sequence - self._first[forth] - 1) % (1 << 32)
        return offset if offset <= self._moved[forth] + (16 << 20) else -1 if offset == (1 << 32) - 1 else None

    def pending(self, *, forth: bool) -> Callable[[Frame], bool]:
        """Whether a frame carries the first byte that has not arrived in a direction."""
        missing = self._moved[forth]

        def carries(frame: Frame) -> bool:
            headers = wire.read(frame.data)
            offset = self._offset(headers.sequence, forth) if headers.protocol == wire.TCP else None
            return offset is not None and offset <= missing < offset + len(headers.payload)

        return carries
