"""Explanations: what every one of them holds, whatever the cause."""

from __future__ import annotations

import pytest

from cnitest import Lab, UsageError, load
from cnitest.explain.causes import registry
from cnitest.explain.causes.registry import cause, causes
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.topology import find

pytestmark = pytest.mark.topology("bridge-walkthrough")

INTERNET = "8.8.8.8"


def test_a_lost_probe_says_where_and_why(lab):
    """The place, the link, the cause with its remedy, and each hop on the way, in order."""
    lab.host("node").sysctl("net.ipv4.ip_forward", 0)

    explanation = lab.sandbox("ns01").ping(INTERNET).explanation

    assert explanation.where == "node:br01 in"
    assert explanation.cause.id == "routing.forwarding-off"
    assert [str(hop) for hop in explanation.hops] == ["node/ns01:eth01 out", "node:veth01 in", "node:br01 in"]
    assert "would pass with: sysctl -w net.ipv4." in str(explanation)


def test_a_delivered_probe_has_no_cause(lab):
    """What was answered was dropped by nothing."""
    reach = lab.sandbox("ns01").ping("10.40.80.12")

    assert reach
    assert (reach.dropped_by, reach.cause) == ("", None)
    assert str(reach.explanation).startswith("node/ns01 → 10.40.80.12 icmp: delivered, answered by 10.40.80.12 after")


def test_an_explanation_is_the_same_when_asked_again(lab):
    """It is found out once, whatever changes afterwards."""
    node = lab.host("node")
    node.sysctl("net.ipv4.ip_forward", 0)
    reach = lab.sandbox("ns01").ping(INTERNET)
    before = reach.explanation

    node.sysctl("net.ipv4.ip_forward", 1)

    assert reach.explanation is before


def test_what_passes_meanwhile_is_said(lab):
    """A probe that gets through when it is sent again has no cause any more, and that is said."""
    node = lab.host("node")
    node.sysctl("net.ipv4.ip_forward", 0)
    reach = lab.sandbox("ns01").ping("192.168.80.2", wait=0.05)

    node.sysctl("net.ipv4.ip_forward", 1)
    node.load_rules("iptables", "-t nat -A POSTROUTING -o ens33 -j MASQUERADE")

    assert "by now it is delivered" in str(reach.explanation)
    assert reach.dropped_by == "not found"


def test_an_unproven_probe_stays_unproven(lab):
    """An explanation turns no unproven verdict into a drop, but may know why."""
    ns01 = lab.sandbox("ns01")
    ns01.run(["ip", "route", "del", "default"])

    reach = ns01.ping(INTERNET)

    assert reach.dropped_by == "no route"
    assert reach.verdict.value == "unproven"


def test_after_the_lab_nothing_is_explained():
    """A lab that has ended cannot be asked any more, and that is all that is said."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        lab.host("node").sysctl("net.ipv4.ip_forward", 0)
        reach = lab.sandbox("ns01").ping(INTERNET)

    assert reach.dropped_by == "not found"
    assert "the lab has ended" in str(reach.explanation)


def test_every_cause_has_a_line_for_its_table():
    """Each has an id with its family before the dot, and one line that says what it is."""
    for known in causes().values():
        assert known.id.partition(".")[0] == known.family
        assert known.says.endswith(".")
        assert "\n" not in known.says


def test_a_cause_without_a_docstring_is_refused():
    """What would be missing from the table is no cause."""

    def silent(loss: Loss) -> None: ...

    with pytest.raises(UsageError, match="a docstring"):
        cause("test.silent", Stage.ROUTING)(silent)


def test_a_fault_of_the_explainer_keeps_the_verdict(lab, monkeypatch):
    """Where a cause breaks down, the explanation says so, with its line, and the probe is dropped as before."""
    monkeypatch.setattr(registry, "recognised", lambda _: int("no number"))
    lab.host("node").sysctl("net.ipv4.ip_forward", 0)
    reach = lab.sandbox("ns01").ping(INTERNET)

    assert reach.verdict.value == "dropped"
    (said,) = reach.explanation.unseen
    assert said.startswith("all: the explanation broke down at test_explain.py:")
    assert "ValueError: invalid literal for int() with base 10: 'no number'" in said
    assert "please report it" in said
    assert reach.cause is None
