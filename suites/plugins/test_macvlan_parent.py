"""macvlan's parent: which link it is, what becomes of the child when something becomes of it, and what DEL restores."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import distrusted, macvlan, rejected

from cnitest import difference
from cnitest.deadline import Deadline
from cnitest.topology import loads

pytestmark = [
    pytest.mark.requires(kernel="macvlan", plugin=["macvlan", "static"]),
    pytest.mark.topology("macvlan-modes-lan"),
]

ADDRESS, PEER = "192.168.80.120", "192.168.80.102"
NET = macvlan(f"{ADDRESS}/24")

BOND = loads("""
name: bonded-uplink
hosts:
  node:
    bonds: {bond0: {mode: active-backup, ports: [ens33, ens34], addresses: [192.168.80.101/24]}}
  peer: {}
switches: {lan: {}}
veths:
  - ends: [{at: node, name: ens33}, {at: lan}]
  - ends: [{at: node, name: ens34}, {at: lan}]
  - ends: [{at: peer, name: ens33, addresses: [192.168.80.102/24]}, {at: lan}]
""")
WIRE = loads("""
name: back-to-back
hosts: {node: {}, peer: {}}
veths:
  - ends:
      - {at: node, name: ens33, addresses: [192.168.80.101/24]}
      - {at: peer, name: ens33, addresses: [192.168.80.102/24]}
""")


@pytest.mark.covers("macvlan.master", "kernel", "packet")
@pytest.mark.parametrize("router", [PEER, "2001:db8:80::102"], ids=["ipv4", "ipv6"])
def test_the_default_routes_link_is_the_default(lab, cni, node, router):
    """Without `master` the parent is the link that the default route leaves by, of whichever family that is."""
    node.run(["ip", "route", "add", "default", "via", router])
    network = {key: value for key, value in NET.items() if key != "master"}

    assert cni.add(node.sandbox("c1"), network).sandbox.ping(PEER)


@pytest.mark.covers("macvlan.master", "refused")
def test_without_a_default_route_there_is_no_default(cni, node):
    """Without `master` and without a default route there is no telling, which is an error."""
    rejected(cni, node.sandbox("c1"), {key: value for key, value in NET.items() if key != "master"})


@pytest.mark.covers("macvlan.master", "refused")
@pytest.mark.parametrize("master", ["none0", "sixteen-letters0", "ens33:1"])
def test_a_parent_that_is_not_there_is_refused(cni, node, master):
    """A name that no link has is an error, and nothing is left."""
    before = node.state()

    rejected(cni, node.sandbox("c1"), {**NET, "master": master})

    assert difference(before, node.state()) == ()


@pytest.mark.covers("macvlan.mode", "refused")
@pytest.mark.parametrize("mode", ["bridged", "BRIDGE", "source"])
def test_an_unknown_mode_is_refused(cni, node, mode):
    """A mode that is none of the four is an error that names it."""
    assert mode in rejected(cni, node.sandbox("c1"), {**NET, "mode": mode})


@pytest.mark.topology(WIRE)
@pytest.mark.covers("macvlan.master", "packet")
def test_a_parent_whose_cable_is_out(lab, cni, node):
    """ADD works with a parent that has no carrier; once it has, the LAN is reached."""
    peer = lab.host("peer")
    peer.run(["ip", "link", "set", "ens33", "down"])
    child = cni.add(node.sandbox("c1"), NET).sandbox
    assert not child.link("eth0").carrier

    peer.run(["ip", "link", "set", "ens33", "up"])

    assert peer.ping(ADDRESS)


@pytest.mark.covers("macvlan.master", "packet")
def test_a_parent_that_is_down_at_first(cni, node):
    """ADD works with a parent that is down; the child has no carrier until it is up, and then the LAN."""
    node.run(["ip", "link", "set", "ens33", "down"])
    child = cni.add(node.sandbox("c1"), NET).sandbox
    assert not child.link("eth0").carrier

    node.run(["ip", "link", "set", "ens33", "up"])

    assert child.ping(PEER)


@pytest.mark.covers("macvlan.master", "packet")
def test_a_parent_that_goes_down_and_up(cni, node):
    """While the parent is down nothing is sent; once it is up again the child reaches the LAN as before."""
    child = cni.add(node.sandbox("c1"), NET).sandbox
    assert child.ping(PEER)

    node.run(["ip", "link", "set", "ens33", "down"])
    assert not child.link("eth0").carrier
    node.run(["ip", "link", "set", "ens33", "up"])

    assert child.ping(PEER)


@pytest.mark.covers("macvlan", "CHECK")
def test_a_parent_that_goes_takes_its_children_along(cni, node):
    """Deleting the parent deletes the child, and CHECK notices."""
    attachment = cni.add(node.sandbox("c1"), NET)

    node.run(["ip", "link", "delete", "ens33"])

    assert [link.name for link in attachment.sandbox.links] == ["lo"]
    distrusted(cni, attachment)
    cni.delete(attachment, may_fail=True)


@pytest.mark.requires(kernel="bond")
@pytest.mark.topology(BOND)
@pytest.mark.covers("macvlan.master", "kernel", "packet")
def test_a_bond(lab, cni, node):
    """A bond can be the parent: the child reaches the LAN, also after the active port has gone down."""
    node.run(["ip", "link", "set", "bond0", "type", "bond", "miimon", "50"])  # without it no bond looks at its ports
    child = cni.add(node.sandbox("c1"), macvlan(f"{ADDRESS}/24", master="bond0")).sandbox
    assert child.ping(PEER)

    node.run(["ip", "link", "set", "ens33", "down"])
    active = ["cat", "/sys/class/net/bond0/bonding/active_slave"]
    Deadline.after(10.0, "bond0 to use another port").poll(lambda: node.run(active).stdout.strip() not in ("", "ens33"))

    assert child.ping(PEER)


class TestPromiscuity:
    """A parent that cannot filter by several MACs hears everything while it has children."""

    @pytest.mark.covers("macvlan", "DEL", "packet")
    def test_it_is_restored_with_the_last_child(self, lab, cni, node):
        """Two children, two DELs: only the second one has the parent listen to its own MAC alone."""
        before = node.link("ens33").promiscuity
        children = [cni.add(node.sandbox(f"c{n}"), macvlan(f"192.168.80.12{n}/24", name=f"lan{n}")) for n in (1, 2)]
        during = node.link("ens33").promiscuity

        cni.delete(children[0])
        assert lab.host("peer").ping("192.168.80.122")
        cni.delete(children[1])

        assert during > before
        assert node.link("ens33").promiscuity == before

    @pytest.mark.covers("macvlan.mode", "DEL")
    @pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
    def test_it_is_restored_in_each_mode(self, cni, node, mode):
        """After DEL the parent is as before, flags and forwarding entries included."""
        before = node.state(firewall=False)

        cni.delete(cni.add(node.sandbox("c1"), {**NET, "mode": mode}))

        changed = [item for item in difference(before, node.state(firewall=False)) if item.table != "files"]
        assert changed == []

    @pytest.mark.covers("macvlan", "DEL")
    def test_it_is_restored_after_the_namespace_has_gone(self, cni, node):
        """The end of the container's namespace takes the child, and DEL has nothing to complain of."""
        before = node.link("ens33").promiscuity
        attachment = cni.add(node.sandbox("c1"), NET)

        node.lose("c1")
        cni.delete(attachment)

        deadline = Deadline.after(10, "the kernel to take the namespace's links back")
        assert deadline.poll(lambda: node.link("ens33").promiscuity == before)


