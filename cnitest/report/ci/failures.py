"""What a run's reports say of its failures, as data: where, why, and which of them have the same cause."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from cnitest import text
from cnitest.report.ci.evidence import LOSS

_MOST = 500
_NUMBERS = re.compile(r"0x[0-9a-f]+|\d+(\.\d+)*")
_SHARED = ("cause", "dropped_by")


class Failure(NamedTuple):
    """A test that failed in its ``phase``. ``file`` (absolute) and ``line`` are where a person looks first, ``message``
    is one line. ``loss`` says why a probe was lost and where, by the parts' names. Failures with the same ``key`` have
    the same cause."""

    test: str
    phase: str
    file: str
    line: int
    message: str
    loss: dict[str, str]
    key: str

    @property
    def why(self) -> str:
        """The cause in one line, where one was found; else what the test said."""
        return self.loss.get("cause", "") or self.message

    @property
    def hop(self) -> str:
        """Where a packet was lost, and in which hook; empty where none was."""
        hook = self.loss.get("hook", "")
        return self.loss.get("hop", "") + (f", hook {hook}" if hook else "")


def short(test: str) -> str:
    """A node ID without the directories of its file."""
    file, colons, name = test.partition("::")
    return f"{file.rpartition('/')[2]}{colons}{name}"


class RunTally:
    """Counts a run's reports, where it is led: outcomes, reasons for skips, and failures."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.outcomes: Counter[str] = Counter()
        self.skips: Counter[str] = Counter()
        self.failures: list[Failure] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one report."""
        if report.failed:
            self.failures.append(failure(report, self._root))
        outcome = _outcome(report)
        if outcome:
            self.outcomes[outcome] += 1
        if outcome == "skipped":
            self.skips[_reason(report)] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count a file that cannot be collected, or is skipped as a whole."""
        if report.failed:
            self.outcomes["error"] += 1
            self.failures.append(failure(report, self._root))
        elif report.skipped:
            self.outcomes["skipped"] += 1
            self.skips[_reason(report)] += 1


def _outcome(report: pytest.TestReport) -> str:
    """How a test ended, once for each test, and once more for an error of its teardown; empty for what is no end."""
    row: dict[str, Any] = getattr(report, "cnitest", None) or {}
    if report.failed:
        return "failed" if report.when == "call" or row else "error"
    if hasattr(report, "wasxfail"):
        return "expected failure" if report.skipped else "passed"
    if report.skipped:
        return str(row.get("verdict") or "skipped")
    return "passed" if report.when == "call" else ""


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    found = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.line(" ".join(found.removeprefix("Skipped: ").split()), _MOST)


def failure(report: pytest.TestReport | pytest.CollectReport, root: str) -> Failure:
    """A failed report as data; ``root`` is what its paths count from."""
    row: dict[str, Any] = getattr(report, "cnitest", None) or {}
    loss: dict[str, str] = getattr(report, LOSS, None) or {}
    file, line = _place(report, root)
    message = _message(report, row)
    return Failure(report.nodeid, str(report.when), file, line, message, loss, _key(row, loss, message))


def _place(report: pytest.TestReport | pytest.CollectReport, root: str) -> tuple[str, int]:
    """The last line of the test's own file that the traceback has, else the line where the test begins."""
    where = report.location or (report.nodeid.partition("::")[0], None, "")
    own = os.path.normpath(os.path.join(root, where[0]))
    for file, line in reversed(list(_trace(report.longrepr))):
        if os.path.normpath(os.path.join(root, file)) == own:
            return own, line
    return own, (where[1] if where[1] is not None else 0) + 1


def _trace(longrepr: Any) -> Iterator[tuple[str, int]]:
    for entry in getattr(getattr(longrepr, "reprtraceback", None), "reprentries", ()):
        if place := getattr(entry, "reprfileloc", None):
            yield place.path, place.lineno


def _message(report: pytest.TestReport | pytest.CollectReport, row: dict[str, Any]) -> str:
    """What failed, in one line: a requirement and the first detail, else the error's first words."""
    if row.get("details"):
        from cnitest.conformance.model.requirement import find

        detail = text.line(" ".join(str(row["details"][0]).split()), _MOST)
        return f"{row['subject']} {row['version']}: {detail} ({row['requirement']}: {find(row['requirement']).says})"
    crash = getattr(report.longrepr, "reprcrash", None)
    said = crash.message if crash else str(report.longrepr or "")
    first = next((line for line in said.splitlines() if line.strip()), "failed")
    return text.line(first.strip(), _MOST)


def _key(row: dict[str, Any], loss: dict[str, str], message: str) -> str:
    if row:
        prints = [one for one in row.get("fingerprints", ()) if one]
        return f"{row['subject']} {prints[0] if prints else _NUMBERS.sub('#', message)}"
    shared = [loss[name] for name in (*_SHARED, "hook") if name in loss]
    return " ".join(shared) if loss.get("cause") else _NUMBERS.sub("#", message)


def by_cause(failures: Sequence[Failure]) -> list[list[Failure]]:
    """Failures with the same cause together, the most frequent cause first, else in the order of the run."""
    groups: dict[str, list[Failure]] = {}
    for one in failures:
        groups.setdefault(one.key, []).append(one)
    return sorted(groups.values(), key=len, reverse=True)
