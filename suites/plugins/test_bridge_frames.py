"""Whom the frames of a bridge's containers reach, and what of the host ADD leaves as it was."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import address, host_end, network, ptp, without_dad

from cnitest import difference

pytestmark = [pytest.mark.topology("node-with-uplink"), pytest.mark.requires(plugin=["bridge", "host-local"])]

FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
#: Rules and files are each plugin's own affair, which other tests look into.
ELSEWHERE = {"files", "iptables", "ip6tables", "nftables", "neighbours", "flows"}


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


@FAMILY
@pytest.mark.covers("bridge", "packet")
def test_nobody_else_hears_what_two_say_to_each_other(node, cni, family):
    """Frames between two containers go by their two ports: a third one hears the broadcasts alone."""
    first, second, third = (cni.add(node.sandbox(name), network(family)) for name in ("c1", "c2", "c3"))
    there = address(second, family)
    assert first.sandbox.ping(there)

    with third.sandbox.capture("eth0") as heard:
        assert first.sandbox.tcp(there, 80)
        assert second.sandbox.udp(address(first, family), 53)
        first.sandbox.send(_broadcast(first.sandbox.link("eth0").mac), on="eth0")
        heard.wait_for("Ether", dst="ff:ff:ff:ff:ff:ff", type=0x88B5)

    assert [packet.summary() for layer in ("TCP", "UDP") for packet in heard.matching(layer)] == []


def _broadcast(source):
    """A frame for everybody, of a protocol that is for experiments."""
    from scapy.layers.l2 import Ether

    return Ether(src=source, dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / (b"\0" * 46)


@FAMILY
@pytest.mark.covers("bridge", "packet")
def test_a_multicast_group_reaches_its_members(node, cni, family):
    """What a container sends to a group arrives at those that joined it, on each port."""
    senders = [cni.add(node.sandbox(name), network(family)) for name in ("c1", "c2", "c3")]
    first, *others = senders
    group = {4: "239.1.2.3%eth0", 6: "ff05::1:3%eth0"}[family]

    for member in others:
        assert first.sandbox.udp(group, 7001, listener=member.sandbox)
        assert member.sandbox.udp(group, 7001, listener=first.sandbox)


@pytest.mark.covers("bridge", "kernel")
@pytest.mark.covers("ptp", "kernel")
@pytest.mark.requires(plugin="ptp")
@pytest.mark.parametrize("kind", ["bridge", "ptp"])
def test_what_the_host_has_besides_is_left_alone(node, cni, kind):
    """ADD makes links, addresses and routes of its own: of all others nothing is changed, and none of their sysctls."""
    wanted = network(4, 6, isDefaultGateway=True, ipMasq=True) if kind == "bridge" else ptp(4, 6, ipMasq=True)
    before = node.state()

    attachment = cni.add(node.sandbox("c1"), wanted)

    own = ("cni0", host_end(attachment))
    changed = [item for item in difference(before, node.state()) if item.table not in ELSEWHERE]
    assert [str(item) for item in changed if not any(name in item.key for name in own)] == []
