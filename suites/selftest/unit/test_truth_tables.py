"""Truth tables, their comparison with a matrix, and the matrix as text: no network is needed for any of it."""

from __future__ import annotations

import pytest

from cnitest import ConfigError, ProbeUnproven, Reachability, TruthTable, UsageError, Verdict
from cnitest.errors import UnknownName
from cnitest.lab.explanation import Cause, Explanation
from cnitest.lab.reach import Reach
from cnitest.lab.reachability.grid import Cell
from cnitest.lab.reachability.kinds import PacketKind, kind

NAMES = ("node", "node/a", "node/b", "other/c")
POLICY = Cause("firewall.policy", "ip filter FORWARD policy", "ip filter FORWARD policy DROP", "node", "FORWARD")


def matrix(names=NAMES, probes=("icmp", "tcp:80"), *, dropped=(), unproven=(), absent=(), cause=POLICY):
    """A matrix of what would be delivered but for some (from, to)."""

    def reach(cell):
        pair = cell[:2]
        verdict = Verdict.DROPPED if pair in dropped else Verdict.UNPROVEN if pair in unproven else Verdict.DELIVERED
        explained = lambda lost: Explanation(f"{lost.summary}: dropped", cause=cause)  # noqa: E731
        return Reach(verdict, f"{cell}", *cell[:2], "10.0.0.1", f"{verdict.value} somehow", explainer=explained)

    cells = [Cell(a, b, probe) for a in names for b in names if a != b for probe in probes]
    left_out = {cell: f"{cell.receiver} has no IPv4 address" for cell in cells if cell[:2] in absent}
    return Reachability(names, names, probes, {each: reach(each) for each in cells if each not in left_out}, left_out)


def test_a_truth_table_holds_by_default():
    """What no line names was delivered, unless the table says otherwise."""
    assert matrix() == {}
    assert matrix() != TruthTable({}, default="dropped")
    assert matrix(dropped={("node", "node/a")}) == TruthTable({"node": {"node/a": "any"}})


@pytest.mark.parametrize(
    "table",
    [
        {"node/*": {"node/*": False}},
        {"node/a": {"node/b": "dropped"}, "node/b": {"node/a": Verdict.DROPPED}},
        {"a": {"b": {"icmp": False, "tcp:80": False}}, "b": {"a": {"*": False}}},
        {"*": {"*": True, "*[ab]": False}, "*[!ab]": {"*": True}},
    ],
)
def test_names_and_patterns(table):
    """Full names, a sandbox's own name, shell patterns, probes; of two lines about a cell the later one holds."""
    assert matrix(dropped={("node/a", "node/b"), ("node/b", "node/a")}) == table


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"nod/a": {"*": True}}, "expect['nod/a']['*']: the matrix has no sender 'nod/a'. Did you mean 'node/a'?"),
        ({"*": {"node/x": True}}, "the matrix has no receiver 'node/x'. Did you mean"),
        ({"*": {"*": {"tpc:80": True}}}, "the matrix has no probe 'tpc:80'. Did you mean 'tcp:80'?"),
        ({"*": {"*": "droped"}}, "'droped' is not one of 'delivered', 'dropped', 'any'. Did you mean 'dropped'?"),
        ({"*": {"*": 1.5}}, "1.5 is not one of"),
        ({"node/a": {"node/b": False}, "*": {"*": True}}, "expect['node/a']['node/b']: decides nothing"),
        ({"node": {"node": True}}, "names only node itself"),
        ({"node": True}, "expected a mapping to: outcome, not True; write {'*': True} for all"),
    ],
)
def test_a_table_that_names_what_is_not_there_is_an_error(table, words):
    """It never counts as equal or different, and the words say what was meant."""
    with pytest.raises(UsageError) as caught:
        matrix() == table  # noqa: B015

    assert words in str(caught.value)


def test_all_faults_of_a_table_are_reported_at_once():
    """A line each."""
    with pytest.raises(UsageError) as caught:
        matrix().difference({"x": {"y": True}, "node": {"node/a": "perhaps"}})

    assert len(str(caught.value).splitlines()) == 3


