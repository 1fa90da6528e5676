"""What the conformance suite makes of probes: a loss counts against a plugin, what is not known never does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cnitest import Lab, Verdict
from cnitest.conformance.bench.record import BenchRecord
from cnitest.conformance.model.finding import Doubt, Finding, Undecided
from cnitest.conformance.observe import pathmtu, traffic
from cnitest.conformance.observe.traffic import TrafficProbe
from cnitest.errors import DeadlineExceeded
from cnitest.topology import find, load

NS02, NS02_V6 = "10.40.80.12", "2001:db8:40::12"


@pytest.fixture(scope="module")
def lab():
    """Two sandboxes on a bridge."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        yield built


def unproven(place, target) -> TrafficProbe:
    """A flow whose probe never finds out anything."""
    reach = replace(place.ping(NS02), verdict=Verdict.UNPROVEN, reason="the control failed")
    return TrafficProbe("a flow", lambda: reach, place, target)


def failing(place, target) -> TrafficProbe:
    """A flow whose probe breaks down by itself."""

    def probe():
        raise DeadlineExceeded("nobody listens")

    return TrafficProbe("a flow", probe, place, target)


@pytest.mark.parametrize("make", [unproven, failing])
@pytest.mark.parametrize("target", [NS02, NS02_V6])
def test_what_a_probe_cannot_prove_is_a_doubt(lab, make, target):
    """An unproven probe and one that breaks down are doubts, not losses."""
    why = traffic.lost(make(lab.sandbox("ns01"), target), 0.0)

    assert isinstance(why, Doubt)
    assert why.startswith("a flow: ")


@pytest.mark.parametrize("target", [NS02, NS02_V6])
def test_a_loss_says_what_the_packet_was_lost_to(target):
    """With its place, rule and id, where that was asked for; and not where only the loss counts."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        ns01 = built.sandbox("ns01")
        six = ":" in target
        reply = ["icmpv6", "--icmpv6-type", "echo-reply"] if six else ["icmp", "--icmp-type", "echo-reply"]
        ns01.run(["ip6tables" if six else "iptables", "-A", "INPUT", "-p", *reply, "-j", "DROP"])

        why = traffic.lost(traffic.echo(ns01, target), 0.0, explain=True)

        assert "; node/ns01: ip" in why
        assert "INPUT" in why
        assert why.about.cause == "firewall.rule"
        assert "; node/ns01" not in traffic.lost(traffic.echo(ns01, target), 0.0)


@pytest.mark.parametrize("target", ["203.0.113.9", "2001:db8:dead::9"])
def test_a_sender_without_a_route_is_a_loss(lab, target):
    """That a container has no route is proof enough, whatever the probe could prove."""
    lab.sandbox("ns01").run(["ip", "-6" if ":" in target else "-4", "route", "flush", "default"])

    why = traffic.lost(unproven(lab.sandbox("ns01"), target), 0.0)

    assert why == f"a flow: node/ns01 has no route to {target}"
    assert not isinstance(why, Doubt)


def test_a_sender_whose_link_is_down_is_a_loss():
    """A link that is without carrier keeps every packet of its container."""
    with Lab(load(find("bridge-walkthrough"))) as lab:
        lab.host("node").run(["ip", "link", "set", "veth01", "down"])

        why = traffic.lost(unproven(lab.sandbox("ns01"), NS02), 0.0)

    assert why == "a flow: node/ns01:eth01, by which it leaves, is without carrier"


class Noted:
    """What a bench makes of its record, without a lab."""

    def __init__(self) -> None:
        self.record = BenchRecord()


def concluded(*details: str) -> None:
    """The end of a test that noted these."""
    from cnitest.conformance.bench.bench import Bench

    noted = Noted()
    noted.record.complain(details, "")
    Bench.conclude(noted)  # type: ignore[arg-type]


def test_a_case_in_doubt_is_undecided():
    """Where nothing but doubts was noted the case is undecided, with the first of them."""
    with pytest.raises(Undecided, match="the control failed"):
        concluded(Doubt("the control failed"), Doubt("another"))


def test_a_loss_beside_a_doubt_is_a_finding():
    """One flow that was dropped and one that is in doubt: the finding is about the dropped one alone."""
    with pytest.raises(Finding) as found:
        concluded(Doubt("a: unproven"), "b: dropped")

    assert found.value.details == ("b: dropped",)


def largest(sender, target, receiver, source):
    """A packet of the sender's MTU to the receiver."""
    near, far = pathmtu.end(sender, target), pathmtu.end(receiver, source)
    assert near and far
    return pathmtu.largest(near, far, target)


@pytest.fixture
def narrow():
    """Two sandboxes on a bridge, of which the first has an MTU that the host's end of its veth does not have."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        built.sandbox("ns01").run(["ip", "link", "set", "eth01", "mtu", "1400"])
        yield built


@pytest.mark.parametrize(("mine", "theirs"), [("10.40.80.11", NS02), ("2001:db8:40::11", NS02_V6)])
def test_large_packets_that_vanish_one_way_are_a_loss(narrow, mine, theirs):
    """A veth drops what exceeds its own MTU and nobody says so: the other way all passes."""
    one, two = narrow.sandbox("ns01"), narrow.sandbox("ns02")

    lost = traffic.lost(largest(two, mine, one, theirs), 0.0)

    assert "node/ns02:eth02 has MTU 1500, node/ns01:eth01 has MTU 1400" in lost
    assert lost.endswith("it learns no smaller MTU")
    assert not isinstance(lost, Doubt)
    assert traffic.lost(largest(one, theirs, two, mine), 0.0) == ""


@pytest.mark.parametrize(("mine", "away"), [("10.40.80.11", "192.168.80.2"), ("2001:db8:40::11", "2001:db8:80::2")])
def test_a_router_teaches_the_path_mtu_unless_its_word_is_lost(narrow, mine, away):
    """An ICMP error that reaches the sender will do, and what is of the learnt size passes; without it it is a loss."""
    node, one = narrow.host("node"), narrow.sandbox("ns01")
    outside = narrow.host("router")
    for link in ("veth01", "br01"):
        node.run(["ip", "link", "set", link, "mtu", "1400"])
    network = "2001:db8:40::/64" if ":" in mine else "10.40.80.0/24"
    hop = "2001:db8:80::100" if ":" in mine else "192.168.80.100"
    outside.run(["ip", "route", "replace", network, "via", hop])
    block = "add table inet x; add chain inet x o { type filter hook output priority 0; };"
    block += "add rule inet x o icmpv6 type packet-too-big drop;"
    block += "add rule inet x o icmp type destination-unreachable drop"

    taught = traffic.lost(largest(outside, mine, one, away))
    learnt = pathmtu.path_mtu(outside, mine)
    for family in ("-4", "-6"):
        outside.run(["ip", family, "route", "flush", "cache"])
    node.run(["nft", block])
    untaught = traffic.lost(largest(outside, mine, one, away), 0.0)

    assert (taught, learnt) == ("", 1400)
    assert untaught.endswith("it learns no smaller MTU")
