"""``cnitest reach``: a matrix at the shell, held to a truth table, with exit codes and words for what is wrong."""

from __future__ import annotations

import json

import pytest

from cnitest.cli.commands import main

TOPOLOGY = "bridge-walkthrough"
SANDBOXES = ("--from", "node/*", "--probe", "icmp", "--probe", "tcp:80")
SIX = """
name: six
hosts: {a: {}, b: {}}
veths: [{ends: [{at: a, name: e, addresses: ["2001:db8::1/64"]}, {at: b, name: e, addresses: ["2001:db8::2/64"]}]}]
"""
DROP = ("--after", "ns02: iptables -A INPUT -p tcp --dport 80 -j DROP")


def reach(capsys, *words: str) -> tuple[int, str, str]:
    """The exit code and both outputs."""
    code = main(["reach", TOPOLOGY, *words])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def expect(tmp_path):
    """Writes a truth table, and gives the words that name it."""

    def write(text: str) -> tuple[str, str]:
        path = tmp_path / "expect.yaml"
        path.write_text(text)
        return "--expect", str(path)

    return write


def test_it_prints_a_table(capsys):
    """Of all that was asked for; without anything to compare with it ends with 0."""
    code, out, _ = reach(capsys, *SANDBOXES, *DROP)

    assert code == 0
    assert "3 delivered, 1 dropped" in out
    assert "  node/ns01      ·          ✗" in out


def test_what_has_only_ipv6_is_probed_over_it(capsys, tmp_path):
    """Without a word about the family; one that nobody has is an error that says which there is."""
    path = tmp_path / "six.yaml"
    path.write_text(SIX)

    assert main(["reach", str(path)]) == 0
    assert "icmp6, tcp6:80, udp6:53: all delivered" in capsys.readouterr().out

    assert main(["reach", str(path), "--probe", "icmp"]) == 4
    assert "none of the places has an IPv4 address; write 'icmp6'" in capsys.readouterr().err

    assert main(["explain", str(path), "a", "b"]) == 0
    assert "a → 2001:db8::2 icmp: delivered" in capsys.readouterr().out


def test_what_is_as_expected_ends_with_0(capsys, expect):
    """And says so in a line."""
    code, out, _ = reach(capsys, *SANDBOXES, *DROP, *expect("expect: {ns01: {ns02: {'tcp:80': dropped}}}"))

    assert (code, out) == (0, "reachability: all 4 cells are as expected\n")


def test_what_differs_ends_with_1_and_its_cause(capsys, expect):
    """Each cell that differs, below what dropped it."""
    code, out, _ = reach(capsys, *SANDBOXES, *DROP, *expect("default: delivered"))

    assert code == 1
    assert "1 of 4 cells differ" in out
    assert "node/ns01 → node/ns02 tcp:80" in out
    assert "node/ns02" in out.splitlines()[1]


def test_what_is_unproven_ends_with_3(capsys, expect):
    """Neither as expected nor different, with the reason."""
    dead = ("--from", "ns01", "--to", "8.8.8.8", "--probe", "icmp")
    code, _, err = reach(capsys, *dead)
    assert (code, "8.8.8.8" in err) == (4, True)

    off = ("--after", "internet: ip link set eth0 down", "--from", "internet", "--to", "node", "--probe", "icmp")
    code, out, _ = reach(capsys, *off, *expect("default: any\nexpect: {internet: {node: delivered}}"))

    assert code in (1, 3)
    assert ("unproven" in out) == (code == 3)


def test_json_has_every_cell_and_what_differs(capsys, expect):
    """Verdicts by from, to and probe; differences by cause."""
    code, out, _ = reach(capsys, *SANDBOXES, *DROP, "--json", *expect("default: delivered"))
    found = json.loads(out)

    assert code == 1
    assert {(cell["from"], cell["verdict"]) for cell in found["cells"]} >= {("node/ns01", "dropped")}
    assert found["differing"][0]["cells"] == [{"from": "node/ns01", "to": "node/ns02", "probe": "tcp:80"}]
    assert found["unproven"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "node/ns03"), "Did you mean"),
        (("--probe", "tcp"), "write 'tcp:80'"),
        (("--probe", "tpc:80"), "Did you mean 'tcp:80'?"),
        (("--address", "node"), "write PLACE=ADDRESS"),
        (("--address", "node=eht0"), "has no address or link 'eht0'"),
        (("--expect", "/nowhere.yaml"), "cannot be read"),
        (("--after", "node: false"), "--after 'node: false'"),
        (("--after", "nod: true"), "nod"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_4(capsys, words, said):
    """One line, with what was meant."""
    code, out, err = reach(capsys, *words)

    assert (code, out) == (4, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_faults_of_a_truth_table_end_with_4(capsys, expect):
    """Each with its line and column, before anything is built where its form is wrong."""
    code, _, err = reach(
        capsys, *SANDBOXES, *expect("expect:\n  ns1:\n    ns02: delivered\n  ns01: {ns02: {tcp:8: droped}}\n")
    )

    assert code == 4
    assert ":3:5: expect.ns1.ns02: the matrix has no sender 'ns1'. Did you mean" in err
    assert ":4:17: expect.ns01.ns02['tcp:8']: 'droped' is not one of" in err
