"""How long a call may take: long at first, short for a command that has hung before, so that a plugin that hangs is
found without waiting for it a hundred times. What needs no kernel is short from the beginning."""

from __future__ import annotations

from collections import Counter

from cnitest.deadline import scaled

_FIRST = 15.0
_LATER = 2.0
# VERSION, and a call without a command.
_PLAIN, _PLAIN_COMMANDS = 5.0, ("VERSION", "")
# A plugin that is slow by nature gets this many times what its first ADD took.
_FACTOR = 20


class Timeouts:
    """Remembers which commands of which subjects have hung in this process."""

    def __init__(self) -> None:
        self._hung: Counter[tuple[str, str]] = Counter()

    def seconds(self, subject: str, command: str, usual: float) -> float:
        """The seconds that a subject's call of a command is given, where its first ADD took ``usual``."""
        first = _PLAIN if command in _PLAIN_COMMANDS else _FIRST
        least = _LATER if self._hung[subject, command] else first
        return max(scaled(least), usual * _FACTOR)

    def ran_out(self, subject: str, command: str) -> None:
        """A call of that command was killed."""
        self._hung[subject, command] += 1
