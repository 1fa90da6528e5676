"""How many bits a second get through, each way."""

from __future__ import annotations

import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnitest.errors import KernelError, UsageError
from cnitest.lab.flows.connection import Connection
from cnitest.lab.probe.kinds.live import End
from cnitest.lab.probe.kinds.transfer import bits
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place

_MOST_SECONDS = 60.0
# A shaper's queue may be full of what went there.
_CONNECT, _CONNECT_AGAIN = 2.0, 10.0
_CHUNK = {"tcp": 1 << 16, "udp": 1200}
# Under a rate, so often a second something is sent.
_TURNS = 200


@dataclass(frozen=True)
class Throughput:
    """What arrived, as payload: bits a second ``there`` (to the listener) and ``back``, measured over the second half
    of ``seconds``, when a shaper's burst is used up. ``received`` are the bytes of the whole time, there and back;
    ``lost`` the share of datagrams that did not arrive (0 to 1; of TCP None)."""

    there: float
    back: float
    seconds: float
    received: tuple[int, int]
    lost: tuple[float, float] | None = None

    def __str__(self) -> str:
        return f"{_words(self.there)} there, {_words(self.back)} back"


def measure(
    place: Place,
    address: str,
    port: int,
    *,
    seconds: float,
    rate: float | str | None,
    protocol: str,
    listener: Place | None,
    listener_port: int | None,
    options: Options,
) -> Throughput:
    """Send for ``seconds`` there and then as long back, each over a connection of its own. Raises as `Connection`."""
    if not 0 < seconds <= _MOST_SECONDS:
        raise UsageError(f"seconds {seconds!r} is none: more than 0, at most {_MOST_SECONDS:g}, for each way")
    pace = bits(rate)

    def connection(wait: float) -> Connection:
        return Connection(
            place,
            address,
            port,
            protocol=protocol,
            listener=listener,
            listener_port=listener_port,
            options=options,
            wait=wait,
        )

    with place.lab.probing, connection(_CONNECT) as first:
        there = _one_way(*first.ends, seconds, pace, _CHUNK[protocol])
        if protocol == "udp":
            back = _one_way(*first.ends[::-1], seconds, pace, _CHUNK[protocol])
    if protocol != "udp":  # what is on its way yet would be in the way of a connection's other direction
        with place.lab.probing, connection(_CONNECT_AGAIN) as second:
            back = _one_way(*second.ends[::-1], seconds, pace, _CHUNK[protocol])
    lost = (there.lost, back.lost) if protocol == "udp" else None
    return Throughput(there.rate, back.rate, seconds, (there.received, back.received), lost)


@dataclass
class _Way:
    """What went one way: bytes sent, received, and received in the second half."""

    half: float
    sent: int = 0
    received: int = 0
    late: int = 0

    @property
    def rate(self) -> float:
        """Bits a second of the second half."""
        return self.late * 8 / self.half

    @property
    def lost(self) -> float:
        """The share that did not arrive."""
        return 1 - self.received / self.sent if self.sent else 0.0


def _one_way(source: End, sink: End, seconds: float, pace: float | None, chunk: int) -> _Way:
    data, way = bytes(chunk), _Way(seconds / 2)
    began = time.monotonic()
    watch = select.poll()
    watch.register(sink.socket, select.POLLIN)
    while (elapsed := time.monotonic() - began) < seconds:
        allowed = pace * elapsed / 8 - way.sent if pace else chunk
        ready = allowed >= min(chunk, pace / 8 / _TURNS if pace else 1)
        watch.register(source.socket, select.POLLOUT if ready else 0)
        left = seconds - elapsed
        for fd, event in watch.poll((left if ready else min(left, 1 / _TURNS)) * 1000):
            if fd == sink.socket.fileno() and event & select.POLLIN:
                _take(sink, way, late=time.monotonic() - began >= way.half)
            elif event & select.POLLOUT:
                way.sent += _push(source, data[: max(1, int(allowed))])
            elif event & (select.POLLERR | select.POLLHUP):
                return way
    _drain(sink, way)
    return way


def _take(sink: End, way: _Way, *, late: bool) -> None:
    got = sink.count()
    way.received += got
    way.late += got if late else 0


def _push(source: End, data: bytes) -> int:
    try:
        return source.push(data)
    except KernelError:  # a full queue, or a datagram that was turned down: it is not sent
        return 0


def _drain(sink: End, way: _Way) -> None:
    """What is at the far end already was only not read yet."""
    watch = select.poll()
    watch.register(sink.socket, select.POLLIN)
    while not sink.ended and watch.poll(0):
        got = sink.count()
        if not got:
            return
        way.received += got


def _words(rate: float) -> str:
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.1f} {unit}"
    return f"{rate:.0f} bit/s"
