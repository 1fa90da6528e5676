"""docs/api.md is what the docstrings say, and covers what is public."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cnitest

CHECKOUT = Path(__file__).resolve().parents[3]
DOCUMENT = CHECKOUT / "docs" / "api.md"


def generator():
    """The script that writes the document, as a module."""
    spec = importlib.util.spec_from_file_location("api", CHECKOUT / "script" / "api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_is_up_to_date():
    """What is in the file is what the script writes now."""
    assert DOCUMENT.read_text() == generator().page(), "run script/api.py"


def test_every_class_that_is_exported_has_a_chapter():
    """A name that users import is explained."""
    text = DOCUMENT.read_text()
    missing = [
        name
        for name in cnitest.__all__
        if isinstance(getattr(cnitest, name), type) and f"## {name}\n" not in text and f"- `{name}`:" not in text
    ]

    assert missing == ["Topology"]  # a topology is its language: docs/topologies.md


def test_every_member_is_explained():
    """No method, property, fixture or mark of the document is without a sentence."""
    parts = DOCUMENT.read_text().split("\n### ")[1:]
    bare = [part.splitlines()[0] for part in parts if not part.rpartition("```")[2].strip().splitlines()[-1:]]

    assert parts
    assert not bare
