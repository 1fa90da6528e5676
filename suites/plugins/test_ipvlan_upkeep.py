"""ipvlan's keys and duties: parents of all sorts, MTUs, what is rejected, what DEL takes back, what CHECK notices."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import (
    delete_without_namespace,
    distrusted,
    leases,
    ready_sandbox,
    rejected,
    static,
)
from cnitest.suites.plugins.seen import source

from cnitest import Runtime, difference
from cnitest.testing import ScriptedPlugin
from cnitest.topology import loads

LAN = loads("""
name: ipvlan-upkeep
hosts:
  node: {routes: [default via 192.168.80.102]}
  peer: {}
switches: {lan: {}}
veths:
  - ends: [{at: node, name: ens33, addresses: [192.168.80.101/24, "2001:db8:80::101/64"]}, {at: lan}]
  - ends: [{at: peer, name: ens33, addresses: [192.168.80.102/24, "2001:db8:80::102/64"]}, {at: lan}]
""")
pytestmark = [
    pytest.mark.topology(LAN),
    pytest.mark.requires(kernel=["ipvlan"], plugin=["ipvlan", "static", "host-local"]),
]

ADDRESS, PEER = "192.168.80.120", "192.168.80.102"
ONE = {"subnet": "192.168.80.0/24", "rangeStart": ADDRESS, "rangeEnd": ADDRESS, "gateway": PEER}


def network(*addresses, **keys):
    """An ipvlan network on the uplink that gives these addresses, or one that host-local has."""
    ipam = static(*addresses) if addresses else {"type": "host-local", "ranges": [[ONE]]}
    own = {"cniVersion": "1.0.0", "name": "lan", "type": "ipvlan", "master": "ens33", "ipam": ipam, **keys}
    return {key: value for key, value in own.items() if value is not None}


NET = network(f"{ADDRESS}/24")


@pytest.mark.covers("ipvlan.master", "kernel", "packet")
def test_without_master_the_default_routes_link_is_the_parent(node, cni):
    """Without master the parent is the link that the host's default route leaves by."""
    attachment = cni.add(node.sandbox("c1"), network(f"{ADDRESS}/24", master=None))

    assert attachment.sandbox.link("eth0").mac == node.link("ens33").mac
    assert source(attachment.sandbox.ping(PEER)) == ADDRESS


@pytest.mark.covers("ipvlan.master", "refused")
def test_without_master_and_default_route_it_is_refused(node, cni):
    """Where neither master nor a default route names a parent ADD is rejected."""
    node.run(["ip", "route", "delete", "default"])

    said = rejected(cni, node.sandbox("c1"), network(f"{ADDRESS}/24", master=None))
    assert "no default route interface found" in said


@pytest.mark.parametrize("master", ["none0", "sixteen-letters0"])
@pytest.mark.covers("ipvlan.master", "refused")
def test_a_master_that_is_not_there_is_refused(node, cni, master):
    """A parent that does not exist is rejected by its name, and the container stays as it was."""
    sandbox = node.sandbox("c1")

    assert f'failed to lookup master "{master}"' in rejected(cni, sandbox, network(f"{ADDRESS}/24", master=master))
    assert [link.name for link in sandbox.links] == ["lo"]


@pytest.mark.parametrize("mode", ["l4", "L2"])
@pytest.mark.covers("ipvlan.mode", "refused")
def test_modes_that_are_none_are_refused(node, cni, mode):
    """A mode that ipvlan does not have is rejected by its name."""
    assert f'unknown ipvlan mode: "{mode}"' in rejected(cni, node.sandbox("c1"), network(f"{ADDRESS}/24", mode=mode))


@pytest.mark.parametrize("mtu", [1280, 1500])
@pytest.mark.covers("ipvlan.mtu", "kernel", "packet")
def test_the_mtu_is_the_links(node, cni, mtu):
    """The link has the MTU that is said: a packet of that size passes whole, and one of a byte more does not."""
    child = cni.add(node.sandbox("c1"), network(f"{ADDRESS}/24", mtu=mtu)).sandbox

    assert child.link("eth0").mtu == mtu
    assert child.ping(PEER, size=mtu - 28, df=True)
    assert not child.ping(PEER, size=mtu - 27, df=True)


@pytest.mark.parametrize("mtu", [None, 0])
@pytest.mark.covers("ipvlan.mtu", "kernel", "packet")
def test_the_parents_mtu_unless_said(node, lab, cni, mtu):
    """Without an MTU, and with 0, the link has its parent's."""
    node.run(["ip", "link", "set", "ens33", "mtu", "1420"])
    child = cni.add(node.sandbox("c1"), network(f"{ADDRESS}/24", mtu=mtu)).sandbox

    assert child.link("eth0").mtu == 1420
    assert not child.ping(PEER, size=1420 - 27, df=True)


