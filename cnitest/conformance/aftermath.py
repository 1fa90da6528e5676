"""What an attachment put where, and what of it is still there later."""

from __future__ import annotations

from collections.abc import Sequence

from cnitest.conformance.bench import Bench, Picture, Slot
from cnitest.conformance.requirement import Kind
from cnitest.conformance.residue import AFTER_A_CALL, AFTER_A_NAMESPACE, residue, settle
from cnitest.kernel.records import Route
from cnitest.lab.difference import Difference, difference


def additions(before: Picture, after: Picture) -> dict[tuple[str, str], list[Difference]]:
    """What came between two pictures, by place and table."""
    found: dict[tuple[str, str], list[Difference]] = {}
    for place in before.keys() & after.keys():
        for item in difference(before[place], after[place]):
            if not item.before:
                found.setdefault((place, item.table), []).append(item)
    return found


def removals(before: Picture, after: Picture) -> list[str]:
    """What went or changed between two pictures, but for what may."""
    merged = [route for state in after.values() for route in state.routes if route.hops]
    return [line for line in residue(before, after, strict=True) if not _came(line) and not _is_merged(line, merged)]


def _is_merged(line: str, merged: Sequence[Route]) -> bool:
    """Whether a route that went is now one of several hops: the kernel joins IPv6 routes to one destination."""
    return any(f"- routes {route.to} via" in line for route in merged)


def _came(line: str) -> bool:
    return line.partition(": ")[2].startswith("+ ")


def left(bench: Bench, before: Picture, after: Picture, *slots: Slot, lost: bool = False) -> list[str]:
    """What is still there of what came between two pictures, once the kernel has caught up.

    Of an interface plugin it is all that differs from ``before``; of others what they brought themselves, for what was
    before them in the list may have gone in the meantime. ``lost`` when a namespace has gone, which takes a while.
    """
    own = set(residue(before, after, bench.setting.leftover))

    def look() -> list[str]:
        found = residue(before, bench.look(*slots), bench.setting.leftover)
        return found if bench.subject.kind is Kind.INTERFACE else [line for line in found if line in own]

    return settle(look, AFTER_A_NAMESPACE if lost else AFTER_A_CALL)


def lines(items: Sequence[Difference]) -> list[str]:
    """Differences as text."""
    return [str(item) for item in items]