@pytest.mark.requires(plugin="macvlan>=1.3.0")
class TestLinkInContainer:
    """`linkInContainer`: the parent is in the container already."""

    NET = macvlan("192.168.90.120/24", master="trunk0", linkInContainer=True)

    @pytest.fixture
    def sandbox(self, node):
        """A container that has a link to its host before any plugin runs."""
        sandbox = node.sandbox("c1")
        node.run(["ip", "link", "add", "host0", "type", "veth", "peer", "name", "trunk0"])
        node.run(["ip", "link", "set", "trunk0", "netns", sandbox.path])
        node.run(["ip", "link", "set", "host0", "up"])
        node.run(["ip", "address", "add", "192.168.90.1/24", "dev", "host0"])
        sandbox.run(["ip", "link", "set", "trunk0", "up"])
        return sandbox

    @pytest.mark.covers("macvlan.linkInContainer", "kernel", "packet")
    def test_the_child_stands_on_it(self, cni, node, sandbox):
        """The child is made on the container's own link and reaches what that one reaches."""
        cni.add(sandbox, self.NET)
        sandbox.sysctl("net.ipv4.conf.all.arp_ignore", 1)  # each link answers for its own address alone

        assert sandbox.link("eth0").parent == "trunk0"
        assert sandbox.ping("192.168.90.1")
        assert node.arp("192.168.90.120", on="host0").answered_by == sandbox.link("eth0").mac

    @pytest.mark.covers("macvlan.linkInContainer", "refused")
    def test_the_hosts_link_of_that_name_is_another(self, cni, node, sandbox):
        """A parent that only the host has is none: an error, not a panic, and nothing is left."""
        said = rejected(cni, sandbox, {**self.NET, "master": "ens33"})

        assert "panic" not in said
        assert "eth0" not in [link.name for link in sandbox.links]
        assert node.link("ens33").promiscuity == 0

    @pytest.mark.covers("macvlan.linkInContainer", "DEL", "CHECK")
    def test_check_and_del(self, cni, sandbox):
        """CHECK agrees, and DEL takes the child and leaves the parent."""
        attachment = cni.add(sandbox, self.NET)
        cni.check(attachment)

        cni.delete(attachment)

        assert [link.name for link in sandbox.links] == ["lo", "trunk0"]
        assert sandbox.link("trunk0").up