@pytest.mark.parametrize("mtu", [1501, -1])
@pytest.mark.covers("ipvlan.mtu", "refused")
def test_mtus_that_the_parent_cannot_carry_are_refused(node, cni, mtu):
    """An MTU above the parent's, and one below zero, are rejected."""
    sandbox = node.sandbox("c1")

    assert "mtu" in rejected(cni, sandbox, network(f"{ADDRESS}/24", mtu=mtu)).lower()
    assert [link.name for link in sandbox.links] == ["lo"]


@pytest.mark.requires(plugin=["ipvlan>=1.3"], kernel=["veth"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "by its default route"])
@pytest.mark.covers("ipvlan.linkInContainer", "kernel", "packet")
def test_a_parent_in_the_container(lab, node, cni, named):
    """With linkInContainer the parent is a link of the container: named, or that of its default route."""
    sandbox = node.sandbox("c1")
    sandbox.run(["ip", "link", "add", "net1", "type", "veth", "peer", "name", "far1"])
    far = node.sandbox("far")
    sandbox.run(["ip", "link", "set", "far1", "netns", far.path])
    for place, link in ((sandbox, "net1"), (far, "far1")):
        place.run(["ip", "link", "set", link, "up"])
    far.run(["ip", "address", "add", "10.9.0.1/24", "dev", "far1"])
    if not named:
        sandbox.run(["ip", "address", "add", "10.9.0.3/24", "dev", "net1"])
        sandbox.run(["ip", "route", "add", "default", "via", "10.9.0.1"])
    master = "net1" if named else None
    child = cni.add(sandbox, network("10.9.0.2/24", master=master, linkInContainer=True)).sandbox

    assert child.link("eth0").parent == "net1"
    assert child.link("eth0").mac == child.link("net1").mac
    assert far.ping("10.9.0.2")


@pytest.mark.requires(plugin=["ipvlan>=1.3"])
@pytest.mark.covers("ipvlan.linkInContainer", "refused")
def test_a_parent_that_is_the_hosts_is_not_in_the_container(node, cni):
    """With linkInContainer a link of the host is no parent."""
    said = rejected(cni, node.sandbox("c1"), network(f"{ADDRESS}/24", linkInContainer=True))

    assert 'failed to lookup master "ens33"' in said


@pytest.mark.covers("ipvlan.runtimeConfig.ips", "kernel", "packet")
def test_an_address_of_the_runtimes(node, cni):
    """With the capability ips the runtime's address goes before the configuration's."""
    wanted = network("192.168.80.199/24", capabilities={"ips": True})
    attachment = cni.add(node.sandbox("c1"), wanted, capabilities={"ips": [f"{ADDRESS}/24"]})

    assert attachment.sandbox.addresses_on("eth0") == (ADDRESS,)
    assert source(attachment.sandbox.ping(PEER)) == ADDRESS


@pytest.mark.covers("ipvlan.master", "kernel", "packet")
@pytest.mark.covers("ipvlan.ipam", "kernel", "packet")
def test_chained_it_stands_on_the_interface_before(tmp_path, lab, node, cni):
    """Chained after a plugin with one interface it needs neither master nor IPAM: it takes both from the result."""
    before = {"interfaces": [{"name": "ens33"}], "ips": [{"address": f"{ADDRESS}/24", "interface": 0}]}
    ScriptedPlugin.install(tmp_path, "first", {"ADD": {"result": before}})
    runtime = Runtime(lab, [str(tmp_path), *cni.path])
    chain = {"cniVersion": "1.0.0", "name": "lan", "plugins": [{"type": "first"}, {"type": "ipvlan"}]}
    attachment = runtime.add(node.sandbox("c1"), chain)
    reach = attachment.sandbox.ping(PEER)
    runtime.delete(attachment)

    assert source(reach) == ADDRESS
    assert [interface.name for interface in attachment.result.interfaces] == ["eth0"]
    assert [link.name for link in attachment.sandbox.links] == ["lo"]


@pytest.mark.covers("ipvlan.master", "refused")
def test_chained_after_two_interfaces_nobody_knows_the_parent(tmp_path, lab, node, cni):
    """Chained after a plugin with two interfaces, without master, it is rejected: none of them is chosen."""
    before = {"interfaces": [{"name": "ens33"}, {"name": "ens34"}], "ips": [{"address": f"{ADDRESS}/24"}]}
    ScriptedPlugin.install(tmp_path, "first", {"ADD": {"result": before}})
    runtime = Runtime(lab, [str(tmp_path), *cni.path])
    chain = {"cniVersion": "1.0.0", "name": "lan", "plugins": [{"type": "first"}, {"type": "ipvlan"}]}

    assert "PrevResult lacks a single named interface" in rejected(runtime, node.sandbox("c1"), chain)


@pytest.mark.covers("ipvlan.ipam", "refused")
def test_an_address_that_cannot_be_had_leaves_no_link(node, cni):
    """Where IPAM has nothing to give ADD is rejected, and the container stays as it was."""
    cni.add(node.sandbox("c1"), network())
    second = node.sandbox("c2")
    rejected(cni, second, network())

    assert [link.name for link in second.links] == ["lo"]


