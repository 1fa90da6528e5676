"""The bridge as the containers' gateway: its address, the way through the host, and a bridge that has another one."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import (
    FORWARDING,
    FURTHER,
    INTERNET,
    UPLINK,
    address,
    caller,
    gateway,
    network,
    pending,
    pool,
    without_dad,
)
from cnitest.suites.plugins.seen import source

from cnitest import PluginError

pytestmark = [pytest.mark.topology("node-with-uplink"), pytest.mark.requires(plugin=["bridge", "host-local"])]


FAMILY = pytest.mark.parametrize("family", [4, 6])
LOWEST = "02:00:00:00:00:01"


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


@FAMILY
@pytest.mark.covers("bridge.isGateway", "kernel", "packet")
def test_the_bridge_is_the_gateway(node, cni, family):
    """isGateway gives the bridge the gateway's address with the subnet's prefix; containers reach it."""
    attachment = cni.add(node.sandbox("c1"), network(family, isGateway=True))

    assert gateway(attachment, family) in node.addresses_on("cni0")
    prefix = {a.address.partition("/")[2] for a in node.addresses if a.ip == attachment.gateway}
    assert prefix == {attachment.result.ips[0].address.partition("/")[2]}
    assert attachment.sandbox.ping(attachment.gateway)


@FAMILY
@pytest.mark.covers("bridge.isGateway", "kernel", "packet")
def test_without_is_gateway_nobody_has_the_address(node, cni, family):
    """Without isGateway the bridge has no address of the subnet, and nobody answers for the gateway."""
    attachment = cni.add(node.sandbox("c1"), network(family))

    assert node.addresses_on("cni0") == ()
    assert not attachment.sandbox.arp(gateway(attachment, family), on="eth0")


@FAMILY
@pytest.mark.covers("bridge.isGateway", "kernel", "packet")
def test_a_gateway_forwards(node, cni, family):
    """On a host that forwarded nothing isGateway turns forwarding on for its families, and packets pass."""
    node.sysctl(FORWARDING[family], 0)
    wanted = network(family, isDefaultGateway=True, ipMasq=True)
    attachment = cni.add(node.sandbox("c1"), wanted)

    assert node.sysctl(FORWARDING[family]) == "1"
    assert attachment.sandbox.ping(INTERNET[family])


@pytest.mark.covers("bridge.isGateway", "kernel")
def test_no_gateway_leaves_forwarding_alone(node, cni):
    """A network without gateway, and one of the other family, do not make a router of the host."""
    node.sysctl(FORWARDING[4], 0)
    node.sysctl(FORWARDING[6], 0)
    cni.add(node.sandbox("c1"), network(4, 6))
    cni.add(node.sandbox("c2"), network(4, isGateway=True, name="second", bridge="cni2"))

    assert [node.sysctl(FORWARDING[family]) for family in (4, 6)] == ["1", "0"]


@FAMILY
@pytest.mark.covers("bridge.isDefaultGateway", "kernel", "packet")
def test_default_gateway(node, cni, family):
    """isDefaultGateway makes the bridge a gateway, the result has the default route, and packets leave by it."""
    attachment = cni.add(node.sandbox("c1"), network(family, isDefaultGateway=True))
    default = "0.0.0.0/0" if family == 4 else "::/0"

    assert [route.dst for route in attachment.result.routes] == [default]
    routes = [route for route in attachment.sandbox.routes if route.to == "default" and route.table == 254]
    assert [(route.family, route.via) for route in routes] == [(family, gateway(attachment, family))]
    assert [(route.metric, route.mtu) for route in routes] == [({4: 0, 6: 1024}[family], 0)]
    assert attachment.sandbox.ping(UPLINK[family])


@pytest.mark.covers("bridge.isDefaultGateway", "packet")
def test_without_a_default_gateway_there_is_no_way_out(node, cni):
    """isGateway alone gives no default route: beyond the subnet the container knows no way."""
    attachment = cni.add(node.sandbox("c1"), network(4, isGateway=True))

    assert attachment.result.routes == ()
    assert attachment.sandbox.ping(UPLINK[4]).dropped_by == "no route"


@FAMILY
@pytest.mark.covers("bridge.isDefaultGateway", "kernel", "packet")
def test_a_default_route_of_ipam_stays(node, cni, family):
    """Where IPAM already gives a default route, by another gateway, isDefaultGateway adds none beside it."""
    default = "0.0.0.0/0" if family == 4 else "::/0"
    beyond = {4: "10.22.0.99", 6: "2001:db8:22::99"}[family]
    ipam = pool(family, routes=[{"dst": default, "gw": beyond}])
    attachment = cni.add(node.sandbox("c1"), network(ipam=ipam, isDefaultGateway=True))
    routes = [route for route in attachment.sandbox.routes if route.to == "default" and route.table == 254]

    assert [route.via for route in routes] == [beyond]
    assert [route.gw for route in attachment.result.routes] == [beyond]
    assert attachment.sandbox.ping(gateway(attachment, family))


@FAMILY
@pytest.mark.covers("bridge.ipam", "kernel", "packet")
def test_routes_of_ipam_lead_where_they_say(node, cni, family):
    """Routes of IPAM are the container's, and only what they cover leaves by the gateway."""
    prefix, further = f"{INTERNET[family]}/{32 if family == 4 else 128}", FURTHER[family]
    ipam = pool(family, routes=[{"dst": prefix}, {"dst": further}])
    attachment = cni.add(node.sandbox("c1"), network(ipam=ipam, isGateway=True, ipMasq=True))

    assert {prefix, further} <= {route.to for route in attachment.sandbox.routes}
    assert source(attachment.sandbox.ping(INTERNET[family])) == UPLINK[family]
    assert attachment.sandbox.ping(UPLINK[family]).dropped_by == "no route"


