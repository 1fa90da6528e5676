"""JUnit: the properties of a whole run, beside those of each test that its report has."""

from __future__ import annotations

from typing import Any

import pytest

from cnitest.report.ci import environment


class SuiteProperties:
    """Adds the facts of a run to the file that pytest writes; leaves properties out of tests where that is asked for.

    Registered where the run is led.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._bare = bool(config.getini("cni_junit_strict"))

    def pytest_sessionstart(self) -> None:
        """Add them, as ``record_testsuite_property`` does where no workers run tests."""
        for writer in filter(_writes_junit, self._config.pluginmanager.get_plugins()):
            for name, words in environment.facts(self._config).items():
                writer.add_global_property(name, words)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Leave out what the schema of Jenkins' xUnit plugin does not know."""
        if self._bare:
            report.user_properties = []


def _writes_junit(plugin: Any) -> bool:
    return hasattr(plugin, "add_global_property")
