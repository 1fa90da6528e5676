"""The four modes of macvlan by traffic: siblings, the parent's host, the LAN, and what a passthru child takes over."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import macvlan, ready_sandbox, rejected
from cnitest.suites.plugins.seen import source

pytestmark = pytest.mark.requires(kernel="macvlan", plugin=["macvlan", "static"])

PLAIN, HAIRPIN = "macvlan-modes-lan", "macvlan-hairpin-lan"
FIRST = {4: "192.168.80.120", 6: "2001:db8:80::120"}
SECOND = {4: "192.168.80.121", 6: "2001:db8:80::121"}
NODE = {4: "192.168.80.101", 6: "2001:db8:80::101"}
PEER = {4: "192.168.80.102", 6: "2001:db8:80::102"}
SHARED_MODES = ["bridge", "vepa", "private"]


def network(addresses, mode):
    """A macvlan network with one address a family, in a mode."""
    return macvlan(f"{addresses[4]}/24", f"{addresses[6]}/64", name=f"lan-{addresses[4]}", mode=mode)


@pytest.fixture
def children(lab, cni, mode):
    """Two containers on one parent in the same mode."""
    node = lab.host("node")
    return [
        cni.add(ready_sandbox(node, name), network(addresses, mode)).sandbox
        for name, addresses in (("c1", FIRST), ("c2", SECOND))
    ]


def talks(sandbox, address):
    """Whether echo, TCP and UDP get through; where nobody answers ARP, or ND, that says it of all three."""
    if not sandbox.arp(address, on=sandbox.links[-1].name, wait=0.1):
        return False
    return bool(sandbox.ping(address)) and bool(sandbox.tcp(address, 80)) and bool(sandbox.udp(address, 53))


@pytest.mark.covers("macvlan.mode", "kernel", "packet")
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", SHARED_MODES)
@pytest.mark.topology(PLAIN)
def test_siblings_behind_a_plain_switch(children, mode, family):
    """Only bridge mode passes frames on between siblings; vepa and private leave that to a switch that does not."""
    assert dict(children[0].link("eth0").detail)["mode"] == mode
    assert talks(children[0], SECOND[family]) is (mode == "bridge")


@pytest.mark.covers("macvlan.mode", "packet")
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", SHARED_MODES)
@pytest.mark.topology(HAIRPIN)
def test_siblings_behind_a_reflecting_switch(children, mode, family):
    """A switch that reflects connects vepa siblings, too; private ones reject what their own parent has sent."""
    assert talks(children[0], SECOND[family]) is (mode != "private")


@pytest.mark.covers("macvlan.mode", "packet")
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", SHARED_MODES)
@pytest.mark.topology(PLAIN)
def test_host_and_child_behind_a_plain_switch(lab, children, mode, family):
    """The parent's own address and a child never hear each other: no mode connects them inside the host."""
    node = lab.host("node")

    assert not talks(node, FIRST[family])
    assert not talks(children[0], NODE[family])


@pytest.mark.covers("macvlan.mode", "packet")
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", SHARED_MODES)
@pytest.mark.topology(HAIRPIN)
def test_host_and_child_behind_a_reflecting_switch(lab, children, mode, family):
    """By way of the switch host and child meet; a private child's own question for the host's MAC comes back to it."""
    node = lab.host("node")

    assert talks(children[0], NODE[family]) is (mode != "private")
    assert talks(node, FIRST[family])


@pytest.mark.covers("macvlan.mode", "packet")
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", SHARED_MODES)
@pytest.mark.topology(PLAIN)
def test_every_mode_reaches_the_lan_both_ways(lab, children, mode, family):
    """A child and another machine of the LAN exchange everything, each under its own address."""
    peer = lab.host("peer")
    reach = children[0].ping(PEER[family])

    assert talks(children[0], PEER[family])
    assert talks(peer, FIRST[family])
    assert source(reach) == FIRST[family]


@pytest.mark.covers("macvlan.mode", "packet")
@pytest.mark.parametrize("mode", SHARED_MODES)
@pytest.mark.topology(PLAIN)
def test_a_broadcast_reaches_each_child_once(lab, children, mode):
    """A broadcast from the LAN reaches both children, and none of them twice."""
    peer = lab.host("peer")

    for child in children:
        reach = peer.udp("192.168.80.255", 7000, listener=child)
        assert reach
        assert reach.copies == 1


@pytest.mark.covers("macvlan.mode", "packet")
@pytest.mark.parametrize(("mode", "delivered"), [("bridge", True), ("vepa", False), ("private", False)])
@pytest.mark.topology(PLAIN)
def test_a_siblings_broadcast(children, mode, delivered):
    """What one child broadcasts its siblings hear in bridge mode alone."""
    assert bool(children[0].udp("192.168.80.255", 7000, listener=children[1])) is delivered


