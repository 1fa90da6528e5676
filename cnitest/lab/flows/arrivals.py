"""What has arrived at the end of a connection, by the kernel's count: whether we came to read it yet or not."""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import NamedTuple

from cnitest.lab.probe.kinds.live import End

#: Where struct tcp_info has ``tcpi_snd_mss``, ``tcpi_sacked``, ``tcpi_bytes_acked`` and ``tcpi_bytes_received`` (Linux
#: 4.1), and SO_MEMINFO (4.12) what a full queue turned down.
_STREAM, _MEMINFO, _DROPS = struct.Struct("=16xI8xI88xQQ"), 55, struct.Struct("=32xI")


class Arrived(NamedTuple):
    """Bytes of payload since the beginning, ``at`` a moment of the monotonic clock."""

    size: int
    at: float


class Arrivals:
    """The bytes that arrive at the ``sink`` from the ``source``; ``size`` is that of a datagram, of which a queue that
    is full keeps none."""

    def __init__(self, source: End, sink: End, size: int) -> None:
        self._source, self._sink, self._size = source, sink, size
        self._stream = sink.socket.type == socket.SOCK_STREAM
        self._read = 0
        self._before = self._counted()

    def take(self) -> None:
        """Read what is there, to make room for more."""
        self._read += self._sink.count()

    def until_now(self) -> Arrived:
        """What has arrived until now."""
        if not self._stream:
            self._take_all()
        size = self._counted() - self._before
        return Arrived(size if self._stream else self._read + size, time.monotonic())

    def _counted(self) -> int:
        """The kernel's own count: of a stream what came, of datagrams what it had no room for.

        What came behind a segment that was lost waits for that one, and is not among the bytes received: the source
        knows of it by selective acknowledgements (RFC 2018). An acknowledgement is on its way, so the larger counts.
        """
        if self._stream:
            mss, sacked, acknowledged, _ = _information(self._source)
            return max(acknowledged + sacked * mss, _information(self._sink)[-1])
        (drops,) = _DROPS.unpack(self._sink.socket.getsockopt(socket.SOL_SOCKET, _MEMINFO, _DROPS.size))
        return int(drops) * self._size

    def _take_all(self) -> None:
        watch = select.poll()
        watch.register(self._sink.socket, select.POLLIN)
        while watch.poll(0):
            before = self._read
            self.take()
            if self._read == before:
                return


def _information(end: End) -> tuple[int, ...]:
    return _STREAM.unpack(end.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _STREAM.size))
