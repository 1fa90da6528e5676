"""Many small choices out of one draw: a draw of Hypothesis's costs more than all that is made of it here.

Each choice takes one byte; nought is the first, which is the simplest, and so is what comes after the last byte. So
Hypothesis, which shrinks bytes towards nought and towards fewer, shrinks what was chosen to what is plain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
_BYTES = 48


class Choices:
    """Chooses, byte by byte."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """A number below 256."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def pick(self, options: Sequence[T]) -> T:
        """One of up to 256 options, the first at its simplest."""
        return options[self.byte() % len(options)]

    def flag(self, *, out_of: int = 2) -> bool:
        """Yes, once in ``out_of`` times; no at its simplest."""
        return self.byte() % out_of == out_of - 1

    def number(self, least: int, most: int) -> int:
        """A number from ``least``, its simplest, to ``most``, at most 255 above."""
        return least + self.byte() % (most - least + 1)

    def some(self, options: Sequence[T], most: int, least: int = 0) -> list[T]:
        """Up to ``most`` different options, in an order of their own; as few as may be at its simplest."""
        rest, found = list(options), []
        for _ in range(self.number(min(least, len(rest)), min(most, len(rest)))):
            found.append(rest.pop(self.byte() % len(rest)))
        return found


def chosen(make: Callable[[Choices], T], size: int = _BYTES) -> SearchStrategy[T]:
    """What a function makes of choices, as a strategy."""
    return st.binary(min_size=size, max_size=size).map(lambda data: make(Choices(data)))
