"""JUnit: the properties of a whole run, beside those of each test that its report has."""

from __future__ import annotations

import os
from typing import Any

import pytest

from cnitest import paths
from cnitest.report.ci import environment


class SuiteProperties:
    """Adds the facts of a run to the file that pytest writes; leaves properties out of tests where that is asked for.

    Registered where the run is led.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._bare = bool(config.getini("cni_junit_strict"))
        self._drafts: list[_Draft] = []
        self._unwritten = ""

    def pytest_sessionstart(self) -> None:
        """Add them, as ``record_testsuite_property`` does where no workers run tests."""
        for writer in filter(_writes_junit, self._config.pluginmanager.get_plugins()):
            self._drafts.append(_Draft(writer, writer.logfile))
            for name, words in environment.facts(self._config).items():
                writer.add_global_property(name, words)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Put the file where it belongs, whole; a disk that is full costs that file, and no other report."""
        for draft in self._drafts:
            try:
                draft.keep()
            except OSError as error:
                self._unwritten = f"{draft.file} could not be written: {error.strerror or error}"
                session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Which file could not be written, and why."""
        if self._unwritten:
            terminalreporter.line(self._unwritten, red=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Leave out what the schema of Jenkins' xUnit plugin does not know."""
        if self._bare:
            report.user_properties = []


class _Draft:
    """A file in memory that pytest writes in place of the one that was asked for."""

    def __init__(self, writer: Any, file: str) -> None:
        self._writer, self.file = writer, file
        self._descriptor = os.memfd_create("junit.xml")
        writer.logfile = f"/proc/self/fd/{self._descriptor}"

    def keep(self) -> None:
        """Write the file that was asked for. Raises OSError."""
        self._writer.logfile = self.file
        with open(self._descriptor, encoding="utf-8") as draft:
            os.makedirs(os.path.dirname(self.file), exist_ok=True)
            paths.write(self.file, draft.read())


def _writes_junit(plugin: Any) -> bool:
    return hasattr(plugin, "add_global_property")
