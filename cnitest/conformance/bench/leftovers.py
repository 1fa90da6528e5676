"""What is left of an attachment: everything that differs from before it, less a short list of what may stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from cnitest.conformance.bench import allowances
from cnitest.deadline import Deadline
from cnitest.errors import DeadlineExceeded
from cnitest.kernel.rows.records import Route
from cnitest.lab.hosts import Host
from cnitest.lab.snapshot.difference import Difference, difference, matches
from cnitest.lab.snapshot.state import State

#: Seconds in which the kernel removes what a dead namespace held, and what else it does behind a call.
AFTER_A_NAMESPACE, AFTER_A_CALL = 1.5, 0.1
_PASSING = ("links", "ports", "addresses", "routes", "qdiscs", "fdb")
Pictures = Mapping[str, State]


class Leftover(NamedTuple):
    """What differs at a place and may not."""

    place: str
    difference: Difference

    @property
    def undone(self) -> Leftover:
        """The same the other way: what appeared vanishes."""
        return Leftover(self.place, self.difference.undone)

    def __str__(self) -> str:
        return f"{self.place}: {self.difference}"


def leftovers(
    before: Pictures, after: Pictures, allowed: Sequence[str] = (), *, strict: bool = False, watched: bool = False
) -> list[Leftover]:
    """What differs between two pictures and may not, in the order of its words; ``allowed`` are patterns of words that
    may stay besides.

    ``strict`` allows only what changes by itself with each attachment: nothing shared may appear any more.
    ``watched`` is for a caller that finds out itself what is shared of nftables.
    """
    found: list[tuple[str, Leftover]] = []
    patterns = [re.compile(pattern) for pattern in allowed]
    for place in before.keys() & after.keys():
        states = before[place], after[place]
        bridges = () if strict else allowances.new_bridges(*states)
        for item in difference(*states):
            if allowances.counts(item, bridges, strict=strict, watched=watched) and not allowances.floats(
                item, *states
            ):
                found.append((f"{place}: {item}", Leftover(place, item)))
    found = [each for each in found if not any(matches(pattern, each[0]) for pattern in patterns)]
    return [left for _, left in sorted(found, key=lambda each: each[0])]


def settle(look: Callable[[], list[Leftover]], timeout: float = AFTER_A_CALL) -> list[Leftover]:
    """What is left once the kernel has caught up: it removes the links of a dead namespace behind us.

    Files and rules are nothing that goes by itself, so they are not waited for.
    """
    found: list[Leftover] = []

    def settled() -> bool:
        found[:] = look()
        return not any(_passes(left.difference) for left in found)

    with suppress(DeadlineExceeded):
        Deadline.after(timeout, "the kernel to remove what a namespace held").poll(settled)
    return found


def _passes(item: Difference) -> bool:
    return item.table in _PASSING and not item.vanished


def appeared(before: Pictures, after: Pictures) -> list[Leftover]:
    """What came between two pictures, shared or not."""
    return [left for left in leftovers(before, after, strict=True) if left.difference.appeared]


def of_machine(host: Host) -> tuple[str, ...]:
    """The files that programs of a host left in directories of the machine's, but for what may stay: all hosts share
    them, those of later cases, too."""
    written = host.written_elsewhere()
    return tuple(file.path for file in written if allowances.counts(Difference("files", file.path, None, file)))


def removals(before: Pictures, after: Pictures, allowed: Sequence[str] = ()) -> list[Leftover]:
    """What went or changed between two pictures, but for what may, by everybody's rules and a profile's own."""
    merged = [route for state in after.values() for route in state.routes if route.hops]
    found = leftovers(before, after, allowed, strict=True)
    return [left for left in found if not left.difference.appeared and not _is_merged(left.difference, merged)]


def effect(before: Pictures, after: Pictures) -> bool:
    """Whether anything differs between two pictures that the kernel does not change by itself; sysctls count, too."""
    settings = any(before[place].sysctls != after[place].sysctls for place in before.keys() & after.keys())
    return settings or bool(leftovers(before, after, strict=True))


def disturbed(start: Pictures, chained: Pictures, after: Pictures, allowed: Sequence[str] = ()) -> list[Leftover]:
    """What of the first picture is gone or changed in the last and was not yet in the second: between the first two
    the plugins before ours brought something of their own, which ours may change, and may have done harm themselves."""
    ours = {_subject(left) for left in removals(chained, after, allowed)}
    return [left for left in removals(start, after, allowed) if _subject(left) in ours]


def _subject(left: Leftover) -> tuple[str, str, str, bool]:
    """What a difference is about, without its values, and whether that is gone."""
    return left.place, left.difference.table, left.difference.key, left.difference.vanished


def _is_merged(item: Difference, merged: Sequence[Route]) -> bool:
    """Whether a route that went is now one of several hops: the kernel joins IPv6 routes to one destination."""
    if item.table != "routes" or not item.vanished or item.before.kind != "unicast":
        return False
    return any(route.to == item.before.to for route in merged)
