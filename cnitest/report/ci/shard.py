"""``--cni-shard I/N``: of the tests of a run one share, balanced by the durations that earlier runs recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from cnitest.errors import ConfigError
from cnitest.report import given, ran
from cnitest.report.ci import durations, shares

_KNOWN = "cnitest_durations"
_OUTPUT = "cnitest_shard"


def register(config: pytest.Config) -> None:
    """Register what chooses a share, and what records durations."""
    if config.option.cni_shard:
        config.pluginmanager.register(_Sharding(config), "cnitest shard")
    if config.option.cni_store_durations and not hasattr(config, "workerinput"):
        recorder = _Recorder(config.option.cni_store_durations, given.names(config)("cni_store_durations"))
        config.pluginmanager.register(recorder, "cnitest durations")


class _Share(NamedTuple):
    """What a share came to: its tests and all tests, their seconds, and how many are in no file of durations."""

    tests: int
    of: int
    seconds: float
    in_all: float
    unknown: int


class _Sharding:
    """Leaves out the tests of other shares. Workers of pytest-xdist get the durations of who leads the run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        named = given.names(config)
        self._option = named("cni_durations_file")
        self._shard = shares.parse(named("cni_shard"), config.option.cni_shard)
        self._share: _Share | None = None
        sent = getattr(config, "workerinput", {}).get(_KNOWN)
        file = config.option.cni_durations_file
        self._known: dict[str, float] = json.loads(sent) if sent else _known(self._option, file)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Hand the durations to a worker, whose file may be another by now, or on another machine."""
        node.workerinput[_KNOWN] = json.dumps(self._known)

    @pytest.hookimpl(trylast=True)  # once all others have left out what is not to run
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the tests of this share, in their order."""
        names = [item.nodeid for item in items]
        mine = shares.positions(names, self._known, self._shard)
        self._note(names, mine)
        config.hook.pytest_deselected(items=[item for at, item in enumerate(items) if at not in mine])
        items[:] = [item for at, item in enumerate(items) if at in mine]

    def _note(self, names: Sequence[str], mine: frozenset[int]) -> None:
        lasting = shares.seconds(names, self._known)
        unknown = sum(name not in self._known for name in names)
        self._learn(_Share(len(mine), len(names), sum(lasting[at] for at in mine), sum(lasting), unknown))
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT] = list(self._share or ())

    def _learn(self, share: _Share) -> None:
        self._share = share
        self._config.stash[ran.EMPTY_SHARD] = bool(share.of and not share.tests)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Learn from a worker what the share was."""
        if sent := getattr(node, "workeroutput", {}).get(_OUTPUT):
            self._learn(_Share(*sent))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """A share without a test is no failure: the other shares have all of them."""
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self._config.stash.get(ran.EMPTY_SHARD, False):
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what the share was, in one line."""
        if self._share:
            file = self._config.option.cni_durations_file
            terminalreporter.line(_words(self._shard, self._share, file, self._option))


def _known(option: str, file: str | None) -> dict[str, float]:
    try:
        return durations.read(option, file) if file else {}
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from None


def _words(shard: shares.Shard, share: _Share, file: str | None, option: str) -> str:
    """What a share was: how many tests of how many, and how long by which file, which ``option`` names."""
    counted = f"shard {shard}: {share.tests} of {share.of} tests"
    if not share.tests:
        counted += ": there are more shares than tests, so that this one has none"
    if share.unknown == share.of:
        why = f"no duration of them is in {file}" if file else f"no {option} was given"
        return f"{counted}; {why}: all count the same"
    rest = f"; {share.unknown} are not in it and count as the median" if share.unknown else ""
    return f"{counted}, {share.seconds:.1f} of {share.in_all:.1f} s by {file}{rest}"


class _Recorder:
    """Records how long each test takes, with its fixtures, and stores that at the end."""

    def __init__(self, file: str, option: str) -> None:
        self._file, self._option = file, option
        self._found: dict[str, float] = {}
        self._warning = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the time of a test's setup, call and teardown."""
        self._found[report.nodeid] = self._found.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """Store what was recorded; where that cannot be, the run is what it was."""
        try:
            durations.store(self._option, self._file, self._found)
        except (OSError, ConfigError) as error:
            self._warning = str(error)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Warn where durations could not be stored."""
        if self._warning:
            words = f"warning: the durations of tests are not stored: {self._warning}"
            terminalreporter.line(words, yellow=True)
