"""The pytest hooks of the conformance suite: subjects for it, verdicts on its cases, the table at its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cnitest.report import options
from cnitest.report.baseline import hooks
from cnitest.report.conformance import tried
from cnitest.report.conformance.tried import chosen_of, is_asked_for, subjects_of, wanted
from cnitest.report.given import names

if TYPE_CHECKING:
    from cnitest.conformance.model.verdict import Case
    from cnitest.report.conformance.again import Asked
    from cnitest.report.conformance.choice import Chosen
    from cnitest.report.conformance.summary import RunSummary

#: The seconds that a test's fixtures took.
DURATION = pytest.StashKey[float]()
#: Workers a processor; measured by benchmarks/conformance.py.
_WORKERS = 2
_MARK = "requirement"
_WORDS = {
    "passed": ("passed", ".", "PASSED"),
    "failed": ("failed", "F", "FAILED"),
    "warning": ("warnings of requirements", "w", ("WARNING", {"yellow": True})),
    "inherited": ("inherited", "i", ("INHERITED", {"yellow": True})),
    "in the baseline": ("in the baseline", "b", ("IN THE BASELINE", {"yellow": True})),
    "known deviation": ("known deviations", "d", ("DEVIATION", {"yellow": True})),
    "not applicable": ("not applicable", "-", ("NOT APPLICABLE", {"cyan": True})),
    "undecided": ("undecided", "?", ("UNDECIDED", {"yellow": True})),
    "broken": ("error", "E", "ERROR"),
}
#: What a verdict is called where it is explained.
_LEGEND = {"inherited": "inherited (library limitation)", "undecided": "undecided (blocked)"}


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest the mark."""
    config.addinivalue_line("markers", "requirement(id): the requirement that a test of the conformance suite decides")
    config.stash[_COLLECTOR] = _Collector(config)
    config.pluginmanager.register(config.stash[_COLLECTOR])
    if not hasattr(config, "workerinput") and is_asked_for(config) and config.option.verbose <= 0:
        from cnitest.report.conformance.progress import Progress

        letters = {verdict: (letter, _LEGEND.get(verdict, verdict)) for verdict, (_, letter, _) in _WORDS.items()}
        config.stash[_PROGRESS] = Progress(letters, int(getattr(config.option, "numprocesses", None) or 1))
        config.pluginmanager.register(config.stash[_PROGRESS])


@pytest.hookimpl(tryfirst=True)  # before workers are begun
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Tell what cannot be run before anything is; a network that was given and cannot start ends the run with 1."""
    if hasattr(config, "workerinput") or config.getoption("help") or not is_asked_for(config):
        return None
    from cnitest.report.given import resolve_paths

    resolve_paths(config)
    wanted(config)
    from cnitest import interrupts

    try:
        with interrupts.heeded():
            found = chosen_of(config)
    except KeyboardInterrupt as error:
        return interrupts.report(error)
    from cnitest.report.conformance import heading

    _check_baseline(config, found)
    given = bool(config.getoption("--cni-conf"))
    ends = heading.ends(found, given)
    after = heading.unwritten(config.option) if ends else heading.lines(found.subjects, _profile(config))
    for line in (*heading.violations(found, given, names(config)), *after):
        print(line, flush=True)  # noqa: T201
    return int(pytest.ExitCode.TESTS_FAILED) if ends else None


def _check_baseline(config: pytest.Config, found: Chosen) -> None:
    """Raise UsageError for a baseline that is of other plugins alone."""
    file = config.getoption("--cni-baseline")
    if not file:
        return
    from cnitest.errors import ConfigError
    from cnitest.report.baseline import files

    subjects = (*found.subjects, *(each.subject for each in found.unstarted))
    try:
        files.check_plugins(files.read(file), file, [each.name for each in subjects], names(config)("cni_baseline"))
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from None


def _profile(config: pytest.Config) -> str:
    return str(config.getoption("--cni-profile"))


@pytest.hookimpl(optionalhook=True, tryfirst=True)  # xdist has an answer of its own
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """With -n auto two workers a processor, for plugins wait for the kernel; more find no time left there."""
    return (os.cpu_count() or 1) * _WORKERS if is_asked_for(config) else None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Hand the subjects to a worker of pytest-xdist, so that plugins are examined once."""
    if is_asked_for(node.config):
        tried.hand_over(node.config, node.workerinput)


@pytest.hookimpl(tryfirst=True)  # before -k looks at them
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that apply to no subject at all, which the table says, and those of requirements not asked for;
    let -k know the others' IDs."""
    identifiers = wanted(config)
    items[:] = [item for item in items if not _is_empty(item) and (not identifiers or _identifier(item) in identifiers)]
    for item in items:
        if identifier := _identifier(item):
            item.extra_keyword_matches.add(identifier)
            item.user_properties.append(("requirement", identifier))


def _identifier(item: pytest.Item) -> str:
    """The requirement that a test decides; empty for any other test."""
    mark = item.get_closest_marker(_MARK)
    return str(mark.args[0]) if mark else ""


def _is_empty(item: pytest.Item) -> bool:
    if item.get_closest_marker(_MARK) is None:
        return False
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return not hasattr(parameters.get("trial"), "subject") and "trial" in parameters


@pytest.hookimpl(tryfirst=True)  # before the fixtures
def pytest_runtest_setup(item: pytest.Item) -> None:
    """From here on a program's time is this test's: what ran before, as for the first ADD, is nobody's."""
    if _identifier(item):
        from cnitest.kernel.processes.process import spent

        spent.take()


