"""Hands on what a guest says and hears, in both directions, never faster than the other side takes it."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from dataclasses import dataclass, field

#: What poll(2) promises to take of a pipe that can be written (PIPE_BUF), and how much is read ahead.
_PIECE, _AHEAD = 4096, 1 << 18


@dataclass
class Stream:
    """Bytes on their way from one descriptor to another; ``target`` None: to ``take`` alone."""

    source: int
    target: int | None = None
    take: Callable[[bytes], object] = lambda _: None
    #: What to do when the source has ended and everything was handed on.
    ended: Callable[[], object] = lambda: None
    #: Whether it goes to the guest: what is on its way there is of no use once the guest has ended.
    inward: bool = False
    pending: bytearray = field(default_factory=bytearray)
    open: bool = True

    def wants(self) -> dict[int, int]:
        """What poll(2) is to look for, by descriptor."""
        wanted = {self.target: select.POLLOUT} if self.pending and self.target is not None else {}
        return wanted | ({self.source: select.POLLIN} if self.open and len(self.pending) < _AHEAD else {})

    def read(self) -> None:
        """Take what there is."""
        try:
            data = os.read(self.source, 1 << 16)
        except OSError:  # who was at the other end is gone
            data = b""
        self.take(data)
        if self.target is not None:
            self.pending += data
        self.open = bool(data)
        self._tell_end()

    def write(self) -> None:
        """Hand on a piece. Raises OSError when nobody takes it any more, but for the guest."""
        if self.target is not None and self.pending:
            try:
                del self.pending[: os.write(self.target, self.pending[:_PIECE])]
            except OSError:
                if not self.inward:
                    raise
                self.open, self.pending = False, bytearray()
        self._tell_end()

    def _tell_end(self) -> None:
        if not self.open and not self.pending:
            self.ended()


class Relay:
    """Some streams, moved together."""

    def __init__(self, streams: list[Stream]) -> None:
        self._streams = streams

    def move(self, seconds: float | None) -> bool:
        """Move what can be moved, after waiting for it; whether there was anything. None waits for ever."""
        poll = select.poll()
        wanted: dict[int, int] = {}
        for stream in self._streams:
            for fd, events in stream.wants().items():
                wanted[fd] = wanted.get(fd, 0) | events
        for fd, events in wanted.items():
            poll.register(fd, events)
        ready = dict(poll.poll(None if seconds is None else max(0.0, seconds) * 1000))
        for stream in self._streams:
            self._step(stream, ready)
        return bool(ready)

    def _step(self, stream: Stream, ready: dict[int, int]) -> None:
        wanted = stream.wants()
        if stream.target in wanted and ready.get(stream.target or 0, 0) & ~select.POLLIN:
            stream.write()
        if stream.source in wanted and ready.get(stream.source, 0) & ~select.POLLOUT:  # a terminal's is a target, too
            stream.read()

    def add(self, stream: Stream) -> None:
        """Move one more."""
        self._streams.append(stream)

    def keep_outward(self) -> None:
        """Move nothing to the guest any more."""
        self._streams = [stream for stream in self._streams if not stream.inward]

    def done(self) -> bool:
        """Whether every stream from the guest has ended, with all of it handed on."""
        return not any(stream.open or stream.pending for stream in self._streams if not stream.inward)
