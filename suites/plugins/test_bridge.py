"""The bridge plugin's wiring: the bridge, a veth to it, addresses of both families, and what DEL takes back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.plugins.lan_networks import leases
from cnitest.suites.plugins.node_networks import address, caller, gateway, host_end, network, port, settled
from cnitest.suites.plugins.seen import source

from cnitest import PluginError, difference

pytestmark = [pytest.mark.topology("node-with-uplink"), pytest.mark.requires(plugin=["bridge", "host-local"])]

FAMILIES = pytest.mark.parametrize("families", [(4,), (6,), (4, 6)], ids=["ipv4", "ipv6", "dual"])
SIXTEEN, FIFTEEN = "b" * 16, "b" * 15


@pytest.mark.covers("bridge.bridge", "kernel")
def test_add_creates_the_bridge(node, cni):
    """Without a name the bridge is cni0; it is up, and the result names it, both ends of the veth, and their MACs."""
    attachment = cni.add(node.sandbox("c1"), network(4))
    bridge, outside, inside = attachment.result.interfaces

    assert (bridge.name, inside.name) == ("cni0", "eth0")
    assert (node.link("cni0").kind, node.link("cni0").up, node.link("cni0").txqlen) == ("bridge", True, 1000)
    assert node.link("cni0").mac == bridge.mac
    assert node.link(outside.name).mac == outside.mac
    assert attachment.sandbox.link("eth0").mac == inside.mac
    assert inside.sandbox == attachment.sandbox.path


@pytest.mark.covers("bridge.bridge", "kernel", "packet")
def test_add_joins_a_bridge_that_is_there(node, cni):
    """A bridge that somebody else made keeps its index, MTU and address, and carries the container's frames."""
    node.run(["ip", "link", "add", "br7", "type", "bridge"])
    node.run(["ip", "link", "set", "br7", "mtu", "1450"])
    node.run(["ip", "address", "add", "10.22.0.200/24", "dev", "br7"])
    node.run(["ip", "link", "set", "br7", "up"])
    before = node.link("br7")
    attachment = cni.add(node.sandbox("c1"), network(4, bridge="br7"))

    assert (node.link("br7").ifindex, node.link("br7").mtu) == (before.ifindex, 1450)
    assert node.addresses_on("br7") == ("10.22.0.200",)
    assert port(attachment).bridge == "br7"
    assert attachment.sandbox.ping("10.22.0.200")


@pytest.mark.covers("bridge.bridge", "kernel", "packet")
@pytest.mark.parametrize("name", ["b", FIFTEEN, "br.7"], ids=["one letter", "fifteen letters", "with a dot"])
def test_bridge_names_that_links_can_have(node, cni, name):
    """A name of one to fifteen bytes is the bridge's, and the container reaches its gateway over it."""
    attachment = cni.add(node.sandbox("c1"), network(4, bridge=name, isGateway=True))

    assert node.link(name).kind == "bridge"
    assert attachment.sandbox.ping(attachment.gateway)


@pytest.mark.covers("bridge.bridge", "refused")
@pytest.mark.parametrize("name", [SIXTEEN, "a b", 7], ids=["sixteen letters", "a blank", "a number"])
def test_bridge_names_that_no_link_can_have(node, cni, name):
    """A name that the kernel refuses, or that is no text, is an error, and leaves no link behind."""
    sandbox = node.sandbox("c1")
    links = {link.name for link in node.links}
    with pytest.raises(PluginError):
        cni.add(sandbox, network(4, bridge=name))

    assert {link.name for link in node.links} == links
    assert [link.name for link in sandbox.links] == ["lo"]


@pytest.mark.covers("bridge.bridge", "refused")
def test_a_link_that_is_no_bridge_is_refused(node, cni):
    """The name of a link of another kind is an error that says so, and the link stays as it is."""
    before = node.link("ens33")
    with pytest.raises(PluginError, match="ens33.*not a bridge"):
        cni.add(node.sandbox("c1"), network(4, bridge="ens33"))

    assert node.link("ens33") == before


@FAMILIES
@pytest.mark.covers("bridge.ipam", "kernel", "packet")
def test_containers_of_a_network_reach_each_other(node, cni, families):
    """Two containers exchange echo, TCP and UDP over each family that the network has, under their own addresses."""
    first, second = (cni.add(node.sandbox(name), network(*families)) for name in ("c1", "c2"))

    for family in families:
        here, there = address(first, family), address(second, family)
        assert there in second.sandbox.addresses_on("eth0")
        assert source(first.sandbox.ping(there)) == here
        assert source(second.sandbox.tcp(here, 80)) == there
        assert source(first.sandbox.udp(there, 53)) == here


