"""What an attachment put where, and what of it is still there later."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cnitest.conformance.bench.bench import NO_EFFECT, AttachmentTarget, Bench, Picture
from cnitest.conformance.bench.leftovers import AFTER_A_CALL, AFTER_A_NAMESPACE, residue, settle
from cnitest.conformance.bench.shared import is_rule, less_shared, names_of, shared
from cnitest.kernel.rows.records import Route


def removals(before: Picture, after: Picture, leftover: Sequence[str] = ()) -> list[str]:
    """What went or changed between two pictures, but for what may, by everybody's rules and a profile's own."""
    merged = [route for state in after.values() for route in state.routes if route.hops]
    found = residue(before, after, leftover, strict=True)
    return [line for line in found if not _came(line) and not _is_merged(line, merged)]


def effect(before: Picture, after: Picture) -> bool:
    """Whether anything differs between two pictures that the kernel does not change by itself; sysctls count, too."""
    settings = any(before[place].sysctls != after[place].sysctls for place in before.keys() & after.keys())
    return settings or bool(residue(before, after, strict=True))


def disturbed(start: Picture, chained: Picture, after: Picture, leftover: Sequence[str] = ()) -> list[str]:
    """What of the first picture is gone or changed in the last and was not yet in the second: between the first two
    the plugins before ours brought something of their own, which ours may change, and may have done harm themselves."""
    ours = {_subject(line) for line in removals(chained, after, leftover)}
    return [line for line in removals(start, after, leftover) if _subject(line) in ours]


def _subject(line: str) -> str:
    """The place, table and key of a difference, without its values."""
    return ": ".join(line.split(": ")[:2])


def _is_merged(line: str, merged: Sequence[Route]) -> bool:
    """Whether a route that went is now one of several hops: the kernel joins IPv6 routes to one destination."""
    return any(f"- routes {route.to} " in line for route in merged)


def _went(line: str) -> bool:
    return line.partition(": ")[2].startswith("- ")


def _came(line: str) -> bool:
    return line.partition(": ")[2].startswith("+ ")


def named_chains(conf: Mapping[str, object]) -> tuple[str, ...]:
    """Patterns of the chains that a configuration itself names, which all its containers share, and the ways there."""
    names = [re.escape(value) for key, value in conf.items() if "chain" in key.lower() and isinstance(value, str)]
    return tuple(
        rf"tables.*(:{name} -$|-A \S+ (?!.*(-s|-d|--dports?) ).*-[jg] {name}$|-A {name} (?!.*(-s|-d|--dports?) ))"
        for name in names
        if name
    )


class Span:
    """Watches one or more attachments from before they begin to after they end, and says what they left.

    Of a plugin in a list only what it brought itself counts, and only once the whole list was deleted: what it put on
    an interface goes with that interface.
    """

    def __init__(self, bench: Bench, *slots: AttachmentTarget) -> None:
        self._bench = bench
        self._slots = slots
        self._start = bench.look(*slots)
        for slot in slots:
            bench.chain(slot)
        self._chained = bench.look(*slots) if bench.subject.before else self._start
        self._own: set[str] | None = None
        self._names: frozenset[str] = frozenset()

    def added(self, *, idle: bool = False) -> None:
        """Take note of what ADD brought. Where that is nothing, nothing is tried, unless that is right (``idle``)."""
        there = self._bench.look(*self._slots)
        self._own = set(residue(self._chained, there, strict=True))
        self._names = names_of(self._slots)
        self._bench.record.effect = effect(self._chained, there)
        if not self._bench.record.effect and not idle:
            self._bench.not_exercised(NO_EFFECT)

    def left(self, *, lost: bool = False, torn: bool = False, strict: bool = False) -> list[str]:
        """What is left after DEL of our plugin and of those before it. ``lost`` when the containers are gone, ``torn``
        when their interfaces are: what went with those is nobody's fault."""
        bench, there = self._bench, () if lost else self._slots
        for slot in self._slots:
            bench.unchain(slot)

        def look() -> list[str]:
            allowed = (*bench.setting.leftover, *named_chains(bench.subject.conf))
            found = residue(self._start, bench.look(*there), allowed, strict=strict)
            if bench.subject.before and self._own is not None:
                return [line for line in found if line in self._own and _came(line)]
            return [line for line in found if not _went(line)] if lost or torn else found

        found = settle(look, AFTER_A_NAMESPACE if lost else AFTER_A_CALL)
        return found if strict else self._less_shared(found)

    def _less_shared(self, found: list[str]) -> list[str]:
        """What is left, less what of the firewall other containers leave alike."""
        if not any(is_rule(line) for line in found):
            return found
        allowed = (*self._bench.setting.leftover, *named_chains(self._bench.subject.conf))
        return less_shared(found, shared(self._bench.trial, allowed), self._names)
