"""Moves many bytes over a connection, one way, and checks each that arrives."""

from __future__ import annotations

import os
import re
import select
import socket
import time
from collections.abc import Sequence

from cnitest.deadline import Deadline
from cnitest.errors import UsageError
from cnitest.typos import nearest

# No power of two, so that bytes that arrive in a wrong place are not those expected there.
_BLOCK = 65521
_UNITS = {"": 1, "bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "bps": 8, "kbps": 8 * 10**3, "mbps": 8 * 10**6}
# What may be sent at once under a rate: enough to wake up seldom, too little to matter.
_SLICE = 0.01


class Corrupted(Exception):
    """Other bytes arrived than were sent."""


class Transfer:
    """``total`` bytes that no other transfer has, from ``source`` to ``sink``, at most ``rate`` bits a second."""

    def __init__(self, source: socket.socket, sink: socket.socket, total: int, rate: float | None = None) -> None:
        self.source, self.sink, self.total = source, sink, total
        self.sent = self.received = 0
        self._block = os.urandom(_BLOCK)
        self._rate = rate
        self._began = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether every byte has arrived."""
        return self.received >= self.total

    @property
    def pause(self) -> float:
        """Seconds until the rate allows more to be sent; zero when it does now, infinite when all is sent."""
        if self.sent >= self.total:
            return float("inf")
        if not self._rate:
            return 0.0
        wanted = min(max(1.0, self._rate / 8 * _SLICE), self.total - self.sent)
        return max(0.0, (self.sent + wanted) * 8 / self._rate - (time.monotonic() - self._began))

    def put(self) -> None:
        """Send what fits and the rate allows. Raises OSError."""
        allowed = self.total - self.sent
        if self._rate:
            allowed = min(allowed, max(0, int((time.monotonic() - self._began) * self._rate / 8) - self.sent))
        if allowed:
            self.sent += self.source.send(self._expected(self.sent, allowed))

    def take(self) -> bool:
        """Receive what is there and check it; False at the end of the connection. Raises OSError, Corrupted."""
        data = self.sink.recv(_BLOCK)
        if data != self._expected(self.received, len(data))[: len(data)]:
            raise Corrupted(f"other bytes arrived than were sent, after the first {self.received}")
        self.received += len(data)
        return bool(data)

    def _expected(self, offset: int, length: int) -> bytes:
        at = offset % _BLOCK
        data = self._block[at : at + length]
        return data if len(data) >= length else data + self._block[: length - len(data)]


def run(transfer: Transfer, stall: float, deadline: Deadline) -> bool:
    """Move bytes until all are there; False when none has arrived for ``stall`` seconds, or at the deadline.

    Raises OSError for what the kernel says of either end, Corrupted when other bytes arrive.
    """
    watch = select.poll()
    watch.register(transfer.sink, select.POLLIN)
    progress = Deadline.after(stall, "progress")
    while not transfer.done:
        pause = transfer.pause
        watch.register(transfer.source, select.POLLOUT if pause == 0 else 0)
        wait = min(pause or stall, progress.remaining, deadline.remaining)
        for fd, event in watch.poll(wait * 1000 + 1):
            if fd == transfer.sink.fileno() and event & (select.POLLIN | select.POLLHUP):
                if not transfer.take():
                    return False
                progress = Deadline.after(stall, "progress")
            elif event & (select.POLLERR | select.POLLHUP):
                raise _error(transfer.source)
            elif event & select.POLLOUT:
                transfer.put()
        if progress.expired or deadline.expired:
            return transfer.done
    return True


def _error(end: socket.socket) -> OSError:
    number = end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or 104
    return OSError(number, os.strerror(number))


def quiet(ends: Sequence[socket.socket], seconds: float) -> bool:
    """Let a connection rest that long; False as soon as either end hears anything, which can only be its end."""
    watch = select.poll()
    for end in ends:
        watch.register(end, select.POLLIN)
    return not watch.poll(seconds * 1000)


def bits(rate: float | str | None) -> float | None:
    """A rate in bits a second, given as a number or as tc(8) has it: ``10mbit``. Raises UsageError."""
    if rate is None:
        return None
    if isinstance(rate, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]*)", rate.strip().lower())
        unit = _UNITS.get(found[2]) if found else None
        value = float(found[1]) * unit if found and unit else 0.0
    else:
        value = float(rate)
    if not 0 < value < float("inf"):
        known = "a number of bits a second, or such as '500kbit', '10mbit', '1gbit'"
        raise UsageError(f"rate {rate!r} is none: {known}{_meant(rate)}")
    return value


def _meant(rate: float | str) -> str:
    """The same rate with a known unit, for the end of a message."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z/]+)", str(rate).strip().lower())
    unit = nearest(found[2], _UNITS) if found else None
    return f". Did you mean {found[1] + unit!r}?" if found and unit else ""
