"""ipMasq: whose address the internet sees, whose it does not, and when the rules go again."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.node_networks import (
    INTERNET,
    UPLINK,
    address,
    caller,
    network,
    other,
    pending,
    rules,
    two_of,
    without_dad,
)
from cnitest.suites.plugins.seen import goes_on, source

from cnitest import PluginError

pytestmark = [
    pytest.mark.topology("node-with-uplink"),
    pytest.mark.requires(kernel="conntrack", plugin=["bridge", "host-local"], binary=["iptables"]),
]

FAMILY = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
MASQUERADING = {"isDefaultGateway": True, "ipMasq": True}
#: The backends, each as the keys that choose it; what releases before 1.6 have is the default.
BACKENDS = [
    pytest.param({}, id="default"),
    pytest.param({"ipMasqBackend": "iptables"}, id="iptables", marks=pytest.mark.requires(plugin="bridge>=1.6")),
    pytest.param(
        {"ipMasqBackend": "nftables"}, id="nftables", marks=pytest.mark.requires(plugin="bridge>=1.6", binary="nft")
    ),
]
BACKEND = pytest.mark.parametrize("backend", BACKENDS)
LAN_ROUTER = {4: "192.168.80.2", 6: "2001:db8:80::2"}
GROUP = {4: "239.1.2.3", 6: "ff0e::123"}


@pytest.fixture
def node(lab):
    """The host on which containers are made."""
    return without_dad(lab.host("node"))


@FAMILY
@BACKEND
@pytest.mark.covers("bridge.ipMasq", "kernel", "packet")
@pytest.mark.covers("bridge.ipMasqBackend", "kernel", "packet")
def test_the_internet_sees_the_hosts_address(node, cni, family, backend):
    """Behind ipMasq echo, TCP and UDP leave with the host's address, and are answered."""
    sandbox = cni.add(node.sandbox("c1"), network(family, **MASQUERADING, **backend)).sandbox
    internet = INTERNET[family]

    assert source(sandbox.ping(internet)) == UPLINK[family]
    assert source(sandbox.tcp(internet, 443)) == UPLINK[family]
    assert source(sandbox.udp(internet, 53)) == UPLINK[family]


@FAMILY
@BACKEND
@pytest.mark.covers("bridge.ipMasq", "packet", "DEL")
def test_each_of_two_addresses_is_masqueraded(node, cni, family, backend):
    """A container with two addresses of one family leaves with the host's from either, and DEL leaves no rule."""
    attachment = cni.add(node.sandbox("c1"), network(ipam=two_of(family), **MASQUERADING, **backend))

    for each in attachment.addresses:
        assert source(attachment.sandbox.tcp(INTERNET[family], 443, source=each)) == UPLINK[family]
    cni.delete(attachment)

    assert rules(node, *attachment.addresses) == []


@FAMILY
@pytest.mark.covers("bridge.ipMasq", "kernel", "packet")
def test_without_masquerade_the_containers_address_leaves(node, lab, cni, family):
    """Without ipMasq the internet sees the container's own address, which it has no way back to."""
    attachment = cni.add(node.sandbox("c1"), network(family, isDefaultGateway=True))
    with lab.host("internet").capture("eth0") as outside:
        reach = attachment.sandbox.ping(INTERNET[family])

    assert not reach
    assert outside.matching("IP" if family == 4 else "IPv6", src=address(attachment, family))
    assert rules(node, "MASQUERADE", "masquerade") == []


@BACKEND
@pytest.mark.covers("bridge.ipMasqBackend", "kernel", "packet")
def test_both_families_are_masqueraded(node, cni, backend):
    """On a network of both families each one leaves with the host's address of that family."""
    sandbox = cni.add(node.sandbox("c1"), network(4, 6, **MASQUERADING, **backend)).sandbox

    for family in (4, 6):
        assert source(sandbox.ping(INTERNET[family])) == UPLINK[family]


@pytest.mark.requires(plugin="bridge>=1.6", binary="nft")
@pytest.mark.covers("bridge.ipMasqBackend", "kernel")
def test_the_backend_that_was_asked_for_is_used(node, cni):
    """nftables makes a table of its own and no rule of iptables; iptables the other way round."""
    cni.add(node.sandbox("c1"), network(4, **MASQUERADING, ipMasqBackend="nftables"))
    by_nftables = rules(node, "cni_plugins_masquerade"), rules(node, "-j MASQUERADE")
    cni.add(node.sandbox("c2"), other(4, **MASQUERADING, ipMasqBackend="iptables"))

    assert by_nftables[0]
    assert by_nftables[1] == []
    assert rules(node, "-j MASQUERADE")


@pytest.mark.requires(plugin="bridge>=1.6")
@pytest.mark.covers("bridge.ipMasqBackend", "refused")
def test_a_backend_that_nobody_knows_is_refused(node, cni):
    """Another backend is an error that names it, and the container is left without a link."""
    sandbox = node.sandbox("c1")
    with pytest.raises(PluginError, match="ebtables"):
        caller(cni).add(pending(cni, sandbox, network(4, **MASQUERADING, ipMasqBackend="ebtables")))

    assert [link.name for link in sandbox.links] == ["lo"]


