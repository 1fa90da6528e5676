"""How many bits a second get through, each way."""

from __future__ import annotations

import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cnitest.errors import KernelError, UsageError
from cnitest.lab.flows.arrivals import Arrivals
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
    of ``seconds``, when a shaper's burst is used up; while a sender has to wait for the processor it fills again, which
    can add one burst in that time. ``received`` are the bytes of the whole time, there and back, and ``elapsed`` the
    seconds that it took each way: longer where others had the processor at its end. ``lost`` is the share of datagrams
    that did not arrive (0 to 1; of TCP None). What arrived is the kernel's count: that we read late changes nothing,
    what a full socket could not take had arrived, and so had what waits for a lost segment. Where a short queue loses
    segments, TCP may pause for its timer, and is slower than the limit."""

    there: float
    back: float
    seconds: float
    received: tuple[int, int]
    elapsed: tuple[float, float]
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
    received, elapsed = (there.received, back.received), (there.elapsed, back.elapsed)
    return Throughput(there.rate, back.rate, seconds, received, elapsed, lost)


class _Way(NamedTuple):
    """What went one way: bytes that arrived in how many seconds, bits a second of the second half, and the share that
    did not arrive."""

    received: int
    elapsed: float
    rate: float
    lost: float


def _one_way(source: End, sink: End, seconds: float, pace: float | None, chunk: int) -> _Way:
    """Two halves, each as long as it is meant to be: one that others having the processor made late ends later, too."""
    arrivals, began = Arrivals(source, sink, chunk), time.monotonic()
    sent = _send(source, sink, arrivals, seconds / 2, pace, chunk)
    first = arrivals.until_now()
    sent += _send(source, sink, arrivals, seconds / 2, pace, chunk)
    last = arrivals.until_now()
    rate = (last.size - first.size) * 8 / max(last.at - first.at, seconds / 2)  # a reset ends it sooner
    return _Way(last.size, last.at - began, rate, max(0.0, 1 - last.size / sent) if sent else 0.0)


def _send(source: End, sink: End, arrivals: Arrivals, seconds: float, pace: float | None, chunk: int) -> int:
    """Send for so long, and make room at the other end meanwhile; the bytes that were sent."""
    data, sent, began = bytes(chunk), 0, time.monotonic()
    watch = select.poll()
    watch.register(sink.socket, select.POLLIN)
    while (elapsed := time.monotonic() - began) < seconds:
        allowed = pace * elapsed / 8 - sent if pace else chunk
        ready = allowed >= min(chunk, pace / 8 / _TURNS if pace else 1)
        watch.register(source.socket, select.POLLOUT if ready else 0)
        left = seconds - elapsed
        for fd, event in watch.poll((left if ready else min(left, 1 / _TURNS)) * 1000):
            if fd == sink.socket.fileno() and event & select.POLLIN:
                arrivals.take()
            elif event & select.POLLOUT:
                sent += _push(source, data[: max(1, int(allowed))])
            elif event & (select.POLLERR | select.POLLHUP):
                return sent
    return sent


def _push(source: End, data: bytes) -> int:
    try:
        return source.push(data)
    except KernelError:  # a full queue, or a datagram that was turned down: it is not sent
        return 0


def _words(rate: float) -> str:
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if rate >= size:
            return f"{rate / size:.1f} {unit}"
    return f"{rate:.0f} bit/s"
