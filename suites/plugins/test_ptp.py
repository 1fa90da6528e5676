"""The ptp plugin: a link of its own to the host for each container, routed, with addresses of both families."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import (
    FORWARDING,
    FURTHER,
    INTERNET,
    OTHER_RANGES,
    UPLINK,
    address,
    caller,
    gateway,
    host_end,
    pending,
    pool,
    ptp,
    without_dad,
)
from cnitest.suites.plugins.seen import source

from cnitest import PluginError

pytestmark = [pytest.mark.topology("node-with-uplink"), pytest.mark.requires(plugin=["ptp", "host-local"])]

FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
FAMILIES = pytest.mark.parametrize("families", [(4,), (6,), (4, 6)], ids=["ipv4", "ipv6", "dual"])
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
WHOLE = {4: 32, 6: 128}
#: Bytes of IP and ICMP headers in front of a ping's payload.
HEADERS = {4: 28, 6: 48}
OWN_DNS = {"nameservers": ["192.0.2.53"], "search": ["example.com"]}
IPAM_DNS = {"nameservers": ["192.0.2.99"], "domain": "example.net"}


def routed(*families, **keys):
    """A ptp network whose containers have default routes."""
    return ptp(ipam=pool(*families, routes=[{"dst": DEFAULT[family]} for family in families]), **keys)


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


@FAMILIES
@pytest.mark.covers("ptp", "kernel", "packet")
@pytest.mark.covers("ptp.ipam", "kernel", "packet")
def test_container_and_host_reach_each_other(node, cni, families):
    """Echo, TCP and UDP pass between the container and its host, over each family, at the addresses of the result."""
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(*families))

    for family in families:
        own, host = address(attachment, family), gateway(attachment, family)
        assert source(attachment.sandbox.ping(host)) == own
        assert source(node.tcp(own, 80)) == host
        assert source(attachment.sandbox.udp(host, 53)) == own


@FAMILIES
@pytest.mark.covers("ptp", "kernel")
def test_addresses_and_routes_of_both_ends(node, cni, families):
    """The host's end has the gateway's address and a route to the container, which routes by the gateway."""
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(*families))
    outside, sandbox = host_end(attachment), attachment.sandbox

    for family in families:
        own, host, whole = address(attachment, family), gateway(attachment, family), WHOLE[family]
        assert f"{host}/{whole}" in [a.address for a in node.addresses if a.link == outside]
        assert outside in [
            route.link for route in node.routes if route.to == f"{own}/{whole}" and route.kind == "unicast"
        ]
        beyond = [route for route in sandbox.routes if route.via == host and route.table == 254]
        assert [route.source for route in beyond] == [own]
        assert f"{host}/{whole}" in [route.to for route in sandbox.routes if not route.via]


@pytest.mark.covers("ptp", "kernel")
def test_the_result_names_both_ends(node, cni):
    """The result has the host's end and the container's, with the MACs and names that they have."""
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(4))
    outside, inside = attachment.result.interfaces

    assert (inside.name, inside.sandbox) == ("eth0", attachment.sandbox.path)
    assert node.link(outside.name).mac == outside.mac
    assert attachment.sandbox.link("eth0").mac == inside.mac
    assert (node.link(outside.name).kind, node.link(outside.name).master) == ("veth", "")


@FAMILY
@pytest.mark.covers("ptp", "packet")
def test_containers_reach_each_other_through_the_host(node, cni, family):
    """Two containers reach each other under their own addresses, routed by the host: one hop is counted."""
    first, second = (cni.add(without_dad(node.sandbox(name)), ptp(family)) for name in ("c1", "c2"))

    assert source(first.sandbox.ping(second.address)) == first.address
    assert source(second.sandbox.tcp(first.address, 80)) == second.address
    assert first.sandbox.udp(second.address, 53)
    assert not first.sandbox.ping(second.address, ttl=1)


@FAMILY
@pytest.mark.covers("ptp", "packet")
def test_a_container_is_alone_on_its_link(node, cni, family):
    """On the container's link the host answers for the gateway, and nobody for another container."""
    first, second = (cni.add(without_dad(node.sandbox(name)), ptp(family)) for name in ("c1", "c2"))

    assert first.sandbox.arp(first.gateway, on="eth0").answered_by == node.link(host_end(first)).mac
    assert not first.sandbox.arp(second.address, on="eth0")