@pytest.mark.covers("macvlan.mode", "packet")
@pytest.mark.parametrize("mode", SHARED_MODES)
@pytest.mark.topology(PLAIN)
def test_a_multicast_group_reaches_its_members_alone(lab, children, mode):
    """A group's datagram reaches the child that has joined it, and not the one that has not."""
    peer = lab.host("peer")
    member, other = children

    assert peer.udp("239.1.2.3%ens33", 7001, listener=member)
    assert not peer.udp("239.1.2.3%ens33", 7001, listener=other, join=False)


@pytest.mark.covers("macvlan.mode", "packet")
@pytest.mark.topology(PLAIN)
@pytest.mark.parametrize(("here", "there", "delivered"), [("bridge", "bridge", True), ("bridge", "vepa", False)])
def test_siblings_of_two_modes(lab, cni, here, there, delivered):
    """A parent may have children of several modes; only two in bridge mode talk to each other inside the host."""
    node = lab.host("node")
    first = cni.add(ready_sandbox(node, "c1"), network(FIRST, here))
    cni.add(ready_sandbox(node, "c2"), network(SECOND, there))

    assert bool(first.sandbox.ping(SECOND[4])) is delivered


@pytest.mark.covers("macvlan.mode", "kernel", "packet")
@pytest.mark.topology(PLAIN)
def test_bridge_is_the_default_mode(lab, cni):
    """Without `mode` the child is in bridge mode, and siblings talk."""
    node = lab.host("node")
    first, second = (
        cni.add(node.sandbox(name), macvlan(f"{addresses[4]}/24", name=name))
        for name, addresses in (("c1", FIRST), ("c2", SECOND))
    )

    assert dict(first.sandbox.link("eth0").detail)["mode"] == "bridge"
    assert first.sandbox.ping(second.address)


class TestPassthru:
    """One child that takes the parent for itself."""

    pytestmark = pytest.mark.topology(PLAIN)

    @pytest.mark.covers("macvlan.mode", "kernel", "packet")
    @pytest.mark.parametrize("family", [4, 6])
    def test_the_child_speaks_with_the_parents_mac(self, lab, cni, family):
        """The child has the parent's MAC, and the LAN sees it so."""
        node, peer = lab.host("node"), lab.host("peer")
        child = cni.add(ready_sandbox(node, "c1"), network(FIRST, "passthru")).sandbox

        assert child.link("eth0").mac == node.link("ens33").mac
        assert talks(child, PEER[family])
        assert peer.arp(FIRST[family], on="ens33").answered_by == node.link("ens33").mac

    @pytest.mark.covers("macvlan.mode", "packet")
    def test_the_hosts_own_address_is_cut_off(self, lab, cni):
        """What comes in is the child's: the host's own address on the parent answers no more, until DEL."""
        node, peer = lab.host("node"), lab.host("peer")
        attachment = cni.add(node.sandbox("c1"), network(FIRST, "passthru"))
        cut = peer.ping(NODE[4])
        assert not cut

        cni.delete(attachment)

        assert peer.ping(NODE[4])

    @pytest.mark.covers("macvlan.mode", "refused")
    @pytest.mark.parametrize("second", [*SHARED_MODES, "passthru"])
    def test_nobody_else_gets_the_parent(self, lab, cni, second):
        """With a passthru child on it a parent takes no further child, whatever its mode, and the first stays."""
        node = lab.host("node")
        first = cni.add(node.sandbox("c1"), network(FIRST, "passthru"))

        rejected(cni, node.sandbox("c2"), network(SECOND, second))

        assert [link.name for link in node.sandbox("c2").links] == ["lo"]
        assert first.sandbox.ping(PEER[4])

    @pytest.mark.covers("macvlan.mode", "refused")
    @pytest.mark.parametrize("first", SHARED_MODES)
    def test_a_shared_parent_becomes_nobodys_own(self, lab, cni, first):
        """A parent that has a child already takes no passthru one."""
        node = lab.host("node")
        sharing = cni.add(node.sandbox("c1"), network(FIRST, first))

        rejected(cni, node.sandbox("c2"), network(SECOND, "passthru"))

        assert sharing.sandbox.ping(PEER[4])

    @pytest.mark.covers("macvlan.mode", "DEL", "packet")
    def test_after_del_another_takes_the_parent(self, lab, cni):
        """DEL of the one child frees the parent for the next."""
        node = lab.host("node")
        cni.delete(cni.add(node.sandbox("c1"), network(FIRST, "passthru")))

        second = cni.add(node.sandbox("c2"), network(SECOND, "passthru"))

        assert second.sandbox.ping(PEER[4])
