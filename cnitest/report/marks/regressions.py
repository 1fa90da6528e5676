"""The pytest hooks of bug reports: a verdict for each test of one, the table at the end of a run, and its JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnitest import paths
from cnitest.report.given import names

if TYPE_CHECKING:
    from cnitest.report.marks.bug_reports import ReportCase, ReportOutcome

_MARK = "regression"
_LONGEST = 240


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest the mark, and collect what its tests find."""
    config.addinivalue_line("markers", "regression(id): the test shows the symptom of a bug report, see reports.yaml")
    config.stash[_COLLECTOR] = collector = _Collector()
    config.pluginmanager.register(collector)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let -k select a test by the ID of its report."""
    for mark in item.iter_markers(_MARK):
        item.extra_keyword_matches.update(map(str, mark.args))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Reject a mark of a report that there is not."""
    mark = item.get_closest_marker(_MARK)
    if mark is not None and (wrong := problem(mark, item.path.parent)):
        pytest.fail(f"the mark regression{mark.args}: {wrong}", pytrace=False)


def problem(mark: pytest.Mark, suite: Path) -> str:
    """What is wrong with a mark, or with the table of reports of its suite's directory; empty for nothing."""
    from cnitest.errors import ConfigError
    from cnitest.report.marks import bug_reports
    from cnitest.typos import did_you_mean

    if len(mark.args) != 1 or mark.kwargs:
        return "it takes the ID of one row of reports.yaml"
    try:
        reports = bug_reports.read(suite)
    except ConfigError as error:
        return str(error)
    name = str(mark.args[0])
    return "" if name in reports else f"no row of {suite / 'reports.yaml'} has this ID{did_you_mean(name, reports)}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give a test of a bug report its verdict; what is known of a release is expected, strictly."""
    report = yield
    mark = item.get_closest_marker(_MARK)
    if mark is None or (report.when != "call" and report.passed) or problem(mark, item.path.parent):
        return report
    from cnitest.report.marks import bug_reports, known

    test = f"{item.path.name}::{item.nodeid.partition('::')[2]}"
    reports = bug_reports.read(item.path.parent)
    verdict, why = _verdict(report, call)
    rows = [row for row in reports[mark.args[0]].known(test.partition("[")[0]) if row.speaks_of(test)]
    known.classify(report, call, [row for row in rows if known.is_about(row, item.config)], item)
    reason = getattr(report, "wasxfail", "").removeprefix("reason: ").partition(" http")[0]
    case = [mark.args[0], test, verdict, why, not report.failed, reason]
    report.regression = [str(item.path.parent), *case]  # type: ignore[attr-defined]
    return report


def _verdict(report: pytest.TestReport, call: pytest.CallInfo[None]) -> tuple[str, str]:
    """What a report says of a plugin, and why in one line."""
    from cnitest.report.marks.bug_reports import Symptom

    said = str(call.excinfo.value).splitlines() if call.excinfo else []
    why = textwrap.shorten(said[0], _LONGEST, placeholder=" …") if said else ""
    if report.passed:
        return "free of it", ""
    if report.skipped:
        return "does not apply", why
    shown = call.excinfo is not None and isinstance(call.excinfo.value, Symptom)
    return ("has it" if shown else "undecided"), why


class _Collector:
    """Keeps every case of a run; where the run is led it hears of all workers' reports."""

    def __init__(self) -> None:
        self.cases: list[ReportCase] = []
        self.suite = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a report's case, if it has one."""
        row = getattr(report, "regression", None)
        if row is not None:
            from cnitest.report.marks.bug_reports import ReportCase

            self.suite, *case = row
            self.cases.append(ReportCase(*case))

    def found(self) -> tuple[ReportOutcome, ...]:
        """What the run found, report by report."""
        if not self.cases:
            return ()
        from cnitest.report.marks import bug_reports

        return bug_reports.gathered(self.cases, bug_reports.read(Path(self.suite)))


