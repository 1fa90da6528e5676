"""Where tests run: adds to the reports of tests what a lab knows, for whoever leads the run to write down.

It is added as data that workers of pytest-xdist can send, from other machines, too.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from cnitest.report.stashed import LAB

if TYPE_CHECKING:
    from cnitest.conformance.bench.bench import Bench
    from cnitest.lab.lab import Lab

#: The attributes of a report: why the last probe was lost, and the contents of files by name, those of bytes in base64.
LOSS, FILES = "cnitest_loss", "cnitest_files"
#: The most failures whose files are added; more are never written.
MOST_FILES = 50
_BENCH_FIXTURES = frozenset({"bench", "shared_bench", "shared_attachment"})


class EvidenceWanted(NamedTuple):
    """What is wanted of each test: properties for JUnit, why a probe was lost, files of failures (at most so many)."""

    properties: bool
    losses: bool
    files: int


class Evidence:
    """Adds what is wanted to the reports of one process that runs tests."""

    def __init__(self, wanted: EvidenceWanted) -> None:
        self._wanted = wanted
        self._files = wanted.files
        self._before_teardown: tuple[Lab | None, Bench | None] = (None, None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None]:
        """Keep the lab until the report of the teardown is made: what is in memory outlives it."""
        self._before_teardown = _lab(item)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add it, once all others have said what the report is."""
        report = yield
        lab, bench = _lab(item) if report.when != "teardown" else self._before_teardown
        if self._wanted.properties and (report.when != "teardown" or report.failed):
            _add_properties(item, report, lab)
        if report.failed and lab is not None:
            self._add_findings(report, lab, bench)
        if report.when == "teardown":
            self._before_teardown = (None, None)
        return report

    def _add_findings(self, report: pytest.TestReport, lab: Lab, bench: Bench | None) -> None:
        if self._wanted.losses:
            vars(report)[LOSS] = _quietly(lambda: _loss(lab), "cause")
        if self._files > 0:
            self._files -= 1
            vars(report)[FILES] = _quietly(lambda: _files(report, lab, bench), "not-found.txt")


def _quietly(function: Callable[[], dict[str, str]], otherwise: str) -> dict[str, str]:
    """What a function returns, or the error that it raised: collecting evidence must not hide the failure itself."""
    try:
        return function()
    except Exception as error:
        return {otherwise: f"cnitest could not find this out: {type(error).__name__}: {error}"}


def _lab(item: pytest.Item) -> tuple[Lab | None, Bench | None]:
    """The lab of a test, and the bench that it is part of in a test of a requirement."""
    arguments: dict[str, Any] = getattr(item, "funcargs", {})
    if lab := item.stash.get(LAB, None) or arguments.get("lab"):
        return cast("Lab", lab), None
    if _BENCH_FIXTURES.isdisjoint(arguments):
        return None, None
    from cnitest.report.cases import bench_of

    bench = bench_of(item)
    return getattr(bench, "lab", None), bench


def _loss(lab: Lab) -> dict[str, str]:
    """Why the last probe that was not delivered was lost, and where; its parts are words."""
    from cnitest.lab.reach import Reach

    failed = [reach for reach in lab.journal.of(Reach) if reach.verdict.value != "delivered" and reach.explainer]
    if not failed:
        return {}
    found = failed[-1].explanation
    cause = found.cause
    parts = {
        "probe": failed[-1].summary,
        "hop": found.where or (cause.place if cause else ""),
        "hook": cause.hook if cause else "",
        "cause": cause.words if cause else "",
        "dropped_by": failed[-1].dropped_by,
        "remedy": cause.remedy if cause else "",
    }
    return {name: words for name, words in parts.items() if words}


def _files(report: pytest.TestReport, lab: Lab, bench: Bench | None) -> dict[str, str]:
    from cnitest.report import failure_report
    from cnitest.report.ci import files

    sections = failure_report.sections(lab) if bench else report.sections
    found = files.of_lab(lab, sections, bench.record if bench else None)
    return {
        name: base64.b64encode(content).decode() if isinstance(content, bytes) else content
        for name, content in found.items()
    }


def _add_properties(item: pytest.Item, report: pytest.TestReport, lab: Lab | None) -> None:
    """What JUnit's file has of a test: its topology, and of a requirement's the plugin, the version and the verdict."""
    row: dict[str, Any] = getattr(report, "cnitest", None) or {}
    values = {
        "topology": lab.topology.name if lab else "",
        "plugin": row.get("subject", ""),
        "version": row.get("version", ""),
        "verdict": row.get("verdict", ""),
        "seed": str(getattr(getattr(item, "obj", None), "_hypothesis_internal_use_generated_seed", None) or ""),
    }
    known = dict(item.user_properties)
    added = [(name, value) for name, value in values.items() if value and name not in known]
    item.user_properties += added
    if report.user_properties is not item.user_properties:
        report.user_properties += added
