"""Whether a connection that was made before still carries bytes both ways."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cnitest.deadline import Deadline
from cnitest.errors import DeadlineExceeded, KernelError
from cnitest.kernel.namespaces import Kept
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.arguments import checked
from cnitest.lab.probe import tunnels, wire
from cnitest.lab.probe.base import Attempt
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_MOST = 1 << 16
_LONGEST = 10.0
_RTO = struct.Struct("=I")  # in struct tcp_info, behind eight bytes of states


class End:
    """One end of a connection: sends bytes, and receives what the other end sent."""

    def __init__(
        self,
        opened: socket.socket,
        what: str,
        peer: tuple[str | int, ...] | None = None,
        ancillary: Sequence[tuple[int, int, bytes]] = (),
    ) -> None:
        self.socket, self.what = opened, what
        self._peer, self._ancillary = peer, ancillary
        self._buffer = bytearray()
        #: Why it is over, empty while it is not.
        self.ended = ""

    @checked
    def send(self, data: bytes, *, timeout: float = 2.0) -> None:
        """Send all of it; a UDP flow sends it as one datagram.

        Raises KernelError when the connection is over, DeadlineExceeded when the kernel takes no more for so long.
        """
        deadline = Deadline.after(timeout, f"{self.what} to take {len(data)} bytes")
        left = memoryview(bytes(data))
        while left:
            if not self._wait(select.POLLOUT, deadline):
                raise DeadlineExceeded(deadline.words)
            left = left[self.push(left) :]

    @checked
    def receive(self, size: int | None = None, *, timeout: float = 2.0) -> bytes:
        """The next ``size`` bytes; without a size whatever comes first.

        Raises KernelError when the connection is over before, DeadlineExceeded when they do not come in time.
        """
        deadline = Deadline.after(timeout, f"{size or 'any'} bytes at {self.what}")
        while len(self._buffer) < (size or 1):
            if not self._wait(select.POLLIN, deadline):
                raise DeadlineExceeded(f"{deadline.words}: {len(self._buffer)} came")
            self.pull()
            if self.ended and len(self._buffer) < (size or 1):
                raise KernelError(f"{self.what}: {self.ended}")
        data = bytes(self._buffer[: size or len(self._buffer)])
        del self._buffer[: len(data)]
        return data

    def push(self, data: bytes | memoryview) -> int:
        """Send what fits now, and say how much. Raises KernelError when the connection is over."""
        try:
            if self._peer:
                return self.socket.sendmsg([data], self._ancillary, 0, self._peer)
            return self.socket.send(data)
        except OSError as error:
            self.end(error)
            raise KernelError(f"{self.what}: {self.ended or error.strerror}", error.errno or 0) from error

    def pull(self) -> None:
        """Take in what is there now; notes when that is the end."""
        if self.ended:
            return
        try:
            data, sender = self.socket.recvfrom(_MOST)
        except BlockingIOError:
            return
        except OSError as error:
            self.end(error)
            return
        if self._peer and sender != self._peer:
            return  # not of this flow
        if self.socket.type == socket.SOCK_STREAM and not data:
            self.ended = "the other end closed the connection"
        self._buffer += data

    @property
    def sent_again_within(self) -> float:
        """Seconds within which TCP sends again what was not acknowledged, with some to spare; 0 of a UDP flow."""
        if self.socket.type != socket.SOCK_STREAM:
            return 0.0
        (microseconds,) = _RTO.unpack_from(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 16), 8)
        return float(min(microseconds / 1e6 * 1.2 + 0.05, _LONGEST))

    def end(self, error: OSError) -> None:
        """Note an error that ends a connection; a UDP flow has no end."""
        if self.socket.type == socket.SOCK_STREAM and error.errno not in (errno.EAGAIN, errno.EINTR):
            reset = error.errno in (errno.ECONNRESET, errno.EPIPE)
            self.ended = "the connection was reset" if reset else os.strerror(error.errno or 0)

    def count(self) -> int:
        """Throw away what is there now, and say how much it was; notes when that is the end."""
        before = len(self._buffer)
        self.pull()
        found = len(self._buffer) - before
        del self._buffer[before:]
        return found

    def look(self) -> str:
        """Why it is over, empty while it is not, as the kernel knows it now."""
        watch = select.poll()
        watch.register(self.socket, select.POLLIN)
        while not self.ended and watch.poll(0):
            before = len(self._buffer)
            self.pull()
            if len(self._buffer) == before:
                break
        return self.ended

    def take_out(self, token: bytes) -> bool:
        """Whether a token has come; it is none of the user's bytes, and taken out of them."""
        at = self._buffer.find(token)
        if at >= 0:
            del self._buffer[at : at + len(token)]
        return at >= 0

    def _wait(self, event: int, deadline: Deadline) -> bool:
        watch = select.poll()
        watch.register(self.socket, event)
        return bool(watch.poll(deadline.remaining * 1000))


