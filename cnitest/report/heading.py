"""What a run says before anything else: what is tried, where, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.report import unstarted
from cnitest.report.choice import Chosen


def troubles(found: Chosen, given: bool) -> Iterator[str]:
    """Words that nobody reads, a line each, and the networks that cannot start; of those ``given`` the first only."""
    yield from (f"warning: {line}" for line in found.warnings)
    for failure in found.unstarted[:1] if given else found.unstarted:
        yield from unstarted.lines(failure, stops=given)


def ends(found: Chosen, given: bool) -> bool:
    """Whether there is no going on: a network that was given cannot start, or none can."""
    return bool(found.unstarted) and (given or not found.subjects)
