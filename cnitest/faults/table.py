"""A sweep for a person and as data: a row a call, then each finding with the calls between which it is so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cnitest import interrupts
from cnitest.faults.sweep import Sweep
from cnitest.faults.trial import Consequence, TrialOutcome

_WIDTH = 72
_SHOWN = 260
_CUT = "…"


class FaultRow(NamedTuple):
    """A fault, where it shows: the command and way that were hit, and the numbers of the calls."""

    command: str
    way: str
    fault: Consequence
    numbers: tuple[int, ...]


def findings(sweep: Sweep) -> list[FaultRow]:
    """Every fault once a command and way, with the calls it comes of, in the order it first shows."""
    found: dict[tuple[str, str, Consequence], list[int]] = {}
    for outcome in sweep.outcomes:
        for fault in outcome.faults:
            found.setdefault((outcome.point.command, outcome.way, fault), []).append(outcome.point.number)
    made = [FaultRow(*key, tuple(sorted(set(numbers)))) for key, numbers in found.items()]
    return sorted(made, key=lambda one: (sweep.commands.index(one.command), sweep.ways.index(one.way), one.numbers))


def ranges(numbers: Sequence[int]) -> str:
    """Numbers in words: ``3, 5-8``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)


def lines(sweep: Sweep) -> Iterator[str]:
    """The table, the findings, the coverage; a line each."""
    known = findings(sweep)
    yield f"{sweep.network}: {', '.join(sweep.plugins)}"
    for command in sorted({outcome.point.command for outcome in sweep.outcomes}, key=sweep.commands.index):
        yield ""
        yield from _table(sweep, command, known)
    yield ""
    yield from _listed(known)
    yield from (f"left when nothing is hit: {line}" for line in sweep.usual)
    yield from _coverage(sweep)


def _table(sweep: Sweep, command: str, known: Sequence[FaultRow]) -> Iterator[str]:
    cells = {(one.point, one.way): _cell(one, known) for one in sweep.outcomes}
    rows = [(command, "process", "call", *sweep.ways)]
    for point in sweep.points:
        if point.command == command and any((point, way) in cells for way in sweep.ways):
            results = (cells.get((point, way), "") for way in sweep.ways)
            rows.append((str(point.number), point.process, _short(point.words), *results))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _cell(outcome: TrialOutcome, known: Sequence[FaultRow]) -> str:
    """What came of one hit: the kinds of its faults with the numbers of the findings about them."""
    if not outcome.hit:
        return "?"
    kinds = list(dict.fromkeys(fault.kind for fault in outcome.faults))
    if not kinds:
        return "ok, ignored" if outcome.way == "fail" and not outcome.ended else "ok"
    return ", ".join(f"{kind} {_references(outcome, kind, known)}" for kind in kinds)


def _references(outcome: TrialOutcome, kind: str, known: Sequence[FaultRow]) -> str:
    wanted = [fault for fault in outcome.faults if fault.kind == kind]
    where = (outcome.point.command, outcome.way)
    places = [place for place, one in enumerate(known, 1) if (one.command, one.way) == where and one.fault in wanted]
    return f"[{ranges(places)}]"


def _short(text: str, width: int = _WIDTH) -> str:
    return text if len(text) <= width else text[: width - 1] + _CUT


def _listed(known: Sequence[FaultRow]) -> Iterator[str]:
    for place, one in enumerate(known, 1):
        yield f"[{place}] {one.command}, {one.way} at {ranges(one.numbers)}: {_short(str(one.fault), _SHOWN)}"
    if not known:
        yield "no leak, no lock-out"


def _coverage(sweep: Sweep) -> Iterator[str]:
    for command in sweep.commands:
        found = sweep.coverage(command)
        yield f"{command}: {found.seen} calls change something, {found.decided} decided ({found.share:.0%})"
    if sweep.moved:
        yield f"{sweep.moved} trials hit their call at another number: the plugins' order is not fixed"
    ended = f" ({interrupts.words(sweep.signal)})" if sweep.signal else ""
    yield f"{len(sweep.outcomes)} trials in {sweep.seconds:.0f} s{ended}"


def document(sweep: Sweep) -> Mapping[str, Any]:
    """The sweep as data for JSON."""
    return {
        "network": sweep.network,
        "plugins": list(sweep.plugins),
        "seconds": round(sweep.seconds, 1),
        "trials": [_trial(outcome) for outcome in sweep.outcomes],
        "findings": [
            {"verb": one.command, "way": one.way, "calls": list(one.numbers), **one.fault._asdict()}
            for one in findings(sweep)
        ],
        "left_when_nothing_is_hit": list(sweep.usual),
        "coverage": [
            {"verb": command, "seen": (found := sweep.coverage(command)).seen, "decided": found.decided}
            for command in sweep.commands
        ],
    }


def _trial(outcome: TrialOutcome) -> Mapping[str, Any]:
    point = outcome.point
    return {
        "verb": point.command,
        "call": point.number,
        "process": point.process,
        "words": point.words,
        "way": outcome.way,
        "hit_as": outcome.hit,
        "ended": outcome.ended,
        "faults": [fault._asdict() for fault in outcome.faults],
    }
