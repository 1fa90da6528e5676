"""Differences in words: the titles of tables, and patterns that were written for what they were called before."""

from __future__ import annotations

import re
from typing import Any

import pytest

from cnitest.conformance.bench.leftovers import leftovers
from cnitest.kernel.netfilter.conntrack import Flow
from cnitest.kernel.rows.records import Port
from cnitest.lab.snapshot.difference import difference, matches
from cnitest.lab.snapshot.state import State

PORT = Port("veth1", "br0", "forwarding", False, False)
FLOW = Flow("tcp", "10.0.0.1:1", "10.0.0.2:2", "10.0.0.2:2", "10.0.0.1:1")
BEFORE, AFTER = State(), State(ports=(PORT,), flows=(FLOW,))


def test_bridge_ports_and_conntrack_entries_are_called_so():
    """Words say what the tables have; the tables' names, and the fields of a state, are as they were."""
    first, second = difference(BEFORE, AFTER)

    assert [first.table, second.table] == ["ports", "flows"]
    assert str(first).startswith("+ bridge ports veth1: ")
    assert str(second).startswith("+ conntrack entries tcp 10.0.0.1:1 -> 10.0.0.2:2: ")
    assert (AFTER.bridge_ports, AFTER.conntrack) == (AFTER.ports, AFTER.flows)


@pytest.mark.parametrize(
    ("pattern", "words", "holds"),
    [
        (r"\+ ports veth", "node: + bridge ports veth1: bridge=br0", True),
        (r"\+ bridge ports veth", "node: + bridge ports veth1: bridge=br0", True),
        (r"- ports veth", "node: + bridge ports veth1: bridge=br0", False),
        (r"\+ ports veth", "a message about bridge ports veth1", False),
        (r"flows tcp", "node: - conntrack entries tcp 10.0.0.1:1", True),
    ],
)
def test_patterns_match_the_former_titles_too(pattern: str, words: str, holds: bool):
    """A profile's pattern that was written for the former words still holds, and for nothing else."""
    assert matches(re.compile(pattern), words) is holds


@pytest.mark.parametrize("pattern", [r"\+ ports veth1", r"\+ bridge ports veth1"])
def test_a_profile_allows_leftovers_by_either_title(pattern: str):
    """``leftover`` of a profile takes the title as it is, and as it was."""
    states: list[Any] = [{"node": BEFORE}, {"node": AFTER}]

    assert [left.difference.table for left in leftovers(*states)] == ["ports"]
    assert not leftovers(*states, [pattern])
