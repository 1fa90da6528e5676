"""docs/explain.md has a line for each cause, as its docstring says."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from cnitest.suites.selftest.unit.sources import CHECKOUT


def generator() -> ModuleType:
    """The script that writes the table, as a module."""
    spec = importlib.util.spec_from_file_location("causes", CHECKOUT / "script" / "causes.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_that_of_the_docstrings():
    """The document is what script/causes.py makes of them."""
    assert (CHECKOUT / "docs" / "explain.md").read_text(encoding="utf-8") == generator().page(), "run script/causes.py"