@FAMILY
@pytest.mark.requires(kernel="conntrack", binary="iptables")
@pytest.mark.covers("ptp", "packet")
def test_forward_policy_drop_cuts_containers_off(node, cni, family):
    """With policy DROP in FORWARD containers lose each other and the way out, and keep their host."""
    program = "iptables" if family == 4 else "ip6tables"
    first, second = (cni.add(without_dad(node.sandbox(name)), routed(family, ipMasq=True)) for name in ("c1", "c2"))
    node.load_rules(program, "-P FORWARD DROP")
    cut = [first.sandbox.tcp(second.address, 80), first.sandbox.ping(INTERNET[family])]

    assert [bool(reach) for reach in cut] == [False, False]
    assert {reach.dropped_by for reach in cut} == {f"{'ip' if family == 4 else 'ip6'} filter FORWARD policy"}
    assert first.sandbox.ping(first.gateway)


@FAMILY
@pytest.mark.covers("ptp", "kernel", "packet")
def test_ptp_turns_forwarding_on(node, cni, family):
    """On a host that forwarded nothing ADD turns forwarding on for the network's family, and packets pass."""
    node.sysctl(FORWARDING[4], 0)
    node.sysctl(FORWARDING[6], 0)
    first, second = (cni.add(without_dad(node.sandbox(name)), ptp(family)) for name in ("c1", "c2"))

    assert {number: node.sysctl(FORWARDING[number]) for number in (4, 6)} == {family: "1", 10 - family: "0"}
    assert first.sandbox.ping(second.address)


@FAMILY
@pytest.mark.covers("ptp.ipam", "kernel", "packet")
def test_routes_of_ipam(node, cni, family):
    """Only what IPAM's routes cover leaves by the gateway; else the container knows no way."""
    prefixes = {f"{UPLINK[family]}/{WHOLE[family]}", FURTHER[family]}
    ipam = pool(family, routes=[{"dst": prefix} for prefix in sorted(prefixes)])
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(ipam=ipam))

    ways = {route.to: route.via for route in attachment.sandbox.routes if route.to in prefixes}
    assert ways == dict.fromkeys(prefixes, gateway(attachment, family))
    assert attachment.sandbox.ping(UPLINK[family])
    assert attachment.sandbox.ping(INTERNET[family]).dropped_by == "no route"


@pytest.mark.covers("ptp.ipam", "kernel", "packet")
def test_default_routes_of_both_families(node, cni):
    """With both families the container has a default route of each, and uses both."""
    attachment = cni.add(without_dad(node.sandbox("c1")), routed(4, 6, ipMasq=True))
    defaults = [route for route in attachment.sandbox.routes if route.to == "default" and route.table == 254]

    assert {route.family: route.via for route in defaults} == {family: gateway(attachment, family) for family in (4, 6)}
    assert {(route.family, route.metric, route.mtu) for route in defaults} == {(4, 0, 0), (6, 1024, 0)}
    assert attachment.sandbox.ping(UPLINK[4])
    assert attachment.sandbox.ping(UPLINK[6])


@FAMILY
@pytest.mark.covers("ptp.mtu", "kernel", "packet")
def test_the_mtu_bounds_packets(node, cni, family):
    """With mtu 1400 both ends have it; with DF 1400 bytes pass, and one more never leaves."""
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(family, mtu=1400))
    host = gateway(attachment, family)

    assert attachment.sandbox.link("eth0").mtu == node.link(host_end(attachment)).mtu == 1400
    assert attachment.sandbox.ping(host, size=1400 - HEADERS[family], df=True)
    assert not attachment.sandbox.ping(host, size=1401 - HEADERS[family], df=True)


@pytest.mark.covers("ptp.mtu", "packet")
def test_a_smaller_neighbour_is_told(node, cni):
    """Between containers of different MTUs the host tells the sender, which then keeps to the smaller one."""
    large = cni.add(without_dad(node.sandbox("c1")), ptp(4, mtu=1500))
    small = cni.add(without_dad(node.sandbox("c2")), ptp(4, mtu=1280))

    assert not large.sandbox.ping(small.address, size=1400, df=True)
    assert large.sandbox.tcp(small.address, 80, size=100_000)


@pytest.mark.covers("ptp.mtu", "kernel", "packet")
@pytest.mark.parametrize(("mtu", "is_set"), [(0, 1500), (68, 68), (9000, 9000), (65535, 65535)])
def test_mtus_at_the_bounds(node, cni, mtu, is_set):
    """0 is the kernel's own MTU; the smallest and largest that the kernel takes are set, and a full packet passes."""
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(4, mtu=mtu))

    assert attachment.sandbox.link("eth0").mtu == is_set
    assert attachment.sandbox.ping(attachment.gateway, size=is_set - HEADERS[4], df=True)