def test_a_difference_shows_just_the_cells_that_differ():
    """Those with the same cause together, explained once."""
    found = matrix(dropped={("node", "node/a"), ("node/b", "node/a")}).difference(
        {"node/a": {"node/b": {"icmp": False}}}
    )

    assert str(found) == (
        "reachability: 5 of 24 cells differ from what is expected\n"
        "  expected delivered, but dropped by ip filter FORWARD policy on node: 4 cells\n"
        "    node → node/a icmp\n"
        "    node → node/a tcp:80\n"
        "    node/b → node/a icmp\n"
        "    node/b → node/a tcp:80\n"
        "      node → 10.0.0.1: dropped, hook FORWARD:\n"
        "        ip filter FORWARD policy DROP\n"
        "  expected dropped, but delivered: 1 cell\n"
        "    node/a → node/b icmp: delivered somehow"
    )
    assert [len(group.cells) for group in found.causes()] == [4, 1]


def test_a_difference_stays_short():
    """Of hundreds of cells a dozen are named for each cause, the others are counted, and not all are sought."""
    names = tuple(f"node/c{at}" for at in range(30))

    found = matrix(names, ("icmp",), dropped={(a, b) for a in names for b in names}).difference({})

    assert len(str(found).splitlines()) < 40
    (group,) = found.causes()
    assert group.what == "expected delivered, but dropped by ip filter FORWARD policy on node"
    assert len(group.cells) + len(group.likely) == 870
    assert "cells lost at the same point, causes not sought, such as node/c" in str(found)


def test_what_is_unproven_is_neither_equal_nor_different():
    """It fails as a probe does that proves nothing, with the cells and the reasons."""
    doubtful = matrix(unproven={("node", "node/a")})

    with pytest.raises(ProbeUnproven, match="node → node/a icmp: unproven somehow"):
        doubtful == {}  # noqa: B015
    with pytest.raises(ProbeUnproven):
        bool(doubtful)
    assert doubtful == {"node": {"a": "any"}}
    assert doubtful != {"a": {"*": False}}


def test_what_could_not_be_probed_is_never_as_expected():
    """A place without an address is neither reached nor proved not to be."""
    lacking = matrix(absent={("node", "node/a")})

    assert lacking != {}
    assert lacking != {"node": {"node/a": False}}
    assert lacking == {"node": {"node/a": "any"}}
    assert "node/a has no IPv4 address" in str(lacking.difference({}))
    with pytest.raises(UnknownName, match="node/a has no IPv4 address"):
        lacking["node", "node/a", "icmp"]


def test_a_matrix_is_true_when_all_of_it_is_delivered():
    """As a reach is."""
    assert matrix()
    assert not matrix(dropped={("node", "node/a")})


def test_matrices_compare_with_each_other():
    """By verdicts; matrices of other cells cannot be compared."""
    assert matrix() == matrix()
    assert matrix() != matrix(dropped={("node", "node/a")})
    with pytest.raises(UsageError, match="not of the same places and probes"):
        matrix() == matrix(probes=("icmp",))  # noqa: B015


def test_a_cell_is_found_by_its_names():
    """With a probe its reach, without one those of all; a name that is not there is an error."""
    assert matrix()["node", "node/a", "icmp"].receiver == "node/a"
    assert [*matrix()["node", "node/a"]] == ["icmp", "tcp:80"]
    with pytest.raises(UnknownName, match="Did you mean 'node/a'"):
        matrix()["node/a", "node/aa"]
    with pytest.raises(UnknownName, match="no place is probed from itself"):
        matrix()["node", "node", "icmp"]


def test_four_places_make_a_small_table():
    """A row and a column each; probes that are alike share a table."""
    shown = str(matrix(NAMES[:3], dropped={("node/a", "node/b")}))

    assert shown == (
        "reachability, from row to column: 10 delivered, 2 dropped\n"
        "icmp, tcp:80:\n"
        "          node  node/a  node/b\n"
        "  node     ·      ✓       ✓\n"
        "  node/a   ✓      ·       ✗\n"
        "  node/b   ✓      ✓       ·\n"
        "✓ delivered  ✗ dropped  ? unproven  - no address"
    )


