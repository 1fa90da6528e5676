"""ARCHITECTURE.md is true: its list of packages is up to date, its walks name what exists, its glossary is short."""

from __future__ import annotations

import ast
import importlib.util
import re

import pytest
from cnitest.suites.selftest.unit.architecture import DOCUMENT, names, resolved, section, walks
from cnitest.suites.selftest.unit.sources import CHECKOUT, tree

MOST_TERMS, MOST_LINES = 40, 10


def test_the_list_of_packages_is_up_to_date():
    """What is in the file is what the script writes now."""
    spec = importlib.util.spec_from_file_location("architecture", CHECKOUT / "script" / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    assert DOCUMENT.read_text() == module.page(), "run script/architecture.py"


@pytest.mark.parametrize("walk", walks(), ids=lambda walk: walk.strip().partition(".")[0].strip("*").replace(" ", "-"))
def test_a_walk_names_what_exists(walk: str):
    """Every dotted name of a walk is there; a walk has at most ten lines and at least five names."""
    named = names(walk)

    missing = [name for name in named if resolved(name) is None]

    assert len(named) >= 5
    assert not missing
    assert len(walk.strip().splitlines()) <= MOST_LINES


def test_there_are_four_walks():
    """From a topology, from a configuration, from an example, from a lost probe."""
    assert len(walks()) == 4


def test_the_glossary_is_short():
    """At most forty terms, each once."""
    terms = re.findall(r"^\| ([^|]+?) \|", section("Glossary"), re.M)[1:]
    terms = [term for term in terms if not term.startswith("---")]

    assert terms
    assert len(terms) <= MOST_TERMS
    assert len(set(terms)) == len(terms)


@pytest.mark.parametrize("dotted", ["topology.load.lode", "nowhere.at.all", "lab.lab.Lab.hots"])
def test_a_name_that_is_gone_is_noticed(dotted: str):
    """The test of the walks can fail."""
    assert resolved(dotted) is None


@pytest.mark.parametrize("folder", ["cnitest", "fixtures", "suites", "benchmarks", "script"])
def test_functions_are_short(folder: str):
    """Half of all functions have at most eight lines, nine in ten at most twenty, none more than forty."""
    nodes = [node for source in tree(folder) for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef)]
    lengths = sorted(node.end_lineno - node.lineno + 1 for node in nodes)

    assert lengths[len(lengths) // 2] <= 8
    assert lengths[len(lengths) * 9 // 10] <= 20
    assert lengths[-1] <= 40