@pytest.mark.covers("ptp.mtu", "refused")
@pytest.mark.parametrize("mtu", [70000, -1, "1400"], ids=["too large", "negative", "text"])
def test_mtus_that_no_link_has_are_refused(node, cni, mtu):
    """What no link can have as MTU is an error, and the container gets no link."""
    sandbox = without_dad(node.sandbox("c1"))
    with pytest.raises(PluginError):
        cni.add(sandbox, ptp(4, mtu=mtu))

    assert [link.name for link in sandbox.links] == ["lo"]


@pytest.mark.requires(plugin="static")
@pytest.mark.covers("ptp.dns", "kernel")
@pytest.mark.parametrize(
    ("own", "reported"),
    [({}, IPAM_DNS), ({"dns": OWN_DNS}, OWN_DNS), ({"dns": {"nameservers": []}}, {})],
    ids=["of IPAM", "its own", "an empty list"],
)
def test_dns_of_the_network_goes_before_that_of_ipam(node, cni, own, reported):
    """The result has the network's own DNS where it says any, an empty list too, and else that of IPAM."""
    addresses = [{"address": "10.22.0.7/24", "gateway": "10.22.0.1"}]
    ipam = {"type": "static", "addresses": addresses, "dns": IPAM_DNS}

    assert cni.add(without_dad(node.sandbox("c1")), ptp(ipam=ipam, **own)).result.dns == reported


@FAMILY
@pytest.mark.covers("ptp.runtimeConfig.ips", "kernel", "packet")
def test_addresses_that_the_runtime_asks_for(node, cni, family):
    """The capability ips chooses the address, at which the host reaches the container."""
    wanted = {4: "10.22.0.123", 6: "2001:db8:22::123"}[family]
    attachment = cni.add(
        without_dad(node.sandbox("c1")), ptp(family, capabilities={"ips": True}), capabilities={"ips": [wanted]}
    )

    assert attachment.address == wanted
    assert node.ping(wanted)


@pytest.mark.covers("ptp", "kernel", "packet")
def test_two_interfaces_of_one_container(node, cni):
    """eth0 and eth1 have links and addresses of their own, and the host reaches both."""
    sandbox = without_dad(node.sandbox("c1"))
    first = cni.add(sandbox, ptp(4))
    second = cni.add(sandbox, ptp(ipam=pool(4, ranges=OTHER_RANGES)), "eth1")

    assert host_end(first) != host_end(second)
    assert node.ping(first.address)
    assert node.ping(second.address)


@pytest.mark.requires(plugin="static")
@pytest.mark.covers("ptp.ipam", "kernel", "packet")
def test_ipam_without_a_gateway(node, cni):
    """Where IPAM names no gateway the host has a route to the container all the same, and reaches it."""
    ipam = {"type": "static", "addresses": [{"address": "10.22.0.7/24"}]}
    attachment = cni.add(without_dad(node.sandbox("c1")), ptp(ipam=ipam))

    assert host_end(attachment) in [route.link for route in node.routes if route.to == "10.22.0.7/32"]
    assert node.ping("10.22.0.7")


@pytest.mark.covers("ptp.ipam", "refused")
@pytest.mark.parametrize("keys", [{"ipam": {}}, {"ipam": {"type": "no-such-ipam"}}], ids=["empty", "missing plugin"])
def test_ipam_is_needed(node, cni, keys):
    """Without an IPAM plugin that gives an address ADD fails, and leaves no link."""
    sandbox = without_dad(node.sandbox("c1"))
    with pytest.raises(PluginError):
        caller(cni).add(pending(cni, sandbox, ptp(**keys)))

    assert [link.name for link in sandbox.links] == ["lo"]
    assert {link.name for link in node.links} == {"lo", "ens33"}


@pytest.mark.covers("ptp", "refused", "packet")
def test_a_second_add_under_the_same_name_is_refused(node, cni):
    """ADD for an interface that is there fails, and the first one still works."""
    first = cni.add(without_dad(node.sandbox("c1")), ptp(4))
    with pytest.raises(PluginError, match="eth0"):
        caller(cni).add(first.target)

    assert node.ping(first.address)


@FAMILY
@pytest.mark.covers("ptp", "kernel", "packet")
def test_addresses_work_the_moment_add_returns(node, cni, family):
    """Where containers check IPv6 addresses for duplicates ADD has waited for that: nothing is tentative."""
    attachment = cni.add(node.sandbox("c1"), ptp(family))

    assert [a.address for a in attachment.sandbox.addresses if a.scope == "global" and a.tentative] == []
    assert node.ping(attachment.address).attempts == 1
