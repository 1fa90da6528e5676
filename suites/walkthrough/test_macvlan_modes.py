"""What two children of one macvlan parent can say to each other, mode by mode, with the switch's hairpin off and on."""

from __future__ import annotations

import pytest

from cnitest import PluginError

pytestmark = pytest.mark.requires(kernel="macvlan", plugin=["macvlan", "static"])

FIRST, SECOND, OWN = "192.168.80.120", "192.168.80.121", "192.168.80.110"
HAIRPIN_OFF, HAIRPIN_ON = "macvlan-modes-lan", "macvlan-hairpin-lan"


def network(mode, address):
    """A macvlan network that hands out one address."""
    return {
        "cniVersion": "1.0.0",
        "name": f"net-{address.replace('.', '-')}",
        "type": "macvlan",
        "master": "ens33",
        "mode": mode,
        "ipam": {"type": "static", "addresses": [{"address": f"{address}/24"}]},
    }


@pytest.fixture
def children(lab, cni, mode):
    """Two containers on one parent in the same mode."""
    node = lab.host("node")
    return [cni.add(node.sandbox(f"c{n}"), network(mode, address)) for n, address in enumerate((FIRST, SECOND), 1)]


@pytest.mark.topology(HAIRPIN_OFF)
@pytest.mark.parametrize(("mode", "delivered"), [("bridge", True), ("vepa", False), ("private", False)])
def test_children_behind_a_plain_switch(children, mode, delivered):
    """Without hairpin on the switch only bridge mode lets siblings talk: the parent itself passes frames on."""
    assert bool(children[0].sandbox.ping(SECOND)) is delivered


@pytest.mark.topology(HAIRPIN_ON)
@pytest.mark.parametrize(("mode", "delivered"), [("bridge", True), ("vepa", True), ("private", False)])
def test_children_behind_a_hairpin_switch(children, mode, delivered):
    """A switch that reflects frames connects vepa siblings; private ones reject what their own parent sent."""
    assert bool(children[0].sandbox.ping(SECOND)) is delivered


@pytest.mark.topology(HAIRPIN_OFF)
def test_passthru_takes_the_parent_for_itself(lab, cni):
    """One child in passthru mode has the parent's MAC and reaches the LAN; a second one is rejected."""
    node = lab.host("node")
    attachment = cni.add(node.sandbox("c1"), network("passthru", FIRST))
    with pytest.raises(PluginError) as rejection:
        cni.add(node.sandbox("c2"), network("passthru", SECOND))

    assert attachment.sandbox.link("eth0").mac == node.link("ens33").mac
    assert attachment.sandbox.ping(lab.host("peer").addresses_on("ens33")[0])
    assert "macvlan ADD" in str(rejection.value)


@pytest.mark.topology(HAIRPIN_OFF)
@pytest.mark.parametrize("mode", ["bridge"])
def test_a_parent_does_not_reach_its_own_child(lab, children, mode):
    """The parent's host cannot reach a child through the parent; with a macvlan child of its own it can."""
    node = lab.host("node")
    through_parent = node.ping(FIRST)
    node.run(["ip", "link", "add", "macv-host", "link", "ens33", "type", "macvlan", "mode", "bridge"])
    node.run(["ip", "address", "add", f"{OWN}/32", "dev", "macv-host"])
    node.run(["ip", "link", "set", "macv-host", "up"])
    node.run(["ip", "route", "add", f"{FIRST}/32", "dev", "macv-host", "src", OWN])
    through_child = node.ping(FIRST)

    assert not through_parent
    assert through_child
    assert through_child.source_seen == OWN


@pytest.mark.topology(HAIRPIN_OFF)
@pytest.mark.parametrize("mode", ["bridge", "vepa", "private"])
def test_children_reach_the_rest_of_the_lan(lab, children, mode):
    """Whatever the mode, each child reaches another machine of the LAN under its own address."""
    reach = children[0].sandbox.ping(lab.host("peer").addresses_on("ens33")[0])

    assert reach
    assert reach.source_seen == FIRST