class LiveProbe:
    """Bytes over a connection that is there already, and back."""

    def __init__(
        self, sender: Place, destination: str, far: Place, ends: tuple[End, End], port: int, what: str
    ) -> None:
        self.sender, self.destination, self._far = sender, destination, far
        self.what, self.options = what, Options()
        self.source: str | None = None
        self.link: str | None = None
        self.size = 0
        self._client, self._server = ends
        self.transport = "tcp" if self._client.socket.type == socket.SOCK_STREAM else "udp"
        self.port = port
        self._local = self._client.socket.getsockname()[1]
        self._tokens: list[bytes] = []

    @property
    def far(self) -> Place | None:
        """Where the other end is."""
        return self._far

    @property
    def kept(self) -> tuple[Kept, ...]:
        """None: it has its connection."""
        return ()

    def source_in(self, frame: Frame) -> str | None:
        """The source of what the far end received."""
        headers = wire.read(frame.data)
        return headers.source if headers.destination_port == self.port else None

    def attempt(self, wait: float) -> Attempt:
        """Send a token and await it back; those of earlier attempts may still be on their way."""
        token = wire.token()
        self._tokens.append(token)
        began = time.perf_counter()
        try:
            self._client.push(token)
        except KernelError as error:
            refusal = self._client.ended
            violation = None if refusal else OSError(error.errno, str(error))
            return Attempt(self._matcher(), refusal=refusal, error=violation)
        deadline = Deadline.exactly(max(wait, self._client.sent_again_within), "an answer")
        return self._serve(Attempt(self._matcher(), pending=self._pending()), began, deadline)

    def _serve(self, attempt: Attempt, began: float, deadline: Deadline) -> Attempt:
        watch = select.poll()
        for end in (self._client, self._server):
            watch.register(end.socket, select.POLLIN)
        while events := watch.poll(deadline.remaining * 1000):
            for fd, _ in events:
                here = self._client if fd == self._client.socket.fileno() else self._server
                here.pull()
                if here is self._server:
                    self._send_back()
                elif [token for token in self._tokens if here.take_out(token)]:
                    by = self.destination.partition("%")[0]
                    return Attempt(attempt.matches, True, by, rtt=time.perf_counter() - began)
                if here.ended:
                    watch.unregister(here.socket)
                    if here is self._client:
                        return Attempt(attempt.matches, refusal=here.ended)
        return attempt

    def _send_back(self) -> None:
        for token in self._tokens:
            if self._server.take_out(token):
                try:
                    self._server.push(token)
                except KernelError:
                    return

    def _matcher(self) -> Callable[[Frame], bool]:
        """Frames of the connection, by our port, or by a token of ours where that is translated."""

        def matches(frame: Frame) -> bool:
            error = wire.icmp_error(frame.data)
            headers = tunnels.inner(error[2] if error else wire.read(frame.data))
            ours = headers.protocol in (wire.TCP, wire.UDP) and self._local in (
                headers.source_port,
                headers.destination_port,
            )
            return ours or any(token[: wire.DISTINCT] in frame.data for token in self._tokens)

        return matches

    def _pending(self) -> Callable[[Frame], bool]:
        return lambda frame: any(token[: wire.DISTINCT] in frame.data for token in self._tokens)
