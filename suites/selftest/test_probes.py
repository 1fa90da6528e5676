"""Verdicts that can be trusted: what is delivered, what is proved dropped, and what is neither."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest import walkthrough
from cnitest.suites.selftest.walkthrough import NS01, NS02

from cnitest import Lab, ProbeUnproven, Topology, Verdict
from cnitest.topology import Bridge, Host, Macvlan, Sandbox, Veth, VethEnd, find, load

lab, ns01 = walkthrough.lab, walkthrough.ns01


def test_a_delivered_probe_tells_all(ns01):
    """A delivered echo names who answered, the source that was seen, its time and the path it took."""
    reach = ns01.ping(NS02)

    assert reach.verdict is Verdict.DELIVERED
    assert (reach.source_seen, reach.answered_by, reach.attempts) == (NS01, NS02, 1)
    assert 0 < reach.rtt < 1
    assert reach.path == ("node/ns01:eth01 out", "node/ns02:eth02 in")
    assert reach.return_path == ("node/ns02:eth02 out", "node/ns01:eth01 in")
    assert reach.copies == 1
    assert [packet.haslayer("ICMP") for packet in reach.packets] == [1, 1, 1, 1]


@pytest.mark.parametrize("address", ["2001:db8:40::12", "2001:db8:40::1", "2001:4860:4860::8888"])
def test_ipv6_is_probed_like_ipv4(lab, ns01, address):
    """Echo, TCP and UDP over IPv6 are delivered on the link; the internet does not know the sandbox's prefix."""
    on_link = address.startswith("2001:db8:40:")

    assert bool(ns01.ping(address)) is on_link
    assert bool(ns01.tcp(address, 80)) is on_link
    assert bool(ns01.udp(address, 53)) is on_link


def test_a_drop_is_proved_by_controls(lab, ns01):
    """A dropped echo names where it was last seen, and a control that got through."""
    lab.host("node").sysctl("net.bridge.bridge-nf-call-iptables", 1)
    lab.host("node").load_rules("iptables", "-P FORWARD DROP")
    reach = ns01.ping(NS02)

    assert reach.verdict is Verdict.DROPPED
    assert not reach
    assert reach.path == ("node/ns01:eth01 out", "node:veth01 in")
    assert reach.controls == ("10.40.80.12 answers ARP on node/ns01:eth01",)


def test_a_probe_without_a_route_is_unproven(ns01):
    """A probe that has no route was never sent: neither true nor false."""
    ns01.run(["ip", "route", "del", "default"])
    reach = ns01.ping("8.8.8.8")

    assert reach.verdict is Verdict.UNPROVEN
    with pytest.raises(ProbeUnproven, match="no route to 8.8.8.8"):
        bool(reach)


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
def test_a_dead_sender_proves_nothing(ns01, probe):
    """With the sender's link down every negative is unproven."""
    ns01.run(["ip", "link", "set", "eth01", "down"])
    reach = ns01.ping(NS02) if probe == "ping" else getattr(ns01, probe)(NS02, 80)

    with pytest.raises(ProbeUnproven):
        assert not reach


def test_a_sender_cut_off_at_the_other_end_proves_nothing(lab, ns01):
    """When the host's end of the wire is down nothing gets anywhere, the controls included."""
    lab.host("node").run(["ip", "link", "set", "veth01", "down"])

    with pytest.raises(ProbeUnproven):
        assert not ns01.ping(NS02)


def test_a_bridge_that_is_down_is_a_drop(lab, ns01):
    """Frames that reach the host's end of the wire and get no further are proved to be dropped there."""
    lab.host("node").run(["ip", "link", "set", "br01", "down"])
    reach = ns01.ping(NS02)

    assert not reach
    assert "marker frame from there arrived at node:veth01" in " ".join(reach.controls)


def test_a_firewall_at_the_far_end_is_a_drop(lab, ns01):
    """INPUT DROP in the receiver: the request is seen to arrive, and no answer comes."""
    lab.sandbox("ns02").load_rules("iptables", "-P INPUT DROP")

    for reach in (ns01.ping(NS02), ns01.tcp(NS02, 80), ns01.udp(NS02, 53)):
        assert not reach
        assert "node/ns02:eth02 in" in reach.path


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
def test_the_senders_own_firewall_is_a_drop(ns01, probe):
    """OUTPUT DROP in the sender is the kernel's own verdict on the packet, with the path behind it alive."""
    ns01.load_rules("iptables", f"-A OUTPUT -d {NS02} -j DROP")
    reach = ns01.ping(NS02) if probe == "ping" else getattr(ns01, probe)(NS02, 80)

    assert not reach
    assert "own firewall" in reach.reason


