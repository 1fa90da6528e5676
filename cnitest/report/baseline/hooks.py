"""The pytest hooks of baselines: what is accepted fails no run, what has gone is reported, and a new one is written."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cnitest.report.baseline.model import Baseline
    from cnitest.report.baseline.run import Run


def pytest_configure(config: pytest.Config) -> None:
    """Read what was given, and look up what is found. Raises UsageError for a file that is no baseline."""
    if not (config.getoption("--cni-baseline") or config.getoption("--cni-write-baseline")):
        return  # nothing is read when pytest starts
    from cnitest.report.baseline import run

    given = getattr(config, "workerinput", {}).get(_SENT)
    config.stash[_RUN] = run.Run.of_worker(given) if given is not None else _begun(config)
    config.pluginmanager.register(_LookUp(config.stash[_RUN]))
    config.pluginmanager.register((_Sending if hasattr(config, "workerinput") else _Gathering)(config.stash[_RUN]))


def _begun(config: pytest.Config) -> Run:
    from cnitest.errors import ConfigError
    from cnitest.report import given
    from cnitest.report.baseline import run

    read, written = config.getoption("--cni-baseline"), config.getoption("--cni-write-baseline")
    named = given.names(config)
    try:
        return run.Run.begin(read, written, (named("cni_baseline"), named("cni_write_baseline")))
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from None


def of(config: pytest.Config) -> Run | None:
    """The run's baseline, and what is written; None where there is neither."""
    found: Run | None = config.stash.get(_RUN, None)
    return found


def accepted(config: pytest.Config) -> Baseline | None:
    """What findings of a run are looked up in; None without --cni-baseline."""
    found = of(config)
    return found.given if found else None


_RUN = pytest.StashKey[Any]()
_SENT, _LEFT_OUT = "cnitest_baseline", "cnitest_left_out"
_WORDS = ("in the baseline", "b", ("IN THE BASELINE", {"yellow": True}))


class _LookUp:
    """Where tests run: looks up each failure without a requirement, and notes which tests were left out."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Note of which requirements tests are left out, by whatever option."""
        before = list(items)
        yield
        left = {id(item) for item in items}
        for item in before:
            mark = item.get_closest_marker("requirement")
            if mark is not None and id(item) not in left:
                self._run.left_out.add((_subject(item), str(mark.args[0])))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn a failure that the baseline has into one that is no news."""
        report = yield
        if not hasattr(report, "cnitest"):
            self._run.look_up(item, call, report)
        return report

    def pytest_report_teststatus(self, report: Any) -> Any:
        """A word and a letter of its own."""
        return _WORDS if getattr(report, "baseline", {}).get("known") else None


def _subject(item: pytest.Item) -> str:
    trial = getattr(getattr(item, "callspec", None), "params", {}).get("trial")
    return str(getattr(getattr(trial, "subject", None), "name", ""))


def _is_whole(session: pytest.Session) -> bool:
    """Whether a run came to its end: not one that was interrupted, or that ends at its first failure."""
    stopped = session.shouldfail or session.shouldstop or session.config.option.collectonly
    ended = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    return session.exitstatus in ended and not stopped


def _tell_junit(config: pytest.Config, data: dict[str, Any]) -> None:
    """Properties of the whole JUnit report, where one is written."""
    for report in config.pluginmanager.get_plugins():
        if hasattr(report, "add_global_property"):
            report.add_global_property("baseline", data["file"])
            report.add_global_property("in the baseline", data["accepted"])
            report.add_global_property("no longer found", len(data["disappeared"]))


class _Sending:
    """In a worker: sends what it noted to where the run is led."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send which tests were left out."""
        output: dict[str, Any] = session.config.workeroutput  # type: ignore[attr-defined]
        output[_LEFT_OUT] = sorted(self._run.left_out)


class _Gathering:
    """Where a run is led: gathers what was found, reports and writes it at the end."""

    def __init__(self, run: Run) -> None:
        self._run = run

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand the baseline to a worker of pytest-xdist."""
        node.workerinput[_SENT] = self._run.for_worker()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker noted."""
        sent = getattr(node, "workeroutput", None) or {}
        self._run.left_out |= {(subject, requirement) for subject, requirement in sent.get(_LEFT_OUT, ())}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather one report."""
        self._run.add(report)

    @pytest.hookimpl(tryfirst=True)  # before the JUnit report is written
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Compare with the baseline, and write the new one; what was written is no failure of the run."""
        run, status = self._run, session.exitstatus
        if not _is_whole(session):
            return
        run.finish()
        _tell_junit(session.config, run.as_data())
        if run.problem:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        elif run.file and status == pytest.ExitCode.TESTS_FAILED and session.testsfailed == run.written_failures:
            session.exitstatus = pytest.ExitCode.OK
        elif run.gone and session.config.getoption("--cni-strict") and status == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What of the run the baseline has, what has gone, and what was written."""
        from cnitest import text

        terminalreporter.section("baseline")
        for line in self._run.lines():
            terminalreporter.line(text.line(line))
