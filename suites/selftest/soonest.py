"""Verdicts that come at once: how soon, on a machine whose other packets may be under way at any moment.

A drop is told without waiting only when nothing of the probe can still be on its way. What else the same processor
handles in that moment may be of it for all that is known, so a probe beside other traffic waits as it would untraced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from cnitest.lab.reach import Reach

_TRIES = 10


def until_at_once(probe: Callable[[], Reach], within: float) -> Iterator[Reach]:
    """Each verdict on a probe, sent until one took less than ``within`` seconds.

    Raises AssertionError when none of ten did.
    """
    took = []
    while not took or took[-1] >= within:
        assert len(took) < _TRIES, f"never within {within} s: {took}"
        began = time.monotonic()
        reach = probe()
        took.append(time.monotonic() - began)
        yield reach