@pytest.mark.covers("bridge.ipam", "kernel", "packet")
def test_a_network_without_ipam_is_a_wire(node, cni):
    """Without IPAM there are links and no address; what containers give themselves passes, and no broadcast is lost."""
    first, second = (cni.add(node.sandbox(name), network()) for name in ("c1", "c2"))
    bare = [*first.result.ips, *first.sandbox.addresses_on("eth0")]
    for attachment, own in ((first, "172.31.7.1/24"), (second, "172.31.7.2/24")):
        attachment.sandbox.run(["ip", "address", "add", own, "dev", "eth0"])

    assert bare == []
    assert first.sandbox.ping("172.31.7.2")
    assert second.sandbox.arp("172.31.7.1", on="eth0").answered_by == first.sandbox.link("eth0").mac


@pytest.mark.covers("bridge.ipam", "refused")
def test_ipam_that_gives_no_address_is_refused(node, cni):
    """An IPAM plugin that is not there fails the ADD, and neither container nor host keeps a veth."""
    sandbox = node.sandbox("c1")
    with pytest.raises(PluginError, match="no-such-ipam"):
        cni.add(sandbox, network(ipam={"type": "no-such-ipam"}))

    assert [link.name for link in sandbox.links] == ["lo"]
    assert [link.name for link in node.links if link.kind == "veth" and link.master == "cni0"] == []


@pytest.mark.covers("bridge", "kernel", "packet")
def test_two_interfaces_of_one_container(node, cni):
    """eth0 and eth1 of one container are ports of their own with addresses of their own, and both answer."""
    peer = cni.add(node.sandbox("c2"), network(4))
    sandbox = node.sandbox("c1")
    first, second = (cni.add(sandbox, network(4), ifname) for ifname in ("eth0", "eth1"))

    assert host_end(first) != host_end(second)
    assert {first.address, second.address} == {*sandbox.addresses_on("eth0"), *sandbox.addresses_on("eth1")}
    assert peer.sandbox.ping(first.address)
    assert peer.sandbox.ping(second.address)


@pytest.mark.covers("bridge", "refused")
def test_a_second_add_under_the_same_name_is_refused(node, cni):
    """ADD for an interface that is there fails, and the first one still works."""
    first = cni.add(node.sandbox("c1"), network(4, isGateway=True))
    with pytest.raises(PluginError, match="eth0"):
        caller(cni).add(first.target)

    assert first.sandbox.ping(first.gateway)


@pytest.mark.covers("bridge", "DEL", "packet")
@pytest.mark.parametrize("family", [4, 6])
def test_delete_takes_the_container_off_the_network(node, cni, family):
    """After DEL its links are gone at both ends, its address answers no more, and the lease can be had again."""
    gone, peer = (cni.add(node.sandbox(name), network(family)) for name in ("c1", "c2"))
    outside = host_end(gone)
    cni.delete(gone)

    assert [link.name for link in gone.sandbox.links] == ["lo"]
    assert outside not in [link.name for link in node.links]
    assert not peer.sandbox.ping(gone.address)
    assert f"/var/lib/cni/networks/net/{gone.address}" not in [file.path for file in node.files()]


@pytest.mark.covers("bridge", "DEL", "packet")
def test_delete_leaves_the_bridge_and_its_other_ports(node, cni):
    """The bridge stays for whoever else is on it: neighbours' connection and leases outlive the DEL of a third one."""
    gone, first, second = (cni.add(node.sandbox(name), network(4)) for name in ("c1", "c2", "c3"))
    with first.sandbox.connection(second.address, 5432) as connection:
        cni.delete(gone)

        assert connection.alive()
    assert node.link("cni0").up
    assert port(first).state == "forwarding"
    assert leases(node, "net") == [first.address, second.address]


@pytest.mark.covers("bridge", "DEL")
def test_delete_of_what_never_was(node, cni):
    """DEL for a container that was never added succeeds and changes nothing on the host."""
    kept = cni.add(node.sandbox("c1"), network(4, isGateway=True, ipMasq=True))
    never = replace(kept.target, container_id="never", netns=node.sandbox("c2").path)
    before = settled(node).state()
    caller(cni).delete(never, None)

    assert difference(before, node.state()) == ()


@pytest.mark.covers("bridge", "DEL")
def test_deleting_twice_is_deleting_once(node, cni):
    """A second DEL of the same attachment succeeds, and the state is that after the first."""
    gone = cni.add(node.sandbox("c1"), network(4, 6, isDefaultGateway=True, ipMasq=True))
    cni.delete(gone)
    once = settled(node).state()
    caller(cni).delete(gone.target, None)

    assert difference(once, node.state()) == ()


@pytest.mark.covers("bridge", "kernel", "DEL", "packet")
def test_an_address_comes_back_to_a_new_container(node, cni):
    """The address of a container that was deleted works for the next one that is given it, at once."""
    wanted = network(4, isGateway=True, ipam={"type": "host-local", "subnet": "10.22.0.0/30"})
    first = cni.add(node.sandbox("c1"), wanted)
    assert first.sandbox.ping(first.gateway)
    cni.delete(first)
    second = cni.add(node.sandbox("c2"), wanted)

    assert second.address == first.address
    assert second.sandbox.ping(second.gateway)
    assert gateway(second, 4) == first.gateway
