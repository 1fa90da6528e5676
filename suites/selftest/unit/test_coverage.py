"""docs/coverage.md is what the kept runs say, and they say that each plugin was tried, each key of it, by what tests do."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from types import ModuleType

import pytest

from cnitest.plugins import files
from cnitest.report.covers import keys
from cnitest.suites.selftest.unit.sources import CHECKOUT

#: Keys that no test shows, and why.
WITHOUT = {
    "host-device.pciBusID": "it takes a PCI device",
    "host-device.runtimeConfig.deviceID": "it takes a PCI device",
}


def script() -> ModuleType:
    """The script that writes the document, as a module."""
    spec = importlib.util.spec_from_file_location("coverage", CHECKOUT / "script" / "coverage.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def marked() -> Iterator[tuple[str, str]]:
    """The tests with the mark ``covers`` of their own, with their keys."""
    for file in sorted((CHECKOUT / "suites" / "plugins").glob("test_*.py")):
        for function in ast.parse(file.read_text(encoding="utf-8")).body:
            for mark in getattr(function, "decorator_list", ()):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.covers":
                    yield f"{file.name}::{function.name}", ast.literal_eval(mark.args[0])


def test_the_document_is_that_of_the_runs() -> None:
    """It is what script/coverage.py makes of docs/coverage/*.json."""
    assert (CHECKOUT / "docs" / "coverage.md").read_text(encoding="utf-8") == script().page() + "\n"


def test_the_runs_are_of_these_tests() -> None:
    """Each test with the mark was in a run, and each test of a run is there: else run them again."""
    covered = script().covered(script().runs())
    ran = {(test, key) for key, ways in covered.items() for tests in ways.values() for test in tests}

    assert set(marked()) - ran == set(), "these never passed in a run that is kept"
    assert {test for test, _ in ran} - {test for test, _ in marked()} == set(), "these are no tests any more"


@pytest.mark.parametrize("plugin", files.names())
def test_each_plugin_passed_somewhere(plugin: str) -> None:
    """No plugin is without an environment in which its tests ran and passed, and none failed."""
    counts = {run.name: run.found["ran"].get(plugin, {"passed": 0, "failed": 0}) for run in script().runs()}

    assert any(each["passed"] for each in counts.values())
    assert not any(each["failed"] for each in counts.values())


@pytest.mark.parametrize("plugin", files.names())
def test_each_key_is_shown(plugin: str) -> None:
    """Each key that is known of a plugin has a way, or a reason why it has none."""
    covered = script().covered(script().runs())
    missing = [key for key in keys(plugin) if f"{plugin}.{key}" not in covered and f"{plugin}.{key}" not in WITHOUT]

    assert missing == []