def test_a_rejected_connection_is_a_drop_at_once(lab, ns01):
    """A reset or an unreachable message is an answer: the verdict does not wait."""
    lab.sandbox("ns02").load_rules(
        "iptables", "-A INPUT -p tcp -j REJECT --reject-with tcp-reset", "-A INPUT -p udp -j REJECT"
    )

    for reach, words in ((ns01.tcp(NS02, 80), "refused"), (ns01.udp(NS02, 53), f"{NS02} answered: port unreachable")):
        assert not reach
        assert reach.attempts == 1
        assert words in reach.reason


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
def test_whoever_turns_a_probe_down_is_named(lab, ns01, probe):
    """An ICMP error that a router on the way sends is the reason, for each kind of probe, and none is needed twice."""
    lab.host("router").load_rules("iptables", "-A FORWARD -j REJECT --reject-with icmp-host-prohibited")
    lab.host("node").load_rules("iptables", "-t nat -A POSTROUTING -s 10.40.80.0/24 -j MASQUERADE")
    reach = ns01.ping("8.8.8.8") if probe == "ping" else getattr(ns01, probe)("8.8.8.8", 443)

    assert not reach
    assert reach.reason == "192.168.80.2 answered: host prohibited"


def test_an_address_that_nobody_has_is_a_drop(ns01):
    """An address of the subnet that no one has: ARP for it is not answered, ARP for a neighbour is."""
    reach = ns01.ping("10.40.80.99")

    assert not reach
    assert "10.40.80.99 does not answer ARP" in reach.controls[0]


def test_isolated_ports_do_not_talk_but_reach_the_bridge():
    """Ports with ``isolated`` are cut off from each other only."""
    topology = two_on_a_bridge(isolated=True)
    with Lab(topology) as lab:
        assert not lab.sandbox("a").ping("192.0.2.2")
        assert lab.sandbox("a").ping("192.0.2.254")


def two_on_a_bridge(**end):
    """Two sandboxes, 192.0.2.1 and .2, on a bridge with .254."""
    return Topology(
        name="two",
        hosts={
            "h": Host(bridges={"br": Bridge(addresses=["192.0.2.254/24"])}, sandboxes={"a": Sandbox(), "b": Sandbox()})
        },
        veths=[
            Veth(
                ends=[
                    VethEnd(at="h", name=f"v{name}", bridge="br", **end),
                    VethEnd(at=f"h/{name}", name="eth0", addresses=[f"192.0.2.{number}/24"]),
                ]
            )
            for number, name in ((1, "a"), (2, "b"))
        ],
    )


def test_a_stale_neighbour_entry_is_a_drop(lab, ns01):
    """A wrong permanent ARP entry sends frames to nobody: dropped, though ARP itself works."""
    ns01.run(["ip", "neigh", "replace", NS02, "lladdr", "02:00:00:00:00:99", "dev", "eth01"])

    assert not ns01.ping(NS02)


def test_blind_probes_prove_nothing():
    """In a blind lab neither ``assert reach`` nor ``assert not reach`` passes."""
    with Lab(load(find("bridge-walkthrough")), blind=True) as lab:
        for reach in (
            lab.sandbox("ns01").ping(NS02),
            lab.sandbox("ns01").tcp(NS02, 80),
            lab.sandbox("ns01").udp(NS02, 53),
            lab.sandbox("ns01").arp(NS02),
        ):
            assert reach.verdict is Verdict.UNPROVEN


def test_macvlan_children_declared_in_sandboxes():
    """A macvlan child in a sandbox on a parent of its host: private children do not talk, bridge ones do."""
    for mode, delivered in (("bridge", True), ("private", False)):
        topology = Topology(
            name="lan",
            hosts={
                "node": Host(
                    sandboxes={
                        name: Sandbox(
                            macvlans={"eth0": Macvlan(parent="node:up", mode=mode, addresses=[f"192.0.2.{n}/24"])}
                        )
                        for n, name in ((1, "a"), (2, "b"))
                    }
                ),
                "peer": Host(),
            },
            veths=[
                Veth(ends=[VethEnd(at="node", name="up"), VethEnd(at="peer", name="eth0", addresses=["192.0.2.9/24"])])
            ],
        )
        with Lab(topology) as lab:
            assert bool(lab.sandbox("a").ping("192.0.2.2")) is delivered
            assert lab.sandbox("a").ping("192.0.2.9")
