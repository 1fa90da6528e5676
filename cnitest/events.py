"""What happened, in order: the layers below note it down, the interfaces (terminal, pytest, reports) read it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")


class Event(NamedTuple):
    """Something that happened at ``when`` (seconds since the epoch); the data's own type says what it was."""

    when: float
    data: Any


class Journal:
    """An append-only list of events."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def note(self, data: Any) -> None:
        """Write down that something happened now."""
        self._events.append(Event(time.time(), data))

    def __iter__(self) -> Iterator[Event]:
        return iter(tuple(self._events))

    def of(self, kind: type[T]) -> list[T]:
        """What was noted of one type, in order."""
        return [event.data for event in self if isinstance(event.data, kind)]
