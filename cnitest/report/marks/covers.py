"""What tests cover of a plugin: the mark ``covers``, verified by what the test did, and a run's report of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from cnitest import paths

#: How a key's effect is shown: by the kernel's state, by packets, by CHECK, by DEL, or by an ADD that is refused.
WAYS = ("kernel", "packet", "CHECK", "DEL", "refused")
#: Where a key is given that is none of the configuration's own.
GIVEN_BY = ("runtimeConfig", "args.cni", "CNI_ARGS")
_PROPERTY = "covers"
# Where the plugins of a run were, and pytest's word before a reason: a report that is kept says neither.
_OF_MACHINE = re.compile(r"^Skipped: | --cni-path .*$")
_Report: TypeAlias = dict[str, Any]


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest the mark; collect what tests covered where that was asked for."""
    config.addinivalue_line(
        "markers", "covers('PLUGIN.KEY', way, …): the test shows the key's effect in each way: " + ", ".join(WAYS)
    )
    if config.getoption("--cni-coverage") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Collector(config))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Reject a mark that names what there is not."""
    for mark in item.iter_markers("covers"):
        if wrong := problem(mark):
            pytest.fail(f"the mark covers{mark.args}: {wrong}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that passed without having done what it says; else note what it covered."""
    report = yield
    if call.when != "call" or not report.passed:
        return report
    for mark in item.iter_markers("covers"):
        if unused := [way for way in mark.args[1:] if not _was_done(way, item)]:
            report.outcome = "failed"
            report.longrepr = f"the mark covers{mark.args}: the test did nothing of the kind: {', '.join(unused)}"
            return report
        report.user_properties.append((_PROPERTY, " ".join(mark.args)))
    return report


def problem(mark: pytest.Mark) -> str:
    """What is wrong with a mark; empty for nothing."""
    from cnitest.plugins import files
    from cnitest.typos import did_you_mean

    words = [str(word) for word in mark.args]
    if not words or mark.kwargs:
        return "it takes 'PLUGIN.KEY' and ways"
    plugin, _, key = words[0].partition(".")
    if plugin not in files.names():
        return f"nothing is known of a plugin {plugin!r}{did_you_mean(plugin, files.names(), clause=True)}"
    if key and key not in (known := keys(plugin)) and not key.startswith(tuple(f"{by}." for by in GIVEN_BY)):
        return f"{plugin} has no key {key!r}{did_you_mean(key, known, clause=True)}"
    unknown = next((way for way in words[1:] if way not in WAYS), "")
    return f"{unknown!r} is no way; there are {', '.join(WAYS)}" if unknown else ""


def keys(plugin: str) -> tuple[str, ...]:
    """The keys of a plugin's configuration that its file in ``cnitest/plugins`` knows, and those the runtime gives."""
    from cnitest.plugins import files

    known = files.known(plugin)
    found = [*known.all_keys, *known.always, *known.also, *(key for part in known.section.values() for key in part)]
    found += [f"runtimeConfig.{name}" for name in known.capabilities]
    return tuple(dict.fromkeys([*found, *(["ipam"] if known.ipam in ("required", "optional") else [])]))


def _was_done(way: str, item: pytest.Item) -> bool:
    """Whether the test's lab has seen what the way takes; without the fixture `lab` nobody can tell."""
    from cnitest.cni.calls.invoke import Call
    from cnitest.lab.reach import Reach, Traffic
    from cnitest.lab.reachability.matrix import Reachability

    lab = getattr(item, "funcargs", {}).get("lab")
    if lab is None or way == "kernel":
        return True
    if way == "packet":
        return any(isinstance(event.data, Reach | Reachability | Traffic) for event in lab.journal)
    calls = lab.journal.of(Call)
    if way == "refused":
        return any(call.exit_code for call in calls)
    return any(call.environment.get("CNI_COMMAND") == way for call in calls)


class _Collector:
    """Collects, where the run is led, what was covered and what ran, by plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._covered: dict[str, dict[str, set[str]]] = {}
        self._ran: dict[str, dict[str, Any]] = {}
        self._unwritten = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one report."""
        plugin = plugin_of(report.nodeid)
        counts = self._ran.setdefault(plugin, {"passed": 0, "known": 0, "failed": 0, "skipped": {}}) if plugin else {}
        outcome = _outcome(report)
        if counts and outcome == "skipped":
            reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
            reason = _OF_MACHINE.sub("", reason)
            counts["skipped"][reason] = counts["skipped"].get(reason, 0) + 1
        elif counts and outcome:
            counts[outcome] += 1
        for key, *ways in _noted(report):
            for way in ways or ["kernel"]:
                test = report.nodeid.partition("[")[0].rpartition("/")[2]
                self._covered.setdefault(key, {}).setdefault(way, set()).add(test)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file; where that cannot be, no other report is lost for it."""
        file = Path(self._config.getoption("--cni-coverage"))
        try:
            paths.write(file, json.dumps(self.found(), indent=1, sort_keys=True) + "\n")
        except OSError as error:
            self._unwritten = f"{file} could not be written: {error.strerror or error}"
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why there is no file."""
        if self._unwritten:
            terminalreporter.line(self._unwritten, red=True)

    def found(self) -> _Report:
        """What was found, with where it was."""
        from cnitest.report.given import plugin_path
        from cnitest.report.marks.known import release

        path = plugin_path(self._config)
        return {
            "kernel": os.uname().release.partition("-")[0],
            "root": os.geteuid() == 0,
            "releases": {plugin: version for plugin in sorted(self._ran) if (version := release(plugin, path))},
            "ran": self._ran,
            "covered": {
                key: {way: sorted(tests) for way, tests in ways.items()} for key, ways in self._covered.items()
            },
        }


def plugin_of(test: str) -> str:
    """The plugin that a test is about, by its file: ``test_host_device_alias.py`` is about host-device; else empty."""
    from cnitest.plugins import files

    stem = test.partition("::")[0].rpartition("/")[2].removesuffix(".py")
    about = [name for name in files.names() if f"{stem}_".startswith(f"test_{name.replace('-', '_')}_")]
    return max(about, key=len, default="")


def _outcome(report: pytest.TestReport) -> str:
    """What a report adds to the counts: nothing for the phases of a test that say nothing of their own."""
    if hasattr(report, "wasxfail"):
        return "known"
    return report.outcome if report.when == "call" or report.outcome != "passed" else ""


def _noted(report: pytest.TestReport) -> Iterator[list[str]]:
    if report.when == "call" and report.passed:
        for name, value in report.user_properties:
            if name == _PROPERTY:
                yield str(value).split()
