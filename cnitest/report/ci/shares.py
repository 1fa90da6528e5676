"""Which tests are whose: the tests of a run, divided among machines so that each takes about as long."""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from cnitest.errors import ConfigError

_WORDS = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)
#: The seconds that a test counts where nothing is known of any.
_SAME = 1.0


class Shard(NamedTuple):
    """The share ``number``, from 1, of so many ``shares``."""

    number: int
    shares: int

    def __str__(self) -> str:
        return f"{self.number}/{self.shares}"


def parse(option: str, text: str) -> Shard:
    """The shard that ``I/N`` means. Raises ConfigError, by the name of the ``option`` that was typed."""
    found = _WORDS.fullmatch(text.strip())
    if not found:
        raise ConfigError(f"{option} {text!r}: it takes I/N, two numbers: 1/4 is the first of four shares")
    shard = Shard(int(found[1]), int(found[2]))
    if not shard.shares:
        raise ConfigError(f"{option} {text!r}: there cannot be {shard.shares} shares; N is 1 or more")
    if not 1 <= shard.number <= shard.shares:
        few = f"from 1 to {shard.shares}" if shard.shares > 1 else "1 alone"
        zero = " (counted from 1, where JOB_COMPLETION_INDEX counts from 0)" if not shard.number else ""
        raise ConfigError(f"{option} {text!r}: there is no share {shard.number} of {shard.shares}; I is {few}{zero}")
    return shard


def seconds(names: Sequence[str], known: Mapping[str, float]) -> list[float]:
    """How long each test takes: as it is ``known``, else the median of those that are."""
    usual = median([known[name] for name in names if name in known] or [_SAME])
    return [known.get(name, usual) for name in names]


def positions(names: Sequence[str], known: Mapping[str, float], shard: Shard) -> frozenset[int]:
    """The positions in ``names`` of the tests of a shard: the longest first, each to the share that has least to do.

    The same names and durations, in whatever order, give the same shares; all shares together have each test once.
    """
    lasting = seconds(names, known)
    loads = [(0.0, 0, number) for number in range(1, min(shard.shares, len(names)) + 1)]
    mine = set()
    for at in sorted(range(len(names)), key=lambda at: (-lasting[at], names[at], at)):
        load, tests, number = loads[0]
        heapq.heapreplace(loads, (load + lasting[at], tests + 1, number))
        if number == shard.number:
            mine.add(at)
    return frozenset(mine)