@pytest.hookimpl(tryfirst=True)  # before pytest's own, which formats a traceback that no verdict shows
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport | None:
    """Give a test of a requirement its verdict."""
    mark = item.get_closest_marker(_MARK)
    if call.when == "setup":
        item.stash[DURATION] = call.duration
    if mark is None or not hasattr(item, "callspec") or "trial" not in item.callspec.params:
        return None
    if call.when != "call" and call.excinfo is None:
        return None
    from cnitest.report.cases import case_report

    return case_report(item, call, mark.args[0], item.stash.get(DURATION, 0.0))


def pytest_report_teststatus(report: Any, config: pytest.Config) -> Any:
    """Our own words and letters for verdicts; no letters where progress is shown as counts."""
    row = getattr(report, "cnitest", None)
    found = _WORDS.get(row["verdict"]) if row else None
    return (found[0], "", "") if found and _PROGRESS in config.stash else found


class _Collector:
    """Keeps every verdict of a run for its table; where the run is led it hears of all workers' reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.cases: list[Case] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a report's verdict, if it has one."""
        row = getattr(report, "cnitest", None)
        if row is not None:
            from cnitest.conformance.model.verdict import Case

            self.cases.append(Case.from_data(row))
            if run := hooks.of(self._config):
                run.subjects = subjects_of(self._config)


_COLLECTOR = pytest.StashKey[_Collector]()
_PROGRESS = pytest.StashKey[Any]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a known deviation has disappeared; write what was asked for."""
    config = session.config
    cases = config.stash[_COLLECTOR].cases
    if hasattr(config, "workerinput") or not cases:
        return
    outcome = config.stash[_OUTCOME] = _outcome(config, cases)
    gone = outcome.disappeared and outcome.shipped
    if (gone or chosen_of(config).unstarted) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    unwritten = [config.stash.get(_UNWRITTEN, ""), options.write_reports(config.option, outcome)]
    config.stash[_UNWRITTEN] = "\n".join(filter(None, unwritten))
    if any(unwritten):
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def _outcome(config: pytest.Config, cases: list[Case]) -> RunSummary:
    """What the run came to, with the scripts of its causes written; with -v those of all cases."""
    from cnitest.report.conformance import choice, scripts, summary

    subjects = subjects_of(config)
    whole = not (config.getoption("-k") or wanted(config) or config.getoption("--cni-shard"))
    first = choice.own(subjects, config.getoption("--cni-plugin"))
    profile, directory = config.getoption("--cni-profile"), config.getoption("--cni-repro")
    run = hooks.of(config)
    baseline = run.as_data() if run else None
    found = summary.outcome(cases, subjects, profile, whole=whole, own=first, baseline=baseline)
    if not directory:
        return found
    chosen = found.cases if config.option.verbose > 0 else [cause.shown_by for cause in found.causes]
    kept, config.stash[_UNWRITTEN] = scripts.written(found.cases, directory, chosen)
    return summary.outcome(kept, subjects, profile, whole=whole, own=first, baseline=baseline)


_OUTCOME = pytest.StashKey[Any]()
_UNWRITTEN = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table: requirement by verdict, counts by level, where the time went."""
    outcome = config.stash.get(_OUTCOME, None)
    if outcome is None:
        for line in _nothing_selected(config) if is_asked_for(config) else ():
            terminalreporter.line(line)
        from cnitest.report.marks import regressions

        for line in regressions.unwritten(config):
            terminalreporter.line(line, yellow=True)
        return
    from cnitest import text
    from cnitest.report.conformance import again, ending

    found = chosen_of(config)
    missed = [*found.skipped, *(f"{one.subject.name}: cannot start, see above" for one in found.unstarted)]
    command, verbose = again.command(_asked(config)), config.option.verbose > 0
    shown = names(config)("cni_json")
    for headline, lines in ending.sections(outcome, missed, command=command, json=shown, verbose=verbose):
        terminalreporter.section(headline)
        for line in lines:
            terminalreporter.line(text.line(line))
    for line in filter(None, config.stash.get(_UNWRITTEN, "").splitlines()):
        terminalreporter.line(line, red=True)


def _nothing_selected(config: pytest.Config) -> list[str]:
    """Why no case was tried: what was selected, and why it does not apply."""
    lines = []
    if config.getoption("-k"):
        lines.append(
            f"nothing was selected: -k {config.getoption('-k')!r} matches no test's name and no requirement's ID "
            "among those that apply (`cnitest requirements` lists them)"
        )
    from cnitest.conformance.model.requirement import find

    for identifier in sorted(wanted(config)):
        for subject in subjects_of(config):
            gap = next((why for version in subject.versions if (why := subject.gap(find(identifier), version))), "")
            lines += [f"{identifier} does not apply to {subject.name}: {gap}"] if gap else []
    return lines


def _asked(config: pytest.Config) -> Asked:
    """How this run was called."""
    from cnitest.report.conformance.again import Asked

    topology = config.getoption("--cni-topology")
    words = [word for version in config.getoption("--cni-version") for word in ("--cni-version", version)]
    return Asked(
        config.getoption("--cni-conf"),
        config.getoption("--cni-path"),
        "" if topology == options.DEFAULT_TOPOLOGY else topology,
        words + (["--keep-going"] if config.getoption("--cni-keep-going") else []),
        {subject.name: subject.source for subject in subjects_of(config)},
    )