def test_two_hundred_places_make_a_short_table():
    """Places that are alike share a row; where none are, what is rare is listed; all of one kind is one line."""
    names = tuple(f"node/c{at}" for at in range(200))
    half = {(a, b) for a in names[:100] for b in names[:100]}
    every_second = {(a, b) for a in names[::2] for b in names[::2]}
    ragged = {(names[at], names[to]) for at in range(199) for to in range(at)}

    shown = str(matrix(names, ("icmp",), dropped=half)).splitlines()

    assert str(matrix(names, ("icmp",))).splitlines()[1:] == ["icmp: all delivered"]
    assert "  node/c0 … node/c99 (100)                ✗                           ✓" in shown
    assert len(shown) == 6
    assert "  node/c0 and 99 more: node/c0, node/c2," in str(matrix(names, ("icmp",), dropped=every_second))
    assert len(str(matrix(names, ("icmp",), dropped=ragged)).splitlines()) < 40


def test_json_has_every_cell():
    """Verdict and reason of each, those that could not be probed too."""
    found = matrix(absent={("node", "node/a")}).data()

    assert len(found["cells"]) == 24
    assert {row["verdict"] for row in found["cells"]} == {"delivered", "no address"}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("icmp", PacketKind("icmp", 4)),
        ("icmp6", PacketKind("icmp", 6)),
        ("icmpv6", PacketKind("icmp", 6)),
        ("tcp:80", PacketKind("tcp", 4, 80)),
        ("UDP6:53", PacketKind("udp", 6, 53)),
    ],
)
def test_probes_by_their_words(word, meant):
    """Protocol, family, port."""
    assert kind(word) == meant
    assert kind(str(meant)) == meant


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("imcp", "Did you mean 'icmp'?"),
        ("tcp", "write 'tcp:80'"),
        ("tcp:0", "names no port from 1 to 65535"),
        ("udp:65536", "names no port from 1 to 65535"),
        ("icmp:8", "ICMP has no ports; write 'icmp'"),
        (80, "80 is no probe"),
    ],
)
def test_what_is_no_probe_is_said(word, words):
    """With what to write instead."""
    with pytest.raises(ValueError, match="probe|port") as caught:
        kind(word)

    assert words in str(caught.value)


def test_a_file_says_what_is_expected(tmp_path):
    """The same as in Python, in YAML."""
    path = tmp_path / "expect.yaml"
    path.write_text("default: delivered\nexpect:\n  node/*:\n    node: {icmp: dropped}\n    b: any\n")

    table = TruthTable.read(path)

    assert matrix().difference(table).differing[0].cell == Cell("node/a", "node", "icmp")
    assert len(matrix().difference(table).differing) == 2


def test_faults_of_a_file_have_their_place(tmp_path):
    """File, line and column, and what was meant: of its form when it is read, of names when it is compared."""
    form, names = tmp_path / "form.yaml", tmp_path / "names.yaml"
    form.write_text("defualt: dropped\nexpect:\n  a: [b]\n")
    names.write_text("expect:\n  nod/a:\n    node/b: delivered\n  node/a:\n    b: {tcp:8: dropped}\n    node: drop\n")

    with pytest.raises(ConfigError) as caught:
        TruthTable.read(form)
    with pytest.raises(ConfigError) as compared:
        matrix().difference(TruthTable.read(names))

    assert str(caught.value).splitlines() == [
        f"{form}:1:1: defualt: unknown key. Did you mean 'default'?",
        f"{form}:3:6: expect.a: expected a mapping of names, not a list",
    ]
    assert str(compared.value).splitlines() == [
        f"{names}:3:5: expect['nod/a']['node/b']: the matrix has no sender 'nod/a'. Did you mean 'node/a'?",
        f"{names}:5:9: expect['node/a'].b['tcp:8']: the matrix has no probe 'tcp:8'. Did you mean 'tcp:80'?",
        f"{names}:6:5: expect['node/a'].node: 'drop' is not one of 'delivered', 'dropped', 'any'. "
        "Did you mean 'dropped'?",
    ]