@pytest.mark.covers("bridge.isGateway", "kernel", "packet")
def test_a_gateway_that_ipam_names(node, cni):
    """The gateway of IPAM's range, and not the subnet's first address, is the bridge's."""
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.22.0.0/24", "gateway": "10.22.0.254"}]]}
    attachment = cni.add(node.sandbox("c1"), network(ipam=ipam, isGateway=True))

    assert node.addresses_on("cni0") == ("10.22.0.254",)
    assert attachment.sandbox.ping("10.22.0.254")


@pytest.mark.requires(plugin="static")
@pytest.mark.covers("bridge.isGateway", "kernel", "packet")
def test_a_gateway_that_nobody_names_is_the_first_address(node, cni):
    """Where IPAM names no gateway the bridge takes the subnet's first address."""
    ipam = {"type": "static", "addresses": [{"address": "10.22.0.77/24"}]}
    attachment = cni.add(node.sandbox("c1"), network(ipam=ipam, isGateway=True))

    assert node.addresses_on("cni0") == ("10.22.0.1",)
    assert attachment.sandbox.ping("10.22.0.1")


def _bridge_with(node, own):
    node.run(["ip", "link", "add", "cni0", "type", "bridge"])
    node.run(["ip", "address", "add", own, "dev", "cni0", *(["nodad"] if ":" in own else [])])
    node.run(["ip", "link", "set", "cni0", "up"])


@pytest.mark.covers("bridge.forceAddress", "kernel", "refused")
def test_another_address_on_the_bridge_is_refused(node, cni):
    """Without forceAddress a bridge with another IPv4 address is an error that names it, and keeps it."""
    _bridge_with(node, "10.9.0.1/24")
    with pytest.raises(PluginError, match=r"10\.9\.0\.1|different"):
        cni.add(node.sandbox("c1"), network(4, isGateway=True))

    assert node.addresses_on("cni0") == ("10.9.0.1",)


