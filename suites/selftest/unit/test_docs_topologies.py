"""The guide to topologies: its examples load, its errors and pictures are the real ones, its lists are complete."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from pathlib import Path

import pytest

from cnitest.errors import TopologyError
from cnitest.topology import draw, find, load, loads, model, shipped

_GUIDE = (Path(__file__).parents[3] / "docs" / "topologies.md").read_text()
_FENCE = re.compile(r"^```(?P<kind>[a-z ]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def _fences(kind: str) -> list[str]:
    return [found["text"] for found in _FENCE.finditer(_GUIDE) if found["kind"] == kind]


@pytest.mark.parametrize("text", _fences("yaml"), ids=lambda text: text.partition("\n")[0])
def test_each_example_is_a_complete_topology(text: str) -> None:
    """What the guide shows can be copied into a file, loaded and drawn."""
    topology = loads(text)

    assert draw(topology)


def test_the_example_of_faults_ends_as_the_guide_says() -> None:
    """The error text in the guide is what the loader says of the file above it."""
    (faulty,) = _fences("yaml faulty")

    with pytest.raises(TopologyError) as caught:
        loads(faulty, "lan.yaml")

    assert f"{caught.value}\n" in _fences("text")


def test_the_python_example_prints_the_picture_below_it() -> None:
    """The topology built by hand is valid and drawn as the guide shows."""
    (example,) = _fences("python")
    printed = io.StringIO()

    with contextlib.redirect_stdout(printed):
        exec(compile(example, "docs/topologies.md", "exec"), {})

    assert printed.getvalue() in _fences("text")


def test_the_picture_is_that_of_the_first_example() -> None:
    """The picture in the guide is what draw makes of the guide's first topology."""
    first = loads(_fences("yaml")[0])

    assert f"{draw(first, failed=('node/c1', 'node/c2'))}\n" in _fences("text")


def test_every_shipped_topology_is_listed() -> None:
    """The guide names each shipped topology with its own line about it."""
    for name in shipped():
        assert f"| `{name}` | {load(find(name)).about} |" in _GUIDE


_CLASSES = (model.Topology, model.Host, model.Switch, model.Veth, model.VethEnd, model.Route, model.NextHop, model.Rule,
            model.Bridge,
            model.PortVlan, model.Vxlan, model.Tunnel, model.Neighbour, model.FdbEntry,
            model.Macvlan, model.Vlan, model.Bond, model.Vrf)  # fmt: skip


@pytest.mark.parametrize("cls", _CLASSES)
def test_every_key_is_in_the_guide(cls: type) -> None:
    """No key of the language is left out."""
    missing = [field.name for field in dataclasses.fields(cls) if f"`{field.name}`" not in _GUIDE]

    assert missing == []
