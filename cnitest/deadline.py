"""A moment by which something must have happened, and the sentence to say when it has not."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cnitest.errors import DeadlineExceeded


@dataclass(frozen=True)
class Deadline:
    """``what`` is waited for until ``end`` (seconds on the monotonic clock)."""

    what: str
    seconds: float
    end: float

    @classmethod
    def after(cls, seconds: float, what: str) -> Deadline:
        """The deadline that lies ``seconds`` from now."""
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
        return f"waited {self.seconds:g} s in vain for {self.what}"

    def check(self) -> None:
        """Raise `DeadlineExceeded` when the moment has passed."""
        if self.expired:
            raise DeadlineExceeded(self.words)