@pytest.mark.covers("bridge.forceAddress", "refused")
def test_a_refused_bridge_leaves_no_lease_and_no_interface(node, cni):
    """ADD that fails at the bridge's address has given its lease back and taken its link out of the container."""
    _bridge_with(node, "10.9.0.1/24")
    sandbox = node.sandbox("c1")
    with pytest.raises(PluginError):
        caller(cni).add(pending(cni, sandbox, network(4, isGateway=True)))

    leases = [file.path for file in node.files() if file.path.startswith("/var/lib/cni/networks/net/10.")]
    assert leases == []
    assert [link.name for link in sandbox.links] == ["lo"]


@pytest.mark.covers("bridge.forceAddress", "kernel", "packet")
def test_force_address_replaces_an_address(node, cni):
    """With forceAddress the other IPv4 address goes, and containers reach the gateway at its own."""
    _bridge_with(node, "10.9.0.1/24")
    attachment = cni.add(node.sandbox("c1"), network(4, isGateway=True, forceAddress=True))

    assert node.addresses_on("cni0") == ("10.22.0.1",)
    assert attachment.sandbox.ping("10.22.0.1")


@pytest.mark.covers("bridge.forceAddress", "kernel", "packet")
def test_ipv6_addresses_of_other_subnets_stay(node, cni):
    """A bridge may have IPv6 addresses of several subnets: the one it had stays, without forceAddress."""
    _bridge_with(node, "2001:db8:9::1/64")
    attachment = cni.add(node.sandbox("c1"), network(6, isGateway=True))

    assert {*node.addresses_on("cni0")} == {"2001:db8:9::1", "2001:db8:22::1"}
    assert attachment.sandbox.ping("2001:db8:22::1")


@pytest.mark.covers("bridge.forceAddress", "kernel", "refused")
def test_an_ipv6_address_whose_subnet_overlaps_is_refused(node, cni):
    """Without forceAddress another address of the same IPv6 subnet is an error, and stays."""
    _bridge_with(node, "2001:db8:22::99/64")
    with pytest.raises(PluginError, match="different"):
        cni.add(node.sandbox("c1"), network(6, isGateway=True))

    assert node.addresses_on("cni0") == ("2001:db8:22::99",)


@pytest.mark.covers("bridge.forceAddress", "kernel", "packet")
def test_force_address_replaces_an_ipv6_address_whose_subnet_overlaps(node, cni):
    """With forceAddress another address of the same IPv6 subnet goes, and containers reach the gateway."""
    _bridge_with(node, "2001:db8:22::99/64")
    attachment = cni.add(node.sandbox("c1"), network(6, isGateway=True, forceAddress=True))

    assert node.addresses_on("cni0") == ("2001:db8:22::1",)
    assert attachment.sandbox.ping("2001:db8:22::1")


@pytest.mark.covers("bridge.isGateway", "kernel", "packet")
def test_a_gateway_keeps_its_mac(node, cni):
    """The MAC of a gateway is pinned: a port with a lower one joins, and connections through it go on."""
    attachment = cni.add(node.sandbox("c1"), network(4, isDefaultGateway=True, ipMasq=True))
    before = node.link("cni0").mac
    with attachment.sandbox.connection(INTERNET[4], 443) as connection:
        assert connection.alive()
        node.run(["ip", "link", "add", "low", "address", LOWEST, "type", "veth", "peer", "lower"])
        node.run(["ip", "link", "set", "low", "master", "cni0", "up"])

        assert connection.alive()
    assert node.link("cni0").mac == before
    assert attachment.sandbox.arp(address(attachment, 4)[:-1] + "1", on="eth0").answered_by == before


@pytest.mark.covers("bridge.isGateway", "kernel", "packet")
def test_a_network_becomes_a_gateway_after_its_bridge_was_empty(node, cni):
    """A bridge that lost its last port without being a gateway can still become one."""
    cni.delete(cni.add(node.sandbox("c1"), network(4)))
    attachment = cni.add(node.sandbox("c2"), network(4, isGateway=True))

    assert attachment.sandbox.ping(attachment.gateway)
