"""vlan's duties: masters in containers, what DEL takes back, what CHECK has to notice."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import delete_without_namespace, distrusted, leases, ready_sandbox, rejected
from cnitest.suites.plugins.seen import source
from cnitest.suites.plugins.trunks import MARKS, NET, OWN, network, tags

from cnitest import difference

pytestmark = MARKS


def _with_veth(node):
    """A container with a link net1 of its own, and the place of its far end, which is in VLAN 5."""
    sandbox, far = node.sandbox("c1"), node.sandbox("far")
    sandbox.run(["ip", "link", "add", "net1", "type", "veth", "peer", "name", "far1"])
    sandbox.run(["ip", "link", "set", "far1", "netns", far.path])
    far.run(["ip", "link", "add", "link", "far1", "name", "far1.5", "type", "vlan", "id", "5"])
    for place, link in ((sandbox, "net1"), (far, "far1"), (far, "far1.5")):
        place.run(["ip", "link", "set", link, "up"])
    far.run(["ip", "address", "add", "10.5.0.1/24", "dev", "far1.5"])
    return sandbox, far


@pytest.mark.requires(plugin=["vlan>=1.3"])
@pytest.mark.covers("vlan.linkInContainer", "kernel", "packet", "CHECK", "DEL")
def test_a_master_in_the_container(node, cni):
    """With linkInContainer the master is a link of the container, whose far end sees the tag."""
    sandbox, far = _with_veth(node)
    attachment = cni.add(sandbox, network(OWN[5][4], master="net1", linkInContainer=True))
    with far.capture("far1") as trunk:
        reach = sandbox.ping("10.5.0.1")
    cni.check(attachment)
    cni.delete(attachment)

    assert source(reach) == attachment.address
    assert tags(trunk) == {(5, 0)}
    assert [link.name for link in sandbox.links] == ["lo", "net1"]


@pytest.mark.requires(plugin=["vlan>=1.3"])
@pytest.mark.covers("vlan.linkInContainer", "refused")
@pytest.mark.covers("vlan.mtu", "refused")
@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"master": "ens33"}, "Link not found"),
        ({"master": "net1", "mtu": 1501}, "invalid MTU 1501"),
        ({"master": "net1", "mtu": -1}, "invalid MTU -1"),
    ],
    ids=["the host's", "greater MTU", "negative MTU"],
)
def test_what_a_master_in_the_container_cannot(node, cni, keys, words):
    """With linkInContainer a link of the host is no master, and the MTU of the container's is the bound."""
    sandbox, _ = _with_veth(node)

    assert words in rejected(cni, sandbox, network(OWN[5][4], linkInContainer=True, **keys))
    assert [link.name for link in sandbox.links] == ["lo", "net1"]


class TestDel:
    """What DEL takes back."""

    @pytest.mark.covers("vlan", "DEL", "packet")
    def test_link_and_lease_go(self, node, peer, cni):
        """After DEL the VLAN is free again, and nobody has the address."""
        before = node.state()
        attachment = cni.add(node.sandbox("c1"), network())
        reached = peer.ping(attachment.address)
        cni.delete(attachment)

        assert reached
        assert [link.name for link in attachment.sandbox.links] == ["lo"]
        assert leases(node, "tagged") == []
        assert not peer.arp(attachment.address, on="ens33.5")
        assert [item for item in difference(before, node.state()) if item.table not in ("files", "flows")] == []
        assert cni.add(node.sandbox("c2"), network()).address == attachment.address

    @pytest.mark.covers("vlan", "DEL")
    def test_twice_is_no_error(self, node, cni):
        """A second DEL succeeds."""
        attachment = cni.add(node.sandbox("c1"), network())
        cni.delete(attachment)
        cni.delete(attachment)

        assert leases(node, "tagged") == []

    @pytest.mark.covers("vlan", "DEL")
    def test_without_a_namespace_frees_the_lease(self, node, cni):
        """DEL with an empty CNI_NETNS, and of a namespace that is gone, frees the lease."""
        attachment = cni.add(node.sandbox("c1"), network())
        delete_without_namespace(cni, attachment)
        empty = leases(node, "tagged")
        node.lose("c1")
        cni.delete(attachment)

        assert empty == leases(node, "tagged") == []

    @pytest.mark.covers("vlan.master", "DEL")
    def test_without_the_master(self, node, cni):
        """DEL after the master is gone, which took the interface along, succeeds and frees the lease."""
        attachment = cni.add(node.sandbox("c1"), network())
        node.run(["ip", "link", "delete", "ens33"])
        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)
        assert leases(node, "tagged") == []

    @pytest.mark.covers("vlan.ipam", "refused")
    def test_an_address_that_cannot_be_had_leaves_no_link(self, node, cni):
        """Where IPAM has nothing to give ADD is rejected, and the container stays as it was."""
        cni.add(node.sandbox("c1"), network())
        second = node.sandbox("c2")
        rejected(cni, second, network(vid=100))

        assert [link.name for link in second.links] == ["lo"]


class TestCheck:
    """What CHECK has to notice."""

    @pytest.mark.covers("vlan", "CHECK")
    def test_a_sound_interface(self, node, cni):
        """CHECK of an interface that is as it was added succeeds, with addresses of both families."""
        attachment = cni.add(ready_sandbox(node, "c1"), network(OWN[5][4], OWN[5][6]))
        cni.check(attachment)

        assert attachment.sandbox.link("eth0").up

    @pytest.mark.parametrize(
        "argv",
        [
            ["ip", "address", "flush", "dev", "eth0"],
            ["ip", "link", "delete", "eth0"],
            ["ip", "link", "set", "eth0", "down"],
            ["ip", "link", "set", "eth0", "mtu", "1300"],
            ["ip", "link", "set", "eth0", "address", "02:00:5e:00:53:66"],
        ],
        ids=["address", "link", "down", "mtu", "mac"],
    )
    @pytest.mark.covers("vlan", "CHECK")
    def test_notices(self, node, cni, argv):
        """CHECK of an interface that was changed fails."""
        attachment = cni.add(node.sandbox("c1"), network(OWN[5][4], mtu=1400))
        attachment.sandbox.run(argv)

        assert distrusted(cni, attachment)

    @pytest.mark.covers("vlan.vlanId", "CHECK")
    def test_notices_another_vlan(self, node, cni):
        """CHECK fails where an interface of another VLAN has the place, the MAC and the address of the first."""
        attachment = cni.add(node.sandbox("c1"), NET)
        cut = attachment.sandbox
        cut.run(["ip", "link", "delete", "eth0"])
        node.run(["ip", "link", "add", "link", "ens33", "name", "tmp0", "type", "vlan", "id", "6"])
        node.run(["ip", "link", "set", "tmp0", "netns", cut.path, "name", "eth0"])
        cut.run(["ip", "link", "set", "eth0", "up"])
        cut.run(["ip", "address", "add", OWN[5][4], "dev", "eth0"])

        assert distrusted(cni, attachment)
