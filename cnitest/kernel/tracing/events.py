"""Lines of a trace as frozen rows. The formats are those of ``events/*/*/format`` below tracefs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

_LINE = re.compile(r"\s*.{1,16}-(\d+) +(?:\([^)]*\) +)?\[(\d+)\] +(\S+) +(\d+)\.(\d{6}): (\w+): ?(.*)")
_LOST = re.compile(r"CPU:(\d+) \[LOST (?:(\d+) )?EVENTS\]")
_EQUALS = re.compile(r"(\w+)(?:=|: )(\S*(?: \[\w+\])?)")
# Of the flags of an event the third says in which context it happened.
_CONTEXT, _PROCESS = 2, "."


class TraceEvent(NamedTuple):
    """One event. ``when`` is in nanoseconds on the monotonic clock (the kernel rounds to microseconds); ``task`` is the
    thread that ran, ``cpu`` where. ``in_task`` is false of what an interrupt did meanwhile, softirqs included.

    ``name`` is the event's (``kfree_skb``), ``text`` what it says; ``fields`` has that by name.
    """

    when: int
    name: str
    task: int
    cpu: int
    in_task: bool
    text: str

    @property
    def fields(self) -> Mapping[str, str]:
        """What the event says, by the names that it has itself: ``dev``, ``skbaddr``, ``reason``, ``location`` …"""
        return MappingProxyType(_fields(self.text))


class Lost(NamedTuple):
    """A note in a trace that the buffer of one processor has lost what was before what comes next from it."""

    cpu: int
    events: int


def parse(lines: Iterable[str]) -> Iterator[TraceEvent | Lost]:
    """The events of a trace in the order of its lines, with notes of what was lost; what is neither is left out."""
    for line in lines:
        if found := _LINE.fullmatch(line):
            task, cpu, flags, seconds, rest, name, text = found.groups()
            when = int(seconds) * 1_000_000_000 + int(rest) * 1000
            yield TraceEvent(when, name, int(task), int(cpu), flags[_CONTEXT : _CONTEXT + 1] == _PROCESS, text)
        elif lost := _LOST.match(line):
            yield Lost(int(lost[1]), int(lost[2] or 0))


def _fields(text: str) -> dict[str, str]:
    if "=" in text:
        return dict(_EQUALS.findall(text))
    words = text.split(" ")
    return dict(zip(words[::2], words[1::2], strict=False))
