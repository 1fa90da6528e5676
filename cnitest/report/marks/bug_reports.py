"""Public bug reports as data: which releases of the reference plugins have them, and what a run found of each.

A suite's directory holds them in ``reports.yaml``, and tests with the mark ``regression("ID")`` that raise a `Symptom`
where a plugin has the bug.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from cnitest.report.marks.known import KnownFailure
from cnitest.topology import documents
from cnitest.topology.problem import Problem

Verdict = Literal["has it", "free of it", "does not apply", "undecided"]
HAS_IT: Verdict = "has it"
#: Of several tests of a report the first of these that one of them has is the report's.
VERDICTS: tuple[Verdict, ...] = (HAS_IT, "undecided", "free of it", "does not apply")


class Symptom(AssertionError):
    """What a bug report describes was seen."""


@dataclass(frozen=True)
class Has:
    """Releases of a reference plugin that have the bug, as in `KnownFailure`; without ``test`` in all its tests."""

    plugin: str
    shows: str
    reason: str
    test: str = ""
    cases: str = ""
    since: str = ""
    until: str = ""
    sometimes: str = ""


@dataclass(frozen=True)
class BugReport:
    """One bug, as people reported it; ``links`` lead to the reports, the first to the one that its test cites."""

    id: str
    symptom: str
    links: tuple[str, ...]
    has: tuple[Has, ...] = ()

    def known(self, test: str) -> tuple[KnownFailure, ...]:
        """The failures that are known of one of its tests, named ``FILE::NAME``."""
        function = test.rpartition("::")[2]
        link = self.links[0] if self.links else ""
        return tuple(
            KnownFailure(test, has.plugin, has.shows, has.reason, link, has.cases, has.since, has.until, has.sometimes)
            for has in self.has
            if has.test in ("", function)
        )


class ReportCase(NamedTuple):
    """What one test of a report found: its name, its verdict, why in one line, whether the data expects it, and the
    reason that the data has."""

    report: str
    test: str
    verdict: Verdict
    why: str
    expected: bool
    reason: str = ""


class ReportOutcome(NamedTuple):
    """What a run found of one report, with the cases that made it."""

    report: BugReport
    verdict: Verdict
    cases: tuple[ReportCase, ...]

    @property
    def expected(self) -> bool:
        """Whether no case of it is other than the data says."""
        return all(case.expected for case in self.cases)

    @property
    def decisive(self) -> tuple[ReportCase, ...]:
        """The cases that made its verdict."""
        return tuple(case for case in self.cases if case.verdict == self.verdict)

    @property
    def tried(self) -> int:
        """How many of its cases applied."""
        return sum(case.verdict != "does not apply" for case in self.cases)


@cache
def read(suite: Path) -> Mapping[str, BugReport]:
    """The reports of a suite's directory by ID. Raises ConfigError with every fault's line and column."""
    rows = documents.table(suite / "reports.yaml", tuple[BugReport, ...], "it is a list of bug reports", _problems)
    return {row.id: row for row in rows}


def _problems(rows: Sequence[BugReport]) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, row in enumerate(rows):
        if row.id in seen:
            yield Problem(f"[{number}].id", f"{row.id} is in the table twice")
        seen.add(row.id)
        if not row.links:
            yield Problem(f"[{number}].links", "a report needs the link to what was reported")
        for at, has in enumerate(row.has):
            for name in ("cases", "shows"):
                if why := documents.no_pattern(getattr(has, name)):
                    yield Problem(f"[{number}].has[{at}].{name}", why)


def gathered(cases: Iterable[ReportCase], reports: Mapping[str, BugReport]) -> tuple[ReportOutcome, ...]:
    """What the cases of a run come to, in the order of the reports' table; reports without a case are left out."""
    by_report: dict[str, list[ReportCase]] = {}
    for case in cases:
        by_report.setdefault(case.report, []).append(case)
    return tuple(
        ReportOutcome(report, min((case.verdict for case in of_it), key=VERDICTS.index), tuple(of_it))
        for name, report in reports.items()
        if (of_it := by_report.get(name))
    )
