"""The table of link kinds: whole, read by everybody, and all that a new kind has to touch."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from cnitest.kernel import features
from cnitest.kernel.rtnetlink import link_data
from cnitest.topology import link_kinds, loads, model_links
from cnitest.topology.building.plan import plan
from cnitest.topology.link_kinds import LinkKind
from cnitest.topology.model import Link, LinkGroups, VethEnd

CNITEST = Path(__file__).resolve().parents[3] / "cnitest"
LATEST = ("vxlan", "gre", "gretap", "ipip", "sit", "wireguard", "ifb")
PLACES = {
    "topology/model_links.py",
    "topology/link_kinds.py",
    "kernel/rtnetlink/link_data.py",
    "kernel/rows/link_details.py",
}
"""Where a kind of link is written down; the last only for what the kernel tells of such a link."""

OTHERS = {"topology/words/symbols.py", "lab/frames/matching.py", "conformance/observe/tamper.py"}
"""Where such a word is that of a protocol (numbers of ip(8), layers of scapy), or of a link that a plugin made."""


def mentions(source: str, row: LinkKind) -> bool:
    """Whether code has the kind or its group as a whole text, or its class as a name."""
    words = {row.kind, row.group}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and node.value in words:
            return True
        if isinstance(node, ast.Name) and node.id == row.model.__name__:
            return True
    return False


@pytest.mark.parametrize("kind", LATEST)
def test_a_kind_is_written_down_in_four_files_at_most(kind: str) -> None:
    """Nobody but the tables mentions a kind of link that is no base of all the others."""
    row = link_kinds.KINDS[kind]

    files = {str(path.relative_to(CNITEST)) for path in CNITEST.rglob("*.py") if mentions(path.read_text(), row)}

    others = files - PLACES - OTHERS
    assert not others, f"{kind}: {', '.join(sorted(others))}"


def test_every_class_of_links_has_a_row_and_a_group() -> None:
    """Nothing that can be declared is unknown to the table."""
    classes = set(Link.__subclasses__())

    assert {row.model for row in link_kinds.KINDS.values()} == classes
    assert {model.__name__ for model in classes} <= set(model_links.__all__)
    assert {"loopback", *link_kinds.GROUPS} == {field.name for field in dataclasses.fields(LinkGroups)}


def test_every_kind_is_tried_and_made() -> None:
    """The kernel is asked for each kind, and a request can be packed for each that has no way of its own."""
    own = {"veth", "bridge", "macvlan", "tap"}

    assert set(link_kinds.KINDS) <= set(features.names())
    assert set(link_kinds.KINDS) == own | set(link_data.KINDS)


def test_a_mode_that_is_a_kind_says_which_row() -> None:
    """Where one class has several kinds, the kernel's word is that of its mode."""
    text = "name: t\nhosts: {h: {tunnels: {t0: {mode: %s, local: 192.0.2.1, remote: 192.0.2.2}}}}"

    made = {mode: loads(text % mode).hosts["h"].tunnels["t0"] for mode in ("gre", "gretap", "ipip", "sit")}

    assert {mode: link_kinds.of(link).kind for mode, link in made.items()} == {mode: mode for mode in made}


def test_what_stands_on_others_is_made_after_them() -> None:
    """Whatever the order of the groups, a parent is there before its child."""
    text = """
name: stack
hosts:
  h:
    macvlans: {m: {parent: v}}
    vlans: {v: {parent: d, id: 5}}
    dummies: {d: {}}
    ifbs: {i: {}}
"""
    made = [step.link.name for step in plan(loads(text)).steps if hasattr(step, "peer")]

    assert made == ["d", "i", "v", "m"]


def test_only_a_parent_that_has_to_be_there_is_needed() -> None:
    """A vxlan can do without the link that it leaves by; a VLAN cannot."""
    needing = {kind for kind, row in link_kinds.KINDS.items() if row.needs_parent}

    assert needing == {"macvlan", "ipvlan", "vlan"}
    assert not link_kinds.of(VethEnd(at="h")).needs_parent