_COLLECTOR = pytest.StashKey[_Collector]()
_UNWRITTEN = pytest.StashKey[str]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the JSON that was asked for, where the conformance suite does not; where that cannot be, no other report is
    lost for it."""
    config = session.config
    file = config.getoption("--cni-json")
    if hasattr(config, "workerinput") or not file or config.getoption("--cni-plugin"):
        return
    if found := config.stash[_COLLECTOR].found():
        try:
            paths.write(file, json.dumps(as_data(found, config), indent=1) + "\n")
        except OSError as error:
            config.stash[_UNWRITTEN] = f"{file} could not be written: {error.strerror or error}"
            session.exitstatus = pytest.ExitCode.USAGE_ERROR


def unwritten(config: pytest.Config) -> Iterator[str]:
    """Why the JSON that was asked for is not written: no test ran that it is of, or it cannot be; a line, or none."""
    file = config.getoption("--cni-json")
    yield from [config.stash[_UNWRITTEN]] if _UNWRITTEN in config.stash else []
    if file and not config.stash[_COLLECTOR].found():
        option = names(config)("cni_json")
        yield f"{option}: {file} is not written: no case of the conformance suite or of the regressions was tried"


def as_data(found: tuple[ReportOutcome, ...], config: pytest.Config) -> dict[str, Any]:
    """What a run found, as JSON has it: ``releases`` of the plugins, and ``reports`` with their cases."""
    return {
        "releases": dict(_releases(config)),
        "reports": [
            {
                "id": one.report.id,
                "symptom": one.report.symptom,
                "verdict": one.verdict,
                "expected": one.expected,
                "links": list(one.report.links),
                "cases": [case._asdict() for case in one.cases],
            }
            for one in found
        ],
    }


def _releases(config: pytest.Config) -> Iterator[tuple[str, str]]:
    """The reference plugins of the search path and their releases; ``unknown`` for another author's."""
    from cnitest.cni import plugins
    from cnitest.plugins import files
    from cnitest.report.given import plugin_path
    from cnitest.report.marks.known import release

    path = plugin_path(config)
    for name in files.names():
        if plugins.find(name, path):
            yield name, release(name, path) or "unknown"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table: report, verdict, symptom, why, link."""
    from cnitest import text

    if found := config.stash[_COLLECTOR].found():
        terminalreporter.section("bug reports")
        for line in table(found, verbose=config.option.verbose > 0):
            terminalreporter.line(text.line(line))


def table(found: tuple[ReportOutcome, ...], *, verbose: bool = False) -> Iterator[str]:
    """The lines of the table, those that have it first; ``verbose`` shows every link and case."""
    from cnitest.report.marks.bug_reports import VERDICTS

    wide = max(len(one.report.id) for one in found)
    for verdict in VERDICTS:
        of_it = [one for one in found if one.verdict == verdict]
        if of_it:
            yield f"{verdict}: {len(of_it)}"
        for one in of_it:
            yield f"  {one.report.id:{wide}}  {one.report.symptom}{_some(one)}"
            yield from (f"{' ' * (wide + 4)}{line}" for line in _details(one, verbose=verbose))


def _some(one: ReportOutcome) -> str:
    """How many cases have it where not all do, and whether that is news."""
    has = len(one.decisive)
    words = [f"{has} of {one.tried} cases"] if one.verdict == "has it" and has < one.tried else []
    words += [] if one.expected else ["not expected"]
    return f" ({', '.join(words)})" if words else ""


def _details(one: ReportOutcome, *, verbose: bool) -> Iterator[str]:
    """Why, and the links; of what a plugin is free of only when everything is wanted."""
    if one.verdict == "free of it" and not verbose:
        return
    whys = tuple(dict.fromkeys(case.why for case in one.decisive if case.why))
    yield from whys if verbose else whys[:1]
    if len(whys) > 1 and not verbose:
        yield f"and {len(whys) - 1} more like it (-v shows all)"
    yield from dict.fromkeys(case.reason for case in one.decisive if case.reason)
    if one.verdict != "does not apply" or verbose:
        yield from one.report.links if verbose else one.report.links[:1]
