"""CHECK of the bridge plugin: it finds each thing that somebody has changed, and nothing where nobody has."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import (
    FURTHER,
    INTERNET,
    caller,
    gateway,
    host_end,
    network,
    pool,
    without_dad,
)
from cnitest.suites.plugins.tampering import OF_ANY_VETH, inside, no_lease, outside

from cnitest import PluginError

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel="conntrack", plugin=["bridge", "host-local"], binary=["iptables", "nft"]),
]

NETWORK = network(4, 6, isDefaultGateway=True, ipMasq=True, hairpinMode=True, mtu=1400, macspoofchk=True)

PREFIX = {4: "10.22.0.", 6: "2001:db8:22::"}


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


@pytest.fixture
def attached(node, cni):
    """A container with all that the network can give it; its DEL may fail after what a test has changed."""
    attachment = cni.add(node.sandbox("c1"), NETWORK)
    yield attachment
    if attachment in cni.attachments:
        cni.delete(attachment, may_fail=True)


def _no_gateway(family):
    def tamper(attachment):
        own = gateway(attachment, family)
        host = attachment.sandbox.host
        whole = next(a.address for a in host.addresses if a.ip == own)
        host.run(["ip", "address", "del", whole, "dev", "cni0"])

    return tamper


def _another_bridge(attachment):
    host = attachment.sandbox.host
    host.run(["ip", "link", "add", "elsewhere", "type", "bridge"])
    host.run(["ip", "link", "set", host_end(attachment), "master", "elsewhere"])


#: Each thing that ADD has made or set, taken away or changed behind the plugin's back.
TAMPERINGS = {
    **OF_ANY_VETH,
    "default-route-elsewhere": inside("ip", "route", "replace", "default", "via", "10.22.0.9"),
    "host-link-off-the-bridge": outside("ip", "link", "set", "VETH", "nomaster"),
    "host-link-on-another-bridge": _another_bridge,
    "host-link-mac": outside("ip", "link", "set", "VETH", "address", "02:00:00:00:00:98"),
    "hairpin": outside("ip", "link", "set", "VETH", "type", "bridge_slave", "hairpin", "off"),
    "bridge-down": outside("ip", "link", "set", "cni0", "down"),
    "bridge-gone": outside("ip", "link", "del", "cni0"),
    "bridge-mac": outside("ip", "link", "set", "cni0", "address", "02:00:00:00:00:97"),
    "bridge-mtu": outside("ip", "link", "set", "cni0", "mtu", "1280"),
    "gateway-ipv4": _no_gateway(4),
    "gateway-ipv6": _no_gateway(6),
    "macspoofchk": outside("nft", "flush", "table", "bridge", "nat"),
    "lease-ipv4": no_lease(4),
    "lease-ipv6": no_lease(6),
}


@pytest.mark.covers("bridge", "CHECK")
@pytest.mark.covers("bridge.ipMasq", "CHECK")
@pytest.mark.covers("bridge.hairpinMode", "CHECK")
@pytest.mark.covers("bridge.mtu", "CHECK")
@pytest.mark.covers("bridge.macspoofchk", "CHECK")
@pytest.mark.covers("bridge.isGateway", "CHECK")
@pytest.mark.covers("bridge.isDefaultGateway", "CHECK")
@pytest.mark.covers("bridge.ipam", "CHECK")
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_check_finds_what_was_changed(cni, attached, tampering):
    """CHECK fails once a thing that ADD has made is gone or another one."""
    cni.check(attached)
    TAMPERINGS[tampering](attached)

    with pytest.raises(PluginError):
        cni.check(attached)


@pytest.mark.covers("bridge.ipam", "CHECK")
@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_check_finds_a_route_by_another_gateway(node, cni, family):
    """CHECK fails once a route of the network, other than the default one, leads to somebody else."""
    to, asked, another = FURTHER[family], *(f"{PREFIX[family]}{host}" for host in (7, 9))
    routed = pool(family, routes=[{"dst": to, "gw": asked}])
    attachment = cni.add(node.sandbox("c1"), network(family, isGateway=True, ipam=routed))
    cni.check(attachment)
    attachment.sandbox.run(["ip", "route", "replace", to, "via", another])

    with pytest.raises(PluginError):
        cni.check(attachment)


@pytest.mark.covers("bridge", "CHECK", "packet")
def test_check_passes_with_traffic_and_neighbours(node, cni, attached):
    """CHECK passes of what nobody has changed: after traffic, and while other containers come and go."""
    neighbour = cni.add(node.sandbox("c2"), NETWORK)
    assert attached.sandbox.ping(INTERNET[4])
    cni.check(attached)
    cni.delete(neighbour)

    cni.check(attached)


@pytest.mark.covers("bridge", "CHECK")
@pytest.mark.parametrize("families", [(4,), (6,)], ids=["ipv4", "ipv6"])
def test_check_of_one_family(node, cni, families):
    """CHECK passes of a network of one family that has nothing but addresses."""
    attachment = cni.add(node.sandbox("c1"), network(*families, isGateway=True))

    cni.check(attachment)


@pytest.mark.covers("bridge.isGateway", "CHECK")
def test_check_passes_while_the_bridge_follows_its_ports(node, cni):
    """A bridge that is no gateway takes the lowest MAC of its ports, and CHECK does not mind another one."""
    attachment = cni.add(node.sandbox("c1"), network(4))
    node.run(["ip", "link", "add", "low", "address", "02:00:00:00:00:01", "type", "veth", "peer", "lower"])
    node.run(["ip", "link", "set", "low", "master", "cni0", "up"])
    node.run(["ip", "link", "set", host_end(attachment), "down"])

    assert node.link("cni0").mac == "02:00:00:00:00:01"
    node.run(["ip", "link", "set", host_end(attachment), "up"])
    cni.check(attachment)


@pytest.mark.covers("bridge.ipam", "CHECK")
def test_check_of_a_network_without_ipam(node, cni):
    """CHECK passes of a container that has a link and no address, as it was asked for."""
    cni.check(cni.add(node.sandbox("c1"), network()))


@pytest.mark.requires(plugin="bridge>=1.7")
@pytest.mark.covers("bridge.portIsolation", "CHECK")
def test_check_finds_that_a_port_is_not_isolated(node, cni):
    """CHECK fails once the port of a network with portIsolation is open."""
    attachment = cni.add(node.sandbox("c1"), network(4, portIsolation=True))
    cni.check(attachment)
    outside("ip", "link", "set", "VETH", "type", "bridge_slave", "isolated", "off")(attachment)

    with pytest.raises(PluginError):
        cni.check(attachment)


@pytest.mark.covers("bridge.promiscMode", "CHECK")
def test_check_finds_that_the_bridge_is_not_promiscuous(node, cni):
    """CHECK fails once the bridge of a network with promiscMode is not promiscuous."""
    attachment = cni.add(node.sandbox("c1"), network(4, promiscMode=True))
    cni.check(attachment)
    node.run(["ip", "link", "set", "cni0", "promisc", "off"])

    with pytest.raises(PluginError):
        cni.check(attachment)


@pytest.mark.covers("bridge", "CHECK", "DEL")
def test_check_fails_after_delete(cni, attached):
    """CHECK of what was deleted fails, with the result that ADD gave."""
    cni.delete(attached)

    with pytest.raises(PluginError):
        caller(cni).check(attached.target, attached.result.document)
