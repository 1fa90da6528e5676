"""Whether anything ran at all: a run in which every test was skipped proves nothing, and skips may be failures."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from cnitest.errors import FeatureMissing
from cnitest.report.given import names
from cnitest.text import line

_MOST_REASONS = 12
_FEW_REASONS = 3
#: Set with a run whose share of the tests (``--cni-shard``) has none: others run them.
EMPTY_SHARD = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Count from the beginning."""
    config.stash[_COUNT] = _Count()
    if config.getoption("--cni-shard"):
        config.stash[_COUNT].by = f"-k, -m or {names(config)('cni_shard')}"
    config.pluginmanager.register(config.stash[_COUNT])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With --cni-require-all a test that is skipped fails."""
    report = yield
    if item.config.getoption("--cni-require-all") and report.skipped and _is_a_lack(report, call):
        why = _not_allowed(item.config, report)
        report.outcome, report.longrepr = "failed", why
        if row := getattr(report, "cnitest", None):
            row.update(verdict="broken", details=[why], reason="")
    return report


def _is_a_lack(report: pytest.TestReport, call: pytest.CallInfo[None]) -> bool:
    """Whether something was missing: not where a failure is expected, nor where a requirement does not apply."""
    if hasattr(report, "wasxfail"):
        return False
    lacking = call.excinfo is not None and isinstance(call.excinfo.value, FeatureMissing | pytest.skip.Exception)
    return lacking or not hasattr(report, "cnitest")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With --cni-require-all a whole module that is skipped fails, too."""
    report = yield
    if collector.config.getoption("--cni-require-all") and report.skipped:
        report.outcome, report.longrepr = "failed", _not_allowed(collector.config, report)
    return report


def _not_allowed(config: pytest.Config, report: Any) -> str:
    return f"skipped, which {names(config)('cni_require_all')} does not allow: {_reason(report)}"


def _reason(report: Any) -> str:
    found = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(found).removeprefix("Skipped: ")


class _Count:
    """Tests that ran, and why the others did not; where the run is led it hears of all workers' reports."""

    def __init__(self) -> None:
        self.ran = 0
        self.skipped: dict[str, int] = {}
        self.left_out = 0
        self.by = "-k or -m"
        self.failed: str = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a report: what is skipped, and what does not apply, did not run."""
        row = getattr(report, "cnitest", None)
        known = hasattr(report, "wasxfail") or hasattr(report, "baseline")
        if report.skipped and not known and (not row or row["verdict"] == "not applicable"):
            reason = _reason(report)
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
        elif report.when == "call" or report.failed or row or known:
            self.ran += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count what is skipped as a whole."""
        if report.skipped:
            self.skipped[_reason(report)] = self.skipped.get(_reason(report), 0) + 1
        elif report.failed:
            self.ran += 1

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count what was left out by name or mark."""
        self.left_out += len(items)


_COUNT = pytest.StashKey[_Count]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in which nothing ran, and one that left out plugins although all were required."""
    config, count = session.config, session.config.stash[_COUNT]
    if hasattr(config, "workerinput") or exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return
    from cnitest.report import unprivileged
    from cnitest.report.conformance.tried import skipped_of

    if unprivileged.ends_with_4(config) and count.skipped and not count.ran:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    if config.option.collectonly:
        return
    if config.getoption("--cni-require-any") and not count.ran and not config.stash.get(EMPTY_SHARD, False):
        count.failed = "nothing ran"
    elif config.getoption("--cni-require-all") and skipped_of(config):
        count.failed = f"{names(config)('cni_require_all')}: plugins were not tried"
    if count.failed and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why a run failed in which nothing ran, or in one line that nothing was tested where that is no failure."""
    count = config.stash[_COUNT]
    if not count.failed:
        if count.skipped and not count.ran:
            terminalreporter.line(_untested(count), yellow=True)
        return
    terminalreporter.section(count.failed, red=True)
    for words in _why(count):
        terminalreporter.line(words)


def _untested(count: _Count) -> str:
    """That nothing was tested, and why, in one line."""
    ordered = _ordered(count)
    reasons = [f"{number} skipped: {line(' '.join(reason.split()))}" for reason, number in ordered[:_FEW_REASONS]]
    reasons += [f"and {len(ordered) - _FEW_REASONS} other reasons"] if len(ordered) > _FEW_REASONS else []
    reasons += [f"{count.left_out} left out by {count.by}"] if count.left_out else []
    return f"nothing was tested: {'; '.join(reasons)} (--cni-require-any lets such a run fail)"


def _ordered(count: _Count) -> list[tuple[str, int]]:
    return sorted(count.skipped.items(), key=lambda entry: -entry[1])


def _why(count: _Count) -> list[str]:
    ordered = _ordered(count)
    lines = [f"{number} skipped: {reason}" for reason, number in ordered[:_MOST_REASONS]]
    lines += [f"and {len(ordered) - _MOST_REASONS} other reasons"] if len(ordered) > _MOST_REASONS else []
    lines += [f"{count.left_out} left out by {count.by}"] if count.left_out else []
    lines += ["no test was found"] if not lines and not count.ran else []
    return [*lines, "cnitest doctor lists what this machine lacks"] if count.skipped else lines
