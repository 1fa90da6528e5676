"""What has become of each probe that is under way."""

from __future__ import annotations

from cnitest.lab.probe.base import Attempt


class Outcomes:
    """The attempts by number; ``waiting`` are those that may still be answered."""

    def __init__(self, count: int) -> None:
        self.attempts = [Attempt(lambda _: False)] * count
        self.waiting = set(range(count))

    def note(self, at: int, attempt: Attempt) -> None:
        """What is known so far of one that still waits."""
        self.attempts[at] = attempt

    def settle(self, at: int, attempt: Attempt) -> None:
        """What has become of one; what comes later changes nothing."""
        if at in self.waiting:
            self.attempts[at] = attempt
            self.waiting.discard(at)
