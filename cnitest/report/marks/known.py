"""Tests that are known to fail with some releases of the reference plugins: data with a reason and a link, strict.

A suite's ``conftest.py`` imports the hook `pytest_runtest_makereport`; the rows are in ``known.yaml`` beside it, or in
the files of a directory ``known/``. A test that a row speaks of has to fail, and as the row says; else it is a failure.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from cnitest import deadline
from cnitest.cni import plugins, releases
from cnitest.errors import ConfigError
from cnitest.report.given import plugin_path
from cnitest.topology import documents
from cnitest.topology.problem import Problem


@dataclass(frozen=True)
class KnownFailure:
    """One failure that is known.

    ``test`` is ``FILE::NAME`` without parameters, where ``*`` stands for anything; ``cases`` a pattern searched in the
    parameters' id. It concerns releases of the reference ``plugin`` from ``since`` until ``until``, both included.
    ``shows`` is a pattern searched in what the failure says. ``sometimes`` is why the test may pass all the same,
    ``slow`` why it may where everything takes longer (``CNITEST_TIMEOUT_FACTOR``), as on an emulated processor.
    """

    test: str
    plugin: str
    shows: str
    reason: str
    link: str = ""
    cases: str = ""
    since: str = ""
    until: str = ""
    sometimes: str = ""
    slow: str = ""

    @property
    def strict(self) -> bool:
        """Whether a test that passes against it fails for that, on this machine."""
        return not self.sometimes and not (self.slow and deadline.factor() > 1)

    def speaks_of(self, name: str) -> bool:
        """Whether it is about a test, by ``FILE::NAME[PARAMETERS]``."""
        test, _, cases = name.partition("[")
        return fnmatchcase(test, self.test) and re.search(self.cases, cases.removesuffix("]")) is not None

    def concerns(self, release: str) -> bool:
        """Whether it is about a release; never about a plugin that is of no release of the reference plugins."""
        after = not self.since or releases.order(release) >= releases.order(self.since)
        return bool(release) and after and (not self.until or releases.order(release) <= releases.order(self.until))


def read(suite: Path) -> tuple[KnownFailure, ...]:
    """The rows of a suite's directory. Raises ConfigError with every fault's line and column."""
    files = [*suite.glob("known.yaml"), *sorted((suite / "known").glob("*.yaml"))]
    return tuple(
        row for file in files for row in documents.table(file, tuple[KnownFailure, ...], "it is a list", _problems)
    )


def _problems(rows: Iterable[KnownFailure]) -> Iterator[Problem]:
    for number, row in enumerate(rows):
        for name in ("cases", "shows"):
            if why := documents.no_pattern(getattr(row, name)):
                yield Problem(f"[{number}].{name}", why)


@cache
def _rows(suite: Path) -> tuple[KnownFailure, ...]:
    return read(suite)


def expected(item: pytest.Item) -> list[KnownFailure]:
    """The rows that speak of a test with the plugins of this run."""
    name = f"{item.path.name}::{item.nodeid.partition('::')[2]}"
    return [row for row in _rows(item.path.parent) if row.speaks_of(name) and is_about(row, item.config)]


def is_about(row: KnownFailure, config: pytest.Config) -> bool:
    """Whether a row concerns the release of its plugin that a run tries."""
    return row.concerns(release(row.plugin, plugin_path(config)))


def release(plugin: str, path: tuple[str, ...]) -> str:
    """The release of the reference plugins that a search path has of a plugin; empty for none, and anybody else's."""
    file = plugins.find(plugin, path)
    return releases.reference(file) if file else ""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a failure that a row describes into an expected one, and fail a test that passes against its row."""
    report = yield
    if report.failed or (report.passed and report.when == "call"):
        try:
            classify(report, call, expected(item), item)
        except ConfigError as error:  # of the table, not of the test
            report.outcome, report.longrepr = "failed", str(error)
    return report


def classify(
    report: pytest.TestReport, call: pytest.CallInfo[None], rows: Sequence[KnownFailure], item: pytest.Item
) -> None:
    """Change a report as the ``rows`` that speak of its test want it."""
    if report.failed and call.excinfo:
        said = str(call.excinfo.value)
        if row := next((row for row in rows if re.search(row.shows, said)), None):
            report.outcome, report.wasxfail = "skipped", f"reason: {row.reason} {row.link}".rstrip()
            item.stash[_SHOWN] = True
    elif report.passed and not item.stash.get(_SHOWN, False):
        strict = [row for row in rows if row.strict]
        if strict:
            report.outcome, report.longrepr = "failed", _gone(strict[0], item)


def _gone(row: KnownFailure, item: pytest.Item) -> str:
    plugin = f"{row.plugin} {release(row.plugin, plugin_path(item.config))}"
    return (
        f"[XPASS(strict)] {plugin} is known to fail this test ({row.reason}), and passed it: "
        "remove the row from the known failures of the suite, or give it the releases that have it"
    )


_SHOWN = pytest.StashKey[bool]()
