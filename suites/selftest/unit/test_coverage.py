"""docs/coverage.md is what the kept runs say, and they say that each plugin, and each key of it, was tried."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from types import ModuleType

import pytest
from cnitest.suites.selftest.unit.sources import CHECKOUT

from cnitest.plugins import files
from cnitest.report.marks import known
from cnitest.report.marks.covers import keys

SUITE = CHECKOUT / "suites" / "plugins"
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


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """The tests of the suite, those of classes too, by the names that pytest gives them."""
    for file in sorted(SUITE.glob("test_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
                if isinstance(inner, ast.FunctionDef):
                    within = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
                    yield f"{file.name}::{within}{inner.name}", inner


def marked() -> Iterator[tuple[str, str]]:
    """The tests with the mark ``covers`` of their own, with their keys."""
    for name, function in functions():
        for mark in function.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.covers":
                yield name, ast.literal_eval(mark.args[0])


def test_the_document_is_that_of_the_runs() -> None:
    """It is what script/coverage.py makes of docs/coverage/*.json."""
    assert (CHECKOUT / "docs" / "coverage.md").read_text(encoding="utf-8") == script().page() + "\n"


def test_the_runs_name_no_place_of_a_machine() -> None:
    """A reason for a skip says what is missing, not where the plugins of that run were."""
    for file in sorted((CHECKOUT / "docs" / "coverage").glob("*.json")):
        assert "--cni-path" not in file.read_text(encoding="utf-8"), file.name


def test_the_runs_are_of_these_tests() -> None:
    """Each test with the mark was in a run, and each test of a run is there: else run them again."""
    covered = script().covered(script().runs())
    ran = {(test, key) for key, ways in covered.items() for tests in ways.values() for test in tests}
    failing = {row.test for row in known.read(SUITE)}

    assert {mark for mark in marked() if mark[0] not in failing} - ran == set(), "these passed in no run that is kept"
    assert {test for test, _ in ran} - {name for name, _ in functions()} == set(), "these are no tests any more"


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
