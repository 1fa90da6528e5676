"""How long a call may take: long at first, short for a verb that has hung before, so that a plugin that hangs is found
without waiting for it a hundred times."""

from __future__ import annotations

from collections import Counter

_FIRST = 15.0
_LATER = 2.0
# A plugin that is slow by nature gets this many times what its first ADD took.
_FACTOR = 20


class Patience:
    """Remembers which verbs of which subjects have hung in this process."""

    def __init__(self) -> None:
        self._hung: Counter[tuple[str, str]] = Counter()

    def seconds(self, subject: str, verb: str, usual: float) -> float:
        """The seconds that a subject's call of a verb is given, where its first ADD took ``usual``."""
        least = _LATER if self._hung[subject, verb] >= 2 else _FIRST
        return max(least, usual * _FACTOR)

    def ran_out(self, subject: str, verb: str) -> None:
        """A call of that verb was killed."""
        self._hung[subject, verb] += 1
