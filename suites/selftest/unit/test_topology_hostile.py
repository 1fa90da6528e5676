"""Topology files that nobody would write: whatever is read ends in a topology or in a TopologyError, soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnitest.errors import TopologyError
from cnitest.topology import load, loads


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "nested more than 40 deep"),
        ("- " * 100_000, "nested more than 40 deep"),
        ("{a: " * 5_000, "nested more than 40 deep"),
        ("&a [*a]", "not a list"),
        ("name: x\nhosts: &h {h1: {sandboxes: *h}}", "unknown key"),
        ('name: "\\UFFFFFFFF"', "not YAML"),
        ("hosts:\n  h1: {}\n   h2: {}\n", "not YAML: its indentation is not that of the lines around it"),
        ("hosts:\n  h1: {}\n- h2\n", "not YAML: a list's '-' stands where a key is expected; check the indentation"),
        ("- h1\nhosts: {}\n", "not YAML: a key stands where a list's '-' is expected; check the indentation"),
        ("hosts: {h1: {}\n", "not YAML: a '{' is not closed"),
        ("hosts: [h1\n", r"not YAML: a '\[' is not closed"),
        ("name: 'x\n", "not YAML: a quote is not closed"),
        (
            "name: x\nhosts:\n  h1:{}\n",
            "hosts: expected a mapping of names, not 'h1:{}'; a blank belongs behind a key's",
        ),
        ("name: \ud800", "not YAML"),
        ("%YAML 9.9\n--- {}", "not YAML"),
        ("{? [a] : b}", "expected a name"),
        ("name: x\nhosts: &b {<<: *b}", "another mapping to merge"),
        ("--- # nothing", "the file is empty"),
    ],
)
def test_hostile_text_is_rejected_in_one_piece(text: str, said: str) -> None:
    """Depth, circles and broken escapes end in a TopologyError, never in a crash."""
    with pytest.raises(TopologyError, match=said):
        loads(text)


def test_a_yaml_bomb_is_rejected_quickly() -> None:
    """Aliases that expand to a hundred million values are noticed before they are expanded."""
    many = range(100)
    lines = ["name: bomb", "hosts:", "  h0: &h", "    bridges: &b"]
    lines += [f"      b0: &a {{addresses: [{', '.join(f'10.0.0.{n}/32' for n in many)}]}}"]
    lines += [f"      b{n}: *a" for n in many[1:]]
    lines += ["    sandboxes:", "      s0: &s {bridges: *b}", *(f"      s{n}: *s" for n in many[1:])]
    lines += [f"  h{n}: *h" for n in many[1:]]
    start = time.process_time()

    with pytest.raises(TopologyError, match="expand to more than 200000 values"):
        loads("\n".join(lines))

    assert time.process_time() - start < 5


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """What some editors put before the first character is passed over."""
    path = tmp_path / "marked.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + b"name: small\nhosts:\n  h1: {}\n")

    assert load(path).name == "small"


_fragments = st.sampled_from(
    [
        "name: x",
        "hosts:",
        "h1:",
        "  ",
        "\n",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "<<: ",
        "bridges: ",
        "veths: ",
        "ends: ",
        "at: h1",
        ": ",
        ", ",
        "~",
        "10.0.0.1/24",
        "addresses: ",
        "'",
        '"',
        "\t",
        "#",
        "!!str ",
        "| ",
        "%",
    ]
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.one_of(st.text(), st.lists(_fragments).map("".join)))
def test_any_text_loads_or_raises_a_topology_error(text: str) -> None:
    """Loading ends in no other exception, and each line of the error begins with the file."""
    try:
        said = f"<string>: {len(loads(text).hosts)}"
    except TopologyError as error:
        said = str(error)

    assert all(line.startswith("<string>:") for line in said.split("\n"))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.binary())
def test_any_bytes_load_or_raise_a_topology_error(raw: bytes) -> None:
    """There is no file on which loading ends in another exception."""
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(suffix=".yaml") as file:
        file.write(raw)
        file.flush()

        with pytest.raises(TopologyError):
            load(file.name)