@FAMILY
@BACKEND
@pytest.mark.covers("bridge.ipMasq", "packet")
def test_the_network_itself_is_not_masqueraded(node, cni, family, backend):
    """Containers of the network, and the gateway, see each other's own addresses."""
    first, second = (cni.add(node.sandbox(name), network(family, **MASQUERADING, **backend)) for name in ("c1", "c2"))
    node.sysctl("net.bridge.bridge-nf-call-iptables", 1)
    node.sysctl("net.bridge.bridge-nf-call-ip6tables", 1)

    assert source(first.sandbox.ping(second.address)) == first.address
    assert source(first.sandbox.tcp(second.gateway, 80)) == first.address


@BACKEND
@pytest.mark.covers("bridge.ipMasq", "packet")
def test_other_subnets_are_masqueraded_too(node, cni, backend):
    """What leaves for a container of another bridge has left the network: that one sees its own gateway's address."""
    first = cni.add(node.sandbox("c1"), network(4, **MASQUERADING, **backend))
    second = cni.add(node.sandbox("c2"), other(4, **MASQUERADING, **backend))

    assert source(first.sandbox.ping(second.address)) == second.gateway


@FAMILY
@BACKEND
@pytest.mark.covers("bridge.ipMasq", "packet")
def test_multicast_is_not_masqueraded(node, lab, cni, family, backend):
    """A datagram to a group leaves with the container's address, one to a host of the same LAN with the host's."""
    own = cni.add(node.sandbox("c1"), network(family, **MASQUERADING, **backend)).address
    _let_the_host_send_for(node, own, family)
    with lab.host("router").capture("lan0") as wire:
        sources = [_source_outside(node, wire, own, to) for to in (GROUP[family], LAN_ROUTER[family])]

    assert sources == [own, UPLINK[family]]


def _let_the_host_send_for(node, own, family):
    """Packets of the container's source that the host sends pass POSTROUTING as forwarded ones do."""
    node.run(["ip", "address", "add", f"{own}/{32 if family == 4 else 128}", "dev", "lo"])
    route = ["ip", "route", "add", GROUP[family], "dev", "ens33"]
    node.run(route if family == 4 else [*route, "table", "local"])


def _source_outside(node, wire, own, to):
    from scapy.layers.inet import IP, UDP
    from scapy.layers.inet6 import IPv6

    layer = IPv6 if ":" in own else IP
    node.send(layer(src=own, dst=to) / UDP(sport=4000, dport=4001))
    return wire.wait_for(layer, dst=to)[layer].src


@BACKEND
@FAMILY
@pytest.mark.covers("bridge.ipMasq", "DEL", "kernel", "packet")
def test_delete_takes_the_rules_of_its_container_only(node, cni, family, backend):
    """After DEL no rule names the address, and the neighbour is masqueraded as before."""
    gone, stays = (cni.add(node.sandbox(name), network(family, **MASQUERADING, **backend)) for name in ("c1", "c2"))
    assert rules(node, address(gone, family))
    cni.delete(gone)

    assert rules(node, f"{address(gone, family)}/", f"{address(gone, family)} ", '"c1"', "id: c1") == []
    assert source(stays.sandbox.ping(INTERNET[family])) == UPLINK[family]


@BACKEND
@pytest.mark.covers("bridge.ipMasq", "DEL", "kernel")
def test_adding_and_deleting_many_times_leaves_no_rule(node, cni, backend):
    """After ten containers came and went there are as many rules as after the first."""
    counts = []
    for number in range(10):
        cni.delete(cni.add(node.sandbox(f"c{number}"), network(4, 6, **MASQUERADING, **backend)))
        counts.append(len(rules(node, "CNI", "masquerade", "MASQUERADE")))

    assert set(counts) == {counts[0]}


@BACKEND
@pytest.mark.covers("bridge.ipMasq", "DEL", "packet")
def test_one_interface_of_two_goes(node, cni, backend):
    """DEL of eth1 leaves eth0 of the same container masqueraded."""
    sandbox = node.sandbox("c1")
    first = cni.add(sandbox, network(4, **MASQUERADING, **backend))
    second = cni.add(sandbox, network(4, ipMasq=True, isGateway=True, **backend), "eth1")
    failed = cni.delete(second, may_fail=True)

    assert source(first.sandbox.ping(INTERNET[4])) == UPLINK[4]
    assert failed is None


@pytest.mark.covers("bridge.ipMasq", "packet")
def test_rules_that_were_there_go_first(node, cni):
    """A rule that somebody has put in front of POSTROUTING is still in front: what it accepts is not masqueraded."""
    node.load_rules("iptables", "-t nat -A POSTROUTING -d 198.51.100.2 -j ACCEPT")
    attachment = cni.add(node.sandbox("c1"), network(4, **MASQUERADING))

    assert source(attachment.sandbox.ping(INTERNET[4])) == UPLINK[4]
    assert not attachment.sandbox.ping("198.51.100.2")


@pytest.mark.covers("bridge.ipMasq", "kernel")
def test_there_is_nothing_to_masquerade_without_ipam(node, cni):
    """ipMasq on a network without IPAM makes no rule."""
    cni.add(node.sandbox("c1"), network(ipMasq=True))

    assert rules(node, "MASQUERADE", "masquerade") == []


@BACKEND
@FAMILY
@pytest.mark.covers("bridge.ipMasq", "packet")
def test_a_connection_outlives_a_second_container(node, cni, backend, family):
    """A masqueraded connection goes on while rules of other containers come and go, whoever speaks next."""
    wanted = network(family, **MASQUERADING, **backend)
    first = cni.add(node.sandbox("c1"), wanted)
    with first.sandbox.connection(INTERNET[family], 443) as connection:
        cni.delete(cni.add(node.sandbox("c2"), wanted))

        assert goes_on(connection)