@pytest.mark.covers("ipvlan", "kernel")
def test_the_host_itself_is_left_as_it_is(node, cni):
    """An ipvlan needs no forwarding, no rule, no address and no promiscuous parent."""
    before = node.state()
    cni.add(node.sandbox("c1"), NET)

    changed = [item for item in difference(before, node.state()) if item.table not in ("files", "fdb", "flows")]
    assert [(item.table, item.key) for item in changed] == []


class TestDel:
    """What DEL takes back."""

    @pytest.mark.covers("ipvlan", "DEL", "packet")
    def test_link_and_lease_go(self, lab, node, cni):
        """After DEL there is no link, no lease, and nobody has the address; the next container can have it."""
        attachment = cni.add(node.sandbox("c1"), network())
        before = lab.host("peer").arp(ADDRESS, on="ens33")
        cni.delete(attachment)

        assert before
        assert [link.name for link in attachment.sandbox.links] == ["lo"]
        assert leases(node, "lan") == []
        assert not lab.host("peer").arp(ADDRESS, on="ens33")
        assert cni.add(node.sandbox("c2"), network()).address == ADDRESS

    @pytest.mark.covers("ipvlan", "DEL", "packet")
    def test_siblings_stay(self, node, cni):
        """DEL of one child leaves the others connected."""
        first = cni.add(node.sandbox("c1"), NET)
        second = cni.add(node.sandbox("c2"), network("192.168.80.121/24", name="other"))
        cni.delete(first)

        assert source(second.sandbox.ping(PEER)) == "192.168.80.121"

    @pytest.mark.covers("ipvlan", "DEL")
    def test_twice_is_no_error(self, node, cni):
        """A second DEL succeeds."""
        attachment = cni.add(node.sandbox("c1"), network())
        cni.delete(attachment)
        cni.delete(attachment)

        assert leases(node, "lan") == []

    @pytest.mark.covers("ipvlan", "DEL")
    def test_without_a_namespace_frees_the_lease(self, node, cni):
        """DEL with an empty CNI_NETNS, and of a namespace that is gone, frees the lease."""
        attachment = cni.add(node.sandbox("c1"), network())
        delete_without_namespace(cni, attachment)
        empty = leases(node, "lan")
        node.lose("c1")
        cni.delete(attachment)

        assert empty == leases(node, "lan") == []

    @pytest.mark.parametrize("master", ["ens33", None], ids=["named", "not named"])
    @pytest.mark.covers("ipvlan.master", "DEL")
    def test_without_the_parent(self, node, cni, master):
        """DEL after the parent is gone, which took the child along, succeeds and frees the lease."""
        attachment = cni.add(node.sandbox("c1"), network(master=master))
        node.run(["ip", "link", "delete", "ens33"])
        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)
        assert leases(node, "lan") == []


class TestCheck:
    """What CHECK has to notice."""

    @pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
    @pytest.mark.covers("ipvlan.mode", "CHECK")
    def test_a_sound_child(self, node, cni, mode):
        """CHECK of a child that is as it was added succeeds in each mode."""
        attachment = cni.add(ready_sandbox(node, "c1"), network(f"{ADDRESS}/24", "2001:db8:80::120/64", mode=mode))
        cni.check(attachment)

        assert dict(attachment.sandbox.link("eth0").detail)["mode"] == mode

    @pytest.mark.parametrize(
        "argv",
        [
            ["ip", "address", "flush", "dev", "eth0"],
            ["ip", "link", "delete", "eth0"],
            ["ip", "link", "set", "eth0", "name", "eth9"],
            ["ip", "link", "set", "eth0", "down"],
            ["ip", "link", "set", "eth0", "type", "ipvlan", "mode", "l3"],
            ["ip", "link", "set", "eth0", "mtu", "1300"],
        ],
        ids=["address", "link", "name", "down", "mode", "mtu"],
    )
    @pytest.mark.covers("ipvlan", "CHECK")
    def test_notices(self, node, cni, argv):
        """CHECK of a child whose link or address was changed fails."""
        attachment = cni.add(node.sandbox("c1"), NET)
        if argv[-2] == "name":
            attachment.sandbox.run(["ip", "link", "set", "eth0", "down"])
        attachment.sandbox.run(argv)

        assert distrusted(cni, attachment)

    @pytest.mark.covers("ipvlan.master", "CHECK")
    def test_notices_a_parent_that_is_gone(self, node, cni):
        """CHECK fails where the parent is no more."""
        attachment = cni.add(node.sandbox("c1"), NET)
        node.run(["ip", "link", "delete", "ens33"])

        assert distrusted(cni, attachment)

    @pytest.mark.covers("ipvlan.ipam", "CHECK")
    def test_notices_a_route_that_is_gone(self, node, cni):
        """CHECK fails where a route of IPAM is no more."""
        wanted = network(f"{ADDRESS}/24")
        wanted["ipam"] = static(f"{ADDRESS}/24", routes=[{"dst": "203.0.113.0/24", "gw": PEER}])
        attachment = cni.add(node.sandbox("c1"), wanted)
        attachment.sandbox.run(["ip", "route", "delete", "203.0.113.0/24"])

        assert distrusted(cni, attachment)
