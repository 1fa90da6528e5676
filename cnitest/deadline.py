"""A moment by which something must have happened, and the sentence to say when it has not."""

from __future__ import annotations

import functools
import os
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from cnitest.errors import ConfigError, DeadlineExceeded

#: The variable by which a slow machine gives everything more time: what seconds are multiplied by.
FACTOR = "CNITEST_TIMEOUT_FACTOR"
#: Seconds after which a condition is asked again where no event announces it.
STEP = 0.02
_MOST = 1000
_Found = TypeVar("_Found")


def pause(seconds: float) -> None:
    """Let some seconds pass: what `Deadline.poll` does between two questions, for who has no event to wait for."""
    select.select([], [], [], seconds)


def readable(descriptors: Iterable[int], seconds: float) -> set[int]:
    """Those descriptors that can be read, after waiting at most so long for the first; none at the end of that.

    However many this process has open: select(2) takes none above 1,023.
    """
    watch = select.poll()
    for descriptor in descriptors:
        watch.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in watch.poll(max(seconds, 0) * 1000)}


@functools.cache
def factor() -> float:
    """What seconds are multiplied by on this machine. Raises ConfigError for what is no number of at least 1."""
    given = os.environ.get(FACTOR) or "1"
    try:
        number = float(given)
    except ValueError:
        number = 0.0
    if not 1 <= number <= _MOST:
        raise ConfigError(
            f"{FACTOR}={given!r}: wants a number from 1 (the usual) to {_MOST}, such as 10 for an emulator"
        )
    return number


def scaled(seconds: float) -> float:
    """The seconds that this machine needs for what takes so many elsewhere."""
    return seconds * factor()


@dataclass(frozen=True)
class Deadline:
    """``what`` is waited for until ``end`` (seconds on the monotonic clock)."""

    what: str
    seconds: float
    end: float

    @classmethod
    def after(cls, seconds: float, what: str) -> Deadline:
        """The deadline that lies ``seconds`` from now, more on a machine that is said to be slow (`scaled`)."""
        return cls.exactly(scaled(seconds), what)

    @classmethod
    def exactly(cls, seconds: float, what: str) -> Deadline:
        """The deadline that lies ``seconds`` from now on every machine: they were scaled before, or measured here."""
        return cls(what, seconds, time.monotonic() + seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self.end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return time.monotonic() >= self.end

    @property
    def words(self) -> str:
        """What to say when it has passed."""
        return f"timed out after {self.seconds:g} s: waiting for {self.what}"

    def check(self) -> None:
        """Raise `DeadlineExceeded` when the moment has passed."""
        if self.expired:
            raise DeadlineExceeded(self.words)

    def poll(
        self, condition: Callable[[], _Found], step: float = STEP, wait: Callable[[float], object] = pause
    ) -> _Found:
        """Ask ``condition`` until it holds, at once and then every ``step`` seconds; what it gave in the end.

        ``wait`` may return earlier, at an event that announces a change: give one wherever the kernel has one. Raises
        `DeadlineExceeded` when the condition, asked once more at the deadline, still does not hold.
        """
        while True:
            last = self.expired
            if found := condition():
                return found
            if last:
                raise DeadlineExceeded(self.words)
            wait(min(step, self.remaining))
