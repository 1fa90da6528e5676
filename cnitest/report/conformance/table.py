"""The table of requirement by verdict: whole, or with what is alike in one line."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

from cnitest.conformance.model.verdict import CaseVerdict
from cnitest.plural import count
from cnitest.report.conformance.summary import SHORT, WORST_FIRST, RunSummary, SummaryRow

_WIDE = 9
_MOST_COLUMNS = 12
_IDS = 42
_WIDTH = 118
#: The verdicts that need nobody's attention: their requirements share lines.
_QUIET = {
    CaseVerdict.PASSED,
    CaseVerdict.NOT_APPLICABLE,
    CaseVerdict.NOT_RUN,
    CaseVerdict.BASELINE,
    CaseVerdict.DEVIATION,
    CaseVerdict.INHERITED,
}


def whole(ended: RunSummary) -> Iterator[str]:
    """A line a requirement, a column a subject; where there are too many, a line a requirement with counts."""
    if len(ended.subjects) > _MOST_COLUMNS:
        for rows in _by_requirement(ended):
            yield f"{rows[0].requirement.id:9} {rows[0].requirement.level.value:7} {_counted(rows)}"
        return
    width = _column(ended)
    yield _names(ended, 18, width)
    for rows in _by_requirement(ended):
        yield f"{rows[0].requirement.id:9} {rows[0].requirement.level.value:7} {_marks(rows, width)}".rstrip()


def brief(ended: RunSummary) -> Iterator[str]:
    """The requirements of which some verdict matters, then all others by what they came to."""
    if len(ended.subjects) > _MOST_COLUMNS:
        yield from whole(ended)
        return
    width = _column(ended)
    requirements = list(_by_requirement(ended))
    loud = [rows for rows in requirements if not _is_quiet(rows)]
    if loud:
        yield _names(ended, _IDS + 9, width)
    groups: dict[tuple[str, str], list[str]] = {}
    for rows in sorted(loud, key=_worst):
        groups.setdefault((rows[0].requirement.level.value, _marks(rows, width)), []).append(rows[0].requirement.id)
    for (level, marks), identifiers in groups.items():
        lines = textwrap.wrap(ids(identifiers), _IDS - 2, break_on_hyphens=False)
        yield f"{lines[0]:{_IDS}} {level:7} {marks}".rstrip()
        yield from (f"  {line}" for line in lines[1:])
    yield from _others(ended, [rows for rows in requirements if _is_quiet(rows)])


def _others(ended: RunSummary, quiet: Sequence[tuple[SummaryRow, ...]]) -> Iterator[str]:
    """The requirements that need nobody's attention, by what they came to."""
    by_verdicts: dict[tuple[CaseVerdict, ...], list[str]] = {}
    for rows in quiet:
        by_verdicts.setdefault(_verdicts(rows), []).append(rows[0].requirement.id)
    for verdicts, identifiers in sorted(by_verdicts.items(), key=lambda item: -len(item[1])):
        if set(verdicts) == {CaseVerdict.NOT_RUN}:
            yield f"not run: {count(len(identifiers), 'requirement')}"
            continue
        alike = len(set(verdicts)) == 1
        pairs = ((subject.name, SHORT[verdict]) for subject, verdict in zip(ended.subjects, verdicts, strict=True))
        words = SHORT[verdicts[0]] if alike else ", ".join(f"{name} {mark}" for name, mark in pairs)
        text = f"{words}: {ids(identifiers)}"
        yield from textwrap.wrap(text, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _verdicts(rows: tuple[SummaryRow, ...]) -> tuple[CaseVerdict, ...]:
    """The verdicts of a requirement; that it was left out for all to which it applies counts for all."""
    found = tuple(row.verdict for row in rows)
    left_out = CaseVerdict.NOT_RUN in found and set(found) <= {CaseVerdict.NOT_RUN, CaseVerdict.NOT_APPLICABLE}
    return (CaseVerdict.NOT_RUN,) * len(found) if left_out else found


def _is_quiet(rows: tuple[SummaryRow, ...]) -> bool:
    return all(row.verdict in _QUIET for row in rows)


def _worst(rows: tuple[SummaryRow, ...]) -> int:
    return min(WORST_FIRST.index(row.verdict) for row in rows)


def _column(ended: RunSummary) -> int:
    return max(_WIDE, *(len(subject.name) + 2 for subject in ended.subjects))


def _names(ended: RunSummary, indent: int, width: int) -> str:
    return " " * indent + "".join(subject.name.ljust(width) for subject in ended.subjects).rstrip()


def _marks(rows: tuple[SummaryRow, ...], width: int) -> str:
    return "".join(SHORT[row.verdict].ljust(width) for row in rows).rstrip()


def _by_requirement(ended: RunSummary) -> Iterator[tuple[SummaryRow, ...]]:
    """The rows of each requirement, in their order."""
    wide = len(ended.subjects)
    return (ended.rows[start : start + wide] for start in range(0, len(ended.rows), wide))


def _counted(rows: tuple[SummaryRow, ...]) -> str:
    counts = Counter(row.verdict for row in rows)
    return ", ".join(f"{counts[verdict]} {SHORT[verdict]}" for verdict in WORST_FIRST if counts[verdict])


def ids(identifiers: Sequence[str]) -> str:
    """IDs with what they share said once: ``DEL-01 -02 -05, CHK-02``."""
    groups = []
    for prefix, those in groupby(identifiers, lambda name: name.rpartition("-")[0]):
        rests = [name.rpartition("-")[2] for name in those]
        groups.append(" ".join([f"{prefix}-{rests[0]}", *(f"-{rest}" for rest in rests[1:])]))
    return ", ".join(groups)
